# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# A NIC is made ready for zero-copy receive and given back as it was: header split, hds-thresh,
# rings, the receive hash of other connections, a context and rules for ours. Connections come in by
# the queues that they are steered to, by IPv4 and by IPv6, and others do not.

# shellcheck source=tests/vm/lib/nic_setup.sh
source /h/lib/nic_setup.sh

# connections_count ADDRESS PORT NUMBER: one after the other; sets queues to where they came in.
connections_count() {
	local i
	queues=()
	for ((i = 0; i < $3; i++)); do
		# From ports far apart: the hash of those beside each other may differ in no bit that counts.
		# The other end closes as soon as it has seen a byte, which may come as an error.
		# shellcheck disable=SC2016 # for the other shell
		nic_host bash -c 'echo "$3 $(($3 + 1000))" >/proc/sys/net/ipv4/ip_local_port_range
			exec 9<>"/dev/tcp/$1/$2" && echo x >&9 && cat <&9' connect \
			"$1" "$2" $((20000 + RANDOM)) || :
		setup_read
		[ "${setup_line% *}" = "connection queue" ] || fail "nic-setup said: $setup_line"
		queues+=("${setup_line##* }")
	done
	note "$1 port $2: ${queues[*]}"
}

# queues_assert WHAT QUEUE...: all of them and no other.
queues_assert() {
	local what=$1
	shift
	assert_eq "$what" "$*" "$(printf '%s\n' "${queues[@]}" | sort -nu | xargs)"
}

nic_up 4
nic_split off
nic_remember
cat "$run/nic-before"

note "two queues of four"
setup_open --queues 2 --ring 1024 --serve "$nic" 0.0.0.0 4420 "$nic_address6" 4421
assert_match "the queues" "queues 2 3$" "$setup_line"
nic_show >"$run/nic-now"
assert_match "header split" "TCP data split:[[:space:]]*on" "$(ethtool -g "$nic")"
assert_match "hds-thresh" "hds-thresh 0" "$(<"$run/nic-now")"
assert_eq "entries of the ring" 1024 "$(ethtool -g "$nic" |
	sed -n '/^Current/,$s/^RX:[[:space:]]*//p')"
assert_match "rules" "Total 2 rules" "$(ethtool -n "$nic")"
assert_eq "queues of the default hash" "0 1" "$(ethtool -x "$nic" |
	sed -n 's/^ *[0-9]*: *\([0-9 ]*\)$/\1/p' | xargs -n 1 | sort -nu | xargs)"
[ -s "$setup_state/nic-$nic.json" ] || fail "what was changed is noted nowhere"
jq . "$setup_state/nic-$nic.json"
connections_count "$nic_address" 4420 16
queues_assert "zero-copy queues that connections came in by" 0 1
connections_count "$nic_address6" 4421 16
queues_assert "zero-copy queues that IPv6 connections came in by" 0 1

note "a queue that restarts is served as before, or by another NAPI that is found again"
nic_queue_reset 2
echo >&"$setup_in"
setup_read
connections_count "$nic_address" 4420 16
queues_assert "zero-copy queues after a restart" 0 1
setup_close
nic_assert_same "two queues"

note "connections that no rule is for come in by other queues"
setup_open --queues 2 --serve "$nic" "$nic_address" 4420 ::1 4421 127.0.0.1 4422
assert_match "rules" "Total 1 rules" "$(ethtool -n "$nic")"
before=$(nic_counter packets 2)-$(nic_counter packets 3)
for ((i = 0; i < 8; i++)); do
	nic_host bash -c "{ exec 9<>/dev/tcp/$nic_address/4423; } 2>/dev/null" || :
done
assert_eq "packets on the zero-copy queues" "$before" \
	"$(nic_counter packets 2)-$(nic_counter packets 3)"
setup_close
nic_assert_same "listeners on loopback addresses"

note "as many as the rest of the machine keeps"
setup_open --queues auto --serve "$nic" 0.0.0.0 4420
assert_match "the queues" "queues 2 3$" "$setup_line"
connections_count "$nic_address" 4420 4
setup_close
nic_assert_same "half of the queues"

note "all but one, when so many are asked for"
setup_open --queues 3 --serve "$nic" 0.0.0.0 4420
assert_match "the queues" "queues 1 2 3$" "$setup_line"
connections_count "$nic_address" 4420 4
setup_close
nic_assert_same "all queues but one"

note "one queue, by a rule alone"
setup_open --queues 1 --serve "$nic" 0.0.0.0 4420
connections_count "$nic_address" 4420 4
queues_assert "the one queue" 0
setup_close
nic_assert_same "one queue"

note "an interface that comes up while it is waited for"
nic_link_down
setup_start --wait 100000 --queues 2 --serve "$nic" 0.0.0.0 4420
retry 10 grep -q "waiting for it, 100 s at most" "$run/nic-setup.log"
nic_link_up
setup_read
assert_match "the queues" "open $nic .* queues 2 3$" "$setup_line"
connections_count "$nic_address" 4420 4
setup_close
nic_assert_same "an interface that was waited for"

note "queues are added"
ethtool -L "$nic" combined 2
ethtool -K "$nic" ntuple off
nic_remember
setup_open --queues 2 --serve "$nic" 0.0.0.0 4420
assert_match "the queues" "queues 2 3$" "$setup_line"
assert_eq "channels" 4 "$(ethtool -l "$nic" | sed -n '/^Current/,$s/^Combined:[[:space:]]*//p')"
connections_count "$nic_address" 4420 4
setup_close
nic_assert_same "queues that were added"
ethtool -L "$nic" combined 4
ethtool -K "$nic" ntuple on

note "settings made by hand come back"
ethtool -X "$nic" weight 4 2 1 1
ethtool -G "$nic" rx 256
nic_rule_add flow-type tcp4 dst-port 80 action 1
nic_remember
setup_open --queues 2 --ring 2048 "$nic" 0.0.0.0 4420 :: 4420
setup_close
nic_assert_same "settings made by hand"
nic_rule_delete "$rule"

note "rules that others made since are not put at risk"
ethtool -K "$nic" ntuple off
nic_remember
setup_open --queues 2 "$nic" 0.0.0.0 4420
nic_rule_add flow-type tcp4 dst-port 81 action 0
setup_close
assert_match "rules are on" "ntuple-filters: on" "$(ethtool -k "$nic")"
assert_match "the log" "ntuple-filter: off -> on: left alone: somebody else has made" \
	"$(tail -n 20 "$run/nic-setup.log")"
nic_rule_delete "$rule"
ethtool -K "$nic" ntuple off
nic_assert_same "rules of others"

note "header split that was on stays on, and this is said"
nic_split on
nic_remember
setup_open --queues 2 "$nic" 0.0.0.0 4420
setup_close
nic_assert_same "header split that was on"
assert_match "the log" "left alone: tcp-data-split was on; .ethtool -G $nic tcp-data-split auto" \
	"$(tail -n 20 "$run/nic-setup.log")"
