# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: rdma
# timeout_s: 240
# One namespace, served over TCP and RDMA at a time, and a host with a path over each: it uses both,
# goes on over the one while the other is cut, and uses both again. It finds all data right.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

declare -A ctrls=()

# Commands that have moved data over the path of that transport.
path_commands() {
	local reads writes
	# shellcheck disable=SC2154 # ctrls has both
	read -r reads _ _ _ writes _ </sys/class/nvme/"${ctrls[$1]}"/nvme*c*n*/stat
	echo $((reads + writes))
}

path_is_over() {
	[ "$(path_commands "$1")" -gt "$2" ]
}

# path_goes_on TRANSPORT: so that what was under way before does not count.
path_goes_on() {
	retry 60 path_is_over "$1" $(($(path_commands "$1") + 200))
}

paths_up() {
	[ "$(find "$dir"/nvme*/ -maxdepth 1 -name 'nvme*c*n*' | wc -l)" -eq 2 ]
}

config_reset
listener_add tcp
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
target_start
for kind in tcp rdma; do
	transport=$kind address=${addresses[$kind]} host_connect "$nqn" --keep-alive-tmo=$((2 * SLOWNESS))
	ctrls[$kind]=$ctrl
	assert_eq "transport of $ctrl" $kind "$(<"/sys/class/nvme/$ctrl/transport")"
done
namespace_wait "$nqn" 1
dir=$(subsystem_dir "$nqn")
retry 60 paths_up
echo round-robin >"$dir/iopolicy"

# shellcheck disable=SC2153 # it is from the settings
if [ "$TARGET" = sluice ]; then
	note "who asks over one hears of both"
	for kind in tcp rdma; do
		assert_eq "transports in the log over $kind" "rdma tcp" \
			"$(transport=$kind address=${addresses[$kind]} host_nvme discover -o json |
				jq -r "[.records[] | select(.subnqn == \"$nqn\") | .trtype] | sort | join(\" \")")"
	done
fi

note "both paths move data"
steady_start
path_goes_on tcp
path_goes_on rdma

for kind in rdma tcp; do
	other=tcp
	[ $kind = rdma ] || other=rdma
	note "the path over $kind is cut"
	wire_cut $kind
	retry 60 ctrl_state "${ctrls[$kind]}" connecting
	path_goes_on $other
	note "and is back"
	wire_mend $kind
	retry 60 ctrl_state "${ctrls[$kind]}" live
	path_goes_on $kind
	path_goes_on $other
done
steady_end

note "what went over either is on the drive"
host_disconnect "$nqn"
transport=tcp address=${addresses[tcp]} host_connect "$nqn"
namespace_wait "$nqn" 1
pattern_write "$device" 0 65536
host_disconnect "$nqn"
host_connect "$nqn"
namespace_wait "$nqn" 1
assert_pattern "$device" 0 65536
assert_pattern "$drive0" 0 65536
