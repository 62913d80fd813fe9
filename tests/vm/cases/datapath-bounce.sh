# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Memory of a DMA heap cannot be pinned: with a device that takes no dma-bufs every byte is copied
# on its way, right, counted, and only as long as there is nothing better.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
[ -e /dev/dma_heap/system ] || skip "the kernel has no /dev/dma_heap/system"

mkdir -p "$run/sluice.conf.d"
printf '[memory]\nprovider = heap\n' >"$run/sluice.conf.d/memory.conf"
moving_start
assert_eq "bytes copied" 0 "$(storage_bytes bounce)"

note "a device that takes none"
moving_reload flakey 3600 0
refused="takes? (no )?dma-bufs"
# The first to be refused may be told that the device was replaced; who tries again is told why.
bounce_refused() {
	storage_is bounce && [[ $why =~ $refused ]]
}
retry 60 storage_is bounce
retry 60 bounce_refused
assert_match "reason" "$refused" "$why"
storage_bytes_grow bounce

note "large I/O, in several rounds, and more of it than there are buffers"
fio_run --name=large --filename="$device" --rw=randwrite --bs=1M --offset=32M --size=32M --iodepth=24 \
	--direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 --do_verify=1

note "one that does"
moving_reload linear
retry 120 storage_is dmabuf-vectored
storage_bytes_grow dmabuf
moving_end
