# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp
# rungs: premapped plain zerocopy
# timeout_s: 400
# Packets are late, in another order, twice there, and lost: everything is right, and no connection ends.
# Over RDMA all that is the device's matter; the one in software goes back for each, and hardly moves.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh

attach_default --keep-alive-tmo=60
for trouble in "delay 2ms 1ms distribution normal" "delay 1ms reorder 25% 50%" "duplicate 1%" "loss 0.2%"; do
	note "$trouble"
	# shellcheck disable=SC2086 # words of tc
	wire_queue "$transport" add netem limit 10000 $trouble
	fio_verify "$device" --size=$((2 / less))M
	wire_mend "$transport"
done
! dmesg | sed "0,/case $case_name begins\$/d" | grep -i reconnect || fail "$ctrl had to reconnect"
rung_assert
