# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# timeout_s: 300
# Nothing arrives any more, and nobody is told, while a slow disk has writes of the host's. When the
# cable is back the host connects again before the target has missed it, or after: the writes of before
# are done when the new controller is there.

# shellcheck source=tests/vm/lib/rewrite.sh
source /h/lib/rewrite.sh

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
mkdir -p "$run/sluice.conf.d"
# now and then one takes longer than the host waits for its keep alive commands
printf '[namespace %s/1]\nfault = write delay=4s every=97\n' "$nqn" >"$run/sluice.conf.d/slow.conf"
target_start
for cut_s in 3 6; do
	host_connect "$nqn" --keep-alive-tmo=2
	namespace_wait "$nqn" 1
	rewrite_start
	wire_cut "$transport"
	sleep $((cut_s * SLOWNESS))
	wire_mend "$transport"
	retry 60 ctrl_state "$ctrl" live
	rewrite_goes_on
	rewrite_end
	host_disconnect "$nqn"
done
