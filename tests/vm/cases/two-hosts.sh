# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Two hosts on one namespace. Both are in this guest, so its multipath layer joins their controllers
# under one device; with round-robin, what one host writes is what the other reads back.

target_start_default
host_connect "$nqn"
first=$ctrl
host_connect "$nqn" --hostnqn="$host2_nqn" --hostid="$host2_id"
second=$ctrl
[ "$first" != "$second" ] || fail "both hosts have controller $first"
[ "$(<"/sys/class/nvme/$first/cntlid")" != "$(<"/sys/class/nvme/$second/cntlid")" ] ||
	fail "both hosts have the same controller identifier"
namespace_wait "$nqn" 1
dir=$(subsystem_dir "$nqn")
# A path is there a little before it is of use.
two_paths() { [ "$(cat "$dir"/nvme*/nvme*c*n*/ana_state | xargs)" = "optimized optimized" ]; }
retry 30 two_paths
echo round-robin >"$dir/iopolicy"
fio_verify "$device"
for path in "$dir"/nvme*/nvme*c*n*; do
	read -r reads _ _ _ writes _ <"$path/stat"
	assert_ge "reads over ${path##*/}" $((1000 / less / SLOWNESS)) "$reads"
	assert_ge "writes over ${path##*/}" $((1000 / less / SLOWNESS)) "$writes"
done

note "one host leaves, the other goes on"
nvme disconnect -d "$first"
fio_verify "$device" --size=2M
