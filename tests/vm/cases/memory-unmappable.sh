# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: dma_debug=off
# timeout_s: 300
# Data buffers whose exporter moves them to where no drive can map them, as graphics memory does
# that runs short of addresses: every byte is copied from then on, a host that writes and verifies
# notices nothing, and when they can be mapped again they are used again.

[ -e /dev/dma_buf_test ] || skip "the kernel has no exporter that moves (/dev/dma_buf_test)"

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
# shellcheck source=tests/vm/lib/memory.sh
source /h/lib/memory.sh

peer_configure
# A move copies all of it.
printf 'per_worker = 8M\n' >>"$run/sluice.conf.d/memory.conf"
peer_start moving
attach_default
premapped_or_skip
steady_start

for error in EIO ENOMEM EDQUOT; do
	note "mapping fails with $error"
	selftest_run unmappable "$peer" "$error"
	retry 60 storage_is bounce
	note "why: $why"
	storage_bytes_grow bounce
	storage_is bounce || fail "goes by $rung while mapping fails"

	note "mapping works"
	selftest_run unmappable "$peer" none
	retry 120 storage_is dmabuf-vectored
	storage_bytes_grow dmabuf
done

steady_end
host_disconnect "$nqn"
target_stop
peer_stop
