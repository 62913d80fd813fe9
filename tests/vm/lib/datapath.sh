# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases about how data moves between a worker's memory and the drives. Results in globals,
# as in lib.sh:
#
#   rung, why   of the storage of the namespace that storage_get asks about, as sluiced says
#   counted, summed   of count_end
#   maps, unmaps, commands   of mapped_during
#
# Cases with much I/O from registered dma-bufs have kernel_args dma_debug=off: that looks for the mapping
# of each range step by step through all of a worker's memory, which is one mapping. The cases dmabuf-* are
# for it.
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

rung="" why="" steady_pid=""

# storage_get [NSID]: of the first namespace with it, or with NSID 1.
storage_get() {
	local storage
	storage=$(sluicectl --socket "$run/control.sock" --json datapath |
		jq -c --argjson nsid "${1:-1}" \
			"[.namespaces[] | select(.nsid == \$nsid)][0].storage")
	rung=$(json_get "$storage" .rung)
	why=$(json_get "$storage" .why_not_better)
}

# storage_is RUNG [NSID]: meanwhile a host that is at it must go on.
storage_is() {
	[ -z "$steady_pid" ] || kill -0 "$steady_pid" 2>/dev/null || steady_failed
	storage_get "${2:-1}"
	[ "$rung" = "$1" ]
}

# What has moved by a rung, in bytes.
storage_bytes() {
	sluicectl --socket "$run/control.sock" --json datapath |
		jq ".namespaces[0].storage_bytes[\"$1\"]"
}

# The target is up: waits until it has tried out the dma-buf. Without such buffers nothing is to be
# seen.
premapped_or_skip() {
	local end=$((SECONDS + 30 * SLOWNESS))
	while storage_get && [[ $why == *"being tried"* ]]; do
		[ "$SECONDS" -lt "$end" ] || fail "not tried out within the time"
		sleep 0.1
	done
	note "storage: $rung, why not better: $why"
	[[ $why != *"kernel has no dma-buf registered buffers"* ]] || skip "$why"
	assert_eq "storage rung (why not better: $why)" dmabuf-vectored "$rung"
}

# Counting, by histogram triggers, which lose no event: count_begin EVENT [FILTER [FIELD]], then
# count_end EVENT. With FIELD its values are added up.
count_begin() {
	echo "hist:keys=common_type${3:+:vals=$3}${2:+ if $2}" \
		>"/sys/kernel/tracing/events/$1/trigger"
}

# Sets counted, and summed if there was a FIELD.
count_end() {
	local dir=/sys/kernel/tracing/events/$1
	counted=$(awk '/Hits:/ { print $2 }' "$dir/hist")
	summed=$(awk '/^{/ { sum += $NF } END { print sum + 0 }' "$dir/hist")
	sed -n 's/^\(hist:[^[]*\) \[.*/!\1/p' "$dir/trigger" >"$run/trigger"
	cat "$run/trigger" >"$dir/trigger"
}

# assert_no_maps MAPS UNMAPS: no I/O had memory mapped. What is mapped for that is unmapped again; the
# drive's pool of descriptors, which may grow by a page or two at any time, is not.
assert_no_maps() {
	assert_eq "unmaps" 0 "$2"
	[ "$1" -le 2 ] || fail "maps: wanted 0, or 2 of the pool of descriptors, got $1"
}

# mapped_during LEAST MATRIX...: fio_matrix of that on $device; sets maps, unmaps and commands to what
# happened on $drive0 meanwhile, where at least so many commands have to have been seen.
mapped_during() {
	local least=$1
	shift

	note "mapped during verified I/O on $drive0"
	count_begin iommu/map
	count_begin iommu/unmap
	count_begin nvme/nvme_setup_cmd "disk == \"${drive0#/dev/}\""
	fio_matrix "$device" "$@"
	count_end nvme/nvme_setup_cmd
	commands=$counted
	count_end iommu/unmap
	unmaps=$counted
	count_end iommu/map
	maps=$counted
	note "$commands commands, $maps maps, $unmaps unmaps"
	assert_ge "commands counted" "$least" "$commands"
}

# ---------------------------------------------------------------- a host that must notice nothing

# Writes the namespace's device and verifies it, over and over.
steady_start() {
	steady_host &
	steady_pid=$!
	sleep 2
}

# Until the case has seen enough, or something is wrong.
steady_host() {
	while [ ! -e "$run/enough" ]; do
		fio --name=steady --filename="$device" --rw=randwrite --bs=16k --size=8M \
			--iodepth=8 --direct=1 --ioengine=io_uring --verify=crc32c \
			--verify_fatal=1 --do_verify=1 >"$run/steady.out" 2>&1 || return 1
		! grep -iE 'verify: bad|error=' "$run/steady.out" || return 1
	done
}

steady_failed() {
	fail "the host found an error: $(head -n 3 "$run/steady.out")"
}

# It must have found all data right.
steady_end() {
	touch "$run/enough"
	wait "$steady_pid" || steady_failed
	steady_pid=""
}

# ---------------------------------------------------------------- a device that is exchanged

# A namespace on $drive1 through device-mapper, which a host writes and verifies while moving_reload
# puts another target in between. Needs lib/stack.sh.
moving_sectors=$((512 << 11))

moving_start() {
	stack_reset
	dm_create moving "0 $moving_sectors linear $drive1 0"
	config_reset
	subsystem_add "$nqn"
	namespace_add "$nqn" 1 "$device"
	target_start
	# before a host is there, whose first reads would go by what is there meanwhile
	premapped_or_skip
	host_connect "$nqn"
	namespace_wait "$nqn" 1
	steady_start
}

# moving_reload TARGET [ARGUMENT...]: that target of device-mapper, which leaves all data where it
# is.
moving_reload() {
	local target=$1
	shift
	dmsetup suspend --noudevsync moving
	dmsetup load moving --table "0 $moving_sectors $target $drive1 0 $*"
	dmsetup resume --noudevsync moving
}

moving_end() {
	steady_end
	host_disconnect "$nqn"
	target_stop
	dm_remove moving
}

# storage_bytes_grow RUNG: within the time.
storage_bytes_grow() {
	local before end=$((SECONDS + 60 * SLOWNESS))
	before=$(storage_bytes "$1")
	while [ "$(storage_bytes "$1")" -le "$before" ]; do
		[ "$SECONDS" -lt "$end" ] || fail "nothing goes by $1"
		sleep 1
	done
}
