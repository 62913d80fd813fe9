# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# One namespace's disk is stuck, with as many writes as its host can send: the other namespace's
# host goes on, by the same NIC and without copies.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

other=$nqn.stuck
nic_up 4
zcrx_receive=4M
zcrx_config
printf '[daemon]\nworkers = 1\n[namespace %s/1]\nfault = write stuck\n' "$other" \
	>"$run/sluice.conf.d/zz-stuck.conf"
config_reset
subsystem_add "$nqn"
subsystem_add "$other"
namespace_add "$nqn" 1 "$drive0"
namespace_add "$other" 1 "$drive1"
target_start
host_connect "$other"
namespace_wait "$other" 1
stuck_device=$device
host_connect "$nqn"
namespace_wait "$nqn" 1

load=()
for size in 4k 64k 1M; do
	fio --name=stuck --filename="$stuck_device" --rw=write --bs="$size" --iodepth=128 --direct=1 \
		--ioengine=io_uring --size=256M --time_based --runtime=200 >/dev/null 2>&1 &
	load+=("$!")
done
# Each of them, which is a process of its own below fio's, has sent what it could: it waits in
# io_uring_enter().
all_wait() {
	local pid job
	for pid in "${load[@]}"; do
		job=$(pgrep -P "$pid") || return 1
		grep -q '^426 ' "/proc/$job/syscall" 2>/dev/null || return 1
	done
}
# All that the target takes of them, before it is looked at what the other's takes.
nothing_more_comes() {
	zcrx_counters >/dev/null
	local before=$((placed + staged))
	sleep 2
	zcrx_counters >/dev/null
	[ "$before" -gt 0 ] && [ $((placed + staged)) -eq "$before" ]
}
retry 60 all_wait
retry 60 nothing_more_comes
zcrx_counters
before=$placed staged_before=$staged
# The stuck disk has four fifths of what commands may keep: 154 chunks are left, of which one may have 123.
fio_matrix "$device" 4k:16 64k:6 256k:1
zcrx_counters
placed=$((placed - before)) staged=$((staged - staged_before))
assert_ge "bytes placed for the other" $((30 << 20)) "$placed"
assert_ge "times as many as were staged" 3 $((placed / (staged + 1)))
note "more at a time than is left: the rest is copied, and all goes on"
zcrx_counters
before=$placed
fio_matrix "$device" 1M:4
zcrx_counters
assert_ge "bytes placed of what is left for" $((1 << 20)) $((placed - before))
assert_eq "connections that were closed" 0 "$closed"
pkill -P $$ fio || :
