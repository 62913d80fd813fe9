# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout_s: 240
# Verified random writes with header digest, in several block sizes and queue depths.
# The four cases of this kind together cover every pair of block size, depth and digest.

attach_default --hdr-digest
fio_matrix "$device" 512:1 4k:8 64k:1 1M:32
