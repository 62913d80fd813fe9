# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# A silent host is given up after its keep alive time-out, and is welcome again afterwards; a host
# that only keeps alive stays.

# A processor that stands still for a second or two does not make the host late.
kato_s=4
attach_default --keep-alive-tmo=$kato_s
note "idle for three time-outs"
sleep $((3 * kato_s))
ctrl_state "$ctrl" live || fail "$ctrl was lost while it was idle"
if dmesg | sed "0,/case $case_name begins\$/d" | grep -i reconnect; then
	fail "$ctrl had to reconnect while it was idle"
fi

note "no packet for two time-outs, while there is I/O"
fio_verify "$device" --size=4M &
wire_cut "$transport"
sleep $((2 * kato_s + 1))
wire_mend "$transport"
wait "$!"
ctrl_live() { ctrl_state "$ctrl" live; }
retry 60 ctrl_live
fio_verify "$device" --size=1M
