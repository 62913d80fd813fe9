# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# timeout_s: 240
# A file system on an attached namespace: made, written, synced, mounted again over a new
# connection, compared, checked.

attach_default
mkfs.ext4 -q -F "$device" 300M
mount "$device" "$mnt"
mkdir "$mnt/files"
for i in 1 2 3 4 5 6 7 8; do
	dd if=/dev/urandom of="$mnt/files/$i" bs=1M count=2 conv=fsync status=none
done
(cd "$mnt" && sha256sum files/*) >"$run/sums"
cp "$mnt/files/1" "$mnt/files/copy"
rm "$mnt/files/8"
sed -i '/files.8$/d' "$run/sums"
fstrim "$mnt"
umount "$mnt"
e2fsck -f -n "$device"

note "again, over a new connection and with no page of it in memory"
host_disconnect "$nqn"
host_connect "$nqn"
namespace_wait "$nqn" 1
echo 3 >/proc/sys/vm/drop_caches
mount "$device" "$mnt"
(cd "$mnt" && sha256sum --check --quiet "$run/sums")
cmp "$mnt/files/1" "$mnt/files/copy"
umount "$mnt"
e2fsck -f -n "$device"
