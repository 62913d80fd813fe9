# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced at the head of benchmarks on loopback. With SLUICE_CONGESTION, the name of a congestion control,
# they go on in a network namespace of their own, whose loopback has that one; when it is empty, on the
# machine's. One that paces (bbr) has timers decide what an I/O costs. Sets $congestion to the one in use.

loopback_refused()
{
	echo "$0: $1; SLUICE_CONGESTION= leaves the machine's own" >&2
	exit 1
}

if [ -n "${SLUICE_CONGESTION:-}" ] && [ -z "${SLUICE_LOOPBACK:-}" ]; then
	user=()
	[ "$(id -u)" -eq 0 ] || user=(--map-root-user)
	unshare --net "${user[@]}" true || loopback_refused "cannot make a network namespace"
	SLUICE_LOOPBACK=own exec unshare --net "${user[@]}" "$0" "$@"
fi
if [ -n "${SLUICE_LOOPBACK:-}" ]; then
	ip link set lo up
	echo "$SLUICE_CONGESTION" 2>/dev/null >/proc/sys/net/ipv4/tcp_congestion_control ||
		loopback_refused "the kernel has no congestion control $SLUICE_CONGESTION, but has $(
			</proc/sys/net/ipv4/tcp_available_congestion_control)"
fi
# shellcheck disable=SC2034 # for who sources this
congestion=$(</proc/sys/net/ipv4/tcp_congestion_control)
