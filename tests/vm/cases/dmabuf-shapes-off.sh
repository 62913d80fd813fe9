# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# kernel_args: intel_iommu=off
# The same without an IOMMU: scattered memory is many segments, and the drive takes more of them.

selftest_run shapes "$drive0"
