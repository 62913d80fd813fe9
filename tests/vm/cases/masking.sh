# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# Two namespaces in one subsystem, one of them for a single host: the others neither see nor reach
# it.

config_reset
subsystem_add "$nqn" "$host_nqn" "$host2_nqn"
namespace_add "$nqn" 1 "$drive0"
namespace_add "$nqn" 2 "$drive1" "$host2_nqn"
target_start

active() { nvme list-ns "/dev/$ctrl" -o json | jq -c '[.nsid_list[].nsid]'; }

host_connect "$nqn"
namespace_wait "$nqn" 1
assert_eq "namespaces of the host that is masked" "[1]" "$(active)"
assert_fails "Identify of a masked namespace's descriptors" "Invalid Namespace" \
	nvme ns-descs "/dev/$ctrl" -n 2
assert_fails "device of a masked namespace" "" namespace_present "$nqn" 2
host_disconnect "$nqn"

host_connect "$nqn" --hostnqn="$host2_nqn" --hostid="$host2_id"
assert_eq "namespaces of the other host" "[1,2]" "$(active)"
namespace_wait "$nqn" 2
pattern_write "$device" 0 4096
assert_pattern "$drive1" 0 4096
