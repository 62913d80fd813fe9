# SPDX-License-Identifier: BSD-3-Clause
#
# From the rows, in $rows, and the lines of both guests to what is printed below the table. Lines that
# begin with MISSED are goals that were not reached, or ways of counting that cannot be trusted.

def verdict(met): if met then "met   " else "MISSED" end;
def percent: . * 1000 | round / 10;

. as $lines
| $rows[0] as $rows
| ($lines | map(select(.kind == "calibration") | .counted / .instructions - 1)) as $off
| ($rows | map(select(.target != "nvmet"))) as $sluice
| ($sluice | map(select(.storage == "premapped"))) as $premapped
| ($rows | map(select(.storage == "ordinary"))) as $ordinary
| ($sluice | map(.parts_per_io.kworker / .instructions_per_io)) as $strange
| (
	"",
	"counter: a known loop counts \($off | map(percent) | max) % more",
	"unattributed (interrupts but the drive\u0027s, softirqs, other tasks): " +
		"\($rows | map(.unattributed) | min | percent) to " +
		"\($rows | map(.unattributed) | max | percent) % of all instructions",
	"",
	verdict($rows | length == 16) + " all 16 rows measured, all data as it was written",
	verdict($off | all(. >= 0 and . < 0.01)) + " the counter counts a known loop within 1 %",
	verdict($rows | all(.unattributed >= 0 and .unattributed < 0.1)) +
		" at most 10 % of all instructions are nobody\u0027s",
	verdict($strange | all(. < 0.02)) + " no kernel worker does the daemon\u0027s work: at most " +
		"\($strange | max | percent) %",
	verdict($ordinary | all(.maps_per_io >= 1)) +
		" the control: ordinary rows map, each I/O at least once",
	verdict($sluice | map(select(.rw == "write")) | all(.placed + .staged == .written)) +
		" the control: all payload written is counted, as placed or as staged",
	verdict($premapped | all(.staged == 0)) + " premapped rows: " +
		"\($premapped | map(.staged) | add) bytes copied of " +
		"\($premapped | map(.written) | add) written",
	verdict($premapped | all(.unmaps == 0 and .maps <= 2)) + " premapped rows: " +
		"\($premapped | map(.maps) | add) maps and \($premapped | map(.unmaps) | add) unmaps in " +
		"\($premapped | map(.ios) | add) I/Os (0; 2 maps a row for the drive\u0027s pool)",
	($premapped[] | verdict(.instructions_ratio < 1) + " \(.shape) \(.rw), \(.target), premapped: " +
		"\(.instructions_ratio) of the instructions of the kernel\u0027s target (less than 1), " +
		"\(.together_ratio) with soft-RoCE of both ends")
)
