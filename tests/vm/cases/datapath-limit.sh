# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: dma_debug=off
# timeout_s: 300
# drive: ssd2
# device: nvme-subsys,id=shared,nqn=shared
# device: nvme,id=path0,serial=shared,subsys=shared
# device: nvme,id=path1,serial=shared,subsys=shared
# device: nvme-ns,drive=ssd2,bus=path0,nsid=1,shared=on
# kernel_args: nvme_core.multipath=N
# boot: own
# A device below a namespace is exchanged for one that may not map as much as the target has: the
# target goes down the ladder, and up again when the limit is gone; a host that writes and verifies
# notices nothing. Both devices are ways to one drive, so that the data stay the same.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

limit=/sys/module/dma_buf_io/parameters/max_mapped_mb
[ -e "$limit" ] || skip "the kernel has no limit of what a device maps ($limit)"

ways_find
drive1=${ways[0]}
moving_start

note "a drive that may map 1 MiB"
echo 1 >"$limit"
# shellcheck disable=SC2034 # moving_reload's
drive1=${ways[1]}
moving_reload linear
retry 60 storage_is fixed
note "why: $why"
storage_bytes_grow fixed
storage_is fixed || fail "goes by $rung in spite of the limit"

note "no limit"
echo 0 >"$limit"
retry 120 storage_is dmabuf-vectored
storage_bytes_grow dmabuf
moving_end
