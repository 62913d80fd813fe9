# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Copies that nobody counts would be seen here: what a host wrote is looked for in all memory of the
# daemon but the receive area, where a copy, however it was made, stays until something else is
# written there; and what the kernel copies out of packets is added up. Both see copies where there
# are some.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

payload_bytes=$((16 << 20))
# bytes of one record, and of the daemon's memory before the receive area
record_bytes=64
pool_bytes=$((32 << 20))

# residue TEXT: sets found to the bytes of records with that text in the daemon's memory.
residue() {
	local range rights name from length records total=0

	while read -r range rights _ _ _ name; do
		from=$((16#${range%-*})) length=$((16#${range#*-} - 16#${range%-*}))
		# what others have written, code, and what is the kernel's
		[[ $rights == rw* && $name != anon_inode:* ]] || continue
		# the pool of a worker, with its receive area behind
		[[ $name != /memfd:* ]] || length=$pool_bytes
		records=$(dd if="/proc/$target_pid/mem" bs=1M iflag=skip_bytes,count_bytes skip="$from" \
			count="$length" status=none | { grep -zaoF -e "$1" || :; } |
			tr -dc '\0' | wc -c)
		[ "$records" -eq 0 ] || note "$records records in $range $name"
		total=$((total + records))
		looked_at=$((looked_at + length))
	done <"/proc/$target_pid/maps"
	found=$((total * record_bytes))
}

# copies NAME [RECEIVE]: writes 16 MiB by 128 KiB; sets kernel_bytes to what the kernel has copied,
# found to what lies about in the daemon's memory, and placed and staged to what the daemon counts.
copies() {
	local text=residue-of-$1-

	printf '[listener tcp]\nreceive = %s\n' "${2:-auto}" >"$run/sluice.conf.d/zz-receive.conf"
	seq -f "$text%0$((record_bytes - 1 - ${#text})).0f" 0 $((payload_bytes / record_bytes - 1)) \
		>"$run/payload"
	assert_eq "bytes to write" "$payload_bytes" "$(stat -c %s "$run/payload")"
	attach_default
	premapped_or_skip
	count_begin skb/skb_copy_datagram_iovec "" len
	count_begin swiotlb/swiotlb_bounced "" size
	dd if="$run/payload" of="$device" bs=128k oflag=direct status=none
	count_end swiotlb/swiotlb_bounced
	kernel_bytes=$summed
	count_end skb/skb_copy_datagram_iovec
	kernel_bytes=$((kernel_bytes + summed))
	zcrx_counters
	kernel_bytes=$((kernel_bytes + kernel_copied))
	looked_at=0
	residue "$text"
	note "$1 ($(zcrx_rung)): $kernel_bytes bytes copied by the kernel, $found found in" \
		"$looked_at of memory"
	assert_ge "bytes of memory looked at" "$pool_bytes" "$looked_at"
	host_disconnect "$nqn"
	target_stop
	dd if="$drive0" bs=128k count=128 iflag=direct status=none | cmp - "$run/payload" ||
		fail "the drive does not hold what was written"
}

nic_up 4
zcrx_config
printf '[daemon]\nworkers = 1\n' >"$run/sluice.conf.d/workers.conf"

copies zcrx
assert_ge "bytes placed" $((payload_bytes - payload_bytes / 100)) "$placed"
[ $((100 * kernel_bytes)) -lt "$payload_bytes" ] || fail "the kernel has copied payload"
[ $((100 * found)) -lt "$payload_bytes" ] || fail "the daemon has copied payload"
[ "$found" -le "$staged" ] || fail "the daemon has copied payload without counting it"

note "the daemon must copy: a drive cannot take payload at such a place"
nic_knob zc_offset 66
copies staged
nic_knobs_reset
# some packets begin two bytes off within the payload, too
assert_ge "bytes staged" $((payload_bytes / 2)) "$staged"
assert_ge "bytes found" 65536 "$found"
[ $((100 * kernel_bytes)) -lt "$payload_bytes" ] || fail "the kernel has copied payload"

note "the kernel copies to the receive area"
copies copied zcrx-copy
assert_ge "bytes that the kernel copied" "$payload_bytes" "$kernel_bytes"
[ "$found" -le "$staged" ] || fail "the daemon has copied payload without counting it"

note "the kernel copies to the buffers of commands"
copies received recv
assert_ge "bytes that the kernel copied" "$payload_bytes" "$kernel_bytes"
assert_ge "bytes found" 65536 "$found"
