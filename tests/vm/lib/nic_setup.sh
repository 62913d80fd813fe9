# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases about making a NIC ready: runs nic-setup, which does with the test NIC of lib/nic.sh
# what the daemon does, and keeps what ethtool shows. Results in globals:
#
#   setup_pid    the process that holds the NIC; empty: none does
#   setup_line   the last line that it said
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh and lib/nic.sh

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

setup_pid="" setup_line=""
setup_state=$run/nic-state

# All that a set-up may touch, as text; nic_glance: in short, for what is looked at often.
nic_show() {
	local view
	for view in -l -g -n -k; do
		ethtool "$view" "$nic"
	done
	ethtool -x "$nic" context 1 2>/dev/null || :
	nic_glance
}

nic_glance() {
	ethtool -x "$nic"
	# ethtool of this guest does not know hds-thresh
	{ nic-setup --state "$run/none" --plan "$nic" 0.0.0.0 1 || :; } | grep '^  [a-z]'
}

# nic_remember / nic_assert_same WHAT: as it was when it was remembered.
nic_remember() {
	nic_show >"$run/nic-before"
	nic_glance >"$run/nic-glance"
}

nic_assert_same() {
	nic_show >"$run/nic-after"
	diff -u "$run/nic-before" "$run/nic-after" || fail "$1: the NIC is not as it was before"
	[ ! -e "$setup_state/nic-$nic.json" ] || fail "$1: the state file is still there"
}

nic_assert_glance() {
	nic_glance | diff -u "$run/nic-glance" - || fail "$1: the NIC is not as it was before"
	[ ! -e "$setup_state/nic-$nic.json" ] || fail "$1: the state file is still there"
}

# setup_start [nic-setup's options and words]: in the background; it ends with its input.
setup_start() {
	local in out

	mkdir -p "$setup_state"
	coproc holder { exec nic-setup --state "$setup_state" "$@" 2>>"$run/nic-setup.log"; }
	setup_pid=$holder_PID
	in=${holder[1]} out=${holder[0]}
	# bash closes its own ends when the process is gone, before what it said was read
	exec {setup_in}>&"$in" {setup_out}<&"$out" {in}>&- {out}<&-
}

# Sets setup_line to what it says next.
setup_read() {
	setup_line=""
	read -r -t 60 setup_line <&"$setup_out" || fail "nic-setup says nothing"
}

# setup_open ...: until the NIC is ready.
setup_open() {
	setup_start "$@"
	setup_read
	note "$setup_line"
	case $setup_line in
	"open $nic "*) ;;
	*) fail "nic-setup $*: $setup_line" ;;
	esac
}

# Its orderly end, which undoes everything.
setup_close() {
	local pid=$setup_pid rc=0
	setup_pid=""
	exec {setup_in}>&-
	wait "$pid" || rc=$?
	assert_eq "exit code of nic-setup" 0 "$rc"
}

# It may have ended by itself just now.
setup_kill() {
	local pid=$setup_pid
	setup_pid=""
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
}

# setup_refused ERRNO PATTERN [nic-setup's options and words]: the sentence, and nothing is changed.
setup_refused() {
	local number=$1 pattern=$2 text
	shift 2
	mkdir -p "$setup_state"
	if text=$(nic-setup --state "$setup_state" "$@" </dev/null 2>>"$run/nic-setup.log"); then
		fail "nic-setup $* succeeded: $text"
	fi
	note "$text"
	assert_match "the error of nic-setup $*" "^refused $number: " "$text"
	assert_match "the sentence of nic-setup $*" "$pattern" "$text"
}
