# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# What a process leaves on a NIC when it is killed, the next one undoes: when it was done with
# setting up, and at any moment before. What it did not leave, or someone else has changed since, is
# left alone.

# shellcheck source=tests/vm/lib/nic_setup.sh
source /h/lib/nic_setup.sh

recover() {
	nic-setup --state "$setup_state" --recover 2>>"$run/nic-setup.log" ||
		fail "nic-setup --recover failed: $(tail -n 3 "$run/nic-setup.log")"
}

nic_up 4
nic_split off
ethtool -X "$nic" weight 4 2 1 1
nic_remember
words=(--queues 2 --ring 1024 "$nic" 0.0.0.0 4420 :: 4421)

note "killed when all was set up"
setup_open "${words[@]}"
text=$(nic-setup --state "$setup_state" --plan "${words[@]}")
assert_match "the dry run beside a live process" "is set up by process $setup_pid" "$text"
recover # of a live process: nothing
[ -s "$setup_state/nic-$nic.json" ] || fail "--recover undid what a live process has"
setup_kill
assert_match "rules of the dead" "Total 2 rules" "$(ethtool -n "$nic")"
text=$(nic-setup --state "$setup_state" --plan "${words[@]}")
assert_match "the dry run after it" "ended unexpectedly; the next start undoes" "$text"
recover
nic_assert_same "recovery"

note "killed, and set up again by the next"
setup_open "${words[@]}"
setup_kill
setup_open --queues 1 "$nic" 0.0.0.0 4420
assert_match "rules" "Total 1 rules" "$(ethtool -n "$nic")"
setup_close
nic_assert_same "set-up after recovery"

note "killed, and the interface gets another name"
setup_open "${words[@]}"
setup_kill
ip link set "$nic" name other0
recover
ip link set other0 name "$nic"
nic_assert_same "recovery of an interface that was renamed"
assert_match "the log" "$nic, now other0: hash context 1 removed" \
	"$(tail -n 20 "$run/nic-setup.log")"
note "given back under another name"
setup_open "${words[@]}"
ip link set "$nic" name other0
setup_close
ip link set other0 name "$nic"
nic_assert_same "an interface that was renamed"

note "killed at any moment"
for ((i = 0; i < 15; i++)); do
	setup_start "${words[@]}"
	sleep "0.$((i * 37 % 40 + 10))"
	setup_kill
	recover
	nic_assert_glance "killed while it set up, round $i"
done
nic_assert_same "killed while it set up"

note "killed while it undid"
undone=0
# until one is caught at it: a busy machine may keep the killer waiting
for ((i = 0; i < 8 || (undone == i && i < 80); i++)); do
	setup_open "${words[@]}"
	exec {setup_in}>&-
	# shorter than a process takes to begin
	for ((n = 0; n < i % 8 * 300; n++)); do :; done
	setup_kill
	[ -e "$setup_state/nic-$nic.json" ] || undone=$((undone + 1))
	recover
	nic_assert_glance "killed while it undid, round $i"
done
[ "$undone" -lt "$i" ] || fail "none was killed before it had undone everything"
nic_assert_same "killed while it undid"

note "what someone else has changed since stays"
setup_open "${words[@]}"
ethtool -G "$nic" rx 300
ethtool -N "$nic" flow-type tcp4 dst-port 80 action 0
setup_kill
recover
assert_eq "a ring that was set since" 300 "$(ethtool -g "$nic" |
	sed -n '/^Current/,$s/^RX:[[:space:]]*//p')"
assert_match "a rule that was made since" "Total 1 rules" "$(ethtool -n "$nic")"

note "an interface that is another one now"
setup_open "${words[@]}"
setup_kill
nic_up 4
nic_remember
recover
nic_assert_same "what went with the former interface"

note "a state file that is damaged is named, and nothing is done"
setup_open "${words[@]}"
setup_kill
echo '{"version": 1' >"$setup_state/nic-$nic.json"
if nic-setup --state "$setup_state" --recover 2>"$run/damaged"; then
	fail "a damaged state file was taken"
fi
assert_match "the message" "$setup_state/nic-$nic.json is damaged" "$(<"$run/damaged")"
setup_refused EBADMSG "is damaged" "${words[@]}"
