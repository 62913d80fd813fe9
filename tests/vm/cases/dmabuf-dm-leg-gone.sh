# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# drive: ssd2
# device: nvme,drive=ssd2,serial=ssd2
# boot: own
# One of two drives that device-mapper puts one behind the other goes: what is on the other one can
# be read and written by the registered dma-buf still.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
drive2=$(drive_path ssd2)
function_dir=$(readlink -f "/sys/block/${drive2#/dev/}/device/device")

dm_create both "0 131072 linear $drive0 0" "131072 131072 linear $drive2 0"
load_start idle "$device"
load_event "both drives are there"
echo 1 >"$function_dir/remove"
load_event "the second is gone"
load_event "the second is still gone"
load_end
dm_remove both
