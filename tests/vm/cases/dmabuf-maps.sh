# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: dma_debug=off
# A command with a registered dma-buf maps and unmaps nothing in a strict domain.
# Requests in flight share memory more often than the debugging of DMA takes for sane.

selftest_run maps "$drive0" DMA
