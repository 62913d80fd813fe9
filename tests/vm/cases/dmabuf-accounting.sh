# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# What registered dma-bufs cost is charged, limited and given back.

selftest_run accounting "$drive0"
