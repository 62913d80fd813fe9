# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases in which a NIC places what the target receives: lib/nic.sh and lib/datapath.sh, and
# the target set up for it. Results in globals, as in lib.sh:
#
#   placed, staged          bytes of payload that were used where they lay, and that were copied
#   kernel_copied           bytes that the kernel had to copy to the receive areas
#   starved, closed, overflows
#                           all of them as `sluicectl stats` has them, of all receive areas since
#                           the target's start
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh
# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

# zcrx_config [LINE...]: the target uses the NIC from its next start on; more lines for [nic], or
# sections of their own.
zcrx_config() {
	mkdir -p "$run/sluice.conf.d"
	{
		printf '[memory]\nreceive = %s\n[nic %s]\n' "${zcrx_receive:-16M}" "$nic"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$run/sluice.conf.d/zcrx.conf"
}

zcrx_rung() {
	sluicectl --socket "$run/control.sock" --json datapath |
		jq -r '.listeners[0].receive | .rung + ": " + (.why_not_better // "")'
}

# Attaches the host through the NIC, to a target that receives by it.
zcrx_attach() {
	attach_default "$@"
	assert_match "receive rung" '^zcrx' "$(zcrx_rung)"
	premapped_or_skip
}

zcrx_counters() {
	local sums
	sums=$(sluicectl --socket "$run/control.sock" --json stats | jq -r '[.receive_areas
		| map(.placed_bytes), map(.staged_bytes), map(.kernel_copied_bytes), map(.starved),
		map(.overflows), map(.closed) | add // 0] | join(" ")')
	read -r placed staged kernel_copied starved overflows closed <<<"$sums"
	note "$placed bytes placed, $staged staged, $kernel_copied copied by the kernel," \
		"$starved times starved, $overflows overflows, $closed connections closed"
}

placed_is_over() {
	zcrx_counters >"$run/counters"
	[ "$placed" -gt "$1" ]
}

# zcrx_goes_on BYTES: so many more are placed, within the time.
zcrx_goes_on() {
	zcrx_counters
	retry 90 placed_is_over $((placed + $1))
}

# No chunk is lost: when the hosts are gone, all are back.
zcrx_chunks_back() {
	[ "$(sluicectl --socket "$run/control.sock" --json stats |
		jq '[.receive_areas[].chunks_held] | add')" = 0 ]
}

zcrx_end() {
	host_disconnect "$nqn"
	retry 30 zcrx_chunks_back
}
