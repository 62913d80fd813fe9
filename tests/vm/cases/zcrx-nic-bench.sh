# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# A host of another make, whose content proves itself: many connections to both workers, all sizes
# and digests, payload at all alignments, small packets, packets lost and late. Hosts are killed,
# and one connects again when the daemon is.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

bench_words=()

# bench OPTION...: to its end, which leaves no chunk behind.
bench() {
	nic_host sluice-bench "${bench_words[@]}" --verify --rw randrw:30 "$@" >"$run/bench.out" 2>&1 || {
		cat "$run/bench.out"
		fail "sluice-bench $*"
	}
	note "$*: $(sed -n 's/.*\(verified: [^,]*,[^(]*\).*/\1/p' "$run/bench.out")"
	retry 30 zcrx_chunks_back
}

# bench_start OPTION...: in the background; sets bench_pid.
bench_start() {
	"${nic_host_prefix[@]}" sluice-bench "${bench_words[@]}" --verify --rw randwrite "$@" \
		>"$run/bench.out" 2>&1 &
	bench_pid=$!
}

nic_up 4
zcrx_config
target_start_default
assert_match "receive rung" '^zcrx' "$(zcrx_rung)"
premapped_or_skip
# The machine may be busy.
bench_words=(--connect "$address:$port" --nqn "$nqn" --kato 60000 --timeout 120000)

note "large packets, in all sizes"
# much more than what is asked of each: how many connections a worker gets is up to their ports
bench --queues 64 --depth 2 --bs 4k --range 0-2M --size 4M
assert_ge "bytes received by each of the workers" $((1 << 19)) "$(sluicectl \
	--socket "$run/control.sock" --json stats | jq '[.receive_areas[].bytes] | min')"
bench --queues 8 --depth 16 --bs 512 --range 0-256K --size 256K --hdgst
bench --queues 64 --depth 2 --bs 128k --range 0-16M --size 8M --hdgst --ddgst
bench --queues 8 --depth 4 --bs 20992 --range 0-2M --size 2M
bench --queues 2 --depth 4 --bs 1M --range 0-8M --size 8M --ddgst
zcrx_counters
# What comes while parsing is paused is staged: half a percent of all, on a busy machine 2.5.
assert_ge "times as many bytes placed as staged" 20 $((placed / (staged + 1)))
assert_eq "bytes that the kernel copied" 0 "$kernel_copied"

note "payload at any place"
for place in 1 2 3 60 509 4095; do
	nic_knob zc_offset "$place"
	bench --queues 4 --depth 8 --bs 20992 --range 0-1M --size 1M --seed "$place"
done
nic_knobs_reset

note "packets of the MTU"
nic_tso off
bench --queues 16 --depth 4 --bs 1536 --range 0-512K --size 512K
bench --queues 4 --depth 8 --bs 128k --range 0-4M --size 4M --hdgst --ddgst

note "packets lost, late and not split"
nic_knob zc_drop_every 90
nic_knob zc_reorder_every 11
bench --queues 4 --depth 8 --bs 20992 --range 0-2M --size 2M --ddgst
nic_knob zc_linear_every 13
nic_tso on
bench --queues 16 --depth 4 --bs 64k --range 0-4M --size 4M
nic_knobs_reset
assert_ge "packets that were lost" 10 "$(nic_counter knob_drops)"

note "hosts that are killed"
for _ in 1 2; do
	bench_start --queues 8 --depth 16 --bs 128k --range 0-64M --time 120
	zcrx_goes_on $((2 << 20))
	kill -KILL "$bench_pid"
	wait "$bench_pid" 2>/dev/null || :
	retry 30 zcrx_chunks_back
done

note "the daemon is killed, and the host goes on"
bench_start --queues 4 --depth 8 --bs 64k --range 0-8M --time 20 --reconnect 60
zcrx_goes_on $((2 << 20))
target_kill
target_start
wait "$bench_pid" || fail "the host: $(tail -n 5 "$run/bench.out")"
cat "$run/bench.out"
assert_match "the host's report" "[1-9][0-9]* reconnection" "$(<"$run/bench.out")"
retry 30 zcrx_chunks_back
zcrx_counters
assert_eq "connections that were closed" 0 "$closed"
assert_ge "bytes placed since the new start" 1 "$placed"
