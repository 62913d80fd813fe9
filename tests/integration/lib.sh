# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Helpers of the integration tests: a real sluiced on loopback with a configuration of its own, and
# sluice-bench as the host. A test sources this file and is run with SLUICE_BUILD naming the folder
# that holds the programs. It passes when it ends with 0 and the target ended cleanly too.

: "${SLUICE_BUILD:?has to name the folder with sluiced, sluicectl and sluice-bench}"

readonly nqn=nqn.2026-11.io.sluice:test
readonly start_timeout_s=20
readonly stop_timeout_s=30

work=$(mktemp -d)
port=0
discovery_port=0
target_pid=

# fail MESSAGE...
# Ends the test as failed.
fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

# skip REASON...
# Ends the test as skipped; the runner prints the reason.
skip() {
	printf '%s\n' "$*"
	exit 77
}

# step MESSAGE...
# Says what comes next, so that a failure's place is seen.
step() {
	printf -- '-- %s\n' "$*"
}

# free_port
# Prints a TCP port that nobody listens on, outside the range that the kernel hands out by itself.
free_port() {
	local candidate

	while :; do
		candidate=$((20000 + RANDOM % 10000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
			printf '%s\n' "$candidate"
			return
		fi
	done
}

# target_configure [LINE...]
# Writes the target's configuration: listeners on free ports, the subsystem $nqn, and the LINEs after
# the subsystem's section, so that they may begin with keys of that. SUBSYSTEM_ACCESS and
# LISTENER_KEYS replace allow_any_host = yes and add to the listener.
target_configure() {
	port=$(free_port)
	discovery_port=$(free_port)
	{
		printf '[daemon]\nworkers = %s\ncontrol_socket = %s\n' "${WORKERS:-2}" "$work/control.sock"
		printf '[memory]\nper_worker = 64M\n'
		printf '[discovery]\nport = %s\n' "$discovery_port"
		printf '[listener tcp]\ntransport = tcp\naddress = 127.0.0.1\nport = %s\n' "$port"
		printf '%s\n' "${LISTENER_KEYS:-}"
		printf '[subsystem %s]\n%s\n' "$nqn" "${SUBSYSTEM_ACCESS:-allow_any_host = yes}"
		printf '%s\n' "$@"
	} >"$work/sluice.conf"
}

# namespace NSID BACKEND [KEY=VALUE...]
# Prints a namespace's section for target_configure.
namespace() {
	printf '[namespace %s/%s]\nbackend = %s\n' "$nqn" "$1" "$2"
	shift 2
	[ $# -eq 0 ] || printf '%s\n' "$@"
}

# target_start
# Starts the target and waits until both ports serve. TARGET_PROGRAM names another program than sluiced.
target_start() {
	local deadline=$((SECONDS + start_timeout_s))

	: >"$work/target.log"
	"$SLUICE_BUILD/${TARGET_PROGRAM:-sluiced}" --config "$work/sluice.conf" 2>>"$work/target.log" &
	target_pid=$!
	until grep -q "listening on tcp 127.0.0.1 port $port\$" "$work/target.log" &&
		grep -qE '(^|: )ready$' "$work/target.log"; do
		kill -0 "$target_pid" 2>/dev/null || fail "the target did not start"
		[ "$SECONDS" -lt "$deadline" ] || fail "the target does not serve after $start_timeout_s s"
		sleep 0.02
	done
}

# target_log_check
# Fails when a sanitizer has complained.
target_log_check() {
	cat "$work/target.log" >>"$work/all.log"
	if grep -qE 'Sanitizer|runtime error:|Assertion' "$work/target.log"; then
		fail "the target's log has an error of a sanitizer or an assertion"
	fi
}

# target_stop
# Asks the target to end and checks that it does so cleanly.
target_stop() {
	local pid=$target_pid rc=0 deadline=$((SECONDS + stop_timeout_s))

	target_pid=
	kill -TERM "$pid" 2>/dev/null || fail "the target is gone already"
	while kill -0 "$pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			kill -KILL "$pid"
			fail "the target did not stop within $stop_timeout_s s of SIGTERM"
		fi
		sleep 0.02
	done
	wait "$pid" || rc=$?
	[ "$rc" -eq 0 ] || fail "the target ended with exit code $rc"
	target_log_check
}

# target_kill
# Ends the target without notice, as a crash would.
target_kill() {
	local pid=$target_pid

	target_pid=
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	target_log_check
}

# bench [OPTION...]
# Runs sluice-bench against the target.
bench() {
	"$SLUICE_BUILD/sluice-bench" --connect "127.0.0.1:$port" --nqn "$nqn" "$@"
}

# expect CODE TEXT COMMAND [ARGUMENT...]
# Runs the command; fails unless it ends with CODE and its output (both streams) contains TEXT.
expect() {
	local code=$1 text=$2 rc=0 output
	shift 2

	output=$("$@" 2>&1) || rc=$?
	[ "$rc" -eq "$code" ] || fail "exit code $rc instead of $code of: $* ($output)"
	[[ $output == *"$text"* ]] || fail "no '$text' in the output of: $* ($output)"
}

# json_check FILE FILTER
# Fails unless the jq FILTER is true for the JSON in FILE.
json_check() {
	jq -e "$2" "$1" >/dev/null || fail "not true: $2 ($(cat "$1"))"
}

cleanup() {
	local rc=$?

	trap - EXIT
	if [ -n "$target_pid" ] && [ "$rc" -eq 0 ]; then
		# A failure in here ends the shell with its own code.
		target_stop
	elif [ -n "$target_pid" ]; then
		kill -KILL "$target_pid" 2>/dev/null || true
	fi
	if [ "$rc" -ne 0 ] && [ "$rc" -ne 77 ]; then
		printf -- '---- end of the log of the target\n' >&2
		tail -n 40 "$work/target.log" >&2 2>/dev/null || true
	fi
	rm -rf "$work"
	exit "$rc"
}
trap cleanup EXIT
