# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: intel_iommu=off swiotlb=force
# Bounce buffers for everything: a registered dma-buf moves right data; only one in large pieces may
# be refused.

selftest_run swiotlb "$drive0"
