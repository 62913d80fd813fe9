# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# kernel_args: dma_debug=off
# timeout_s: 240
# Data buffers that another process exports, as udmabuf and from a DMA heap: verified data on a
# drive.

[ -e /dev/udmabuf ] || skip "the kernel has no /dev/udmabuf"

# shellcheck source=tests/vm/lib/memory.sh
source /h/lib/memory.sh

# Serves with memory of this kind (see dmabuf-peer), and fio_matrix's sizes and depths.
serve_with_peer() {
	local kind=$1 paths
	shift

	note "$kind"
	peer_start "$kind"
	attach_default
	paths=$(sluicectl --socket "$run/control.sock" --json datapath)
	note "$(jq -c '.namespaces[].storage, .areas[]' <<<"$paths")"
	assert_eq "provider" import "$(json_get "$paths" '.areas[0].provider')"
	assert_eq "faces" cpu,dmabuf "$(json_get "$paths" '.areas[0].faces | join(",")')"
	assert_memory_rung
	fio_matrix "$device" "$@"
	pattern_write "$device" $((3 << 20)) 131072
	assert_pattern "$device" $((3 << 20)) 131072
	assert_pattern "$drive0" $((3 << 20)) 131072
	host_disconnect "$nqn"
	target_stop
	peer_stop
	# 128 KiB at least have been in one piece of it.
	assert_ge "pages of the peer's memory that hold data" 32 "$(peer_told pages_used)"
}

peer_configure
serve_with_peer udmabuf 512:8 64k:4
serve_with_peer heap 4k:8

note "without the peer there is no start"
assert_fails "start without the peer" "cannot connect to $run/peer.sock" \
	sluiced --config "$run/sluice.conf"
