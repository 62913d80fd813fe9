# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the benchmark does inside the guest, as if it were one of the cases of tests/vm over RDMA, which it
# shares lib.sh, lib/ and the frame with: one target after the other, several times over, never two at a
# time, and the same load on each.
#
# From /h/settings, which tests/perf/rdma/run wrote:
#
#   passes   how many times over
#
# shellcheck disable=SC2034,SC2154 # for and from lib.sh, lib/ and /h/settings

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
# shellcheck source=tests/perf/target/guest.sh
source /h/lib/bench.sh

# What a machine for storage sets aside: the memory of two daemons, as that of one that ended is given back
# after a while.
huge_pages=160

# One soft-RoCE device for both ends, instead of the pair that cases are run over, on an interface that leads
# nowhere: what a device sends to itself it hands over at once, in the task that sends it, so that no
# network is in between and no softirq that nobody knows whose it is.
device_make() {
	local link=${rdma_links[0]} name=${rdma_devices[0]}

	transport_down
	ip link add "$link" mtu 9000 type dummy
	ip addr add "$address/24" dev "$link"
	ip link set "$link" up
	rdma link add "$name" type rxe netdev "$link"
	retry 10 rdma_active "$name"
	rdma_host_address=$address
}

# How the RDMA device has the daemon's memory, which the premapped rung does not depend on.
receive_note() {
	note "receive: $(sluicectl --socket "$run/control.sock" --json datapath |
		jq -r '.listeners[0].receive | .rung + ", why not better: " + (.why_not_better // "-")')"
}

# What sluiced has counted so far, as JSON.
copies_read() {
	sluicectl --socket "$run/control.sock" --json connections | jq -c '
		def sum(values): [values] | add // 0;
		{
			placed: sum(.connections[].placed_bytes),
			staged: sum(.connections[].staged_bytes),
			read: sum(.connections[].read_bytes),
			written: sum(.connections[].written_bytes)
		}'
}

# rows TARGET STORAGE
rows() {
	local rw

	for rw in write read; do
		row_measure "$1" "$2" 4k $rw --mib 4 --block 4096 --depth 32
		row_measure "$1" "$2" 128k $rw --mib 32 --block 131072 --depth 32
	done
}

# sluice_choose sluice|no-spin: whether its worker polls for a while before it sleeps, as it does by itself.
sluice_choose() {
	mkdir -p "$run/sluice.conf.d"
	case $1 in
	sluice) rm -f "$run/sluice.conf.d/spin.conf" ;;
	no-spin) printf '[daemon]\nspin_us = 0\n' >"$run/sluice.conf.d/spin.conf" ;;
	esac
}

# target_measure sluice|no-spin ordinary|premapped, or nvmet ordinary
target_measure() {
	TARGET=nvmet
	if [ "$1" != nvmet ]; then
		TARGET=sluice
		sluice_choose "$1"
	fi
	storage_choose "$2"
	attach_default
	if [ "$1" != nvmet ]; then
		storage_assert "$2"
		receive_note
	fi
	rows "$1" "$2"
	host_disconnect "$nqn"
	target_stop
}

echo "$huge_pages" >/proc/sys/vm/nr_hugepages
device_make
# Its I/O goes to the drive of the machine, translated for each.
domain_assert "$drive0" DMA
for ((pass = 1; pass <= passes; pass++)); do
	target_measure sluice premapped
	target_measure nvmet ordinary
	target_measure no-spin premapped
	target_measure sluice ordinary
done
