# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: iommu.strict=0
# A command with a registered dma-buf maps and unmaps nothing in a lazy domain.

selftest_run maps "$drive0" DMA-FQ
