# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases about how data moves between a worker's memory and the drives. Results in globals, as
# in lib.sh:
#
#   rung, why   of the storage of the namespace that storage_get asks about, as sluiced says
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

rung="" why=""

# Of the namespace with NSID 1.
storage_get() {
	local storage
	storage=$(sluicectl --socket "$run/control.sock" --json datapath |
		jq -c ".namespaces[] | select(.nsid == 1) | .storage")
	rung=$(json_get "$storage" .rung)
	why=$(json_get "$storage" .why_not_better)
}

storage_is() {
	storage_get
	[ "$rung" = "$1" ]
}

# What has moved by a rung, in bytes.
storage_bytes() {
	sluicectl --socket "$run/control.sock" --json datapath |
		jq ".namespaces[0].storage_bytes[\"$1\"]"
}

# The target is up: waits until it has tried out the dma-buf. Without such buffers nothing is to be seen.
premapped_or_skip() {
	local end=$((SECONDS + 30))
	while storage_get && [[ $why == *"being tried"* ]]; do
		[ "$SECONDS" -lt "$end" ] || fail "not tried out within the time"
		sleep 0.1
	done
	note "storage: $rung, why not better: $why"
	[[ $why != *"kernel has no dma-buf registered buffers"* ]] || skip "$why"
	assert_eq "storage rung (why not better: $why)" dmabuf-vectored "$rung"
}

# Counting, by histogram triggers, which lose no event: count_begin EVENT [FILTER], count_end EVENT.
count_begin() {
	echo "hist:keys=common_type${2:+ if $2}" >"/sys/kernel/tracing/events/$1/trigger"
}

# Sets counted.
count_end() {
	local dir=/sys/kernel/tracing/events/$1
	counted=$(awk '/Hits:/ { print $2 }' "$dir/hist")
	sed -n 's/^\(hist:[^[]*\) \[.*/!\1/p' "$dir/trigger" >"$run/trigger"
	cat "$run/trigger" >"$dir/trigger"
}
