# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# With setup = no the NIC is looked at only: what is missing is named with the command that does it,
# and once all is done by hand, as the dry run prints it, it is used and left as it is.

# shellcheck source=tests/vm/lib/nic_setup.sh
source /h/lib/nic_setup.sh

nic_up 4
nic_split off
words=(--queues 2 "$nic" 0.0.0.0 4420 :: 4421)

note "the dry run changes nothing"
nic_remember
mkdir -p "$setup_state"
plan=$(nic-setup --state "$setup_state" --plan "${words[@]}")
printf '%s\n' "$plan"
nic_assert_same "the dry run"
assert_match "the dry run" \
	"zero-copy queues 2 to 3, for workers 0 to 1; queues 0 to 1 for the rest" "$plan"

note "what is missing is named, until nothing is"
for ((i = 0; ; i++)); do
	[ "$i" -lt 10 ] || fail "still something missing after $i commands"
	nic_glance >"$run/nic-glance"
	if setup_start --verify "${words[@]}" && setup_read && [[ $setup_line == open* ]]; then
		break
	fi
	wait "$setup_pid" 2>/dev/null || :
	setup_pid=""
	note "$setup_line"
	nic_assert_glance "verifying"
	assert_match "what is missing" \
		"^refused ENOENT: .*(ethtool -[A-Z] $nic .*), or set setup = yes" "$setup_line"
	command=$(sed -E "s/.*(ethtool -[A-Z] $nic .*), or set setup = yes.*/\1/" <<<"$setup_line")
	$command
done
[ "$i" -ge 4 ] || fail "only $i commands were needed"
nic_remember
setup_close
nic_assert_same "verifying what is ready"

note "what else comes by the queues is named"
nic_rule_add flow-type tcp4 dst-port 80 action 3
setup_refused EEXIST "steers other connections to queue 3: remove it" --verify "${words[@]}"
nic_rule_delete "$rule"
nic_rule_add flow-type tcp4 dst-ip "$nic_address" dst-port 4420 action 0
setup_refused ENOENT "no rule of $nic steers TCP over IPv4 to any address" --verify "${words[@]}"
nic_rule_delete "$rule"
nic_assert_same "what else comes"

note "by the commands of the dry run"
nic_up 4
while read -r command; do
	note "$command"
	$command
done < <(sed -n 's/^ *as by: //p' <<<"$plan" | sed 's/ context [0-9]*$/ context 1/')
nic_remember
setup_open --verify "${words[@]}"
assert_match "the queues" "queues 2 3$" "$setup_line"
setup_close
nic_assert_same "verifying what was done by hand"
