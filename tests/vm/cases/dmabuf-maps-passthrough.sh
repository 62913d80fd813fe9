# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: dma_debug=off iommu.passthrough=1
# What the IOMMU does not translate needs no mapping, with a dma-buf or without.
# Requests in flight share memory more often than the debugging of DMA takes for sane.

selftest_run maps "$drive0" identity
