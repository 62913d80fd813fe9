# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# One command attaches every subsystem that discovery lists.

config_reset
subsystem_add "$nqn-a"
namespace_add "$nqn-a" 1 "$drive0"
subsystem_add "$nqn-b"
namespace_add "$nqn-b" 1 "$drive1"
target_start
host_nvme connect-all
namespace_wait "$nqn-a" 1
first=$device
namespace_wait "$nqn-b" 1
pattern_write "$first" 0 65536
cmp -s -n 65536 "$run/pattern" "$device" && fail "both subsystems show the same drive"
assert_pattern "$drive0" 0 65536

list=$(nvme list-subsys -o json)
for sub in "$nqn-a" "$nqn-b"; do
	path=$(json_get "$list" ".[].Subsystems[] | select(.NQN == \"$sub\") | .Paths[0]")
	assert_eq "state of the path to $sub" live "$(json_get "$path" .State)"
	assert_eq "transport of the path to $sub" "$transport" "$(json_get "$path" .Transport)"
done
nvme disconnect-all
subsystem_gone() { ! subsystem_dir "$1"; }
retry 10 subsystem_gone "$nqn-a"
retry 10 subsystem_gone "$nqn-b"
