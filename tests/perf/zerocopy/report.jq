# SPDX-License-Identifier: BSD-3-Clause
#
# From the rows, in $rows, and the lines of both guests to what is printed below the table. Lines that
# begin with MISSED are goals that were not reached, or ways of counting that cannot be trusted.

def verdict(met): if met then "met   " else "MISSED" end;
def percent: . * 1000 | round / 10;

. as $lines
| $rows[0] as $rows
| ($rows | map(select(.target == "zcrx" and .storage == "premapped" and .shape == "128k" and
	.rw == "write")) | .[0]) as $goal
| ($lines | map(select(.kind == "calibration") | .counted / .instructions - 1)) as $off
| ($rows | map(select(.storage == "premapped"))) as $premapped
| ($rows | map(select(.target != "nvmet") | .parts_per_mib.kworker / .instructions_per_mib)) as $strange
| (
	"",
	"counter: a known loop counts \($off | map(percent) | max) % more",
	"unattributed (interrupts but the drive\u0027s, softirqs, other tasks): " +
		"\($rows | map(.unattributed) | min | percent) to " +
		"\($rows | map(.unattributed) | max | percent) % of all instructions",
	"",
	verdict($rows | length == 28) + " all 28 rows measured, all data as it was written",
	verdict($off | all(. >= 0 and . < 0.01)) + " the counter counts a known loop within 1 %",
	verdict($rows | all(.unattributed >= 0 and .unattributed < 0.1)) +
		" at most 10 % of all instructions are nobody\u0027s",
	verdict($strange | all(. < 0.02)) + " no kernel worker does the daemon\u0027s work: at most " +
		"\($strange | max | percent) %",
	verdict($premapped | all(.maps_per_io == 0)) + " premapped rows: " +
		"\($premapped | map(.maps) | add) maps in \($premapped | map(.ios) | add) I/Os",
	verdict($rows | map(select(.storage == "ordinary" and .shape == "128k"))
		| all(.maps_per_io >= 1)) + " the control: the others map, each I/O of 128k at least once",
	verdict($goal.placed_ratio >= 0.99) + " 128k writes over zcrx, premapped: " +
		"\($goal.placed_ratio | percent) % of the bytes were copied by no CPU (at least 99)",
	verdict($goal.instructions_ratio <= 0.5) + " 128k writes over zcrx, premapped: " +
		"\($goal.instructions_ratio) of the instructions of the kernel\u0027s target (at most 0.5)"
)
