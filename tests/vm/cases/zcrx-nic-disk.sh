# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# One namespace's disk is slow, and fails in places: what it does not write is as it was, what it
# does is right, no chunk is lost, and the other namespace's host goes on by the same receive area.
# Then the drive itself fails now and then.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh
# shellcheck source=tests/vm/lib/bad_disk.sh
source /h/lib/bad_disk.sh

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

errors_reach() {
	[ "$(bad_errors)" -ge "$1" ]
}

nic_up 4
zcrx_receive=8M
zcrx_config
bad_start

note "slow, and failing from 1 MiB to 2 MiB"
bad_fails 4k 64k 1M

note "the drive fails one request in 29"
errors_before=$(bad_errors)
echo 0 >"$fail/verbose"
echo 29 >"$fail/interval"
echo -1 >"$fail/times"
echo 100 >"$fail/probability"
echo 1 >"$errors"
fio --name=failing --filename="$bad_device" --rw=randwrite --bsrange=4k-512k --offset=16M \
	--size=16M --iodepth=16 --direct=1 --ioengine=io_uring --continue_on_error=all --time_based \
	--runtime=200 >"$run/failing.drive" 2>&1 &
failing=$!
sleep 4
retry 60 errors_reach $((errors_before + 5))
kill -TERM "$failing"
wait "$failing" || :
echo 0 >"$errors"
echo 0 >"$fail/probability"
goes_on

note "and does not any more"
bad_verified --offset=16M --size=8M
steady_end
zcrx_counters
assert_eq "connections that were closed" 0 "$closed"
host_disconnect "$bad"
zcrx_end
