# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# The memory of registered dma-bufs moves.

selftest_run invalidate "$drive0" "$drive1"
