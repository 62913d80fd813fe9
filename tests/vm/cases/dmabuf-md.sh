# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# drive: ssd2
# device: nvme,drive=ssd2,serial=ssd2
# RAID levels that only pass I/O on pass the registration of a dma-buf on as well; those that look
# into the data, or copy them over parts that cannot, refuse it.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
stack_reset
drive2=$(drive_path ssd2)
len=$(sectors "$drive0")

md_create 0 "$drive0" "$drive1"
selftest_run stacking works "$device" 2
note "device-mapper on it"
dm_create upper "0 $len linear $device 0"
selftest_run stacking works "$device" 2
dm_remove upper
md_stop "$drive0" "$drive1"

note "level 1, whose legs are equal before and so have to be afterwards"
for drive in "$drive0" "$drive1"; do
	blkdiscard --zeroout --length 64M "$drive"
done
md_create 1 "$drive0" "$drive1"
selftest_run stacking works "$device" 2
md_stop "$drive0" "$drive1"
cmp -n $((64 << 20)) "$drive0" "$drive1" || fail "the legs of the mirror differ"

md_create 10 "$drive0" "$drive1" "$drive2"
selftest_run stacking works "$device" 3
md_stop "$drive0" "$drive1" "$drive2"

md_create 5 "$drive0" "$drive1" "$drive2"
selftest_run stacking refused "$device"
md_stop "$drive0" "$drive1" "$drive2"

note "over device-mapper: stripes yes, mirrors no"
dm_create lower0 "0 $len linear $drive0 0"
lower0=$device
dm_create lower1 "0 $len linear $drive1 0"
lower1=$device
# device-mapper asks for sectors, which md insists on
md_create 0 "$lower0" "$lower1"
selftest_run stacking aligned "$device" 2
md_stop "$lower0" "$lower1"
md_create 1 "$lower0" "$lower1"
selftest_run stacking refused "$device"
md_stop "$lower0" "$lower1"
dm_remove lower0
dm_remove lower1
