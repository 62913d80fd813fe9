# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: premapped plain zerocopy
# targets: sluice
# timeout_s: 300
# In a control group with too little memory there is no start, and the reason names the group. With enough
# the target stays within it. What happens when the limit sinks below what it has is up to the kernel:
# squeezed, it goes on; killed, it comes back, and its host has lost nothing.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh

group=/sys/fs/cgroup/sluice
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
# with the counts of a case before this one
[ ! -d "$group" ] || rmdir "$group"
mkdir "$group"

# In the group from the first page on.
start_inside() {
	echo "$BASHPID" >"$group/cgroup.procs"
	target_start
	echo "$BASHPID" >/sys/fs/cgroup/cgroup.procs
}

event() {
	awk -v name="$1" '$1 == name { print $2 }' "$group/memory.events"
}

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
printf '%s\n' "[daemon]" "workers = 1" >"$run/sluice.conf.d/one.conf"
# receives for all commands that 16 queues may have outstanding, and as many that wait, on each device
[ "$transport" = tcp ] || printf '[memory]\nreceive = 36M\n' >"$run/sluice.conf.d/receive.conf"

note "too little"
sluice_config >"$run/sluice.conf"
echo 24M >"$group/memory.max"
# shellcheck disable=SC2016 # the inner shell's
assert_fails "start with 24 MiB" "memory.max of control group /sluice leaves" \
	bash -c 'echo "$$" >"$1/cgroup.procs"; exec sluiced --config "$2"' - "$group" "$run/sluice.conf"
assert_eq "killed for memory" 0 "$(event oom_kill)"

note "enough"
echo 128M >"$group/memory.max"
start_inside
host_connect "$nqn"
namespace_wait "$nqn" 1
fio_verify "$device" --size=$((8 / less))M
fio_verify "$device" --size=$((8 / less))M --bs=128k --iodepth=32
announced=$(sluicectl --socket "$run/control.sock" --json status |
	jq '.. | objects | .announced_bytes // empty')
peak=$(cat "$group/memory.peak")
note "at most $peak bytes, announced $announced"
# the program itself is not announced
assert_ge "announced bytes and 16 MiB" "$peak" $((announced + (16 << 20)))
assert_eq "killed for memory" 0 "$(event oom_kill)"

note "squeezed"
# no page of its areas can be given back, and connections take more
echo $(($(cat "$group/memory.current") - (1 << 20))) >"$group/memory.high"
fio_verify "$device" --size=4M
"${host_prefix[@]}" sluice-bench --transport "$transport" --connect "$address:$port" --nqn "$nqn" --queues 16 --time 1
assert_ge "times over memory.high" 1 "$(event high)"
echo max >"$group/memory.high"

note "killed"
ctrl_live() { ctrl_state "$ctrl" live; }
killed() { [ "$(event oom_kill)" -gt 0 ]; }
written() { sluicectl --socket "$run/control.sock" --json stats | jq '.namespaces[0].written_bytes'; }
more_written() { [ "$(written)" -gt "$1" ]; }
before=$(written)
# slow enough to be under way for some seconds from its first write on
fio_verify "$device" --size=16M --rate=4m &
fio=$!
retry 60 more_written "$before"
kill -0 "$fio" 2>/dev/null || fail "fio was through before the target was killed"
echo 16M >"$group/memory.max" || :
retry 20 killed
wait "$target_pid" || :
target_pid=""
# The kernel gives back late what a ring had registered, and until then it counts.
given_back() { [ "$(<"$group/memory.current")" -le $((16 << 20)) ]; }
retry 30 given_back
echo 128M >"$group/memory.max"
start_inside
retry 30 ctrl_live
wait "$fio"
fio_verify "$device" --size=1M
rung_assert
target_stop
