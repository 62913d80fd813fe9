# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# A leg of a mirror fails a request now and then, so that md repeats it in pieces: I/O with a
# registered dma-buf sees no error, and the legs stay equal. A level that looks at the data takes
# over the array: it gets none of that I/O.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
stack_reset
fail=/sys/kernel/debug/fail_make_request
errors=/sys/block/${drive1#/dev/}/make-it-fail
array=/sys/block/${md_device#/dev/}/md
[ -d "$fail" ] || fail "the kernel has no fail_make_request"

# One in so many requests to the second leg fails.
errors_start() {
	echo 0 >"$fail/verbose"
	echo 100 >"$fail/probability"
	echo "$1" >"$fail/interval"
	echo -1 >"$fail/times"
	echo 1 >"$errors"
}

errors_stop() {
	echo 0 >"$errors"
	echo 0 >"$fail/probability"
}

for drive in "$drive0" "$drive1"; do
	blkdiscard --zeroout --length 64M "$drive"
done
for level in 1 10; do
	note "level $level"
	md_create "$level" "$drive0" "$drive1"
	echo 1000000 >"$array/max_read_errors"
	load_start load "$device"
	errors_start 211
	load_event "a leg fails now and then"
	sleep 2
	load_event "a leg still fails now and then"
	errors_stop
	load_event "it does not any more"
	load_end
	assert_eq "legs missing" 0 "$(<"$array/degraded")"
	note "places that md holds for bad: $(tr '\n' ' ' <"$array/dev-${drive1#/dev/}/bad_blocks")"
	echo check >"$array/sync_action"
	retry 120 md_in_sync
	assert_eq "sectors that differ" 0 "$(<"$array/mismatch_cnt")"
	md_stop "$drive0" "$drive1"
done

note "level 1 becomes level 5"
md_create 1 "$drive0" "$drive1"
load_start survive "$device"
load_event "level 1"
mdadm --grow "$md_device" --level=5
load_event "level 5"
load_end
selftest_run stacking refused "$device"
md_stop "$drive0" "$drive1"
