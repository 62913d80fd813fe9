# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Without SQ flow control reads complete with the data itself.

attach_default --disable-sqflow
fio_verify "$device" --size=8M
fio_verify "$device" --size=4M --bs=64k
