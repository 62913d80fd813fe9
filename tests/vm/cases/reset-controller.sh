# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Controller resets by the host in the middle of verified I/O: no error, every block right.

attach_default
ctrl_live() { ctrl_state "$ctrl" live; }
fio_verify "$device" &
fio=$!
for _ in 1 2 3; do
	sleep 1
	nvme reset "/dev/$ctrl"
	retry 10 ctrl_live
done
wait "$fio"
