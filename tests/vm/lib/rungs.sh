# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases that have to hold on several rungs of the ladder, those of the line "# rungs:" at their
# top: sourced by the case, it sets up what makes the target take the one that this run is for, from
# its next start on, and the case calls rung_assert when data has moved.
#
#   premapped   the drive's dma-buf: the best that the system offers
#   fixed       registered buffers that are mapped for each I/O
#   plain       memory that is not registered: the target has no right to lock any
#   zerocopy    premapped, and what is received lies where a NIC has placed it; the host is beyond
#               that NIC, in a network namespace
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

case_rung=$(sed -n 's/^# rungs: *\([a-z]*\).*/\1/p' "/h/cases/${case_name%@*}.sh")
[[ ! $case_name =~ @(premapped|fixed|plain|zerocopy)$ ]] || case_rung=${BASH_REMATCH[1]}

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

mkdir -p "$run/sluice.conf.d"
case $case_rung in
fixed | plain)
	printf '[memory]\nprovider = anon\n' >"$run/sluice.conf.d/rung.conf"
	[ "$case_rung" = fixed ] || target_prefix=(prlimit --memlock=0
		setpriv "--bounding-set=-ipc_lock,-sys_resource" "--inh-caps=-ipc_lock,-sys_resource")
	;;
zerocopy)
	# shellcheck source=tests/vm/lib/zcrx.sh
	source /h/lib/zcrx.sh
	nic_up 4
	# shellcheck disable=SC2119 # no more lines
	zcrx_config
	wires[tcp]=$nic wire_far=$nic_host_if
	# NICs in software take more of the processor
	less=2
	;;
esac

# rung_ready: the target is up; waits until it stands on the rung.
rung_ready() {
	case $case_rung in
	fixed | plain) retry 30 storage_is "$case_rung" ;;
	*) premapped_or_skip ;;
	esac
}

# rung_assert [NSID [BEST]]: since the target's start a MiB and more went to that namespace's storage and
# from it, by the rung; BEST is what a device has that takes no dma-bufs. A host that was there first
# may have found memory that was being registered still: a tenth may have gone another way, but without
# any right to register, nothing.
rung_assert() {
	local nsid=${1:-1} best=${2:-dmabuf-vectored} wanted sums by others most=0

	# shellcheck disable=SC2153 # of the settings
	[ "$TARGET" = sluice ] || return 0
	case $case_rung in
	fixed | plain) best=$case_rung ;;
	esac
	[ "$best" != dmabuf-vectored ] || [ "$nsid" != 1 ] || rung_told || return 0
	retry 30 storage_is "$best" "$nsid"
	case $best in
	dmabuf-vectored) wanted='["dmabuf", "dmabuf-vectored"]' ;;
	*) wanted="[\"$best\"]" ;;
	esac
	sums=$(sluicectl --socket "$run/control.sock" --json datapath |
		jq -r --argjson nsid "$nsid" --argjson wanted "$wanted" '.namespaces[] |
			select(.nsid == $nsid) | .storage_bytes | [with_entries(
			select(.key | IN($wanted[]))), .] | map(add) | "\(.[0]) \(.[1] - .[0])"')
	read -r by others <<<"$sums"
	note "namespace $nsid: $by bytes by $best, $others by others"
	assert_ge "bytes by $best" $((1 << 20)) "$by"
	[ "$best" = plain ] || most=$((by / 10))
	[ "$others" -le "$most" ] || fail "$others bytes of namespace $nsid went by other rungs than $best"
	[ "$case_rung" != zerocopy ] || rung_assert_placed
}

# Premapped is what the system has to offer: on a kernel of others that may be less.
rung_told() {
	storage_get
	[[ $why != *"kernel has no dma-buf registered buffers"* ]] || [ "$KERNEL_OWN" -eq 1 ] || {
		note "not premapped: $why"
		return 1
	}
}

# And by far the most of what came since then was placed: commands that a disk keeps may have all chunks
# that they may keep, so that others are copied.
rung_assert_placed() {
	assert_match "receive rung" '^zcrx' "$(zcrx_rung)"
	zcrx_counters
	assert_ge "bytes placed" $((1 << 20)) "$placed"
	assert_ge "times as many bytes placed as staged" 3 $((placed / (staged + 1)))
}
