# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# Messages in the journal, to which systemd connects standard error: records with fields, by which an
# administrator asks for one host's story. Without a journal the daemon goes on.

stranger=$nqn-stranger later=$nqn-later
sockets=/run/systemd/journal

journal_up() {
	[ -S $sockets/socket ] && [ -S $sockets/stdout ]
}

journal_begin() {
	rm -f $sockets/socket $sockets/stdout
	mkdir -p /run/log/journal
	/lib/systemd/systemd-journald >>"$run/journald.log" 2>&1 &
	journal_pid=$!
	retry 60 journal_up
}

journal_end() {
	kill -TERM "$journal_pid"
	wait "$journal_pid" || :
}

# messages FIELD=VALUE...: what records with these say.
messages() {
	journalctl --quiet --no-pager --output cat SYSLOG_IDENTIFIER=sluiced "$@"
}

# told PATTERN FIELD=VALUE...
told() {
	local pattern=$1
	shift
	grep -qE -e "$pattern" <<<"$(messages "$@")"
}

# refused HOSTNQN
refused() {
	assert_fails "host that is not allowed" "" \
		host_nvme connect -n "$nqn" --hostnqn="$1" --hostid="$host2_id"
}

# Once more, until it is told: the first message may be lost while the journal comes back.
later_told() {
	refused "$later"
	told "may not attach to $nqn" "SLUICE_HOSTNQN=$later"
}

# which journald wants
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
config_reset
subsystem_add "$nqn" "$host_nqn"
namespace_add "$nqn" 1 "$drive0"
sluice_config >"$run/sluice.conf"
journal_begin
# systemd sets the variable, too; the systemd-cat of many releases does not
# shellcheck disable=SC2016
systemd-cat bash -c 'JOURNAL_STREAM=$(stat -Lc %d:%i /dev/fd/2) exec sluiced --config "$1"' - \
	"$run/sluice.conf" &
target_pid=$!
retry 60 told '^ready$' _TRANSPORT=journal "_PID=$target_pid"
assert_eq "lines that came by standard error" "" \
	"$(journalctl --quiet --no-pager --output cat _TRANSPORT=stdout "_PID=$target_pid")"

note "one host's story"
refused "$stranger"
retry 10 told "may not attach to $nqn; to admit it add allow_host = $stranger" \
	"SLUICE_HOSTNQN=$stranger" "SLUICE_SUBSYSTEM=$nqn" "SLUICE_LISTENER=$transport" \
	PRIORITY=4 CODE_FILE=target/connect.c
assert_eq "messages about the host that is allowed" "" "$(messages "SLUICE_HOSTNQN=$host_nqn")"
host_connect "$nqn"
namespace_wait "$nqn" 1

note "the journal ends, and comes back"
journal_end
refused "$later"
pattern_write "$device" 0 65536
assert_pattern "$device" 0 65536
assert_eq "messages while it was away" "" "$(messages "SLUICE_HOSTNQN=$later")"
journal_begin
retry 30 later_told
sluicectl --socket "$run/control.sock" drain "$nqn"
retry 10 told "$host_nqn is sent away" "SLUICE_HOSTNQN=$host_nqn" "SLUICE_SUBSYSTEM=$nqn" PRIORITY=6
sluice_stop
retry 10 told '^stopped$' _TRANSPORT=journal
