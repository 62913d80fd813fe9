# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# A device below a namespace is exchanged for one that takes no dma-bufs, and back, while a host
# writes and verifies: the target goes down the ladder and up again, and the host notices nothing.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

moving_start

note "a device that takes none"
moving_reload flakey 3600 0
retry 60 storage_is fixed
note "why: $why"
assert_match "reason" "dma-buf|device" "$why"
retry 60 grep -q "without the registered dma-buf of worker [0-9].*trying again" "$run/sluiced.log"
storage_bytes_grow fixed

note "one that does"
moving_reload linear
retry 120 storage_is dmabuf-vectored
storage_bytes_grow dmabuf
# Of the workers, those say so that had anything to do meanwhile.
lost=$(sed -n 's/.*without the registered dma-buf of worker \([0-9]*\) .*/\1/p' "$run/sluiced.log")
for worker in $lost; do
	retry 60 grep -q "the dma-buf of worker $worker is registered again" "$run/sluiced.log"
done
moving_end
