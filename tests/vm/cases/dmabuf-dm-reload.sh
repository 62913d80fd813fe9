# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# drive: ssd2
# device: nvme-subsys,id=shared,nqn=shared
# device: nvme,id=path0,serial=shared,subsys=shared
# device: nvme,id=path1,serial=shared,subsys=shared
# device: nvme-ns,drive=ssd2,bus=path0,nsid=1,shared=on
# kernel_args: nvme_core.multipath=N
# A device-mapper device gets a table with another drive while a dma-buf is registered for it. Both
# drives are ways to one namespace, so that the data stay the same. I/O goes on by the drive of the
# table alone, without an error.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
stack_reset
ways_find
first=${ways[0]}
second=${ways[1]}
len=$(sectors "$first")

reload() {
	dmsetup suspend --noudevsync moving
	dmsetup load moving --table "0 $len linear $1 0"
	dmsetup resume --noudevsync moving
}

# Reads and writes that a drive has done.
requests() {
	awk '{ print $1 + $5 }' "/sys/block/${1#/dev/}/stat"
}

# drive_change OLD NEW: I/O with the dma-buf, which has moved by then, must go on after it.
drive_change() {
	local old new

	reload "$2"
	old=$(requests "$1")
	new=$(requests "$2")
	load_event "on $2 instead of $1"
	assert_eq "requests to the drive that the table left" "$old" "$(requests "$1")"
	assert_ge "requests to the drive that it has" $((new + 100)) "$(requests "$2")"
}

dm_create moving "0 $len linear $first 0"
load_start load "$device"
for _ in 1 2 3; do
	drive_change "$first" "$second"
	drive_change "$second" "$first"
done
load_end
dm_remove moving
