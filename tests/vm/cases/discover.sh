# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Discovery lists what this host may attach, and nothing else.

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
subsystem_add "$nqn-other" "$host2_nqn"
target_start

discovered() {
	host_nvme discover -o json "$@"
}

subsystems_in() {
	json_get "$1" '.records[] | select(.subtype | test("nvme subsystem")) | .subnqn' | sort | paste -sd' '
}

log=$(discovered)
assert_eq "subsystems that this host sees" "$nqn" "$(subsystems_in "$log")"
record=$(json_get "$log" ".records[] | select(.subnqn == \"$nqn\")")
assert_eq "transport of the record" "$transport" "$(json_get "$record" .trtype)"
assert_eq "address of the record" "$address" "$(json_get "$record" .traddr)"
assert_eq "port of the record" "$port" "$(json_get "$record" .trsvcid)"
if [ "$transport" = rdma ]; then
	assert_eq "kind of queue pair" connected "$(json_get "$record" .rdma_qptype)"
	assert_match "provider" "not specified|roce-v2" "$(json_get "$record" .rdma_prtype)"
	assert_eq "connection management" rdma-cm "$(json_get "$record" .rdma_cms)"
fi
assert_match "SQ flow control can be disabled" "sq flow control disable supported" "$(json_get "$record" .treq)"

both=$(discovered --hostnqn="$host2_nqn" --hostid="$host2_id")
assert_eq "subsystems that the other host sees" "$nqn $nqn-other" "$(subsystems_in "$both")"

assert_eq "generation counter without a change" "$(json_get "$log" .genctr)" \
	"$(json_get "$(discovered)" .genctr)"

note "a persistent discovery controller lives on"
# so long that a busy machine keeps it, and twice as long is waited
discovered --persistent --keep-alive-tmo=$((5 * SLOWNESS)) >/dev/null
ctrl=$(basename "$(dirname "$(grep -lx "$discovery_nqn" /sys/class/nvme/*/subsysnqn)")")
assert_eq "type of $ctrl" discovery "$(<"/sys/class/nvme/$ctrl/cntrltype")"
sleep $((11 * SLOWNESS))
ctrl_state "$ctrl" live || fail "the persistent discovery controller $ctrl is not live"
assert_eq "subsystems that it lists" "$nqn" "$(subsystems_in "$(discovered --device="$ctrl")")"
nvme disconnect -d "$ctrl"

if [ "$TARGET" = sluice ] && [ "$transport" = tcp ]; then
	note "the discovery port of its own, which RDMA has not"
	log=$(port=8009 host_nvme discover -o json)
	assert_eq "subsystems on port 8009" "$nqn" "$(subsystems_in "$log")"
fi
