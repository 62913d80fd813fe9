# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# kernel_args: dma_debug=off
# timeout_s: 600
# The block backend does what every backend must on each storage rung, on a drive and on devices
# that are built of drives.

# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh

# conformance DEVICE RUNG...
conformance() {
	local rc=0
	note "$*"
	test_conformance_rungs "$@" >"$run/conformance.out" 2>&1 || rc=$?
	grep -vE '^\[ +(RUN|OK) ' "$run/conformance.out" || :
	[ "$rc" -ne 77 ] || exit 77
	assert_eq "exit code of the conformance suite on $*" 0 "$rc"
}

stack_reset
conformance "$drive0" fixed plain bounce
conformance "$drive0" dmabuf dmabuf-vectored

half=$((256 << 11))
dm_create parts "0 $half linear $drive0 $half" "$half $half linear $drive1 0"
conformance "$device" dmabuf-vectored
dm_remove parts

dm_create stripes "0 $((2 * half)) striped 2 32 $drive0 0 $drive1 0"
conformance "$device" dmabuf-vectored
dm_remove stripes

md_create 0 "$drive0" "$drive1"
conformance "$device" dmabuf-vectored
md_stop "$drive0" "$drive1"

md_create 1 "$drive0" "$drive1"
conformance "$device" dmabuf-vectored
md_stop "$drive0" "$drive1"
