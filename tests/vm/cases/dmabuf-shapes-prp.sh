# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# kernel_args: nvme.quirks=1b36:0010:no_sgl
# The same on a controller without SGLs, which takes no gap but between blocks.

mask=/sys/block/${drive0#/dev/}/queue/virt_boundary_mask
[ ! -e "$mask" ] || assert_eq "virt_boundary_mask" 4095 "$(<"$mask")"
selftest_run shapes "$drive0"
