# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: premapped plain zerocopy
# timeout_s: 240
# The target is killed in the middle of verified I/O and comes back, again and again: the host waits, sees
# no error, and every block is right, with nothing of before on what was written later.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh
# shellcheck source=tests/vm/lib/rewrite.sh
source /h/lib/rewrite.sh

cycles=3
[ "$LONG" -eq 0 ] || cycles=100
ctrl_live() { ctrl_state "$ctrl" live; }
attach_default
rewrite_start
for ((i = 1; i <= cycles; i++)); do
	sleep 1
	target_kill
	sleep 1
	target_start
	retry 30 ctrl_live
	rewrite_goes_on
	note "$i of $cycles"
done
rewrite_end
rung_assert
