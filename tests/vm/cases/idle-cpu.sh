# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# An idle target with an idle host attached uses no CPU to speak of: under 0.5 % of a core.

attach_default
fio_verify "$device" --size=1M
cpu_ticks() { awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$target_pid/stat"; }
sleep 2
before=$(cpu_ticks)
sleep 10
used=$(($(cpu_ticks) - before))
limit=$(($(getconf CLK_TCK) * 10 / 200))
note "$used ticks in 10 s, limit $limit"
[ "$used" -le "$limit" ] || fail "the idle target used $used ticks of 1/$(getconf CLK_TCK) s in 10 s"
