# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 240
# Commands that look at what they are sent see it where the NIC placed it: Compare finds the one byte
# that differs, wherever the fragments end, and Copy and Dataset Management read their ranges.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

# differs LENGTH BYTE: what was written, but for that byte, does not compare as equal.
differs() {
	local was
	was=$(od -An -tu1 -j "$2" -N 1 "$run/pattern")
	cp "$run/pattern" "$run/other"
	printf '%b' "\\x$(printf %x $((was ^ 255)))" |
		dd of="$run/other" bs=1 seek="$2" conv=notrunc status=none
	assert_fails "compare of $1 bytes with another byte $2" "Compare Failure" \
		nvme compare "$device" --start-block=16 --block-count=$(($1 / 512 - 1)) \
		--data-size="$1" --data="$run/other"
}

compares() {
	note "Compare of $1 bytes"
	pattern_write "$device" 8192 "$1"
	nvme compare "$device" --start-block=16 --block-count=$(($1 / 512 - 1)) --data-size="$1" \
		--data="$run/pattern"
	differs "$1" 0
	differs "$1" 1447
	differs "$1" $(($1 - 1))
}

nic_up 4
zcrx_config
zcrx_attach
compares 4096
compares 131072
note "at a place that the drive cannot take"
nic_knob zc_offset 66
compares 131072
nic_knobs_reset
note "packets of the MTU, in pieces"
nic_tso off
nic_knob zc_frag 1000
compares 4096
compares 131072
zcrx_counters
assert_ge "bytes placed" $((1 << 20)) "$placed"

note "Copy and Dataset Management"
pattern_write "$device" 0 65536
nvme copy "$device" --sdlba=1024 --slbs=0,64 --blocks=63,63
assert_pattern "$device" $((1024 * 512)) 65536
nvme dsm "$device" --ad --slbs=1024,1100 --blocks=64,28
assert_zero "$device" $((1024 * 512)) 32768
assert_zero "$device" $((1100 * 512)) $((28 * 512))
zcrx_end
