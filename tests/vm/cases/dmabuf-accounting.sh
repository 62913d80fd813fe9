# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# kernel_args: dma_debug=off
# What registered dma-bufs cost is charged, limited and given back.
# The same memory is registered more often than the debugging of DMA takes for sane.

selftest_run accounting "$drive0"
