# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Get and Set Features.

attach_default
dev=/dev/$ctrl

feature() {
	nvme get-feature "$dev" --feature-id="$1" -o normal | sed -n 's/.*[Vv]alue: *0x\([0-9a-f]*\).*/\1/p'
}

queues=$((16#$(feature 7)))
assert_ge "I/O submission queues" 1 $(((queues & 0xffff) + 1))
assert_ge "I/O completion queues" 1 $(((queues >> 16) + 1))
assert_eq "volatile write cache" 1 $((16#$(feature 6) & 1))

note "asynchronous events: what is set is read back"
nvme set-feature "$dev" --feature-id=0x0b --value=0x100
assert_eq "asynchronous event configuration" $((0x100)) $((16#$(feature 0x0b)))

note "the keep alive timer"
nvme set-feature "$dev" --feature-id=0x0f --value=9000
assert_eq "keep alive time-out in ms" 9000 $((16#$(feature 0x0f)))

note "the host identifier is the host's"
id=$(nvme get-feature "$dev" --feature-id=0x81 --data-len=16 --cdw11=1 --raw-binary | od -An -tx1 | tr -d ' \n')
assert_eq "host identifier" "$(tr -d '-' </etc/nvme/hostid)" "$id"

note "write protection"
host_sees() { [ "$(<"/sys/block/${device#/dev/}/ro")" = "$1" ]; }
nvme set-feature "$dev" --namespace-id=1 --feature-id=0x84 --value=1
# It is told by an event, and looks again.
retry 60 host_sees 1
assert_eq "write protection" 1 "$(($(nvme get-feature "$dev" --namespace-id=1 --feature-id=0x84 |
	sed -n 's/.*[Vv]alue: *\(0x[0-9a-f]*\).*/\1/p')))"
assert_fails "write to a protected namespace" "Write Protected" \
	nvme write "$device" --start-block=0 --block-count=0 --data-size=512 --data=/dev/zero
nvme set-feature "$dev" --namespace-id=1 --feature-id=0x84 --value=0
retry 60 host_sees 0
pattern_write "$device" 0 4096
assert_pattern "$drive0" 0 4096

note "an unknown feature"
assert_fails "feature 7Fh" "Invalid Field" \
	nvme admin-passthru "$dev" --opcode=0x0a --cdw10=0x7f

if [ "$TARGET" = sluice ]; then
	note "timestamp and host behaviour"
	nvme get-feature "$dev" --feature-id=0x0e --data-len=8 >/dev/null
	nvme get-feature "$dev" --feature-id=0x16 --data-len=512 >/dev/null
fi
