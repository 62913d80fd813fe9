# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout_s: 240
# Verified random writes with data digest, in several block sizes and queue depths.
# The four cases of this kind together cover every pair of block size, depth and digest.

attach_default --data-digest
fio_matrix "$device" 512:32 4k:32 64k:8 1M:1
