# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: premapped plain zerocopy
# targets: sluice
# timeout_s: 300
# As crash-order, where nothing logs what the drive holds, for whatever logs takes no dma-bufs: by the
# commands that the drive was given, and when it had done each, all that a host was told is on the disk was
# made so by a Flush that came after it, or by FUA.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh

tracing=/sys/kernel/tracing

dd if=/dev/zero of="$drive0" bs=1M count=2 oflag=direct status=none
config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
target_start
rung_ready
host_connect "$nqn"
namespace_wait "$nqn" 1

note "writing"
# one order for all CPUs
echo counter >"$tracing/trace_clock"
for event in nvme_setup_cmd nvme_complete_rq; do
	echo "disk == \"${drive0#/dev/}\"" >"$tracing/events/nvme/$event/filter"
	echo 1 >"$tracing/events/nvme/$event/enable"
done
echo >"$tracing/trace"
python3 -B /h/lib/crash_order.py trace-write "$device" "$run/answered"
cat "$tracing/trace" >"$run/trace"
for event in nvme_setup_cmd nvme_complete_rq; do
	echo 0 >"$tracing/events/nvme/$event/enable"
	echo 0 >"$tracing/events/nvme/$event/filter"
done
echo local >"$tracing/trace_clock"
rung_assert

note "playing back"
python3 -B /h/lib/crash_order.py trace-check "$run/trace" "${drive0#/dev/}" "$run/answered"
note "a Flush or FUA that was not asked for is found"
assert_fails "a drive that was not asked some" "was answered, and is not there" \
	python3 -B /h/lib/crash_order.py trace-check "$run/trace" "${drive0#/dev/}" "$run/answered" --forget 5
note "what was written last is there"
python3 -B /h/lib/crash_order.py content "$drive0" "$run/answered"
