# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# boot: own
# RDMA to and from memory regions over dma-bufs, on a soft RDMA device, which goes at the end with a
# region on it.

ip link add d0 type dummy
ip addr add 10.9.0.1/24 dev d0
ip link set d0 up
rdma link add rxe0 type rxe netdev d0
# what librdmacm needs of a kernel
[ -c /dev/infiniband/rdma_cm ] || fail "no device for connection management"

selftest_run rdma_mr rxe0 "rdma link delete rxe0"
assert_eq "soft RDMA devices" "" "$(rdma link show)"
ip link delete d0
