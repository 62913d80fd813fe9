# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Kinds of memory and lengths of buffers that the NIC may be given: a dma-buf instead of pages, and
# 64 KiB instead of 4 where there are huge pages.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

# serves RUNG BYTES LINE...: with those lines for [nic], in chunks of so many bytes
serves() {
	local wanted=$1 bytes=$2
	shift 2
	note "$*"
	zcrx_config "$@"
	zcrx_attach
	assert_match "receive rung" "^$wanted:" "$(zcrx_rung)"
	assert_eq "bytes of a chunk" "$bytes" "$(sluicectl --socket "$run/control.sock" --json stats |
		jq '.receive_areas[0].chunk_bytes')"
	fio_run --name=memory --filename="$device" --rw=randwrite --bsrange=4k-256k --size=8M \
		--iodepth=8 --direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 --do_verify=1
	zcrx_counters
	assert_ge "bytes placed" $((7 << 20)) "$placed"
	assert_ge "times as many bytes placed as staged" 20 $((placed / (staged + 1)))
	assert_eq "bytes that the kernel copied" 0 "$kernel_copied"
	zcrx_end
	target_stop
}

nic_up 4
serves zcrx-device 4096 "memory = dmabuf"

note "memory that is too scattered for large buffers"
echo deny >/sys/kernel/mm/transparent_hugepage/shmem_enabled
zcrx_config "buffer = 64K"
target_start_default
assert_match "receive rung" "^recv: .*queue [23] of $nic: the memory is too scattered for buffers \
of that length; provide huge pages" "$(zcrx_rung)"
target_stop

# The kernel gives back late what the daemon before had, and other cases may have left memory in pieces.
# Two workers take 48 MiB each, of pages of 2 MiB.
huge_pages_made() {
	echo 1 >/proc/sys/vm/compact_memory
	echo 64 >/proc/sys/vm/nr_hugepages
	[ "$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)" -ge 48 ]
}

note "huge pages of the pool"
retry 30 huge_pages_made
serves zcrx 65536 "buffer = 64K"
echo 0 >/proc/sys/vm/nr_hugepages
note "huge pages that the kernel joins"
echo never >/sys/kernel/mm/transparent_hugepage/shmem_enabled
echo 1 >/proc/sys/vm/compact_memory
serves zcrx 65536 "buffer = 64K"
serves zcrx-device 65536 "memory = dmabuf" "buffer = 64K"
