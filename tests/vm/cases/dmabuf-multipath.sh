# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# drive: ssd2
# device: nvme-subsys,id=shared,nqn=shared
# device: nvme,id=path0,serial=shared,subsys=shared
# device: nvme,id=path1,serial=shared,subsys=shared
# device: nvme-ns,drive=ssd2,bus=path0,nsid=1,shared=on
# boot: own
# A dma-buf registered for a namespace with two controllers, which come and go.

for subsystem in /sys/class/nvme-subsystem/*; do
	[ "$(tr -d ' ' <"$subsystem/serial")" != shared ] || break
done
assert_eq "serial number of the last subsystem" shared "$(tr -d ' ' <"$subsystem/serial")"
selftest_run multipath "/dev/nvme${subsystem##*nvme-subsys}n1"
