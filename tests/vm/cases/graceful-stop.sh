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
[ $((SECONDS - begin)) -le 10 ] || fail "the stop took $((SECONDS - begin)) s"
target_start
retry 30 ctrl_live
wait "$fio"
