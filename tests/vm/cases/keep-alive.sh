# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# A silent host is given up after its keep alive time-out, and is welcome again afterwards; a host
# that only keeps alive stays.

attach_default --keep-alive-tmo=2
note "idle for three time-outs"
sleep 6
ctrl_state "$ctrl" live || fail "$ctrl was lost while it was idle"
if dmesg | sed "0,/case $case_name begins\$/d" | grep -i reconnect; then
	fail "$ctrl had to reconnect while it was idle"
fi

note "no packet for two time-outs, while there is I/O"
fio_verify "$device" --size=4M &
wire_cut "$transport"
sleep 5
wire_mend "$transport"
wait "$!"
ctrl_live() { ctrl_state "$ctrl" live; }
retry 20 ctrl_live
fio_verify "$device" --size=1M
