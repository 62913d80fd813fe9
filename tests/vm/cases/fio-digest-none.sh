# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout_s: 240
# Verified random writes without digests, in several block sizes and queue depths.
# The four cases of this kind together cover every pair of block size, depth and digest.

attach_default
fio_matrix "$device" 512:8 4k:1 64k:32 1M:8
