# SPDX-License-Identifier: BSD-3-Clause
#
# From the lines of both guests, each with "run" (counted or timed) added, to the rows of the table.

def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
	else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def decimals(n): pow(10; n) as $scale | . * $scale | round / $scale;

def key: [.target, .storage, .shape, .rw] | join(" ");

def block: {"4k": 4096, "128k": 131072}[.shape];

# What the target's tasks took, and what all of both sides did, by whom.
def target_time: .daemon + .kworker + .irq;
def host_time: .host_load + .softirq;
def known_time: target_time + host_time + .unbound;

def per_io(value): map(value / .ios) | median;

# How often a CPU copied each byte of payload between buffers. What is read goes out from where it was read
# to: there is nothing else that RDMA could do, but a drive that needs a bounce buffer stages. The kernel's
# own target has no buffers to copy between.
def copies:
	if length == 0 then 0
	else (map(.staged) | add) / (map(.read + .written) | add) end;

. as $lines
| {sluice: 0, "no-spin": 1, nvmet: 2} as $targets
| ($lines | map(select(.kind == "turn")) | group_by([.run, key])
	| map({key: (.[0].run + " " + (.[0] | key)), value: .}) | from_entries) as $turns
| ($lines | map(select(.run == "counted" and .kind == "events")) | group_by(key))
| map(. as $events | (.[0] | key) as $key
	| ($lines | map(select(.run == "counted" and .kind == "copies" and key == $key))) as $copied
	| $turns["counted " + $key] as $counted
	| $turns["timed " + $key] as $timed
	| (.[0] | {target: "nvmet", storage: "ordinary", shape, rw} | key) as $base
	| ($counted | per_io(target_time)) as $instructions
	| ($counted | per_io(target_time + .unbound)) as $together
	| ($timed | per_io(target_time)) as $cpu
	| (.[0] | {target, storage, shape, rw}) + {
		copies_per_io: ($copied | copies | decimals(4)),
		maps_per_io: ((map(.maps) | add) / (map(.ios) | add) | decimals(3)),
		instructions_per_io: ($instructions | round),
		instructions_ratio: ($instructions / ($turns["counted " + $base] | per_io(target_time))
			| decimals(3)),
		instructions_range: ($counted | map(target_time / .ios) | [min, max] | map(round)),
		device_instructions_per_io: ($counted | per_io(.unbound) | round),
		together_ratio: ($together /
			($turns["counted " + $base] | per_io(target_time + .unbound)) | decimals(3)),
		host_instructions_per_io: ($counted | per_io(host_time) | round),
		parts_per_io: ($counted | {
			daemon: per_io(.daemon), kworker: per_io(.kworker), irq: per_io(.irq)
		} | map_values(round)),
		unattributed: ($counted | map((.executed - known_time) / .executed) | median | decimals(4)),
		emulated_iops: ($timed | map(.ios / .elapsed_ns * 1e9) | median | round),
		cpu_ns_per_io: ($cpu | round),
		cpu_ratio: ($cpu / ($turns["timed " + $base] | per_io(target_time)) | decimals(3)),
		staged: ($copied | map(.staged) | add // 0),
		placed: ($copied | map(.placed) | add // 0),
		written: ($copied | map(.written) | add // 0),
		maps: (map(.maps) | add), unmaps: (map(.unmaps) | add), ios: (map(.ios) | add)
	})
| sort_by(.shape != "4k", .rw != "write", $targets[.target], .storage)
