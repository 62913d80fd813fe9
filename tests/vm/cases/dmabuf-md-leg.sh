# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# drive: ssd2
# device: nvme,drive=ssd2,serial=ssd2
# drive: spare
# device: virtio-blk-pci,drive=spare,serial=spare
# A mirror loses a leg under I/O with a registered dma-buf, and gets it or another one back: no
# error, and what is written afterwards is on both legs. A spare that cannot do it is in nobody's
# way.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
stack_reset
# each step of the resynchronisation waits for all I/O
md_size=16M
drive2=$(drive_path ssd2)
# the only one of its kind beside the root disk
spare=/dev/vdb

# leg_exchange OUT IN: one leg goes, another comes.
leg_exchange() {
	mdadm "$md_device" --fail "$1"
	load_event "$1 has failed"
	# md lets go of it when no request is left to it
	retry 30 mdadm "$md_device" --remove "$1"
	load_event "$1 is removed"
	mdadm --zero-superblock "$1"
	mdadm "$md_device" --add "$2"
	retry 120 md_in_sync
	load_event "$2 is in sync"
}

for level in 1 10; do
	note "level $level"
	md_create "$level" "$drive0" "$drive1"
	load_start load "$device"
	leg_exchange "$drive1" "$drive1"
	leg_exchange "$drive1" "$drive2"
	mdadm "$md_device" --add "$spare"
	load_event "$spare is a spare"
	load_end
	selftest_run stacking works "$device" 2
	mdadm "$md_device" --remove "$spare"
	md_stop "$drive0" "$drive2"
	cmp -n $((64 << 20)) "$drive0" "$drive2" || fail "the legs differ"
done
