# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# drive: ssd2
# device: nvme,drive=ssd2,serial=ssd2
# boot: own
# The drive below a mirror's leg goes, and nothing but I/O with a registered dma-buf, which has
# moved since, is there to find out.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
drive2=$(drive_path ssd2)
function_dir=$(readlink -f "/sys/block/${drive2#/dev/}/device/device")

md_create 1 "$drive0" "$drive2"
load_start idle "$device"
load_event "both legs are there"
echo 1 >"$function_dir/remove"
load_event "one leg is gone"
load_event "one leg is still gone"
load_end
assert_eq "legs missing" 1 "$(<"/sys/block/${md_device#/dev/}/md/degraded")"
mdadm --stop "$md_device"
