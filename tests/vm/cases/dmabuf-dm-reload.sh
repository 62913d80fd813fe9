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
# drives are ways to one namespace, so that the data stay the same. I/O may fail then, but it must
# neither go to the old drive nor move wrong data.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
stack_reset
ways=()
for controller in /sys/class/nvme/*; do
	[ "$(tr -d ' ' <"$controller/serial")" != shared ] || ways+=("/dev/${controller##*/}n1")
done
assert_eq "ways to the namespace" 2 "${#ways[@]}"
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

dm_create moving "0 $len linear $first 0"
load_start survive "$device"
for _ in 1 2 3; do
	reload "$second"
	before=$(requests "$first")
	load_event "on the second drive"
	assert_eq "requests to the drive that the table left" "$before" "$(requests "$first")"
	reload "$first"
	load_event "on the first drive again"
done
load_end
dm_remove moving
