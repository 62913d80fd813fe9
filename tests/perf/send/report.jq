# SPDX-License-Identifier: BSD-3-Clause
#
# From the rows, in $rows, and the sender's lines to what is printed below the table. Lines that begin
# with MISSED are goals that were not reached.

def verdict(met): if met then "met   " else "MISSED" end;
def percent: . * 1000 | round / 10;

# From here on the daemon does it: the default of send_zc_min, and in which way.
32768 as $default
| ($rows[0] | map(select(.mode == (if .pages == "huge" then "zc" else "zc-fixed" end)))) as $chosen
| ($chosen | map(select(.payload_bytes >= $default))) as $done
| ($rows[0] | map(select(.mode != "send"))) as $zc
| (map(select(.kind == "calibration") | .counted / .instructions - 1)) as $off
| (
	"",
	"counter: a known loop counts \($off | map(percent) | max) % more, timer interrupts included",
	"smallest payload that pays, alone in its send: " + ([["small", "huge"][] as $pages
		| ($chosen | map(select(.pages == $pages and .commands == 1 and .ratio_to_send < 1)
			| .payload_bytes) | min) as $least
		| "\($least) (\($pages) pages)"] | join(", ")),
	"smallest payload that pays, with others in a send: " + ([["small", "huge"][] as $pages
		| ($chosen | map(select(.pages == $pages and .commands > 1 and .ratio_to_send < 1)
			| .payload_bytes) | min) as $least
		| "\($least) (\($pages) pages)"] | join(", ")),
	"",
	verdict($rows[0] | length == 72) + " all 72 rows measured",
	verdict($off | all(. >= 0 and . < 0.01)) + " the counter counts a known loop within 1 %",
	verdict($done | all(.copied * 2 < .sends)) +
		" zero-copy sends are not copied; it is said of \($zc | map(.copied) | add) of " +
		"\($zc | map(.sends) | add), those whose pages went with another\u0027s segment",
	verdict($done | all(.ratio_to_send < 1)) + " from \($default) bytes on the daemon's way takes " +
		"\($done | map(.ratio_to_send) | min) to \($done | map(.ratio_to_send) | max) of an " +
		"ordinary send"
)
