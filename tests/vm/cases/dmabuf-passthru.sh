# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# NVMe passthrough with registered dma-bufs.

selftest_run passthru "${drive0/nvme/ng}" "$drive0"
