# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# One namespace's disk is slow, and fails in places: what it does not write is as it was, what it
# does is right, no chunk is lost, and the other namespace's host goes on by the same receive area.
# Then the drive itself fails now and then.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

bad=$nqn.bad
fail=/sys/kernel/debug/fail_make_request
errors=/sys/block/${drive1#/dev/}/make-it-fail
[ -d "$fail" ] || fail "the kernel has no fail_make_request"

# The good namespace's host finds nothing wrong, and gets on.
goes_on() {
	storage_is dmabuf-vectored || fail "storage rung: $rung: $why"
	zcrx_goes_on $((4 << 20))
}

# Commands of the bad namespace that have failed.
bad_errors() {
	sluicectl --socket "$run/control.sock" --json stats |
		jq '.namespaces[] | select(.nsid == 2) | .errors'
}

# verified fio's option: writes on the bad namespace that must be right.
verified() {
	fio_run --name=verified --filename="$bad_device" --rw=randwrite --bsrange=4k-512k --size=8M \
		--iodepth=16 --direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 \
		--do_verify=1 "$@"
}

nic_up 4
zcrx_receive=8M
zcrx_config
printf '[daemon]\nworkers = 1\n[namespace %s/2]\n%s\n%s\n' "$bad" \
	"fault = write error=EIO lba=2048-4095" "fault = write delay=100ms every=5" \
	>"$run/sluice.conf.d/zz-bad.conf"
config_reset
subsystem_add "$nqn"
subsystem_add "$bad"
namespace_add "$nqn" 1 "$drive0"
namespace_add "$bad" 2 "$drive1"
dd if=/dev/urandom of="$drive1" bs=1M count=4 oflag=direct status=none
dd if="$drive1" of="$run/old" bs=1M count=4 iflag=direct status=none
target_start
host_connect "$bad"
namespace_wait "$bad" 2
bad_device=$device
host_connect "$nqn"
namespace_wait "$nqn" 1
premapped_or_skip
steady_start

note "slow, and failing from 1 MiB to 2 MiB"
load=()
for size in 4k 64k 1M; do
	fio --name=failing --filename="$bad_device" --rw=write --bs="$size" --offset=1M --size=1M \
		--iodepth=16 --direct=1 --ioengine=io_uring --continue_on_error=all --time_based \
		--runtime=5 >"$run/failing.$size" 2>&1 &
	load+=("$!")
done
verified --offset=2M
goes_on
for pid in "${load[@]}"; do
	wait "$pid" || :
done
for size in 4k 64k 1M; do
	assert_match "what fio says of writes of $size that fail" "Input/output error" \
		"$(<"$run/failing.$size")"
done
dd if="$drive1" of="$run/new" bs=1M count=2 iflag=direct status=none
cmp -n $((2 << 20)) "$run/old" "$run/new" || fail "a write that failed has changed the drive"

note "the drive fails one request in 29"
errors_before=$(bad_errors)
echo 0 >"$fail/verbose"
echo 29 >"$fail/interval"
echo -1 >"$fail/times"
echo 100 >"$fail/probability"
echo 1 >"$errors"
fio --name=failing --filename="$bad_device" --rw=randwrite --bsrange=4k-512k --offset=16M \
	--size=16M --iodepth=16 --direct=1 --ioengine=io_uring --continue_on_error=all --time_based \
	--runtime=4 >"$run/failing.drive" 2>&1 || :
echo 0 >"$errors"
echo 0 >"$fail/probability"
assert_ge "commands that failed" $((errors_before + 5)) "$(bad_errors)"
goes_on

note "and does not any more"
verified --offset=16M
steady_end
zcrx_counters
assert_eq "connections that were closed" 0 "$closed"
host_disconnect "$bad"
zcrx_end
