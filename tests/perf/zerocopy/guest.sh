# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the benchmark does inside the guest, as if it were one of the cases of tests/vm, which it shares
# lib.sh, lib/ and the frame with: every target in turn, and the same load on each.
#
# shellcheck disable=SC2154 # from lib.sh, lib/ and /h/settings

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh
# shellcheck source=tests/perf/target/guest.sh
source /h/lib/bench.sh

# What a machine for storage sets aside: of whole memory, the NIC gets buffers of 16 KiB. Enough for two
# targets, as the memory of one that ended is given back after a while.
huge_pages=160
# TCP counts a buffer of a NIC as a whole, however little is in it, so windows need room.
socket_bytes=67108864
zcrx_receive=64M

# threads_on INTERFACE: it polls in threads, so that its work has a name (target/tasks.c).
threads_on() {
	echo 1 >"/sys/class/net/$1/threaded"
}

# A test NIC hands on a packet in the sender's own pieces only to one that splits headers off; for others
# it makes one piece of it, if there is memory. That copy is in no real machine. Split proper begins when
# a queue has memory of a program to put payload in.
nics_make() {
	nic_up 2
	threads_on "$nic"
	# a view of /sys with the host's interfaces in it
	nic_host unshare --mount bash -c "mount -t sysfs sysfs /sys &&
		echo 1 >/sys/class/net/$nic_host_if/threaded"
	nic_split on
	nic_host ethtool -G "$nic_host_if" tcp-data-split on
}

# receive_choose recv|zcrx-copy|zcrx
receive_choose() {
	mkdir -p "$run/sluice.conf.d"
	case $1 in
	zcrx)
		# shellcheck disable=SC2119 # no more lines than what it writes by itself
		zcrx_config
		;;
	*)
		printf '[memory]\nreceive = %s\n[listener tcp]\nreceive = %s\n' "$zcrx_receive" "$1" \
			>"$run/sluice.conf.d/zcrx.conf"
		;;
	esac
}

# What sluiced and the NIC have counted so far, as JSON.
copies_read() {
	local stats connections

	stats=$(sluicectl --socket "$run/control.sock" --json stats)
	connections=$(sluicectl --socket "$run/control.sock" --json connections)
	jq -nc --argjson stats "$stats" --argjson connections "$connections" \
		--argjson nic_placed "$(nic_counter placed_bytes)" '
		def sum(values): [values] | add // 0;
		{
			nic_placed: $nic_placed,
			placed: sum($connections.connections[].placed_bytes),
			staged: sum($connections.connections[].staged_bytes),
			kernel_copied: sum($stats.receive_areas[]?.kernel_copied_bytes),
			read: sum($connections.connections[].read_bytes),
			written: sum($connections.connections[].written_bytes),
			sent_zc: sum($connections.connections[].transport.send_zc_bytes)
		}'
}

# rows TARGET STORAGE
rows() {
	local rw

	for rw in write read; do
		row_measure "$1" "$2" 4k $rw --nic "$nic" --block 4096 --depth 32
		row_measure "$1" "$2" 128k $rw --nic "$nic" --block 131072 --depth 8
	done
}

echo "$huge_pages" >/proc/sys/vm/nr_hugepages
echo "$socket_bytes" >/proc/sys/net/core/rmem_max
nics_make
# Its I/O goes to the drive of the machine, translated for each.
domain_assert "$drive0" DMA
for storage in ordinary premapped; do
	storage_choose $storage
	for receive in recv zcrx-copy zcrx; do
		receive_choose $receive
		attach_default
		assert_match "receive rung" "^$receive:" "$(zcrx_rung)"
		storage_assert $storage
		rows $receive $storage
		host_disconnect "$nqn"
		target_stop
	done
done

# shellcheck disable=SC2034 # for lib.sh
TARGET=nvmet
attach_default
rows nvmet ordinary
host_disconnect "$nqn"
target_stop
