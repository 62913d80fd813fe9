# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# A dma-buf that is open to read is never written, one that is open to write never read.

selftest_run rights "$drive0"
