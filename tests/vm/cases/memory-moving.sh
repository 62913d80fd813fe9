# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 240
# Data buffers whose exporter moves them all the time, as graphics memory under pressure: no byte is
# lost. And such that the CPU cannot reach, which received data cannot be put into. Over TCP alone: a
# memory region of an RDMA device pins the dma-buf, and nothing moves any more.

[ -e /dev/dma_buf_test ] || skip "the kernel has no exporter that moves (/dev/dma_buf_test)"

# shellcheck source=tests/vm/lib/memory.sh
source /h/lib/memory.sh

peer_configure
# A move copies all of it.
printf 'per_worker = 8M\n' >>"$run/sluice.conf.d/memory.conf"
peer_start moving
attach_default
assert_memory_rung
fio_matrix "$device" 4k:8 64k:4
pattern_write "$device" $((3 << 20)) 131072
assert_pattern "$drive0" $((3 << 20)) 131072
note "still so after all the moves"
assert_memory_rung
host_disconnect "$nqn"
target_stop
peer_stop
assert_ge "moves" 20 "$(peer_told moves)"

note "memory that cannot be mapped"
peer_start unmappable
assert_fails "start without a mapping" \
	'exporter .* does not let it be mapped.*needs memory that the CPU can reach.*provider = memfd' \
	sluiced --config "$run/sluice.conf"
peer_stop
assert_eq "buffers asked for" 1 "$(peer_told buffers)"
