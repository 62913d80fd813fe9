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
drive=$(drive_path ssd2)
node=$(basename "$drive")

function_dir=$(readlink -f "/sys/block/$node/device/device")

# A kernel without hot plug does not notice before somebody tells it.
gone() {
	[ -e "/sys/block/$node" ] || return 0
	[ -d /sys/bus/pci_express/drivers/pciehp ] || echo 1 >"$function_dir/remove"
	return 1
}

echo 3000 >"/sys/block/$node/queue/io_timeout"
load_start survive "$drive"
drive_pull ssd2
# requests have to time out first
sleep 10
retry 90 gone
load_event "the drive is gone"
load_end
