# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Who is not allowed, and what does not exist, is refused, and the host does not try again.

config_reset
subsystem_add "$nqn" "$host2_nqn"
namespace_add "$nqn" 1 "$drive0"
target_start

refused() {
	local what=$1 pattern=$2
	shift 2
	dmesg --clear
	if host_nvme connect "$@"; then
		fail "$what: connected"
	fi
	assert_match "$what" "$pattern" "$(dmesg)"
}

refused "host that is not allowed" "not allowed|Connect Invalid Host|invalid host" -n "$nqn"
refused "subsystem that does not exist" "Invalid Data|Invalid Parameter|invalid parameter" -n "$nqn-nowhere"
refused "I/O connection to the discovery NQN of another host" "" -n "$nqn" --hostnqn="$nqn-stranger"
[ -z "$(find /sys/class/nvme -name 'nvme[2-9]')" ] || fail "a refused controller is still there"

note "the one that is allowed gets in all the same"
host_connect "$nqn" --hostnqn="$host2_nqn" --hostid="$host2_id"
namespace_wait "$nqn" 1
