# SPDX-License-Identifier: BSD-3-Clause
#
# From the rows, in $rows, and the lines of all guests to what is printed below the table: what was
# asserted, the goals, and the gain. Lines that begin with MISSED are goals that were not reached.

def verdict(met): if met then "met   " else "MISSED" end;
def percent: . * 1000 | round / 10;
def hundredths: . * 100 | round / 100;

# How much less a premapped I/O takes than a plain one.
def gain(shape; rw; domain): $rows[0][]
	| select(.mode == "premapped" and .shape == shape and .rw == rw and .domain == domain)
	| .iops_ratio_to_plain;

. as $lines
| $rows[0] as $rows
| ($rows | map(select(.mode == "premapped"))) as $premapped
| ($premapped | map(select(.domain != "passthrough"))) as $translated
| ($premapped | map(select(.domain == "strict") | .iops_ratio_to_passthrough)) as $ratios
| ($lines | map(select(.kind == "calibration") | .counted / .instructions - 1)) as $off
| (
	"",
	"counter: a loop of \($lines | map(select(.kind == "calibration"))[0].instructions) " +
		"instructions counts \($off | map(percent) | max) % more, timer interrupts included",
	"memory: registering \($lines | map(select(.kind == "registration"))[0].bytes / 1048576) MiB " +
		"as a dma-buf maps " +
		($lines | map(select(.kind == "registration" and .run == "counted" and .mode == "premapped")
			| "\(.maps) (\(.domain))") | join(", ")),
	"first use: pools of descriptors grew by " +
		(["passthrough", "lazy", "strict"] | map(. as $domain | ($premapped
			| map(select(.domain == $domain) | .first_use_maps) | add | "\(.) (\($domain))"))
			| join(", ")) + " maps in the warm-up of all premapped rows",
	"",
	verdict($off | all(. >= 0 and . < 0.01)) +
		" the counter counts a known loop within 1 %",
	verdict($rows | length == 72) + " all 72 rows measured",
	verdict($translated | length == 16 and all(.maps == 0 and .unmaps == 0 and .commands > 0)) +
		" premapped rows in lazy and strict domains: " +
		"\($translated | map(.maps) | add) maps, \($translated | map(.unmaps) | add) unmaps in " +
		"\($translated | map(.ios) | add) I/Os",
	verdict($rows | map(select(.mode == "plain" and .domain != "passthrough"))
		| all(.maps >= .ios and .unmaps >= .ios)) +
		" the control: plain rows in these domains map and unmap at least once per I/O",
	verdict($ratios | min >= 0.97) + " premapped IOPS in strict: " +
		"\($ratios | min) to \($ratios | max) of passthrough (at least 0.97)",
	"",
	"gain of premapped over plain, by instructions, in lazy and in strict:",
	(["4k", "16k", "128k", "46x1448"][] as $shape | ["read", "write"][] as $rw
		| "  \($shape) \($rw): \(gain($shape; $rw; "lazy")) and \(gain($shape; $rw; "strict"))"),
	"published by upstream, udmabuf reads on hardware: 2.60 and 8.79. In premapped I/Os:",
	"  mapping and unmapping (lazy less passthrough): 1.60 there, " +
		"\(gain("4k"; "read"; "lazy") - gain("4k"; "read"; "passthrough") | hundredths) here, 4k read",
	"  the invalidation (strict less lazy): 6.19 there, " +
		"\(gain("4k"; "read"; "strict") - gain("4k"; "read"; "lazy") | hundredths) here: " +
		"instructions do not show the wait for it"
)
