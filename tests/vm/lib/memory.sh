# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases about memory that another process exports: dmabuf-peer plays that process.
#
# shellcheck disable=SC2154 # run is lib.sh's

peer=""

# Lets the target take its memory from the peer.
peer_configure() {
	mkdir -p "$run/sluice.conf.d"
	printf '[memory]\nprovider = import\nimport_socket = %s\n' "$run/peer.sock" \
		>"$run/sluice.conf.d/memory.conf"
}

peer_ready() {
	kill -0 "$peer" 2>/dev/null || fail "the peer ended while it started"
	[ -S "$run/peer.sock" ]
}

# peer_start KIND: udmabuf, heap, moving or unmappable.
peer_start() {
	dmabuf-peer "$run/peer.sock" "$1" >"$run/peer.out" &
	peer=$!
	retry 10 peer_ready
}

peer_stop() {
	local pid=$peer rc=0
	peer=""
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	assert_eq "exit code of the peer" 0 "$rc"
	rm "$run/peer.sock"
	note "the peer: $(<"$run/peer.out")"
}

# Each worker has tried the dma-buf out, in the background.
memory_tried() {
	paths=$(sluicectl --socket "$run/control.sock" --json datapath)
	[[ $(json_get "$paths" '.namespaces[0].storage.why_not_better') != *"being tried"* ]]
}

# Without a CPU copy and without a mapping for each I/O, where the kernel registers dma-bufs with
# drives; elsewhere through memory that can be pinned.
assert_memory_rung() {
	local rung=bounce paths
	if [ "$KERNEL_OWN" -eq 1 ] ||
		[ -e "/sys/block/${drive0#/dev/}/queue/max_hw_dma_buf_sectors_kb" ]; then
		rung=dmabuf-vectored
	fi
	note "storage rung: $rung"
	retry 30 memory_tried
	assert_eq "storage rung" "$rung" "$(json_get "$paths" '.namespaces[0].storage.rung')"
}

# What the peer told at its end: buffers, pages_used or moves.
peer_told() {
	tr ' ' '\n' <"$run/peer.out" | sed -n "/^$1\$/{n;p}"
}
