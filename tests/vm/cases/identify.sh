# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Every Identify structure that a host asks for, and what it must say.

attach_default
id=$(nvme id-ctrl "/dev/$ctrl" -o json)
get() { json_get "$id" ".$1"; }
assert_eq "controller type" 1 "$(get cntrltype)"
assert_eq "NQN" "$nqn" "$(get subnqn)"
assert_eq "serial number" SLUICEVM0000 "$(get sn | tr -d ' ')"
assert_eq "controller id against sysfs" "$(<"/sys/class/nvme/$ctrl/cntlid")" "$(get cntlid)"
assert_eq "SQ entry size" $((0x66)) "$(get sqes)"
assert_eq "CQ entry size" $((0x44)) "$(get cqes)"
assert_ge "keep alive granularity, in 100 ms" 1 "$(get kas)"
assert_ge "command capsule, in 16 bytes" 4 "$(get ioccsz)"
assert_ge "response capsule, in 16 bytes" 1 "$(get iorcsz)"
assert_eq "in-capsule data offset" 0 "$(get icdoff)"
assert_ge "SGL support" 1 "$(($(get sgls) & 3))"
if [ "$transport" = rdma ]; then
	assert_eq "keyed SGLs (SGLS 2)" 4 "$(($(get sgls) & 4))"
	# else no host would make use of what a capsule has room for
	[ "$(get ioccsz)" -eq 4 ] ||
		assert_eq "data by their offset in the capsule (SGLS 20)" $((1 << 20)) "$(($(get sgls) & 1 << 20))"
fi
assert_eq "multiple controllers and ANA (CMIC 1, 3)" $((0x0a)) "$(($(get cmic) & 0x0a))"
assert_eq "128-bit host identifier, keep alive by traffic (CTRATT 0, 6)" $((0x41)) "$(($(get ctratt) & 0x41))"
assert_eq "Dataset Management, Write Zeroes (ONCS 2, 3)" $((0x0c)) "$(($(get oncs) & 0x0c))"
assert_eq "command effects, extended data (LPA 1, 2)" $((0x06)) "$(($(get lpa) & 0x06))"
assert_ge "namespaces" 1 "$(get nn)"
assert_ge "commands at a time" 1 "$(get maxcmd)"
if [ "$TARGET" = sluice ]; then
	assert_eq "Compare, Verify, Copy (ONCS 0, 7, 8)" $((0x181)) "$(($(get oncs) & 0x181))"
	assert_eq "fused Compare and Write" 1 "$(($(get fuses) & 1))"
	assert_eq "keep alive granularity, in 100 ms" 1 "$(get kas)"
	declare -A descriptors=([tcp]=1 [rdma]=16)
	assert_eq "SGL descriptors a command" "${descriptors[$transport]}" "$(get msdbd)"
fi

ns=$(nvme id-ns "/dev/$ctrl" -n 1 -o json)
blocks=$(($(blockdev --getsize64 "$drive0") / 512))
assert_eq "NSZE" "$blocks" "$(json_get "$ns" .nsze)"
assert_eq "NCAP" "$blocks" "$(json_get "$ns" .ncap)"
assert_eq "shared namespace (NMIC 0)" 1 "$(($(json_get "$ns" .nmic) & 1))"
assert_eq "block size, as a power of two" 9 \
	"$(json_get "$ns" ".lbafs[$(($(json_get "$ns" .flbas) & 15))].ds")"

descs=$(nvme ns-descs "/dev/$ctrl" -n 1 -o json)
assert_match "namespace descriptors" '"(uuid|nguid)"' "$descs"
assert_match "command set of the namespace" '"csi"' "$descs"
assert_eq "active namespaces" "[1]" \
	"$(nvme list-ns "/dev/$ctrl" -o json | jq -c '[.nsid_list[].nsid]')"

# identify_raw CNS NSID CSI: the 4096 bytes as they are, in $run/identify.
identify_raw() {
	nvme admin-passthru "/dev/$ctrl" --opcode=6 --namespace-id="$2" --cdw10="$1" \
		--cdw11="$(($3 << 24))" --data-len=4096 --read --raw-binary >"$run/identify"
	assert_eq "size of CNS $1" 4096 "$(stat -c %s "$run/identify")"
}

identify_raw 0x05 1 0
identify_raw 0x06 0 0
identify_raw 0x08 1 0
assert_eq "namespace ready (CNS 08h, NSTAT)" 1 "$(($(od -An -tu1 -j14 -N1 "$run/identify") & 1))"
identify_raw 0x02 0 0
assert_eq "first active namespace" 1 "$(od -An -tu4 -N4 "$run/identify" | tr -d ' ')"
identify_raw 0x07 0 0
assert_eq "first active namespace of the NVM command set" 1 "$(od -An -tu4 -N4 "$run/identify" | tr -d ' ')"

note "an identity stays the same across a restart of the target"
uuid=$(nvme ns-descs "/dev/$ctrl" -n 1 -o json | jq -c .)
host_disconnect "$nqn"
if [ "$TARGET" = sluice ]; then
	target_stop
	target_start
fi
host_connect "$nqn"
assert_eq "descriptors" "$uuid" "$(nvme ns-descs "/dev/$ctrl" -n 1 -o json | jq -c .)"

note "no such namespace, no such structure"
assert_fails "namespace 77" "Invalid Namespace" nvme ns-descs "/dev/$ctrl" -n 4294967295
assert_fails "CNS F0h" "Invalid Field" nvme admin-passthru "/dev/$ctrl" --opcode=6 \
	--cdw10=0xf0 --data-len=4096 --read
