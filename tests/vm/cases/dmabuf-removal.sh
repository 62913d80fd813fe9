# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# drive: ssd2
# device: nvme-subsys,id=managed,nqn=managed
# device: nvme,id=managed0,serial=managed,subsys=managed
# device: nvme-ns,drive=ssd2,bus=managed0,nsid=1
# kernel_args: nvme_core.multipath=N
# boot: own
# Drives with registered dma-bufs are reset, removed, unplugged and brought back. The drive is in a
# subsystem of its own because QEMU manages namespaces only there.

selftest_run removal "$(drive_path managed)" "$drive0"
