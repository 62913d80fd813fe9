# SPDX-License-Identifier: BSD-3-Clause
#
# From the sender's lines to the rows of the table.

def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
	else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def decimals(n): pow(10; n) as $scale | . * $scale | round / $scale;

def shape: [.huge, .payload_bytes, .commands];

map(select(.kind == "turn"))
| (map(select(.mode == "send")) | group_by(shape)
	| map({key: (.[0] | shape | tostring), value: (map(.instructions / .sends) | median)})
	| from_entries) as $send
| group_by([shape, .mode])
| map((.[0] | .commands * .payload_bytes) as $bytes
	| (map(.instructions / .sends) | median) as $mine
	| $send[.[0] | shape | tostring] as $base
	| {
		pages: (if .[0].huge then "huge" else "small" end),
		payload_bytes: .[0].payload_bytes,
		commands: .[0].commands,
		mode: .[0].mode,
		instructions_per_send: ($mine | round),
		instructions_per_mib: ($mine * 1048576 / $bytes | round),
		ratio_to_send: ($mine / $base | decimals(3)),
		ratio_range: (map(.instructions / .sends / $base) | [min, max] | map(decimals(3))),
		sends: (map(.sends) | add),
		copied: (map(.copied) | add)
	})
| (["send", "zc", "zc-fixed"] | to_entries | map({key: .value, value: .key}) | from_entries) as $modes
| sort_by(.pages != "small", .payload_bytes, .commands, $modes[.mode])
