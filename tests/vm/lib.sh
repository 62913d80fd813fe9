# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the cases have at hand. Sourced inside the guest by guest/case, under set -euEo pipefail; a
# command that fails ends the case. The target under test is sluiced or, as the measure, the
# kernel's own (TARGET=sluice|nvmet); a case describes subsystems and namespaces once, for either.
# Both speak what the case is run over: transport is tcp or rdma, address and port are where.
#
# Results come back in globals, because a failure inside $( ) would not end the case:
#   ctrl        the controller of the last host_connect, as nvme2
#   device      the block device of the last namespace_wait, as /dev/nvme2n1
#
# shellcheck disable=SC2034 # most names here are for the cases
# shellcheck disable=SC2154 # case_name is guest/case's: the case as tests/vm/run calls it

# shellcheck source=/dev/null # written by tests/vm/run: TARGET, KERNEL_OWN
source /h/settings
export PATH=/h/bin:$PATH

transport=tcp
[[ $case_name != *@rdma ]] || transport=rdma
declare -A addresses=([tcp]=127.0.0.1 [rdma]=10.9.0.1)
address=${addresses[$transport]}
port=4420
# RDMA's interfaces and devices on them: the target's, which has the address above, and the host's.
rdma_links=(d0 d1)
rdma_devices=(rxe0 rxe1)
rdma_host_address=10.9.0.2
rdma_address6=fd00:9::1
# What all that is sent over a transport passes through, and at the host, when that has a network of its
# own: wire_far.
declare -A wires=([tcp]=lo [rdma]="${rdma_links[*]}")
wire_far=""
# RDMA in software takes more of the processor: over it, as by NICs in software, a case moves so many times less data.
less=1
[ "$transport" = tcp ] || less=2
nqn=nqn.2026-11.io.sluice:vm
discovery_nqn=nqn.2014-08.org.nvmexpress.discovery
host_nqn=$(</etc/nvme/hostnqn)
host2_nqn=nqn.2014-08.org.nvmexpress:uuid:5105ce00-0000-4000-8000-000000000002
host2_id=5105ce00-0000-4000-8000-000000000002
run=/run/case
mnt=/run/case-mount
# What a command says that goes past the end of a namespace. The kernel's target leaves it to the
# disk.
past_end="LBA Out of Range"
[ "$TARGET" = sluice ] || past_end="LBA Out of Range|Internal Error"
ctrl="" device=""
# what makes a command one of the host's: nothing while it lives where the target does
host_prefix=()
# what starts the daemon, as prlimit: nothing
target_prefix=()

# ---------------------------------------------------------------- words

# With the time since the case began, in seconds.
note() {
	printf -- '-- %3d %s\n' "$SECONDS" "$*"
}

