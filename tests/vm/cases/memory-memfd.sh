# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 240
# The default memory is a dma-buf, too, where the kernel has udmabuf; of huge pages where there are
# any.

limit=/sys/module/udmabuf/parameters/size_limit_mb
[ -e /dev/udmabuf ] || skip "the kernel has no /dev/udmabuf"

# MiB that each of the two workers has, which is as many huge pages for both: buffers, and for RDMA the
# receive area.
size_mib=32
[ "$transport" = tcp ] || size_mib=40

# Sets area to the first worker's.
area_get() {
	area=$(sluicectl --socket "$run/control.sock" --json datapath | jq -c '.areas[0]')
	note "$area"
}

free_huge_pages() {
	awk '/^HugePages_Free/ { print $2 }' /proc/meminfo
}

note "ordinary pages"
target_start_default
area_get
assert_eq "provider" memfd "$(json_get "$area" .provider)"
assert_eq "faces" cpu,fixed,dmabuf "$(json_get "$area" '.faces | join(",")')"
assert_eq "why not" null "$(json_get "$area" .why_not)"
target_stop

note "more than udmabuf takes: what to set is said, and it works without"
kept=$(<$limit)
echo 16 >$limit
target_start
area_get
echo "$kept" >$limit
assert_eq "faces" cpu,fixed "$(json_get "$area" '.faces | join(",")')"
assert_match "why not" "udmabuf takes at most 16 MiB, this is $size_mib MiB: write $size_mib to $limit" \
	"$(json_get "$area" .why_not)"
target_stop

# The cases before may have left memory in pieces, and the kernel gives some back late.
huge_pages_made() {
	echo 1 >/proc/sys/vm/compact_memory
	echo $((size_mib + 8)) >/proc/sys/vm/nr_hugepages
	free=$(free_huge_pages)
	[ "$free" -ge "$size_mib" ]
}

note "huge pages"
retry 30 huge_pages_made
assert_ge "free huge pages" $size_mib "$free"
target_start
area_get
assert_eq "faces" cpu,fixed,dmabuf "$(json_get "$area" '.faces | join(",")')"
assert_ge "huge pages in use" 16 $((free - $(free_huge_pages)))
host_connect "$nqn"
namespace_wait "$nqn" 1
fio_matrix "$device" 64k:4
host_disconnect "$nqn"
target_stop
given_back() { [ "$(free_huge_pages)" -eq "$free" ]; }
retry 60 given_back # the kernel closes a ring's files late
echo 0 >/proc/sys/vm/nr_hugepages
