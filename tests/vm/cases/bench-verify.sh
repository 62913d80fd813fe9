# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# timeout_s: 300
# sluice-bench finds every byte that it wrote, and finds bytes that somebody else wrote.

host_address=127.0.0.9
[ "$transport" = tcp ] || host_address=$rdma_host_address

bench() {
	sluice-bench --transport "$transport" --host-traddr "$host_address" \
		--connect "$address:$port" --nqn "$nqn" "${flow[@]}" "$@"
}

# Its queues, the admin one and at least one other, are there, and come from the address that it was told:
# over RDMA not from the target's device, within which the target would be reached as well.
bench_connected() {
	local n
	if [ "$transport" = rdma ]; then
		n=$(rdma resource show cm_id |
			grep -c "link ${rdma_devices[1]}/.*state CONNECT .*comm sluice-bench") || :
	else
		n=$(ss -Htn state established "dport = :$port and src $host_address" | wc -l)
	fi
	[ "$n" -ge 2 ]
}

# It is connected, and since the drive's counts were noted in writes_before, its writes arrive there.
bench_writes() {
	bench_connected && [ "$(drive_writes)" -gt $((writes_before + 20)) ]
}

drive_writes() {
	awk '{ print $5 }' "/sys/block/${drive0##*/}/stat"
}

# verify WHAT [OPTION...]: a verified run; every block compared, none wrong. Sets result.
verify() {
	local what=$1
	shift
	note "$what"
	result=$(bench --range 0-2M --size 2M --seed "$RANDOM" --verify --json "$@")
	assert_eq "$what: ok" "true 0 0 0" "$(json_get "$result" \
		'"\(.ok) \(.verify.blocks_wrong) \(.failed) \(.reconnects)"')"
	assert_ge "$what: blocks compared" 100 "$(json_get "$result" .verify.blocks_checked)"
}

flow=()
# The kernel's counts in SQHD what it completed, not what it consumed.
[ "$TARGET" = sluice ] || flow=(--disable-sqflow)
target_start_default

note "what the controller says"
where=(--transport "$transport" --host-traddr "$host_address")
assert_match "identify" "namespace 1:" "$(sluice-bench identify "${where[@]}" \
	--connect "$address:$port" --nqn "$nqn" "${flow[@]}")"
assert_match "discovery" "^$nqn" \
	"$(sluice-bench discover "$address:$port" "${where[@]}" "${flow[@]}")"

verify "blocks of 512 bytes, one at a time" --rw randwrite --bs 512 --depth 1 --range 0-64k --size 256k
verify "4 KiB, in the capsule" --rw randrw --bs 4k --depth 8 --queues 2
verify "8 KiB" --rw randrw --bs 8k --depth 4 --queues 2
verify "20 KiB" --rw readwrite --bs 20k --depth 3
verify "64 KiB" --rw write --bs 64k --depth 8
verify "1 MiB" --rw randrw --bs 1M --depth 2
verify "without flow control" --rw randrw --bs 4k --depth 16 --disable-sqflow
verify "never asleep" --rw randrw --bs 4k --depth 4 --spin
if [ "$transport" = rdma ]; then
	# more than any capsule holds
	verify "a window for each command" --rw randrw --bs 20k --depth 8 --size 5000k --invalidate
	assert_ge "keys that responses ended" 240 "$(json_get "$result" .keys_ended)"
	verify "a window, or the capsule" --rw randrw --bs 4k --depth 8 --queues 2 --invalidate
fi

note "a load without verification"
bench --rw randrw --bs 4k --depth 8 --time 2

note "somebody else writes meanwhile"
bench --rw randrw --bs 4k --range 0-1M --depth 4 --rate 100 --time 60 --verify \
	>"$run/bench.out" 2>&1 &
bench_pid=$!
while kill -0 "$bench_pid" 2>/dev/null; do
	dd if=/dev/zero of="$drive0" bs=1M count=1 oflag=direct status=none
	sleep 0.5
done
rc=0
wait "$bench_pid" || rc=$?
assert_eq "exit code with wrong data" 2 "$rc"
assert_match "what it says" "WRONG DATA in namespace 1.* are zero" "$(<"$run/bench.out")"

note "the target goes"
writes_before=$(drive_writes)
bench --rw randrw --bs 4k --depth 8 --time 60 >"$run/bench.out" 2>&1 &
bench_pid=$!
retry 30 bench_writes
target_kill
rc=0
wait "$bench_pid" || rc=$?
assert_eq "exit code without a target" 1 "$rc"
assert_match "what it says" "closed the connection|connection lost" "$(<"$run/bench.out")"
target_start

note "the target goes and comes back"
writes_before=$(drive_writes)
bench --rw randrw --bs 4k --range 0-1M --depth 8 --time 15 --reconnect 60 --verify \
	>"$run/bench.out" 2>&1 &
bench_pid=$!
retry 30 bench_writes
target_kill
sleep 1
target_start
wait "$bench_pid" || fail "verification over a reconnection: $(<"$run/bench.out")"
assert_match "what it says" "connected again" "$(<"$run/bench.out")"

note "who is not let in, and where nobody listens"
assert_fails "an unknown subsystem" "no such subsystem" \
	bench --nqn "$nqn-other"
assert_fails "a port where nobody listens" "nothing listens there" \
	sluice-bench "${where[@]}" --connect "$address:4999" --nqn "$nqn"
