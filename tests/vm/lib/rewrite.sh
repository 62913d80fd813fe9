# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases in which a host loses its controller: it writes the same blocks again and again, so that
# a write that lands late would be found on what was written after it. fio numbers what it writes.
#
# shellcheck disable=SC2154 # from lib.sh

rewrite_pid=""

# rewrite_start: $device is written and verified in the background, in rounds, until rewrite_end.
rewrite_start() {
	rm -f "$run/enough"
	echo 0 >"$run/rounds"
	rewrite_rounds &
	rewrite_pid=$!
	sleep 2
}

rewrite_rounds() {
	local rounds=0

	while [ ! -e "$run/enough" ]; do
		fio --name=rewrite --filename="$device" --rw=randwrite --bs=4k --size=1M --loops=3 \
			--iodepth=16 --direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 \
			--do_verify=1 >"$run/rewrite.out" 2>&1 || return 1
		! grep -iE 'verify: bad|error=' "$run/rewrite.out" || return 1
		rounds=$((rounds + 1))
		# in one piece, for who reads it meanwhile
		echo "$rounds" >"$run/rounds.new"
		mv "$run/rounds.new" "$run/rounds"
	done
}

# rewrite_passed ROUNDS: are there more than that? Fails when something was found wrong.
rewrite_passed() {
	kill -0 "$rewrite_pid" 2>/dev/null || fail "the host found an error: $(head -n 5 "$run/rewrite.out")"
	[ "$(<"$run/rounds")" -gt "$1" ]
}

# The host gets on: the round that was under way ends well, and a whole one.
rewrite_goes_on() {
	retry 90 rewrite_passed $(($(<"$run/rounds") + 1))
}

rewrite_end() {
	touch "$run/enough"
	wait "$rewrite_pid" || fail "the host found an error: $(head -n 5 "$run/rewrite.out")"
}
