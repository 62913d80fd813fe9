# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# A command with a registered dma-buf maps and unmaps nothing in a strict domain.

selftest_run maps "$drive0" DMA
