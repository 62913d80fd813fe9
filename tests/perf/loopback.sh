# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Sourced at the head of benchmarks on loopback. With SLUICE_CONGESTION, the name of a congestion control,
# they go on in a network namespace of their own, whose loopback has that one; when it is empty, on the
# machine's. One that paces (bbr) has timers decide what an I/O costs. Sets $congestion to the one in use.

if [ -n "${SLUICE_CONGESTION:-}" ] && [ -z "${SLUICE_LOOPBACK:-}" ]; then
	user=()
	[ "$(id -u)" -eq 0 ] || user=(--map-root-user)
	SLUICE_LOOPBACK=own exec unshare --net "${user[@]}" "$0" "$@"
fi
if [ -n "${SLUICE_LOOPBACK:-}" ]; then
	ip link set lo up
	echo "$SLUICE_CONGESTION" >/proc/sys/net/ipv4/tcp_congestion_control
fi
# shellcheck disable=SC2034 # for who sources this
congestion=$(</proc/sys/net/ipv4/tcp_congestion_control)
