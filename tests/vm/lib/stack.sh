# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases that build block devices out of others, and that run verified I/O while they change
# them. Results in globals, as in lib.sh:
#
#   device      the block device that was made last
#   ways        of ways_find
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

# There is no udev in the guest.
export MDADM_NO_UDEV=1
md_device=/dev/md0
load_pid="" load_fd="" ways=()

# Takes apart what this case, or one that failed before it, has built.
stack_reset() {
	local drive

	dmsetup remove_all --force --noudevsync >/dev/null 2>&1 || :
	[ ! -e "$md_device" ] || mdadm --stop "$md_device" >/dev/null 2>&1 || :
	for drive in /dev/nvme*n1; do
		mdadm --zero-superblock "$drive" >/dev/null 2>&1 || :
	done
}

# Length of a drive in sectors.
sectors() {
	blockdev --getsz "$1"
}

# The block devices of the controllers with the serial number "shared": in a machine without
# multipath each is a way of its own to the one namespace behind them.
ways_find() {
	local controller

	ways=()
	for controller in /sys/class/nvme/*; do
		[ "$(tr -d ' ' <"$controller/serial")" != shared ] ||
			ways+=("/dev/${controller##*/}n1")
	done
	assert_eq "ways to the namespace" 2 "${#ways[@]}"
}

# Who had a device open before, by a ring, lets go of it a little after its end. So these try again.
dm_try() {
	dmsetup create "$1" --noudevrules --noudevsync <"$run/table"
}

# dm_create NAME LINE...: a device-mapper device with these lines of a table.
dm_create() {
	local name=$1
	shift
	printf '%s\n' "$@" >"$run/table"
	retry 30 dm_try "$name"
	device=/dev/dm-$(dmsetup info -c --noheadings -o minor "$name" | tr -d ' ')
}

dm_remove() {
	retry 30 dmsetup remove --noudevsync --retry "$1"
}

# md_create LEVEL DRIVE...: an array whose data begins where its parts begin. Those with redundancy
# are kept small, because they are resynchronised: md_size if that is set.
md_create() {
	local level=$1 size=()
	shift
	[ "$level" = 0 ] || size=(--size="${md_size:-64M}")
	# Under load, md syncs at its slowest, 1 MB/s; on an emulated machine that is long.
	echo 100000 >/proc/sys/dev/raid/speed_limit_min
	mdadm --create "$md_device" --run --assume-clean --metadata=1.0 --homehost=any \
		--level="$level" --raid-devices=$# "${size[@]}" "$@" </dev/null
	device=$md_device
}

md_stop() {
	retry 30 mdadm --stop "$md_device"
	mdadm --zero-superblock "$@"
}

md_in_sync() {
	[ "$(<"/sys/block/${md_device#/dev/}/md/sync_action")" = idle ] &&
		[ "$(<"/sys/block/${md_device#/dev/}/md/degraded")" = 0 ]
}

# load_start MODE DEVICE: the selftest "stacking" in the background. Its I/O is under way
# afterwards.
load_start() {
	local rc=0

	[ -x /h/selftests/stacking ] || fail "the selftest stacking was not built"
	rm -f "$run/events"
	mkfifo "$run/events"
	/h/selftests/stacking "$@" <"$run/events" >"$run/load.out" 2>&1 &
	load_pid=$!
	exec {load_fd}>"$run/events"
	until grep -q '^running' "$run/load.out"; do
		if ! kill -0 "$load_pid" 2>/dev/null; then
			wait "$load_pid" || rc=$?
			cat "$run/load.out"
			[ "$rc" -ne 77 ] || exit 77
			fail "the load ended before it was under way: exit code $rc"
		fi
		sleep 0.1
	done
}

load_moves() {
	[ "$(grep -c '^moved' "$run/load.out")" -gt "$1" ]
}

# Says that something has happened to the device: the exporter moves the memory, then I/O must go
# on.
load_event() {
	local before
	note "$*"
	before=$(grep -c '^moved' "$run/load.out") || :
	printf '%s\n' "$*" >&"$load_fd"
	retry 90 load_moves "$before"
}

# Ends the load; it must have found all data right.
load_end() {
	local rc=0

	exec {load_fd}>&-
	wait "$load_pid" || rc=$?
	cat "$run/load.out"
	[ "$rc" -eq 0 ] || fail "verified I/O: exit code $rc"
}
