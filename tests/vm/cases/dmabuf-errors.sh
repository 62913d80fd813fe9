# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# Every error of the registration of a dma-buf.

selftest_run errors "$drive0" /dev/vda
