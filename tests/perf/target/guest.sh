# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the benchmarks share inside the guest, on top of tests/vm/lib.sh and lib/datapath.sh. Each line that
# target-load prints goes to /out/result with the row that it is for, and after each row a line of kind
# "copies": what copies_read, the benchmark's own, says has been counted meanwhile.
#
# From /h/settings, which the benchmark's script wrote:
#
#   load_arguments   more arguments for target-load
#
# shellcheck disable=SC2154 # from lib.sh, lib/ and /h/settings

udmabuf_limit=/sys/module/udmabuf/parameters/size_limit_mb

# storage_choose ordinary|premapped: whether the daemon's memory can be a dma-buf, all else being equal.
storage_choose() {
	case $1 in
	ordinary) echo 16 >"$udmabuf_limit" ;;
	premapped) echo 1024 >"$udmabuf_limit" ;;
	esac
}

# storage_assert ordinary|premapped: the target stands on the rung that the row is named after.
storage_assert() {
	if [ "$1" = premapped ]; then
		premapped_or_skip
	else
		storage_get
		assert_eq "storage rung" fixed "$rung"
	fi
}

# row_measure TARGET STORAGE SHAPE RW LOAD-ARGUMENT...
row_measure() {
	local before after row

	row=$(jq -nc --arg target "$1" --arg storage "$2" --arg shape "$3" --arg rw "$4" \
		'{$target, $storage, $shape, $rw}')
	note "${*:1:4}"
	[ "$1" = nvmet ] || before=$(copies_read)
	# shellcheck disable=SC2086 # a list of words
	target-load --rw "$4" --daemon "${target_pid:-0}" "${@:5}" $load_arguments "$device" >"$run/lines"
	jq -c --argjson row "$row" '. + $row' "$run/lines" >>/out/result
	[ "$1" != nvmet ] || return 0
	after=$(copies_read)
	jq -nc --argjson row "$row" --argjson before "$before" --argjson after "$after" \
		'{kind: "copies"} + $row + ($after | with_entries(.value -= $before[.key]))' >>/out/result
}
