# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# drive: ssd2
# device: pcie-root-port,id=port0,chassis=1,slot=1
# device: nvme,drive=ssd2,serial=ssd2,bus=port0
# boot: own
# A drive with a registered dma-buf is pulled out under I/O, without a word to its driver: requests end,
# and nothing stays mapped or attached.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh

# drive_pull SERIAL: takes a drive out from behind its pcie-root-port without a word to its driver. It is
# gone for good: a case that does this wants "# boot: own". QEMU removes what is in a slot whose power
# and indicator are switched off, so the slot's control register (24 bytes behind the head of the PCI
# Express capability, number 10h) is told that they are.
drive_pull() {
	local port at control
	port=$(readlink -f "/sys/block/$(basename "$(drive_path "$1")")/device/device/..")
	at=$((16#$(config_read "$port" 52 1)))
	until [ "$(config_read "$port" "$at" 1)" = 10 ]; do
		at=$((16#$(config_read "$port" $((at + 1)) 1)))
		[ "$at" -ne 0 ] || fail "$1 is not behind a pcie-root-port"
	done
	control=$((16#$(config_read "$port" $((at + 24)) 2) | 0x7c0))
	note "pulling $1 out of ${port##*/}"
	printf '%b' "$(printf '\\x%02x\\x%02x' $((control & 255)) $((control >> 8)))" |
		dd of="$port/config" bs=2 seek=$(((at + 24) / 2)) conv=notrunc status=none
}

# config_read DEVICE_DIR OFFSET LEN: 1 or 2 bytes of its configuration space, as a hexadecimal number.
config_read() {
	od -An -v -j"$2" -N"$3" -tx"$3" "$1/config" | tr -d ' \n'
}

drive=$(drive_path ssd2)
node=$(basename "$drive")

function_dir=$(readlink -f "/sys/block/$node/device/device")

gone() {
	[ ! -e "/sys/block/$node" ]
}

echo 3000 >"/sys/block/$node/queue/io_timeout"
load_start survive "$drive"
drive_pull ssd2
# The kernel takes a slot without power for one that it has switched off itself, and goes on: requests
# time out first, and then somebody has to tell it.
sleep 10
gone || echo 1 >"$function_dir/remove"
retry 90 gone
load_event "the drive is gone"
load_end
