# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout_s: 240
# The target is killed twice in the middle of verified I/O and comes back: the host waits, sees no
# error, and every block is right.

attach_default
ctrl_live() { ctrl_state "$ctrl" live; }
fio_verify "$device" --size=24M &
fio=$!
for _ in 1 2; do
	sleep 2
	kill -0 "$fio" 2>/dev/null || fail "fio was through before the target was killed"
	target_kill
	sleep 1
	target_start
	retry 30 ctrl_live
done
wait "$fio"
