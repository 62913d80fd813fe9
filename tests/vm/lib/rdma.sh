# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases about RDMA itself. Results in globals, as in lib.sh:
#
#   listener_rung, listener_why, listener_state, listener_error   of listener_get
#   placed, staged   of rdma_bytes
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

# listener_get [NAME]: what sluiced says of that listener (default: rdma).
listener_get() {
	local row
	row=$(sluicectl --socket "$run/control.sock" --json datapath |
		jq -c --arg name "${1:-rdma}" '.listeners[] | select(.name == $name)')
	listener_rung=$(json_get "$row" .receive.rung)
	listener_why=$(json_get "$row" .receive.why_not_better)
	listener_state=$(json_get "$row" .state)
	listener_error=$(json_get "$row" .error)
}

listener_is() {
	listener_get "${2:-rdma}"
	[ "$listener_state" = "$1" ]
}

# listener_says PATTERN [NAME]: that is why it waits. For a moment, while it tries again, it gives less of
# a reason.
listener_says() {
	listener_is waiting "${2:-rdma}" && grep -qE -e "$1" <<<"$listener_error"
}

# What all RDMA devices of all workers have moved from hosts: used in place, and copied.
rdma_bytes() {
	local rows
	rows=$(sluicectl --socket "$run/control.sock" --json stats | jq -c .receive_areas)
	placed=$(jq 'map(.placed_bytes) | add // 0' <<<"$rows")
	staged=$(jq 'map(.staged_bytes) | add // 0' <<<"$rows")
}

rdma_moved() {
	rdma_bytes
	[ "$placed" -gt "$1" ]
}

# At least a MiB more, under way while it is looked at.
rdma_moves_on() {
	rdma_bytes
	retry 60 rdma_moved $((placed + (1 << 20)))
}

# sluice_start_waiting [COMMAND...]: the daemon, by COMMAND, without waiting for its listeners.
sluice_start_waiting() {
	"$@" sluiced --config "$run/sluice.conf" </dev/null >>"$run/sluiced.log" 2>&1 &
	target_pid=$!
	retry 60 control_answers
}

# As a user without rights.
as_nobody() {
	exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"
}

as_nobody_with_80_mib_locked() {
	ulimit -l $((80 << 10))
	as_nobody "$@"
}

control_answers() {
	kill -0 "$target_pid" 2>/dev/null || fail "sluiced ended while it started"
	sluicectl --socket "$run/control.sock" status >/dev/null 2>&1
}