# Names the line of the case, not that of the assertion in here.
fail() {
	local i=1 last=$((${#BASH_SOURCE[@]} - 1))
	while [ "${BASH_SOURCE[i]}" = "${BASH_SOURCE[0]}" ] && [ "$i" -lt "$last" ]; do
		i=$((i + 1))
	done
	printf 'failed: %s (%s line %s)\n' "$*" "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}" >&2
	exit 1
}

# For what a kernel may lack; the kernels that kernel/build makes lack nothing, so that there this
# is a failure (guest/init sees to it). The last line of a skipped case's log is its reason.
skip() {
	printf '%s\n' "$*"
	exit 77
}

assert_eq() {
	local what=$1 want=$2 got=$3
	[ "$want" = "$got" ] || fail "$what: wanted '$want', got '$got'"
}

assert_ge() {
	local what=$1 least=$2 got=$3
	[ "$got" -ge "$least" ] || fail "$what: wanted at least $least, got $got"
}

assert_match() {
	local what=$1 pattern=$2 text=$3
	grep -qE -e "$pattern" <<<"$text" || fail "$what: no match for '$pattern' in: $text"
}

# assert_fails WHAT PATTERN COMMAND...: the command fails and says something that matches.
assert_fails() {
	local what=$1 pattern=$2 text
	shift 2
	if text=$("$@" 2>&1); then
		fail "$what: '$*' succeeded: $text"
	fi
	assert_match "$what" "$pattern" "$text"
}

# retry SECONDS COMMAND...: until it succeeds; longer on kernels that are slower.
retry() {
	local end=$((SECONDS + $1 * SLOWNESS)) late=0
	shift
	until "$@"; do
		# once more after the end: a machine may have stood still for all of the time
		[ "$late" -eq 0 ] || fail "not within the time: $*"
		[ "$SECONDS" -lt "$end" ] || late=1
		sleep 0.1
	done
}

# The value of a jq expression over a JSON text, as plain text.
json_get() {
	jq -r "$2" <<<"$1"
}

# ---------------------------------------------------------------- drives

# The local drives, found by serial number.
drive_path() {
	local dir disk
	for dir in /sys/class/nvme/*; do
		# named by the subsystem, which may be older than the controller; a path among several by both
		for disk in "$dir"/nvme*n1; do
			if [ -d "$disk" ] && [ "$(<"$dir/transport")" = pcie ] &&
				[ "$(tr -d ' ' <"$dir/serial")" = "$1" ]; then
				sed 's/c[0-9]*n/n/; s,^,/dev/,' <<<"${disk##*/}"
				return
			fi
		done
	done
	fail "the guest has no drive with serial number $1"
}

# Makes a drive's first MiB recognisable, so that leftovers of an earlier case cannot pass for data.
drive_reset() {
	dd if=/dev/urandom of="$1" bs=1M count=1 oflag=direct status=none
}

# ---------------------------------------------------------------- transport

# A soft RDMA device for the target and one for the host, each on an end of a pair of interfaces. Both
# ends are here, so that the kernel would keep packets from the one to the other to itself; but who has
# bound itself to one end, as a soft RDMA device and a host that is told its own address, is led to
# the other by the routes. Those of IPv6 cannot lead away from a local address: over that, hosts reach
# the target within its own device. A large MTU makes fewer packets of the same data.
transport_up() {
	local near=02:00:00:00:09:01 far=02:00:00:00:09:02 i

	[ "$transport" = rdma ] || return 0
	ip link add "${rdma_links[0]}" address $near mtu 9000 type veth \
		peer name "${rdma_links[1]}" address $far mtu 9000
	ip addr add "${addresses[rdma]}/32" dev "${rdma_links[0]}"
	ip addr add "$rdma_host_address/32" dev "${rdma_links[1]}"
	ip addr add "$rdma_address6/128" dev "${rdma_links[0]}" nodad
	for i in 0 1; do
		echo 1 >"/proc/sys/net/ipv4/conf/${rdma_links[i]}/accept_local"
		ip link set "${rdma_links[i]}" up
	done
	ip route add "$rdma_host_address/32" dev "${rdma_links[0]}" src "${addresses[rdma]}"
	ip route add "${addresses[rdma]}/32" dev "${rdma_links[1]}" src "$rdma_host_address"
	ip neigh add "$rdma_host_address" lladdr $far dev "${rdma_links[0]}" nud permanent
	ip neigh add "${addresses[rdma]}" lladdr $near dev "${rdma_links[1]}" nud permanent
	for i in 0 1; do
		rdma link add "${rdma_devices[i]}" type rxe netdev "${rdma_links[i]}"
		retry 60 rdma_active "${rdma_devices[i]}"
	done
}

rdma_active() {
	[ "$(rdma -j link show "$1/1" | jq -r '.[].state')" = ACTIVE ]
}

# Takes away what is there of it, whatever a case has done to it.
transport_down() {
	local i

	for i in "${rdma_devices[@]}"; do
		[ ! -e "/sys/class/infiniband/$i" ] || rdma link delete "$i"
	done
	for i in "${rdma_links[@]}"; do
		[ ! -e "/sys/class/net/$i" ] || ip link del "$i"
	done
}

# wire_queue TRANSPORT add|del [tc's words]: what all that is sent over it has to wait in.
wire_queue() {
	local link verb=$2 kind=$1
	shift 2

	for link in ${wires[$kind]}; do
		tc qdisc "$verb" dev "$link" root "$@"
	done
	[ -z "$wire_far" ] || "${host_prefix[@]}" tc qdisc "$verb" dev "$wire_far" root "$@"
}

# wire_cut TRANSPORT: from now on nothing that is sent over it arrives, and nobody is told.
wire_cut() {
	wire_queue "$1" add netem loss 100%
}

wire_mend() {
	wire_queue "$1" del
}

# listening TRANSPORT: somebody does, on the port. RDMA's ports are none of the sockets'.
listening() {
	case $1 in
	tcp) [ -n "$(ss -Hltn "sport = :$port")" ] ;;
	rdma)
		[ -n "$(rdma -j resource show cm_id | jq --arg port ":$port" '.[] |
			select(.state == "LISTEN" and (."src-addr" // "" | endswith($port)))')" ]
		;;
	esac
}

# ---------------------------------------------------------------- target

# What the target is to export: subsystems, their hosts and namespaces. "any" stands for every host.
subsystem_add() {
	subsystems+=("$1")
	shift
	subsystem_hosts+=("${*:-any}")
}

# namespace_add NQN NSID PATH [HOSTNQN...]: with hosts, it is shown to them alone; sluiced only.
namespace_add() {
	namespaces+=("$*")
}

# listener_add TRANSPORT: the target serves over that as well, on its address.
listener_add() {
	listeners+=("$1 ${addresses[$1]}")
}

# What the target is to listen on, "TRANSPORT ADDRESS" a line.
listeners_all() {
	printf '%s\n' "$transport $address" "${listeners[@]}"
}

config_reset() {
	subsystems=() subsystem_hosts=() namespaces=() listeners=()
}

# The one subsystem that most cases use: one namespace on the first drive, open to every host.
target_start_default() {
	config_reset
	subsystem_add "$nqn"
	namespace_add "$nqn" 1 "$drive0"
	target_start
}

target_start() {
	"${TARGET}_start"
}

# Orderly stop, as an administrator does it.
target_stop() {
	"${TARGET}_stop"
}

# As if the process had died. The kernel's target has no process; its port is taken away instead.
target_kill() {
	"${TARGET}_kill"
}

sluice_config() {
	local i host line sub nsid path hosts kind where

	cat <<-CONF
		[daemon]
		control_socket = $run/control.sock

		[memory]
		# all of it is touched at start, which takes long in software emulation
		per_worker = 32M
	CONF
	! listeners_all | grep -q '^rdma ' || echo "receive = 8M"
	while read -r kind where; do
		printf '\n[listener %s]\ntransport = %s\naddress = %s\nport = %s\n' "$kind" "$kind" \
			"$where" "$port"
	done < <(listeners_all)
	for i in "${!subsystems[@]}"; do
		printf '\n[subsystem %s]\nserial = SLUICEVM%04d\n' "${subsystems[i]}" "$i"
		for host in ${subsystem_hosts[i]}; do
			if [ "$host" = any ]; then
				echo "allow_any_host = yes"
			else
				echo "allow_host = $host"
			fi
		done
	done
	for line in "${namespaces[@]}"; do
		read -r sub nsid path hosts <<<"$line"
		printf '\n[namespace %s/%s]\nbackend = block\npath = %s\n' "$sub" "$nsid" "$path"
		for host in $hosts; do
			echo "allow_host = $host"
		done
	done
}

port_open() {
	local kind

	while read -r kind _; do
		listening "$kind" || return 1
	done < <(listeners_all)
}

port_closed() {
	local kind

	while read -r kind _; do
		! listening "$kind" || return 1
	done < <(listeners_all)
}

starts() {
	grep -c '^sluiced: ready$' "$run/sluiced.log" 2>/dev/null || :
}

# sluice_ready STARTS: once more than that. Its ports are open before it serves.
sluice_ready() {
	kill -0 "$target_pid" 2>/dev/null || fail "sluiced ended while it started"
	[ "$(starts)" -gt "$1" ] && port_open
}

# sluice_start [COMMAND...]: by a command that starts another, as prlimit.
sluice_start() {
	local before

	sluice_config >"$run/sluice.conf"
	before=$(starts)
	"$@" "${target_prefix[@]}" sluiced --config "$run/sluice.conf" </dev/null >>"$run/sluiced.log" 2>&1 &
	target_pid=$!
	retry 60 sluice_ready "${before:-0}"
}

sluice_stop() {
	local pid=$target_pid rc=0
	target_pid=""
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	assert_eq "exit code of sluiced after SIGTERM" 0 "$rc"
}

sluice_kill() {
	local pid=$target_pid
	target_pid=""
	kill -KILL "$pid"
	wait "$pid" || :
}

nvmet=/sys/kernel/config/nvmet

nvmet_host_allow() {
	local sub=$1 host=$2
	mkdir -p "$nvmet/hosts/$host"
	ln -s "$nvmet/hosts/$host" "$nvmet/subsystems/$sub/allowed_hosts/$host"
}

nvmet_subsystem() {
	local sub=$1 serial=$2 host
	shift 2
	mkdir "$nvmet/subsystems/$sub"
	echo "$serial" >"$nvmet/subsystems/$sub/attr_serial"
	for host in "$@"; do
		if [ "$host" = any ]; then
			echo 1 >"$nvmet/subsystems/$sub/attr_allow_any_host"
		else
			nvmet_host_allow "$sub" "$host"
		fi
	done
}

# nvmet_port NUMBER TRANSPORT ADDRESS
nvmet_port() {
	local dir=$nvmet/ports/$1
	mkdir "$dir"
	echo ipv4 >"$dir/addr_adrfam"
	echo "$2" >"$dir/addr_trtype"
	echo "$3" >"$dir/addr_traddr"
	echo "$port" >"$dir/addr_trsvcid"
}

nvmet_start() {
	local i line sub nsid path hosts dir kind where

	if [ ! -d "$nvmet/ports/1" ]; then
		for i in "${!subsystems[@]}"; do
			# shellcheck disable=SC2086 # a list of hosts
			nvmet_subsystem "${subsystems[i]}" "$(printf 'SLUICEVM%04d' "$i")" \
				${subsystem_hosts[i]}
		done
		for line in "${namespaces[@]}"; do
			read -r sub nsid path hosts <<<"$line"
			[ -z "$hosts" ] || fail "the kernel's target cannot mask a namespace"
			dir=$nvmet/subsystems/$sub/namespaces/$nsid
			mkdir "$dir"
			printf '%s' "$path" >"$dir/device_path"
			echo 1 >"$dir/enable"
		done
		i=0
		while read -r kind where; do
			i=$((i + 1))
			nvmet_port "$i" "$kind" "$where"
		done < <(listeners_all)
	fi
	for dir in "$nvmet"/ports/*; do
		for sub in "${subsystems[@]}"; do
			ln -s "$nvmet/subsystems/$sub" "$dir/subsystems/$sub"
		done
	done
	retry 10 port_open
}

nvmet_kill() {
	local link
	for link in "$nvmet"/ports/*/subsystems/*; do
		[ ! -L "$link" ] || rm "$link"
	done
	retry 10 port_closed
}

nvmet_stop() {
	local dir

	[ -d "$nvmet/ports/1" ] || return 0
	nvmet_kill
	for dir in "$nvmet"/ports/*; do
		rmdir "$dir"
	done
	for dir in "$nvmet"/subsystems/*/allowed_hosts/*; do
		[ ! -L "$dir" ] || rm "$dir"
	done
	for dir in "$nvmet"/subsystems/*/namespaces/* "$nvmet"/subsystems/* "$nvmet"/hosts/*; do
		[ ! -d "$dir" ] || rmdir "$dir"
	done
}

# ---------------------------------------------------------------- host

# host_nvme COMMAND [OPTION...]: a command of nvme that wants to know where the target is.
host_nvme() {
	local command=$1 where=(-t "$transport" -a "$address" -s "$port")
	shift
	# IPv6 has no routes that lead from the one end to the other: see transport_up
	[ "$transport" != rdma ] || [[ $address == *:* ]] || where+=(--host-traddr="$rdma_host_address")
	"${host_prefix[@]}" nvme "$command" "${where[@]}" "$@"
}

# host_connect NQN [nvme connect's options]: attaches and sets ctrl. Reconnects once a second, for
# two minutes, so that a case that takes the target away waits no longer than it must.
host_connect() {
	local sub=$1 out
	shift
	out=$(host_nvme connect -n "$sub" --reconnect-delay=1 --ctrl-loss-tmo=120 -o json "$@") ||
		fail "cannot connect to $sub: $out"
	ctrl=$(json_get "$out" .device)
	[ -d "/sys/class/nvme/$ctrl" ] || fail "nvme connect named no controller: $out"
}

host_disconnect() {
	nvme disconnect -n "$1"
}

# The directory in sysfs of the subsystem with that NQN, as this host sees it.
subsystem_dir() {
	local dir
	for dir in /sys/class/nvme-subsystem/*; do
		if [ -e "$dir" ] && [ "$(<"$dir/subsysnqn")" = "$1" ]; then
			echo "$dir"
			return
		fi
	done
	return 1
}

namespace_present() {
	local dir ns
	dir=$(subsystem_dir "$1") || return 1
	# without multipath it is the controller's
	for ns in "$dir"/nvme*n* "$dir"/nvme*/nvme*n*; do
		if [ -e "$ns/nsid" ] && [ "$(<"$ns/nsid")" = "$2" ] && [ -b "/dev/${ns##*/}" ]; then
			device=/dev/${ns##*/}
			return 0
		fi
	done
	return 1
}

namespace_absent() {
	! namespace_present "$@"
}

# The node is there a little before the disk behind it.
namespace_usable() {
	namespace_present "$@" && { : <"$device"; } 2>/dev/null
}

# namespace_wait NQN NSID: until the block device is there; sets device.
namespace_wait() {
	retry 60 namespace_usable "$@"
}

ctrl_state() {
	[ "$(cat "/sys/class/nvme/$1/state" 2>/dev/null)" = "$2" ]
}

# Starts the default target and attaches its namespace.
attach_default() {
	target_start_default
	host_connect "$nqn" "$@"
	namespace_wait "$nqn" 1
}

# The size of a log page in bytes. The kernel's target answers some only when asked for all of it.
log_size() {
	case $1 in
	0 | 18) echo 1024 ;;
	4 | 5) echo 4096 ;;
	*) echo 512 ;;
	esac
}

# ---------------------------------------------------------------- I/O

# fio_verify DEVICE [fio's options]: random writes, every block read back and its checksum compared.
fio_verify() {
	local dev=$1
	shift
	fio_run --name=verify --filename="$dev" --rw=randwrite --bs=4k --size=$((16 / less / SLOWNESS))M --iodepth=8 \
		--direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 --do_verify=1 \
		--end_fsync=1 "$@"
}

# Runs fio; a block that reads back wrong, or an error, fails the case with what fio said.
fio_run() {
	if ! fio --output-format=terse --terse-version=3 "$@" >"$run/fio.out" 2>&1; then
		cat "$run/fio.out"
		fail "fio failed: $*"
	fi
	if grep -iE 'verify: bad|error=' "$run/fio.out"; then
		fail "fio complained: $*"
	fi
}

# fio_matrix DEVICE SIZE:DEPTH...: verified random writes in blocks of SIZE with DEPTH at a time,
# one after the other in one run of fio, each in a range of its own.
fio_matrix() {
	local dev=$1 pair bs depth size offset_mib=0
	local jobs=$run/matrix.fio
	shift
	printf '[global]\nfilename=%s\nrw=randwrite\ndirect=1\nioengine=io_uring\n' "$dev" >"$jobs"
	printf 'verify=crc32c\nverify_fatal=1\ndo_verify=1\nend_fsync=1\nstonewall\n' >>"$jobs"
	for pair in "$@"; do
		bs=${pair%:*} depth=${pair#*:}
		# Small blocks are many commands: less data of them, in the time there is.
		case $bs in
		512) size=$((1024 / less))k ;;
		4k) size=$((8 / less))M ;;
		*) size=$((16 / less))M ;;
		esac
		printf '[%s-%s]\nbs=%s\niodepth=%s\noffset=%sM\nsize=%s\n' "$bs" "$depth" "$bs" \
			"$depth" "$offset_mib" "$size"
		offset_mib=$((offset_mib + 16))
	done >>"$jobs"
	fio_run "$jobs"
}

