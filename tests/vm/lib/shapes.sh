# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases about what packets may look like: lib/zcrx.sh and what the NIC makes of them.
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

# packets KNOB:VALUE...: verified I/O meanwhile, and what it did to the counters.
packets() {
	local before staged_before copied_before
	note "$*"
	zcrx_counters >"$run/counters"
	before=$placed staged_before=$staged copied_before=$kernel_copied
	while [ $# -gt 0 ]; do
		nic_knob "${1%:*}" "${1#*:}"
		shift
	done
	fio_run --name=shapes --filename="$device" --rw=randwrite --bsrange=4k-256k --size=8M --iodepth=8 \
		--direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 --do_verify=1
	nic_knobs_reset
	zcrx_counters
	placed=$((placed - before)) staged=$((staged - staged_before))
	kernel_copied=$((kernel_copied - copied_before))
}

shapes() {
	packets zc_offset:64
	assert_ge "times as many bytes placed as staged" 20 $((placed / (staged + 1)))
	packets zc_offset:66
	assert_ge "bytes staged, at a place that the drive cannot take" $((4 << 20)) "$staged"
	packets zc_pack:64
	assert_ge "times as many bytes placed as staged" 20 $((placed / (staged + 1)))
	packets zc_frag:1000 zc_pack:8
	packets zc_linear_every:4
	assert_ge "bytes that the kernel copied" $((1 << 20)) "$kernel_copied"
	packets zc_drop_every:50 zc_reorder_every:7
}
