# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: iommu.passthrough=1
# What the IOMMU does not translate needs no mapping, with a dma-buf or without.

selftest_run maps "$drive0" identity