# pattern_write DEVICE OFFSET LENGTH: fills a range with random bytes and keeps them in
# $run/pattern.
pattern_write() {
	dd if=/dev/urandom of="$run/pattern" bs="$3" count=1 status=none
	dd if="$run/pattern" of="$1" bs="$3" count=1 seek="$2" oflag=direct,seek_bytes \
		conv=notrunc status=none
}

range_read() {
	dd if="$1" of="$run/range" bs="$3" count=1 skip="$2" iflag=direct,skip_bytes status=none
}

assert_pattern() {
	range_read "$1" "$2" "$3"
	cmp "$run/pattern" "$run/range" || fail "$1 does not hold what was written at $2"
}

assert_zero() {
	range_read "$1" "$2" "$3"
	cmp -n "$3" "$run/range" /dev/zero || fail "$1 does not read as zeroes at $2, length $3"
}

# ---------------------------------------------------------------- kernel

# Nothing has a dma-buf mapped, as far as the kernel tells.
dmabufs_unused() {
	awk '/devices attached/ { sum += $2 } END { exit sum > 0 }' \
		/sys/kernel/debug/dma_buf/bufinfo 2>/dev/null || [ ! -e /sys/kernel/debug/dma_buf/bufinfo ]
}

# ended_wait [PID]: until that process is gone, and what rings that were closed had: the kernel gives back
# drives, mappings and dma-bufs a little later, which who comes next would find in use, or count.
ended_wait() {
	local end=$((SECONDS + 20 * SLOWNESS))
	while { [ -n "${1-}" ] && [ -e "/proc/$1" ]; } || ! dmabufs_unused; do
		[ "$SECONDS" -lt "$end" ] || return 0
		sleep 0.1
	done
}

