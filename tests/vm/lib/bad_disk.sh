# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases in which the disk of one namespace misbehaves, $bad's on $drive1, beside that of $nqn,
# which its host must not notice. Needs lib/datapath.sh, and of the case a function goes_on: the good
# namespace's host finds nothing wrong, and gets on.
#
# shellcheck disable=SC2154 # from lib.sh

bad=$nqn.bad
# Set to the rung that the good namespace's storage has to be on, when it is not the best.
bad_rung=${bad_rung:-}
# Of [namespace]: slow, and failing from 1 MiB to 2 MiB.
bad_faults=("fault = write error=EIO lba=2048-4095" "fault = write delay=100ms every=5")

# bad_start [FAULT...]: a target with both, and more faults than the above; bad_device and device are
# the hosts' ends, and device is written and verified from then on.
bad_start() {
	config_reset
	subsystem_add "$nqn"
	subsystem_add "$bad"
	namespace_add "$nqn" 1 "$drive0"
	namespace_add "$bad" 2 "$drive1"
	mkdir -p "$run/sluice.conf.d"
	printf '%s\n' "[daemon]" "workers = 1" "[namespace $bad/2]" "${bad_faults[@]}" "$@" \
		>"$run/sluice.conf.d/zz-bad.conf"
	dd if=/dev/urandom of="$drive1" bs=1M count=4 oflag=direct status=none
	dd if="$drive1" of="$run/old" bs=1M count=4 iflag=direct status=none
	target_start
	host_connect "$bad"
	namespace_wait "$bad" 2
	bad_device=$device
	host_connect "$nqn"
	namespace_wait "$nqn" 1
	if [ -n "$bad_rung" ]; then
		retry 30 storage_is "$bad_rung"
	else
		premapped_or_skip
	fi
	steady_start
}

# bad_verified FIO-OPTION...: writes to the bad disk that must be right.
bad_verified() {
	fio_run --name=verified --filename="$bad_device" --rw=randwrite --bsrange=4k-512k \
		--iodepth=16 --direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 \
		--do_verify=1 "$@"
}

# bad_fails SIZE...: writes of these sizes fail where they have to, and change nothing there, while
# others beside them are right.
bad_fails() {
	local size pid load=()

	for size in "$@"; do
		fio --name=failing --filename="$bad_device" --rw=write --bs="$size" --offset=1M \
			--size=1M --iodepth=16 --direct=1 --ioengine=io_uring \
			--continue_on_error=all --time_based --runtime=5 \
			>"$run/failing.$size" 2>&1 &
		load+=("$!")
	done
	bad_verified --offset=2M --size=4M
	goes_on
	for pid in "${load[@]}"; do
		wait "$pid" || :
	done
	for size in "$@"; do
		assert_match "what fio says of writes of $size that fail" "Input/output error" \
			"$(<"$run/failing.$size")"
	done
	dd if="$drive1" of="$run/new" bs=1M count=2 iflag=direct status=none
	cmp -n $((2 << 20)) "$run/old" "$run/new" ||
		fail "a write that failed has changed the drive"
}
