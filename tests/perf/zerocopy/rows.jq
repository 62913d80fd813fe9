# SPDX-License-Identifier: BSD-3-Clause
#
# From the lines of both guests, each with "run" (counted or timed) added, to the rows of the table.

def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
	else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def decimals(n): pow(10; n) as $scale | . * $scale | round / $scale;

def key: [.target, .storage, .shape, .rw] | join(" ");

def block: {"4k": 4096, "128k": 131072}[.shape];

def mib: .ios * block / 1048576;

# What the target's tasks took, without what a NIC does by itself, in whichever of them it was.
def target_time: .daemon + .kworker + .napi + .irq - .dma;

def per_mib(value): map(value / mib) | median;

# Bytes that a CPU copied for each byte of payload. What does not receive by a NIC's queue is copied once
# by the kernel. For what does, the kernel does not count all of its copies: the NIC says what it placed.
# Reads of the kernel's own target go out from where they are.
def copied($copies):
	if .target == "nvmet" then (if .rw == "write" then 1 else 0 end)
	elif .rw == "read" then 1 - $copies.sent_zc / $copies.read
	else ($copies.staged + (if .target == "zcrx"
			then [$copies.kernel_copied, $copies.written - $copies.nic_placed] | max
			else $copies.written end))
		/ $copies.written
	end;

. as $lines
| (["recv", "zcrx-copy", "zcrx", "nvmet"] | to_entries | map({key: .value, value: .key})
	| from_entries) as $targets
| ($lines | map(select(.kind == "turn")) | group_by([.run, key])
	| map({key: (.[0].run + " " + (.[0] | key)), value: .}) | from_entries) as $turns
| ($lines | map(select(.run == "counted" and .kind == "events")))
| map(. as $events | key as $key
	| ($lines | map(select(.run == "counted" and .kind == "copies" and key == $key)) | .[0]) as $copies
	| $turns["counted " + $key] as $counted
	| $turns["timed " + $key] as $timed
	| {target: "nvmet", storage: "ordinary", shape, rw} as $base
	| ($counted | per_mib(target_time)) as $instructions
	| ($timed | per_mib(target_time)) as $cpu
	| copied($copies) as $copied
	| {
		target, storage, shape, rw,
		placed_ratio: (1 - ([1, $copied] | min) | decimals(4)),
		copied_per_byte: ($copied | decimals(4)),
		maps_per_io: (.maps / .ios | decimals(3)),
		instructions_per_mib: ($instructions | round),
		instructions_ratio: ($instructions / ($turns["counted " + ($base | key)] | per_mib(target_time))
			| decimals(3)),
		instructions_range: ($counted | map(target_time / mib) | [min, max] | map(round)),
		cpu_ns_per_mib: ($cpu | round),
		cpu_ratio: ($cpu / ($turns["timed " + ($base | key)] | per_mib(target_time)) | decimals(3)),
		parts_per_mib: ($counted | {
			daemon: per_mib(.daemon), kworker: per_mib(.kworker),
			napi: per_mib(.napi), irq: per_mib(.irq)
		} | map_values(round)),
		dma_subtracted_per_mib: ($counted | per_mib(.dma) | round),
		unattributed: ($counted | map((.executed - .daemon - .kworker - .napi - .irq - .host_load -
			.unbound - .host_napi) / .executed) | median | decimals(4)),
		maps: .maps, ios: .ios
	})
| sort_by(.shape != "4k", .rw != "write", $targets[.target], .storage)