# selftest_run PROGRAM [ARGUMENT...]: one of kernel/selftests. When it cannot run here, nor can the
# case. On a kernel that kernel/build makes it must not leave anything out.
selftest_run() {
	local program=/h/selftests/$1 rc=0
	shift

	[ -x "$program" ] || fail "${program##*/} was not built: --build names a tree without it"
	[ -n "$target_pid" ] || ended_wait
	"$program" "$@" 2>&1 | tee "$run/selftest.out" || rc=$?
	[ "$rc" -ne 77 ] || exit 77
	if [ "$rc" -ne 0 ]; then
		printf '%s\n' "-- what failed:"
		grep '^FAIL' "$run/selftest.out" | tail -n 25 || :
		fail "${program##*/} $*: exit code $rc"
	fi
	if [ "$KERNEL_OWN" -eq 1 ] && grep '^skip ' "$run/selftest.out"; then
		fail "${program##*/} $*: left out what is above"
	fi
}

# domain_assert DRIVE TYPE: how the IOMMU translates for that drive: DMA (strict), DMA-FQ (lazy) or
# identity. A test of premapped I/O proves nothing when nothing would have been mapped anyway.
domain_assert() {
	local dir=/sys/block/${1#/dev/}/device/device/iommu_group
	[ -e "$dir/type" ] || fail "no IOMMU translates for $1"
	assert_eq "type of the IOMMU domain of $1" "$2" "$(<"$dir/type")"
}

# ---------------------------------------------------------------- frame of a case

case_begin() {
	rm -rf "$run"
	mkdir -p "$run" "$mnt"
	target_pid=""
	transport_down
	transport_up
	config_reset
	drive0=$(drive_path ssd0)
	drive1=$(drive_path ssd1)
}

# Where the threads of a sluiced are that has to end now, for it may hang: beside the log, which is to
# end with what the case said.
threads_tell() {
	local task

	# the backtraces of all CPUs, and of tasks that are blocked, to the kernel's log
	echo l >/proc/sysrq-trigger
	echo w >/proc/sysrq-trigger
	grep -E 'LOC|RES' /proc/interrupts
	for task in "/proc/$target_pid/task/"*; do
		echo "-- thread $(<"$task/comm"), state $(cut -d ' ' -f 3 "$task/stat") on CPU" \
			"$(cut -d ' ' -f 39 "$task/stat"), system call $(<"$task/syscall")"
		cat "$task/stack"
	done
	grep -E 'LOC|RES' /proc/interrupts
}

# What programs said that the case kept to itself.
outputs_tell() {
	local file

	for file in "$run"/*.out "$run/sluiced.log"; do
		[ -s "$file" ] || continue
		echo "-- end of ${file##*/}"
		tail -n 12 "$file"
	done
}

