# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# nvme list and nvme list-subsys show the target as a person expects.

attach_default
list=$(nvme list -o json)
assert_match "the device in nvme list" "${device##*/}" "$list"
assert_match "the serial number in nvme list" SLUICEVM0000 "$list"
sub=$(nvme list-subsys -o json | jq ".[].Subsystems[] | select(.NQN == \"$nqn\")")
assert_eq "paths" 1 "$(json_get "$sub" '.Paths | length')"
assert_eq "transport" "$transport" "$(json_get "$sub" '.Paths[0].Transport')"
assert_match "address" "traddr=$address,trsvcid=$port" "$(json_get "$sub" '.Paths[0].Address')"
assert_eq "state" live "$(json_get "$sub" '.Paths[0].State')"
dir=$(subsystem_dir "$nqn")
assert_eq "ANA state" optimized "$(cat "$dir"/nvme*/nvme*c*n*/ana_state | sort -u)"
