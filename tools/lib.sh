# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the scripts in tools/ share. Sourced, never run; the caller has set -euo pipefail.

sluice_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# say LINE...
say() {
	printf '%s\n' "$@"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# usage_print SCRIPT
# Prints the comment at the head of SCRIPT, without its licence line.
usage_print() {
	awk 'NR <= 3 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$1"
}

# time_ms VARIABLE
# Sets VARIABLE to the time in milliseconds, without starting a process.
time_ms() {
	local us=${EPOCHREALTIME/[^0-9]/}
	printf -v "$1" '%d' $((us / 1000))
}

# seconds_format MS
seconds_format() {
	printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10))
}

# A pipe that nobody writes: reading from it with a limit is a sleep that starts no process.
exec {nap_fd}<> <(:)

nap() {
	read -r -t "$1" -u "$nap_fd" || true
}

# The process group that run_logged started last; empty when nothing of it is left.
run_group=

# run_group_wait LIMIT_MS
# Waits for the group to be empty; fails when it is not in LIMIT_MS.
run_group_wait() {
	local now_ms end_ms

	[ -n "$run_group" ] || return 0
	time_ms end_ms
	end_ms=$((end_ms + $1))
	while kill -0 -- "-$run_group" 2>/dev/null; do
		time_ms now_ms
		[ "$now_ms" -lt "$end_ms" ] || return 1
		nap 0.02
	done
	run_group=
}

# run_group_kill
# Ends what is left of the group: it would hold ports and files that the next one needs.
run_group_kill() {
	[ -n "$run_group" ] || return 0
	kill -TERM -- "-$run_group" 2>/dev/null || true
	if ! run_group_wait 2000; then
		kill -KILL -- "-$run_group" 2>/dev/null || true
		run_group_wait 2000 || true
	fi
}

# run_logged LABEL LOG LIMIT_S COMMAND...
# Runs COMMAND in a process group of its own with its output in LOG, and says every 15 s how far it
# is: the last line it printed. Returns its exit status, 124 when it was ended after LIMIT_S seconds.
run_logged() {
	local label=$1 log=$2 limit_s=$3 pid status=0 start_ms now_ms next_ms=15000
	shift 3

	mkdir -p "$(dirname "$log")"
	# timeout(1) makes itself the leader of a group that holds all that it starts.
	timeout --kill-after=10 "$limit_s" "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	run_group=$pid
	time_ms start_ms
	while kill -0 "$pid" 2>/dev/null; do
		nap 0.01
		time_ms now_ms
		if [ $((now_ms - start_ms)) -ge "$next_ms" ]; then
			say "      $label, $((next_ms / 1000)) s: $(tail -n 1 "$log" | cut -c 1-70)"
			next_ms=$((next_ms + 15000))
		fi
	done
	wait "$pid" || status=$?
	return "$status"
}

# tree_configure KIND DIR
# Configures the build tree DIR for KIND (debug, release, clang, coverage) unless it is already.
tree_configure() {
	local kind=$1 dir=$2 args
	args=(-G Ninja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)

	case $kind in
	debug)
		args+=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DSLUICE_SANITIZE=ON)
		;;
	release)
		args+=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo)
		;;
	clang)
		args+=(-DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DSLUICE_SANITIZE=ON
			-DSLUICE_FUZZ=ON)
		;;
	coverage)
		args+=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DSLUICE_COVERAGE=ON)
		;;
	*)
		die "no build tree of kind '$kind'"
		;;
	esac
	if command -v ccache >/dev/null; then
		args+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
	fi
	if [ -e "$dir/build.ninja" ] && [ "$(cat "$dir/configured-as" 2>/dev/null)" = "${args[*]}" ]; then
		return 0
	fi
	mkdir -p "$dir"
	# Told another compiler than a tree has, cmake forgets all else that it was told.
	rm -f "$dir/CMakeCache.txt"
	if ! cmake -S "$sluice_root" -B "$dir" "${args[@]}" >"$dir/configure.log" 2>&1; then
		tail -n 20 "$dir/configure.log" >&2
		say "cannot configure $dir: the whole log is $dir/configure.log" >&2
		return 1
	fi
	printf '%s\n' "${args[*]}" >"$dir/configured-as"
}

# tree_build KIND DIR [TARGET...]
# Configures DIR and builds TARGETs, by default everything. Prints what the compiler said when it
# fails.
tree_build() {
	local kind=$1 dir=$2 start_ms end_ms
	shift 2

	time_ms start_ms
	tree_configure "$kind" "$dir" || return 1
	if ! run_logged "building $kind" "$dir/build.log" 3600 ninja -C "$dir" "$@"; then
		grep -v '^\[[0-9]*/[0-9]*\] ' "$dir/build.log" | head -n 40 >&2 || true
		say "cannot build $dir: the whole log is $dir/build.log" >&2
		return 1
	fi
	time_ms end_ms
	say "built $kind in $(seconds_format $((end_ms - start_ms)))"
}
