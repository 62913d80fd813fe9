# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# The log pages a host or an administrator reads.

attach_default
dev=/dev/$ctrl

note "SMART: the counters count"
smart() { nvme smart-log "$dev" -o json; }
before=$(smart)
dd if=/dev/zero of="$device" bs=1M count=8 oflag=direct status=none
dd if="$device" of=/dev/null bs=1M count=8 iflag=direct status=none
after=$(smart)
for counter in data_units_written data_units_read host_write_commands host_read_commands; do
	[ "$(json_get "$after" ".$counter")" -gt "$(json_get "$before" ".$counter")" ] ||
		fail "$counter did not grow: $(json_get "$before" ".$counter"), $(json_get "$after" ".$counter")"
done
assert_eq "critical warning" 0 "$(json_get "$after" .critical_warning)"

note "error information: a failed command is in the log with its status and block"
count=$(nvme error-log "$dev" -e 1 -o json | jq '.errors[0].error_count')
assert_fails "read past the end" "$past_end" \
	nvme read "$device" --start-block=$((1 << 40)) --block-count=0 --data-size=512
error=$(nvme error-log "$dev" -e 1 -o json | jq '.errors[0]')
[ "$(json_get "$error" .error_count)" -gt "$count" ] || fail "no new entry in the error log: $error"
assert_eq "namespace of the error" 1 "$(json_get "$error" .nsid)"
assert_eq "block of the error" $((1 << 40)) "$(json_get "$error" .lba)"
if [ "$TARGET" = sluice ]; then
	assert_eq "status of the error" $((0x80)) "$(($(json_get "$error" .status_field) & 0x7ff))"
	assert_eq "field of the error: SLBA" 40 "$(json_get "$error" .parm_error_location)"

	note "error information: bytes and bits of fields, and the first block that is not there"
	blocks=$(blockdev --getsz "$device")
	assert_fails "read across the end" "$past_end" \
		nvme read "$device" --start-block=$((blocks - 1)) --block-count=1 --data-size=1024
	error=$(nvme error-log "$dev" -e 1 -o json | jq '.errors[0]')
	assert_eq "field of the error: NLB" 48 "$(json_get "$error" .parm_error_location)"
	assert_eq "first block behind the end" "$blocks" "$(json_get "$error" .lba)"
	assert_fails "Get Features with THSEL 2" "Invalid Field" \
		nvme admin-passthru "$dev" --opcode=0x0a --cdw10=4 --cdw11=$((2 << 20))
	error=$(nvme error-log "$dev" -e 1 -o json | jq '.errors[0]')
	assert_eq "field of the error: bit 4 of byte 46" $((46 | 4 << 8)) \
		"$(json_get "$error" .parm_error_location)"
	assert_eq "no block" 0 "$(json_get "$error" .lba)"
fi

note "commands supported and effects"
effects=$(nvme effects-log "$dev" --csi=0 -H)
for command in Flush Write Read "Write Zeroes" "Dataset Management"; do
	assert_match "effects of $command" "$command" "$effects"
done

note "firmware, ANA, changed namespaces"
assert_match "firmware log" "afi" "$(nvme fw-log "$dev" -o json)"
ana=$(nvme ana-log "$dev" -o json)
assert_match "ANA state" "optimized" "$ana"
nvme changed-ns-list-log "$dev"

note "every log page that is announced can be read"
nvme get-log "$dev" --log-id=0 --log-len=1024 --raw-binary >"$run/supported"
od -An -v -tu4 -w4 "$run/supported" >"$run/supported.txt"
announced=0 lid=-1
while read -r bits; do
	lid=$((lid + 1))
	[ $((bits & 1)) -eq 1 ] || continue
	announced=$((announced + 1))
	case $lid in
	9 | 22) continue ;; # these want the identifier of an endurance group
	esac
	size=$(log_size $lid)
	nvme get-log "$dev" --log-id=$lid --log-len="$size" --raw-binary >"$run/page" ||
		fail "log page $lid is announced and cannot be read"
	assert_eq "size of log page $lid" "$size" "$(stat -c %s "$run/page")"
done <"$run/supported.txt"
assert_ge "announced log pages" 6 "$announced"

if [ "$TARGET" = sluice ]; then
	note "a part of a page from its middle"
	nvme get-log "$dev" --log-id=5 --log-len=4096 --raw-binary >"$run/page"
	nvme get-log "$dev" --log-id=5 --log-len=64 --lpo=1024 --raw-binary >"$run/part"
	cmp -i 1024:0 -n 64 "$run/page" "$run/part"
fi

note "a log page that does not exist, and an offset past the end"
assert_fails "log page C0h" "Invalid Log Page|Invalid Field" \
	nvme get-log "$dev" --log-id=0xc0 --log-len=512
