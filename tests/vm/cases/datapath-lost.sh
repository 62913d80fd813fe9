# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# A device below a namespace is exchanged for one that takes no dma-bufs, and back, while a host writes
# and verifies: the target goes down the ladder and up again, and the host notices nothing.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh
# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

len=$((512 << 11))
reload() {
	dmsetup suspend --noudevsync moving
	dmsetup load moving --table "$*"
	dmsetup resume --noudevsync moving
}

stack_reset
dm_create moving "0 $len linear $drive1 0"
config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$device"
target_start
host_connect "$nqn"
namespace_wait "$nqn" 1
premapped_or_skip

# Until the case has seen enough, or something is wrong.
host_works() {
	while [ ! -e "$run/enough" ]; do
		fio --name=steady --filename="$device" --rw=randwrite --bs=16k --size=8M --iodepth=8 \
			--direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 \
			--do_verify=1 >"$run/steady.out" 2>&1 || return 1
		! grep -iE 'verify: bad|error=' "$run/steady.out" || return 1
	done
}
host_works &
host_pid=$!
sleep 2

note "a device that takes none"
reload "0 $len flakey $drive1 0 3600 0"
retry 60 storage_is fixed
note "why: $why"
assert_match "reason" "dma-buf|device" "$why"
assert_match "log" "without the registered dma-buf of worker 0 .*trying again" "$(<"$run/sluiced.log")"

note "one that does"
reload "0 $len linear $drive1 0"
retry 120 storage_is dmabuf-vectored
before=$(storage_bytes dmabuf)
sleep 3
[ "$(storage_bytes dmabuf)" -gt "$before" ] || fail "nothing goes by the dma-buf again"

touch "$run/enough"
wait "$host_pid" || fail "the host found an error: $(<"$run/steady.out")"
host_disconnect "$nqn"
target_stop
dm_remove moving
