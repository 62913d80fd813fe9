# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# timeout_s: 240
# targets: sluice
# An orderly stop under load ends in time with exit code 0, and nothing is lost over the restart. How long
# the host's I/O waits is told: no longer than from the stop to its next try after the start.

attach_default
ctrl_live() { ctrl_state "$ctrl" live; }
# One read after the other, beyond what is written: the longest is the pause.
fio --name=pause --filename="$device" --rw=randread --bs=4k --offset=512M --size=16M --direct=1 \
	--ioengine=psync --time_based --runtime=600 --output-format=json >"$run/pause.json" &
reader=$!
fio_verify "$device" --size=$((24 / less))M &
fio=$!
sleep 2
kill -0 "$fio" 2>/dev/null || fail "fio was through before the target was stopped"
begin=$SECONDS
stopped_at=$(date +%s%N)
target_stop
# long before a service manager would lose patience, and not because the time for commands was over
[ $((SECONDS - begin)) -le $((30 * SLOWNESS)) ] || fail "the stop took $((SECONDS - begin)) s"
! grep "took longer than .daemon. drain" "$run/sluiced.log" || fail "commands were cut off"
target_start
retry 60 ctrl_live
wait "$fio"
outside_ms=$((($(date +%s%N) - stopped_at) / 1000000))
kill -INT "$reader"
wait "$reader" || true
pause_ms=$(json_get "$(sed -n '/^{/,$p' "$run/pause.json")" '.jobs[0].read.clat_ns.max / 1e6 | round')
note "the host waited for $pause_ms ms; it tries again each second"
assert_eq "errors of the reads" 0 "$(json_get "$(sed -n '/^{/,$p' "$run/pause.json")" '.jobs[0].error')"
assert_ge "pause, ms" 100 "$pause_ms"
assert_ge "time from the stop to the last write, ms" "$pause_ms" "$outside_ms"
