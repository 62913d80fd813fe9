# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 600
# What zero-copy receive lacks is said: with require = zerocopy as an error at start, else by
# `sluicectl datapath` and in the log, and the target serves on the next rung.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

drop_in=$run/sluice.conf.d/zcrx.conf
# what the daemon under test is started by
starter=()

# refused PATTERN [LINE...]: with a configuration of these lines, this is why.
refused() {
	local pattern=$1
	shift
	printf '%s\n' "[daemon]" "workers = 1" "[memory]" "receive = 4M" "$@" >"$drop_in"
	printf '[listener tcp]\nrequire = zerocopy\n' >"$run/sluice.conf.d/zz-require.conf"
	assert_fails "start with require = zerocopy" "sluice.conf:[0-9]+: listener tcp: require = \
zerocopy cannot be met: $pattern.*; use require = none to serve on the rung \"recv\"" \
		"${starter[@]}" sluiced --config "$run/sluice.conf"
	rm "$run/sluice.conf.d/zz-require.conf"
	: >"$run/sluiced.log"
	sluice_start "${starter[@]}"
	note "$(zcrx_rung)"
	assert_match "receive rung" "^recv: $pattern" "$(zcrx_rung)"
	host_connect "$nqn"
	namespace_wait "$nqn" 1
	pattern_write "$device" 0 65536
	assert_pattern "$device" 0 65536
	host_disconnect "$nqn"
	target_stop
}

# What of the log is about it; named once is named enough.
logged() {
	assert_match "log" "sluiced: warning: no zero-copy receive: $1" "$(<"$run/sluiced.log")"
}

nic_up 4
mkdir -p "$run/sluice.conf.d"
config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
sluice_config >"$run/sluice.conf"

refused "no \[nic INTERFACE\] section names a NIC that can"
refused "the listener has receive = recv" "[nic $nic]" "[listener tcp]" "receive = recv"
refused "there is no network interface nosuch0" "[nic nosuch0]"
ip link add d0 type dummy
ip link set d0 up
refused "d0 \(driver dummy, .*cannot split headers from data" "[nic d0]"
ip link del d0
logged "d0 "
# what is asked for, one by one: nic-setup-verify
refused "$nic is not prepared \(.*setup = no forbids" "[nic $nic]" "setup = no"
refused "\[nic $nic\] queues = 2 is more than there are workers" "[nic $nic]" "queues = 2"

note "without CAP_NET_ADMIN"
starter=(setpriv --bounding-set -net_admin --inh-caps -net_admin)
refused "$nic cannot be used for zero-copy receive without CAP_NET_ADMIN: start as" "[nic $nic]"

# limited KIB: what starts the daemon lets it lock so much.
limited() {
	starter=(prlimit "--memlock=$(($1 << 10))" setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock)
}

note "with RLIMIT_MEMLOCK of 39 MiB, which is enough for fixed buffers of 36 MiB"
limited $((39 << 10))
refused "queue 3 of $nic: no memory for its chunks, or more than RLIMIT_MEMLOCK allows \
.*LimitMEMLOCK" "[nic $nic]"
logged "queue 3 of $nic: no memory"
note "with one of 48 MiB, and sockets that may buffer less than an eighth of 4 MiB"
limited $((48 << 10))
rmem_max=/proc/sys/net/core/rmem_max
kept=$(<$rmem_max)
echo 524287 >$rmem_max
sluice_start "${starter[@]}"
echo "$kept" >$rmem_max
assert_match "receive rung" "^zcrx: " "$(zcrx_rung)"
assert_match "log" "$nic: .*small windows: net.core.rmem_max is 524287; .* 524288" \
	"$(<"$run/sluiced.log")"
target_stop
starter=()

note "another daemon has the queue"
mkdir "$run/other"
printf '%s\n' "[daemon]" "control_socket = $run/other/control.sock" "workers = 1" "[memory]" \
	"per_worker = 8M" "receive = 2M" "[nic $nic]" "[listener tcp]" "transport = tcp" \
	"address = $address" "port = 4421" "[subsystem $nqn.other]" "serial = OTHER" \
	"[namespace $nqn.other/1]" "backend = ram" "size = 1M" >"$run/other.conf"
sluiced --config "$run/other.conf" </dev/null >"$run/other.log" 2>&1 &
other_pid=$!
retry 60 grep -q ready "$run/other.log"
refused "queue 3 of $nic is taken: another program's io_uring has it for zero-copy receive; end" \
	"[nic $nic]"
kill -TERM "$other_pid"
wait "$other_pid"
echo 524288 >$rmem_max
sluice_start "${starter[@]}"
echo "$kept" >$rmem_max
assert_match "receive rung" "^zcrx: " "$(zcrx_rung)"
assert_eq "warnings of small windows" 0 "$(grep -c rmem_max "$run/sluiced.log" || :)"
