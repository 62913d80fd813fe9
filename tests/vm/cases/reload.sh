# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# timeout_s: 300
# targets: sluice
# The configuration changes under the kernel's host: a namespace that comes appears by itself, one that
# grows changes its size, one that goes vanishes, a host that is not allowed any more loses its
# controller; and verified I/O on what did not change goes on.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh

attach_default
first=$ctrl
truncate -s 8M "$run/two.img"
truncate -s 8M "$run/three.img"

# file_namespace NSID FILE
file_namespace() {
	printf '\n[namespace %s/%s]\nbackend = file\npath = %s\n' "$nqn" "$1" "$2"
}

# reload [TEXT]
# The configuration of the start with TEXT behind it.
reload() {
	sluice_config >"$run/sluice.conf"
	printf '%s\n' "${1:-}" >>"$run/sluice.conf"
	sluicectl --socket "$run/control.sock" reload || fail "the reload was refused"
}

sectors_are() {
	[ "$(cat "/sys/class/block/${device##*/}/size")" = "$1" ]
}

ctrl_gone() {
	[ ! -e "/sys/class/nvme/$first" ]
}

not_taken_over() {
	[ "$(grep -c "is not taken over" "$run/sluiced.log")" -gt "$1" ]
}

# on this device, and until all changes are made
steady_start

echo "a namespace appears"
reload "$(file_namespace 2 "$run/two.img")"
namespace_wait "$nqn" 2
pattern_write "$device" 0 4096
assert_pattern "$run/two.img" 0 4096

echo "it grows"
truncate -s 16M "$run/two.img"
reload "$(file_namespace 2 "$run/two.img")"
retry 60 sectors_are 32768

echo "it vanishes"
reload
retry 60 namespace_absent "$nqn" 2

echo "another takes its NSID, with other data, and is another to the host"
reload "$(file_namespace 2 "$run/three.img")
uuid = 00112233-4455-6677-8899-aabbccddeeff"
namespace_wait "$nqn" 2
retry 60 sectors_are 16384
assert_eq "UUID of the new namespace" 00112233-4455-6677-8899-aabbccddeeff \
	"$(cat "/sys/class/block/${device##*/}/uuid")"

echo "it is detached and attached"
sluicectl --socket "$run/control.sock" detach "$nqn/2"
retry 60 namespace_absent "$nqn" 2
sluicectl --socket "$run/control.sock" attach "$nqn/2"
namespace_wait "$nqn" 2

echo "a wrong file changes nothing"
cp "$run/sluice.conf" "$run/good.conf"
echo "nonsense = yes" >>"$run/sluice.conf"
refused=$(grep -c "is not taken over" "$run/sluiced.log") || :
kill -HUP "$target_pid"
retry 30 not_taken_over "$refused"
sleep 1 # for what the host might hear
namespace_present "$nqn" 2 || fail "a refused configuration took a namespace away"
cp "$run/good.conf" "$run/sluice.conf"

steady_end
ctrl_state "$first" live || fail "the controller is not live any more"

echo "a host that is not allowed any more loses its controller"
config_reset
subsystem_add "$nqn" "$host2_nqn"
namespace_add "$nqn" 1 "$drive0"
reload
retry 30 ctrl_gone
