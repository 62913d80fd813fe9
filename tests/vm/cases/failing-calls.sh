# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# transports: tcp rdma
# timeout_s: 400
# Each call that may fail does so once: what is asked of RDMA devices and of their connection manager, or of
# a NIC for zero-copy receive, and for dma-bufs. The daemon says why it does not start, or serves: what a
# host was doing may be lost, wrong data it never gets, and the next time all is well. All other calls, and
# with sanitizers: tests/integration/test_failing_calls.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh
# shellcheck source=tests/vm/lib/nic_setup.sh
source /h/lib/nic_setup.sh
setup_state=$run

bench=(sluice-bench)
mkdir -p "$run/sluice.conf.d"
printf '%s\n' "[daemon]" "workers = 1" "[memory]" "per_worker = 8M" >"$run/sluice.conf.d/small.conf"
calls='^(rdma_|ibv_|ioctl$|io_uring_register)' most=2
# Of these there are as many as there are commands: one at the start, and some under load.
often=(ibv_post_send:{1,2,30} ibv_post_srq_recv:{1,3,30} ibv_req_notify_cq:{1,5} ibv_poll_cq:{1,40})
if [ "$transport" = tcp ]; then
	nic_up 2
	nic_remember
	zcrx_receive=4M zcrx_config
	bench=(nic_host sluice-bench)
	calls='^(ioctl|socket|mnl_|io_uring_register)' most=8
	often=()
fi
config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
sluice_config >"$run/sluice.conf"

over() {
	grep -q '^fail_calls: call ' "$run/sluiced.log"
}

# 0: it serves, 1: not yet. Sets ended when it has ended.
serves() {
	if ! kill -0 "$target_pid" 2>/dev/null; then
		ended=1
		return 0
	fi
	grep -q '^sluiced: ready$' "$run/sluiced.log" && port_open
}

load() {
	"${bench[@]}" --transport "$transport" --connect "$address:$port" --nqn "$nqn" --queues 2 \
		--depth 4 --rw randrw --bs 32k --size 512k --range 0-1M --verify --timeout 5000 \
		>"$run/bench.out" 2>&1
}

# one CALL [LIST]: the daemon from start to end, in which CALL fails. Sets rung when it serves.
one() {
	local rc=0 outcome was_over lost=0 i

	ended=0
	: >"$run/sluiced.log"
	FAIL_CALL=$1 FAIL_LIST=${2:-/dev/null} sluiced-failing --config "$run/sluice.conf" </dev/null \
		>>"$run/sluiced.log" 2>&1 &
	target_pid=$!
	retry 60 serves
	if [ "$ended" -eq 1 ]; then
		wait "$target_pid" || rc=$?
		target_pid=""
		[ "$rc" -eq 1 ] || [ "$rc" -eq 78 ] || fail "$1: exit code $rc"
		grep -vE '^fail_calls|^sluiced: (sluiced [0-9]|memory: |listening|ready|could not)' \
			"$run/sluiced.log" >"$run/why" || fail "$1: no word of the reason"
		outcome="does not start: $(head -n 1 "$run/why")"
	else
		for ((i = 0; i < 3; i++)); do
			was_over=0
			! over || was_over=1
			rc=0
			load || rc=$?
			[ "$rc" -ne 2 ] || fail "$1: wrong data"
			[ "$rc" -eq 0 ] || [ "$was_over" -eq 0 ] || fail "$1: a host fails once more"
			[ "$rc" -eq 0 ] || lost=1
			[ "$rc" -ne 0 ] || ! over || break
		done
		rung=$(zcrx_rung) rung=${rung%%:*}
		outcome="serves, $rung"
		[ "$lost" -eq 0 ] || outcome+=", a host lost its connection"
		target_stop
	fi
	over || outcome="not reached"
	note "$1: $outcome"
}

one 0 "$run/calls"
[ "$transport" = tcp ] && expected=zcrx || expected=rdma
assert_match "receive rung without a call that fails" "^$expected" "$rung"
# of each function the first call, and some later ones
mapfile -t each < <(grep -E "$calls" "$run/calls" | sort | uniq -c | awk -v most="$most" '{
	n = $1 < most ? $1 : most
	for (i = 0; i < n; i++) print $2 ":" int(i * $1 / n) + 1 }')
note "calls: ${each[*]} ${often[*]}"
assert_ge "calls to fail" 10 "${#each[@]}"
reached=0
for call in "${each[@]}" "${often[@]}"; do
	one "$call"
	! over || reached=$((reached + 1))
done
assert_ge "calls that were reached" $(((${#each[@]} + ${#often[@]}) * 8 / 10)) "$reached"

if [ "$transport" = tcp ]; then
	note "whatever failed, the NIC is as it was after a daemon in which nothing did"
	one 0
	nic_assert_same "the last daemon's end"
fi