# What is on $mnt may be a file of the target's, which it had until now.
mnt_free() {
	local end=$((SECONDS + 20 * SLOWNESS))
	while mountpoint -q "$mnt" && ! umount "$mnt" && [ "$SECONDS" -lt "$end" ]; do
		sleep 0.1
	done
}

# Leaves the guest as it was found, whatever happened.
case_end() {
	local rc=$1 processes link

	trap - ERR EXIT
	set +e
	# bash must not report their end: the last line of a skipped case is its reason
	processes=$(jobs -p)
	disown -a
	for link in lo "${rdma_links[@]}"; do
		tc qdisc del dev "$link" root 2>/dev/null
	done
	mountpoint -q "$mnt" && umount "$mnt"
	nvme disconnect-all >/dev/null 2>&1
	if [ -n "$target_pid" ] && ! kill -0 "$target_pid" 2>/dev/null; then
		echo "sluiced ended by itself"
		[ "$rc" -ne 0 ] || rc=1
	elif [ -n "$target_pid" ] && [ "$rc" -ne 0 ] && [ "$rc" -ne 77 ]; then
		threads_tell >"/out/logs/$case_name.threads"
	fi
	[ -z "$target_pid" ] || kill -KILL "$target_pid" 2>/dev/null
	nvmet_stop
	xargs -r kill -KILL <<<"$processes" 2>/dev/null
	[ "$(type -t nic_down)" != function ] || nic_down
	transport_down
	[ "$rc" -eq 0 ] || [ "$rc" -eq 77 ] || outputs_tell
	ended_wait "$target_pid"
	mnt_free
	exit "$rc"
}
