# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# kernel_args: iommu.passthrough=1
# The memory of registered dma-bufs moves, where no IOMMU keeps a drive from what it left: a write
# there is found by the exporter.

domain_assert "$drive0" identity
selftest_run invalidate "$drive0" "$drive1"
