# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# timeout_s: 240
# targets: sluice
# An orderly stop under load ends in time with exit code 0, and nothing is lost over the restart.

attach_default
ctrl_live() { ctrl_state "$ctrl" live; }
fio_verify "$device" --size=$((24 / less))M &
fio=$!
sleep 2
kill -0 "$fio" 2>/dev/null || fail "fio was through before the target was stopped"
begin=$SECONDS
target_stop
# long before a service manager would lose patience, and not because the time for commands was over
[ $((SECONDS - begin)) -le $((30 * SLOWNESS)) ] || fail "the stop took $((SECONDS - begin)) s"
! grep "took longer than .daemon. drain" "$run/sluiced.log" || fail "commands were cut off"
target_start
retry 60 ctrl_live
wait "$fio"
