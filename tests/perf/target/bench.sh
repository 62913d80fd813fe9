# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the benchmarks share that measure a whole target in a guest with one CPU, against the kernel's own.
# Sourced by NAME/run, which sets
#
#   bench         the benchmark's name, that of its folder
#   case_name     what it is among the cases of tests/vm: NAME, or NAME@rdma
#   kernel_words  more of the guest's kernel command line
#
# and calls bench_begin with its own arguments, boot for each guest, and report. SLUICE_BUILD names the
# folder with the programs.
#
# shellcheck disable=SC2154 # bench, case_name and kernel_words are the sourcing script's

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
readonly top
readonly build=${SLUICE_BUILD:?has to name the folder with the programs}
readonly boot_limit_s=1500
readonly disk_size=256M memory=2048M
# Libraries that have to be the guest's own, which are newer: its C library, and those of RDMA, which load
# drivers made for just them.
readonly guest_libs='libc|libm|libpthread|libdl|librt|libresolv|libibverbs|librdmacm|libnl-3|libnl-route-3'

work=
share=
guest_pid=
keep=

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "tests/perf/$bench: $*"
	exit 1
}

cleanup() {
	local rc=$?

	trap - EXIT
	[ -z "$guest_pid" ] || kill -KILL "$guest_pid" 2>/dev/null || :
	[ -z "$keep" ] || cp "$work"/*.result "$work"/*.log "$work"/*.console "$keep/" 2>/dev/null || :
	rm -rf "$work"
	exit "$rc"
}

arguments_read() {
	kernel=
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel | --keep)
			[ $# -ge 2 ] || die "$1 needs a value"
			case $1 in
			--kernel) kernel=$2 ;;
			--keep) keep=$2 ;;
			esac
			shift 2
			;;
		*)
			die "'$1' is not an argument: [--kernel PATH] [--keep DIR]"
			;;
		esac
	done
}

# program_stage PATH: with the libraries that the guest lacks.
program_stage() {
	local program=${1##*/} lib

	[ -x "$1" ] || die "$1 is missing"
	cp "$1" "$share/programs/"
	printf '#!/bin/sh\nexec env LD_LIBRARY_PATH=/h/programs/lib /h/programs/%s "$@"\n' "$program" \
		>"$share/bin/$program"
	chmod +x "$share/bin/$program"
	while read -r lib; do
		cp -n "$lib" "$share/programs/lib/"
	done < <(ldd "$1" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | grep -vE "/($guest_libs)\.so")
}

# The guest sees what the cases of tests/vm see, with one case: this benchmark.
share_make() {
	mkdir -p "$share/programs/lib" "$share/bin" "$share/cases"
	cp -r "$top/tests/vm/guest" "$top/tests/vm/lib" "$top/tests/vm/lib.sh" "$share/"
	cp "$top/tests/perf/target/guest.sh" "$share/lib/bench.sh"
	cp "$top/tests/perf/$bench/guest.sh" "$share/cases/${case_name%@*}.sh"
	program_stage "$build/sluiced"
	program_stage "$build/sluicectl"
	program_stage "$build/tests/perf/target/target-load"
}

# bench_begin [--kernel PATH] [--keep DIR]
bench_begin() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-$bench.XXXXXX")
	share=$work/share
	trap cleanup EXIT
	arguments_read "$@"
	[ -z "$keep" ] || mkdir -p "$keep"
	[ -n "$kernel" ] || kernel=$("$top/kernel/build" --print-path)
	[ -r "$kernel" ] || die "$kernel: no such kernel image"
	qemu=$("$top/tests/vm/qemu" --print-path)/qemu-system-x86_64
	image=$("$top/tests/vm/rootfs" --print-path)
	share_make
}

# guest_start NAME QEMU-WORD...
# Without ERMS the kernel copies 8 bytes by an instruction instead of one: zerocopy/README.md.
guest_start() {
	local name=$1 drive drives=()
	shift

	rm -rf "$work/out"
	mkdir -p "$work/out/logs"
	printf '%s %s\n' "$case_name" "$boot_limit_s" >"$work/out/plan"
	for drive in ssd0 ssd1; do
		rm -f "$work/$drive.raw"
		truncate -s "$disk_size" "$work/$drive.raw"
		drives+=(-drive "if=none,id=$drive,file=$work/$drive.raw,format=raw,cache=unsafe"
			-device "nvme,serial=$drive,drive=$drive")
	done
	"$qemu" -M q35,kernel-irqchip=split -cpu max,-erms -smp 1 -m "$memory" "$@" \
		-nodefaults -display none -no-reboot -serial "file:$work/$name.console" \
		-device intel-iommu,intremap=off,caching-mode=off,aw-bits=39 \
		-drive "if=none,id=root,file=$image,format=raw,snapshot=on" \
		-device virtio-blk-pci,drive=root \
		"${drives[@]}" \
		-virtfs "local,path=$share,mount_tag=h,security_model=none,readonly=on" \
		-virtfs "local,path=$work/out,mount_tag=out,security_model=none" \
		-kernel "$kernel" \
		-append "console=ttyS0 quiet root=/dev/vda rw rootfstype=ext4 init=/sluice-init panic=-1 \
intel_iommu=on iommu.passthrough=0 iommu.strict=1 threadirqs mitigations=off \
tsc=reliable no_timer_check rcupdate.rcu_cpu_stall_suppress=1 $kernel_words" \
		>>"$work/$name.console" 2>&1 </dev/null &
	guest_pid=$!
}

# guest_wait
# Waits for the guest to end; after the limit, ends it and fails.
guest_wait() {
	local end=$((SECONDS + boot_limit_s)) rc=0

	while kill -0 "$guest_pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			kill -KILL "$guest_pid" || :
			rc=1
			break
		fi
		sleep 0.5
	done
	wait "$guest_pid" || :
	guest_pid=
	return "$rc"
}

# boot RUN SETTINGS QEMU-WORD...
# One guest, from start to end, with more lines for /h/settings; adds its lines to $work/lines.
boot() {
	local run=$1 start=$SECONDS
	printf 'TARGET=sluice KERNEL_OWN=1 SLOWNESS=1\n%s\n' "$2" >"$share/settings"
	shift 2

	guest_start "$run" "$@"
	guest_wait || say "the $run guest is not done after $boot_limit_s s"
	cp "$work/out/logs/$case_name.log" "$work/$run.log" 2>/dev/null || :
	cp "$work/out/result" "$work/$run.result" 2>/dev/null || :
	if ! grep -q "^end $case_name 0 " "$work/out/events" 2>/dev/null; then
		tail -n 40 "$work/$run.console" "$work/$run.log" >&2 || :
		die "the $run guest failed; its words are above"
	fi
	jq -c --arg run "$run" '. + {$run}' "$work/$run.result" >>"$work/lines"
	say "guest $run: $((SECONDS - start)) s"
}

# boot_both LOAD-ARGUMENTS SETTINGS
# A guest that counts instructions, and one that runs as fast as it can.
boot_both() {
	boot counted "load_arguments='$1 --count-instructions' $2" -accel tcg,thread=single -icount shift=0
	boot timed "load_arguments='$1' $2" -accel tcg
	jq -s -f "$top/tests/perf/$bench/rows.jq" "$work/lines" >"$work/rows"
}

# Prints what became of the goals, and all rows; fails when a goal was missed.
report() {
	jq -r -s --slurpfile rows "$work/rows" -f "$top/tests/perf/$bench/report.jq" "$work/lines" |
		tee "$work/report"
	jq -c . "$work/rows"
	! grep -q ^MISSED "$work/report"
}
