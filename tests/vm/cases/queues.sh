# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# More queues than cores (write and poll queues), and the smallest and the largest queue depth.

target_start_default
host_connect "$nqn" --nr-io-queues=2 --nr-write-queues=2 --nr-poll-queues=2 --queue-size=16
namespace_wait "$nqn" 1
assert_eq "queues" 7 "$(<"/sys/class/nvme/$ctrl/queue_count")"
assert_eq "queue depth" 16 "$(($(<"/sys/class/nvme/$ctrl/sqsize") + 1))"
fio_verify "$device" --size=8M --iodepth=32
host_disconnect "$nqn"

host_connect "$nqn" --nr-io-queues=1 --queue-size=1024
namespace_wait "$nqn" 1
assert_eq "queues" 2 "$(<"/sys/class/nvme/$ctrl/queue_count")"
assert_ge "queue depth" 128 "$(($(<"/sys/class/nvme/$ctrl/sqsize") + 1))"
fio_verify "$device" --size=8M --iodepth=256
