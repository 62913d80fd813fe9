# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: premapped plain zerocopy
# targets: sluice
# timeout_s: 300
# Nothing arrives any more, and nobody is told, while a slow disk has writes of the host's. When the
# cable is back the host connects again before the target has missed it, or after: the writes of before
# are done when the new controller is there.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh
# shellcheck source=tests/vm/lib/rewrite.sh
source /h/lib/rewrite.sh

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
# now and then one takes longer than the host waits for its keep alive commands
printf '[namespace %s/1]\nfault = write delay=4s every=97\n' "$nqn" >"$run/sluice.conf.d/slow.conf"
target_start
cuts=(3 6)
# each is enough of a test of a rung: the first has both
case $case_rung in
plain) cuts=(3) ;;
zerocopy) cuts=(6) ;;
esac
for cut_s in "${cuts[@]}"; do
	host_connect "$nqn" --keep-alive-tmo=2
	namespace_wait "$nqn" 1
	rewrite_start
	wire_cut "$transport"
	sleep $((cut_s * SLOWNESS))
	wire_mend "$transport"
	retry 60 ctrl_state "$ctrl" live
	rewrite_goes_on
	rewrite_end
	rung_assert
	host_disconnect "$nqn"
done
