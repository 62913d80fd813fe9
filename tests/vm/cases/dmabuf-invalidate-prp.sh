# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# kernel_args: nvme.quirks=1b36:0010:no_sgl
# The memory of registered dma-bufs moves under controllers without SGLs, whose PRP lists name
# single pages.

assert_eq "virt_boundary_mask of $drive0" 4095 \
	"$(<"/sys/block/${drive0#/dev/}/queue/virt_boundary_mask")"
selftest_run invalidate "$drive0" "$drive1"
