# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# A silent host is given up after its keep alive time-out, and is welcome again afterwards; a host
# that only keeps alive stays.

attach_default --keep-alive-tmo=2
note "idle for three time-outs"
sleep 6
ctrl_state "$ctrl" live || fail "$ctrl was lost while it was idle"
if dmesg | sed "1,/case keep-alive begins\$/d" | grep -i reconnect; then
	fail "$ctrl had to reconnect while it was idle"
fi

note "no packet for two time-outs, while there is I/O"
fio_verify "$device" --size=4M &
tc qdisc add dev lo root netem loss 100%
sleep 5
tc qdisc del dev lo root
wait "$!"
ctrl_live() { ctrl_state "$ctrl" live; }
retry 20 ctrl_live
fio_verify "$device" --size=1M
