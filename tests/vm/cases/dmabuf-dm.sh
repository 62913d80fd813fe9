# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# drive: virtio
# device: virtio-blk-pci,drive=virtio
# Device-mapper passes the registration of a dma-buf on where it only passes I/O on, to drives that
# can; everywhere else it is refused.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
stack_reset
len=$(sectors "$drive0")
virtio=/dev/vdb

dm_create linear "0 $len linear $drive0 0"
selftest_run stacking works "$device" 1
dm_remove linear

note "two parts, the second from the middle of its drive; the seam is where transfers cross it"
dm_create joined "0 2040 linear $drive0 0" "2040 $((len / 2)) linear $drive1 $((len / 4))"
selftest_run stacking works "$device" 2
dm_remove joined

dm_create striped "0 $((len * 2)) striped 2 128 $drive0 0 $drive1 0"
selftest_run stacking works "$device" 2
note "on a striped device"
dm_create upper "0 $len linear $device 0"
selftest_run stacking works "$device" 2
dm_remove upper
dm_remove striped

key=000102030405060708090a0b0c0d0e0f
dm_create crypt "0 $len crypt aes-cbc-plain64 $key 0 $drive0 0"
selftest_run stacking refused "$device"
dm_remove crypt

dm_create mirror "0 131072 mirror core 1 1024 2 $drive0 0 $drive1 0"
selftest_run stacking refused "$device"
dm_remove mirror

note "drives that cannot, alone, below, and beside one that can"
selftest_run stacking refused "$virtio"
dm_create other "0 $(sectors "$virtio") linear $virtio 0"
selftest_run stacking refused "$device"
dm_remove other
dm_create mixed "0 $((len / 2)) linear $drive0 0" "$((len / 2)) 131072 linear $virtio 0"
selftest_run stacking refused "$device"
dm_remove mixed
