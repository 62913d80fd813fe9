# SPDX-License-Identifier: BSD-3-Clause
#
# From the lines of all guests, each with "run" (counted or timed), "domain", "domain_type" and "boot"
# added, to the rows of the table.

def median: sort | if length == 0 then null
	elif length % 2 == 1 then .[(length - 1) / 2]
	else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def decimals(n): pow(10; n) as $scale | . * $scale | round / $scale;

def key: [.domain, .mode, .shape, .rw] | join(" ");

# The median turn of each boot, by boot.
def boot_iops: group_by(.boot) | map({
	key: "\(.[0].boot)", value: (map(.ios * 1e9 / .elapsed_ns) | median)
}) | from_entries;

. as $lines
| ($lines | map(select(.kind == "count" and .run == "counted"))) as $counts
| (reduce ($lines | map(select(.kind == "turn" and .run == "counted")) | group_by(key))[] as $turns
	({}; .[$turns[0] | key] = ($turns | map(.instructions / .ios) | median))) as $instructions
| (reduce ($lines | map(select(.kind == "turn" and .run == "timed")) | group_by(key))[] as $turns
	({}; .[$turns[0] | key] = ($turns | boot_iops))) as $timed
| [$counts[] | . as $row
	| $instructions[key] as $mine
	| $instructions[. + {domain: "passthrough"} | key] as $base
	| $timed[key] as $mine_timed
	| $timed[. + {domain: "passthrough"} | key] as $base_timed
	| $timed[. + {mode: "plain"} | key] as $plain_timed
	| ($mine_timed | to_entries | map(.value / $base_timed[.key])) as $ratios
	| ($mine_timed | to_entries | map(.value / $plain_timed[.key])) as $plain_ratios
	| {
		domain, domain_type, mode, shape, rw,
		maps_per_io: (.maps / .ios | decimals(3)),
		unmaps_per_io: (.unmaps / .ios | decimals(3)),
		commands_per_io: (.commands / .ios | decimals(3)),
		instructions_per_io: ($mine | round),
		iops: (1e9 / $mine | round),
		iops_ratio_to_passthrough: ($base / $mine | decimals(3)),
		iops_ratio_to_plain: ($instructions[. + {mode: "plain"} | key] / $mine | decimals(2)),
		emulated_iops: ($mine_timed | [.[]] | median | round),
		emulated_iops_ratio_to_passthrough: ($ratios | median | decimals(3)),
		emulated_iops_ratio_to_passthrough_range: ($ratios | [min, max] | map(decimals(3))),
		emulated_iops_ratio_to_plain: ($plain_ratios | median | decimals(2)),
		emulated_iops_ratio_to_plain_range: ($plain_ratios | [min, max] | map(decimals(2))),
		first_use_maps: .first_maps,
		ios: .ios,
		maps: .maps,
		unmaps: .unmaps,
		commands: .commands,
	}]
| (["passthrough", "lazy", "strict"] | to_entries | map({key: .value, value: .key}) | from_entries) as $domains
| (["plain", "fixed", "premapped"] | to_entries | map({key: .value, value: .key}) | from_entries) as $modes
| (["4k", "16k", "128k", "46x1448"] | to_entries | map({key: .value, value: .key}) | from_entries) as $shapes
| sort_by($shapes[.shape], .rw, $domains[.domain], $modes[.mode])
