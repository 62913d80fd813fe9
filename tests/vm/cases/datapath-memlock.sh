# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# kernel_args: dma_debug=off
# A target without the right to lock memory, whose limit is enough for its fixed buffers only: it
# says so and serves with those.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

# nobody_start KIB UID: the daemon as a user without rights, with this RLIMIT_MEMLOCK. What a user has
# locked is given back a little after a daemon has ended, so that each start is by another one.
nobody_start() {
	chmod 777 "$run"
	chmod 666 "$drive0" /dev/udmabuf
	mkdir -p "$run/sluice.conf.d"
	printf '[daemon]\nworkers = 1\n' >"$run/sluice.conf.d/workers.conf"
	sluice_start prlimit "--memlock=$(($1 << 10))" \
		setpriv --reuid "$2" --regid 65534 --clear-groups --inh-caps=-all
}

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
target_start
premapped_or_skip
target_stop

note "48 MiB, for twice 32"
nobody_start $((48 << 10)) 65534
storage_get
note "storage: $rung: $why"
assert_eq "storage rung" fixed "$rung"
assert_match "reason" "RLIMIT_MEMLOCK is 48 MiB; .* here 64 MiB: raise LimitMEMLOCK=" "$why"
host_connect "$nqn"
namespace_wait "$nqn" 1
fio_verify "$device"
assert_ge "bytes by fixed buffers" $((16 << 20)) "$(storage_bytes fixed)"
host_disconnect "$nqn"
target_stop

note "80 MiB"
nobody_start $((80 << 10)) 65533
premapped_or_skip
host_connect "$nqn"
namespace_wait "$nqn" 1
fio_verify "$device"
assert_ge "bytes by the dma-buf" $((16 << 20)) "$(storage_bytes dmabuf)"
