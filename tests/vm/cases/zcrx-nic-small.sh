# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# A receive area that is far too small for what the host has in flight: it is asked for less at a
# time, and what does not fit is copied. Nothing is lost, nobody stalls.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

nic_up 4
zcrx_receive=2M
zcrx_config
zcrx_attach
fio_matrix "$device" 4k:64 64k:32 1M:16
zcrx_counters
assert_ge "bytes placed" $((20 << 20)) "$placed"

note "small packets, each in a buffer of its own"
nic_tso off
fio_matrix "$device" 4k:64 64k:32 1M:16
zcrx_counters
assert_eq "connections that were closed" 0 "$closed"
zcrx_end

note "the same without a NIC"
target_stop
printf '[memory]\nreceive = 2M\n[listener tcp]\nreceive = zcrx-copy\n' >"$run/sluice.conf.d/zcrx.conf"
target_start
host_connect "$nqn"
namespace_wait "$nqn" 1
fio_matrix "$device" 4k:64 64k:32 1M:16
zcrx_counters
zcrx_end
