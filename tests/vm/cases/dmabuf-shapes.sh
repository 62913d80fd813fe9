# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# Every shape of a request with a registered dma-buf, every byte compared.

domain_assert "$drive0" DMA
selftest_run shapes "$drive0"
