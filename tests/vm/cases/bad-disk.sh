# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# transports: tcp rdma
# rungs: premapped fixed plain zerocopy
# timeout_s: 400
# kernel_args: dma_debug=off
# One namespace's disk is slow, fails in places, and then does not answer at all, while its host writes
# with data in capsules and without: what it does not write is as it was, what it does is right, and the
# other namespace's host gets the receives and buffers that it needs.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh
# shellcheck source=tests/vm/lib/bad_disk.sh
source /h/lib/bad_disk.sh
case $case_rung in
fixed | plain) bad_rung=$case_rung ;;
esac

moved() {
	[ "$(storage_bytes_of 1)" -gt "$1" ]
}

# All bytes that the namespace's storage has moved.
storage_bytes_of() {
	sluicectl --socket "$run/control.sock" --json datapath |
		jq --argjson nsid "$1" '.namespaces[] | select(.nsid == $nsid) | .storage_bytes | add'
}

# Commands of the bad namespace's hosts that the target has and has not answered.
bad_busy() {
	sluicectl --socket "$run/control.sock" --json stats |
		jq --arg nqn "$bad" '[.queues[] | select(.nqn == $nqn and .qid > 0) | .busy] | add // 0'
}

bad_busy_is() {
	[ "$(bad_busy)" -ge "$1" ]
}

# The good namespace's host finds nothing wrong, and gets on.
goes_on() {
	retry 90 moved $(($(storage_bytes_of 1) + (2 << 20)))
	kill -0 "$steady_pid" 2>/dev/null || steady_failed
}

[ "$transport" = tcp ] || printf '[memory]\nreceive = 4M\n' >"$run/sluice.conf.d/receive.conf"
bad_start "fault = write stuck lba=65536-131071"

note "slow, and failing from 1 MiB to 2 MiB"
bad_fails 4k 64k

note "a disk that does not answer: as many writes as its host has commands"
# Soft RDMA devices may lose a connection here; what the host has given up then it sends again by one queue,
# which has 127 commands, and some are refused as they come in capsules.
most=128
[ "$transport" = tcp ] || most=96
for size in 4k 128k; do
	fio --name=stuck --filename="$bad_device" --rw=write --bs="$size" --offset=32M --size=16M \
		--iodepth=128 --direct=1 --ioengine=io_uring --time_based --runtime=600 \
		>"$run/stuck.$size" 2>&1 &
	disown
done
retry 90 bad_busy_is $most
note "$(bad_busy) commands are stuck"
goes_on
goes_on
# whether or not the host has given them up and sent them again meanwhile
retry 90 bad_busy_is $most
steady_end
rung_assert
rung_assert 2
# or the host would wait long for what is stuck, to let go of its controller
target_kill
