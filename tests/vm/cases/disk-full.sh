# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: premapped plain zerocopy
# targets: sluice
# timeout_s: 240
# The file system below a sparse namespace is full: writes that need room fail, what is there can be read
# and written, the other namespace does not notice, and with room again all is as it was.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
mkfs.ext4 -q -F "$drive1" 64M
mount "$drive1" "$mnt"
printf '[namespace %s/2]\nbackend = file\npath = %s/disk\nsize = 128M\n' "$nqn" "$mnt" \
	>"$run/sluice.conf.d/file.conf"
target_start
host_connect "$nqn"
namespace_wait "$nqn" 2
sparse=$device
namespace_wait "$nqn" 1

note "filling it"
pattern_write "$sparse" 0 $((4 << 20))
dd if=/dev/zero of="$mnt/ballast" bs=1M 2>/dev/null || :
# what is left when all is written, by the block
sync -f "$mnt" || :
dd if=/dev/zero of="$mnt/rest" bs=1k 2>/dev/null || :
sync -f "$mnt" || :
assert_fails "a write that needs room" "No space left|Input/output error|critical space" \
	dd if=/dev/urandom of="$sparse" bs=1M count=8 seek=64 oflag=direct conv=notrunc
assert_fails "the same by hand" "Capacity Exceeded" \
	nvme write "$sparse" --start-block=$((100 << 11)) --block-count=7 --data-size=4096 --data=/dev/zero

note "what is there"
assert_pattern "$sparse" 0 $((4 << 20))
pattern_write "$sparse" 0 $((1 << 20))
assert_pattern "$sparse" 0 $((1 << 20))
assert_zero "$sparse" $((100 << 20)) 4096
fio_verify "$device" --size=4M

note "room again"
rm -f "$mnt/ballast" "$mnt/rest"
# it is there when the journal says so
sync -f "$mnt"
fio_verify "$sparse" --offset=64M --size=8M
rung_assert
# a file takes no dma-bufs; what a NIC has placed is in pieces, which cannot go by registered buffers then
[ "$case_rung" = zerocopy ] || rung_assert 2 fixed
target_stop
# the ring lets go of the file a little later
retry 30 umount "$mnt"
