# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# The drive's own identity and health reach the host, although the daemon has given up its
# capabilities.

attach_default
dev=/dev/$ctrl

note "what the drive says of itself, the target says of the namespace on it"
own=$(nvme smart-log "$drive0" -o json)
seen=$(nvme smart-log "$dev" -n 1 -o json)
for field in temperature avail_spare spare_thresh percent_used power_cycles; do
	assert_eq "$field" "$(json_get "$own" ".$field")" "$(json_get "$seen" ".$field")"
done
[ "$(json_get "$seen" .temperature)" -gt 0 ] || fail "the drive has no temperature, so this proves nothing"

note "a subsystem that is one drive is known by the drive's model and firmware"
own=$(nvme id-ctrl "$drive0" -o json)
seen=$(nvme id-ctrl "$dev" -o json)
for field in mn fr; do
	assert_eq "$field" "$(json_get "$own" ".$field")" "$(json_get "$seen" ".$field")"
done

note "the daemon itself has no capability"
assert_eq "name of the process" sluiced "$(<"/proc/$target_pid/comm")"
assert_eq "effective capabilities" 0000000000000000 \
	"$(awk '/^CapEff/ { print $2 }' "/proc/$target_pid/status")"
