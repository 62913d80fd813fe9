# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# An idle target with an idle host attached sleeps: nothing wakes it but the host's keep-alive commands,
# two in each five seconds, by up to four wake-ups each. Those are counted, for on an emulated processor that is shared the time
# that they take says little; a thread that spins would have all of it.

attach_default
fio_verify "$device" --size=1M
cpu_ticks() { awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$target_pid/stat"; }
# of all threads, since their start
wake_ups() {
	cat "/proc/$target_pid/task/"*/status |
		awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'
}
seconds=10
# An emulated processor that loses its own to a neighbour counts the loss as time of whoever ran on it:
# one quiet window of several is enough, for a thread that spins spoils them all.
for window in 1 2 3 4 5; do
	sleep 2
	begin_us=${EPOCHREALTIME/./}
	ticks=$(cpu_ticks) woken=$(wake_ups)
	sleep "$seconds"
	ticks=$(($(cpu_ticks) - ticks)) woken=$(($(wake_ups) - woken))
	note "window $window: woken $woken times, $ticks ticks of 1/$(getconf CLK_TCK) s, in $seconds s"
	# of the time that it really took; a timer that fires once a second would make it more
	took_us=$((${EPOCHREALTIME/./} - begin_us))
	[ $((1000000 * woken)) -le $((2 * took_us)) ] ||
		fail "the idle target woke up $woken times in $took_us us"
	[ "$ticks" -le $(($(getconf CLK_TCK) * seconds / 10)) ] && break
done
[ "$ticks" -le $(($(getconf CLK_TCK) * seconds / 10)) ] ||
	fail "the idle target used $ticks ticks of 1/$(getconf CLK_TCK) s in $seconds s"
