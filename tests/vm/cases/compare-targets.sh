# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# timeout_s: 300
# targets: sluice
# What the kernel's own target answers, ours answers too: the same queries go to both in turn, and
# each that the kernel's target can answer must be answered by ours; each capability that it
# announces must be announced by ours.

features="01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 78 7f 80 81 82 83 84 85"

# query NAME COMMAND...: keeps its output and whether it succeeded.
query() {
	local name=$1
	shift
	if "$@" >"$results/$name.out" 2>"$results/$name.err"; then
		echo "$name" >>"$results/answered"
	fi
}

# The same questions, whatever the target.
queries_run() {
	local dev=$1 ns=$2 cns lid fid

	query discover host_nvme discover -o json
	query id-ctrl nvme id-ctrl "$dev" -o json
	query id-ns nvme id-ns "$dev" -n 1 -o json
	query ns-descs nvme ns-descs "$dev" -n 1 -o json
	for cns in 0 1 2 3 5 6 7 8; do
		query "identify-$cns" nvme admin-passthru "$dev" --opcode=6 --cdw10=$cns \
			--namespace-id="$(case $cns in 1 | 2 | 6 | 7) echo 0 ;; *) echo 1 ;; esac)" \
			--data-len=4096 --read --raw-binary
	done
	query supported-logs nvme get-log "$dev" --log-id=0 --log-len=1024 --raw-binary
	for lid in 0 1 2 3 4 5 12 18; do
		query "log-$lid" nvme get-log "$dev" --log-id=$lid --log-len="$(log_size $lid)" \
			--raw-binary
	done
	query effects nvme get-log "$dev" --log-id=5 --log-len=4096 --raw-binary
	query smart-log nvme smart-log "$dev" -o json
	query ana-log nvme ana-log "$dev" -o json
	query error-log nvme error-log "$dev" -o json
	query fw-log nvme fw-log "$dev" -o json
	query endurance-log nvme endurance-log "$dev" --group-id=1 -o json
	for fid in $features; do
		query "feature-$fid" nvme admin-passthru "$dev" --opcode=0x0a --cdw10="0x$fid" \
			--cdw11=1 --namespace-id=1 --read \
			--data-len="$(case $fid in 81) echo 16 ;; *) echo 0 ;; esac)"
	done
	query set-queues nvme set-feature "$dev" --feature-id=7 --value=0x00010001
	query set-events nvme set-feature "$dev" --feature-id=0x0b --value=0x900
	query set-kato nvme set-feature "$dev" --feature-id=0x0f --value=10000
	query set-protection nvme set-feature "$dev" -n 1 --feature-id=0x84 --value=0
	query flush nvme flush "$ns" -n 1
	query write nvme write "$ns" -s 0 -c 7 -z 4096 -d "$run/block"
	query read nvme read "$ns" -s 0 -c 7 -z 4096 -d "$run/back"
	query write-zeroes nvme write-zeroes "$ns" -s 16 -c 7
	query dsm nvme dsm "$ns" --ad --slbs=16 --blocks=8
	query resume-reset nvme reset "$dev"
}

target_ask() {
	# shellcheck disable=SC2034 # lib.sh reads it
	TARGET=$1
	results=$run/$1
	mkdir "$results"
	target_start_default
	host_connect "$nqn"
	namespace_wait "$nqn" 1
	queries_run "/dev/$ctrl" "$device"
	host_disconnect "$nqn"
	target_stop
}

# Bits that the kernel's target sets in an Identify field and ours does not; $3 says which to leave
# out.
bits_missing() {
	local file=$1 field=$2 except=${3:-0} theirs ours
	theirs=$(jq ".$field" "$run/nvmet/$file.out")
	ours=$(jq ".$field" "$run/sluice/$file.out")
	echo $((theirs & ~ours & ~except))
}

dd if=/dev/urandom of="$run/block" bs=4096 count=1 status=none
target_ask nvmet
target_ask sluice
worse=0

note "queries: $(wc -l <"$run/nvmet/answered") answered by the kernel's target, $(wc -l <"$run/sluice/answered") by ours"
while read -r name; do
	if ! grep -qx -- "$name" "$run/sluice/answered"; then
		echo "only the kernel's target answers: $name: $(tail -n 1 "$run/sluice/$name.err")"
		worse=1
	fi
done <"$run/nvmet/answered"

# The kernel's target announces reservations (ONCS bit 5) for namespaces that refuse the commands
# until an attribute enables them; ours announces what it does.
# ANACAP is left out: it says which states a path may be put into, not what a host may ask.
for field in cmic oaes ctratt oacs lpa frmw "oncs 32" fuses vwc sgls nwpc; do
	# shellcheck disable=SC2086 # field and exception
	missing=$(bits_missing id-ctrl $field)
	if [ "$missing" -ne 0 ]; then
		printf 'id-ctrl %s: the kernel has bits 0x%x that ours lacks\n' "${field% *}" "$missing"
		worse=1
	fi
done
for field in nmic dlfeat; do
	missing=$(bits_missing id-ns $field)
	if [ "$missing" -ne 0 ]; then
		printf 'id-ns %s: the kernel has bits 0x%x that ours lacks\n' "$field" "$missing"
		worse=1
	fi
done
for field in ver nn mnan ioccsz iorcsz acl aerl elpe; do
	theirs=$(jq ".$field" "$run/nvmet/id-ctrl.out") ours=$(jq ".$field" "$run/sluice/id-ctrl.out")
	if [ "$ours" -lt "$theirs" ]; then
		echo "id-ctrl $field: the kernel has $theirs, ours $ours"
		worse=1
	fi
done

# Both logs are tables of 32-bit entries; bit 0 of an entry says that it is supported. Left out, as
# above, what the kernel's target announces without answering it here: reservations (log page 128,
# I/O commands 0Dh, 0Eh, 11h and 15h) and rotational media (log page 22), which these drives are
# not.
table_compare() {
	local table=$1 except=$2
	paste <(od -An -v -tu4 -w4 "$run/nvmet/$table.out") <(od -An -v -tu4 -w4 "$run/sluice/$table.out") |
		awk -v table="$table" -v except=" $except " '$1 % 2 && !($2 % 2) && !index(except, " " NR - 1 " ") {
			print table ": the kernel has entry " NR - 1 ", ours has not"
		}' >"$run/missing"
	if [ -s "$run/missing" ]; then
		cat "$run/missing"
		worse=1
	fi
}

table_compare supported-logs "22 128"
table_compare effects "$((256 + 0x0d)) $((256 + 0x0e)) $((256 + 0x11)) $((256 + 0x15))"
[ "$worse" -eq 0 ] || fail "the kernel's target answers more than ours: see above"
