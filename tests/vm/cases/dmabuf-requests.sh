# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Bad requests to a registered dma-buf change nothing; other requests go on beside it.

selftest_run requests "$drive0" /dev/vda
