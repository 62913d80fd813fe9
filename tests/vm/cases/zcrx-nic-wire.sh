# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 180
# A host that builds its PDUs by hand, to a target that receives by zero-copy: fused commands, many
# commands in a chunk, wrong digests, packets that end anywhere, and hosts that go in mid-PDU.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

nic_up 4
zcrx_config
target_start_default
assert_match "receive rung" '^zcrx' "$(zcrx_rung)"
nic_host python3 -B /h/lib/zcrx_wire.py "$address" "$port" "$nqn" "$(blockdev --getss "$drive0")"
retry 30 zcrx_chunks_back
zcrx_counters
assert_ge "times as many bytes placed as staged" 2 $((placed / (staged + 1)))
assert_eq "connections that were closed" 0 "$closed"
