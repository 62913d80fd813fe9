# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: premapped plain zerocopy
# targets: sluice
# timeout_s: 240
# The target stands still for longer than the keep alive time-out, with writes in its sockets and at its
# disks. The host gives its controller up and sends them again, to a new one, once the target goes on:
# none of the first lands on what was written later.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh
# shellcheck source=tests/vm/lib/rewrite.sh
source /h/lib/rewrite.sh

attach_default --keep-alive-tmo=2
rewrite_start
for _ in 1 2; do
	kill -STOP "$target_pid"
	sleep $((5 * SLOWNESS))
	kill -CONT "$target_pid"
	retry 60 ctrl_state "$ctrl" live
	rewrite_goes_on
done
rewrite_end
rung_assert
assert_match "the kernel's log" "Reconnecting|Successfully reconnected" \
	"$(dmesg | sed "0,/case $case_name begins\$/d")"
