# SPDX-License-Identifier: BSD-3-Clause
"""crash_order.py write DEVICE DM FILE: several threads write blocks of DEVICE, each its own, and have them
made durable by Flush or FUA. After each answer the log of the device-mapper device DM gets a mark, and FILE
a line with what has to be there at that mark.

crash_order.py check LOG FILE [--forget N]: plays the log of dm-log-writes on the device LOG back and
compares at each mark; with --forget as if each N-th write had never come.

The log is the kernel's: Documentation/admin-guide/device-mapper/log-writes.rst and struct log_write_super
and log_write_entry in drivers/md/dm-log-writes.c."""
import argparse
import json
import mmap
import os
import random
import struct
import subprocess
import sys
import threading

BLOCK = 4096
THREADS = 4
BLOCKS = 48  # of each thread
ROUNDS = 24

MAGIC = 0x6A736677736872
VERSION = 1
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
DISCARD, MARK = 1 << 2, 1 << 3


def stamp(block, version):
    """What a block holds: which it is and how often it was written, all over."""
    return struct.pack("<QQ", block, version) * (BLOCK // 16)


class Writer(threading.Thread):
    lock = threading.Lock()

    def __init__(self, number, device, dm, out):
        super().__init__()
        self.number, self.device, self.dm, self.out = number, device, dm, out
        self.random = random.Random(number)
        self.versions = {}  # of what was written
        self.error = None

    def write(self, fd, page, block, flags=0):
        self.versions[block] = self.versions.get(block, 0) + 1
        page[:] = stamp(block, self.versions[block])
        if os.pwritev(fd, [page], block * BLOCK, flags) != BLOCK:
            raise OSError(f"block {block} was written in part")

    def answered(self, name, blocks):
        """They are on the disk, says the target."""
        durable = {block: self.versions[block] for block in blocks}
        with self.lock:
            self.out.write(json.dumps({"mark": name, "blocks": durable}) + "\n")
            subprocess.run(["dmsetup", "message", self.dm, "0", "mark", name], check=True)

    def work(self):
        fd = os.open(self.device, os.O_RDWR | os.O_DIRECT)
        page = mmap.mmap(-1, BLOCK)
        first = self.number * BLOCKS
        dirty = set()
        for turn in range(ROUNDS):
            blocks = [first + self.random.randrange(BLOCKS) for _ in range(self.random.randrange(1, 12))]
            for block in blocks:
                self.write(fd, page, block)
            dirty.update(blocks)
            if turn % 3:
                os.fsync(fd)
                dirty.clear()
            else:
                # Only this one is promised. The log has what no Flush was for at the next Flush: what was
                # written to the same block before would come after it there.
                blocks = [self.random.choice([b for b in range(first, first + BLOCKS) if b not in dirty])]
                self.write(fd, page, blocks[0], os.RWF_DSYNC)
            self.answered(f"{self.number}-{turn}", blocks)
        os.close(fd)

    def run(self):
        try:
            self.work()
        except (OSError, subprocess.CalledProcessError) as error:
            self.error = error


def write(device, dm, path):
    with open(path, "w", encoding="ascii") as out:
        writers = [Writer(number, device, dm, out) for number in range(THREADS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
            if writer.error:
                sys.exit(f"{device}: {writer.error}")


def entries(log):
    """(first byte, flags, data) of each, in the order in which the device had them."""
    with open(log, "rb") as disk:
        magic, version, n, sector = SUPER.unpack(disk.read(SUPER.size))
        if magic != MAGIC or version != VERSION:
            sys.exit(f"{log} holds no log of dm-log-writes")
        where = sector
        for _ in range(n):
            disk.seek(where)
            begin, sectors, flags, length = ENTRY.unpack(disk.read(ENTRY.size))
            where += sector
            if flags & DISCARD:
                length = 0
            elif not flags & MARK:
                length = sectors * sector
            if flags & MARK:  # its name is in the entry's own block
                disk.seek(where - sector + ENTRY.size)
                yield 0, flags, disk.read(length).rstrip(b"\0").decode()
                continue
            disk.seek(where)
            yield begin * sector, flags, disk.read(length)
            where += (length + sector - 1) // sector * sector


def check(log, path, forget):
    with open(path, encoding="ascii") as lines:
        answered = {line["mark"]: line["blocks"] for line in map(json.loads, lines)}
    durable = {}  # version that has to be there, by block
    disk = {}  # version that is there
    marks = writes = 0
    for begin, flags, data in entries(log):
        if not flags & MARK:
            writes += bool(data)
            if forget and data and writes % forget == 0:
                continue
            for offset in range(0, len(data), BLOCK):
                piece = data[offset:offset + BLOCK]
                block, version = struct.unpack_from("<QQ", piece)
                if (begin + offset) == block * BLOCK and piece == stamp(block, version):
                    disk[block] = version
            continue
        if data not in answered:
            continue
        marks += 1
        for block, version in answered[data].items():
            durable[int(block)] = version
        for block, version in durable.items():
            if disk.get(block, 0) < version:
                sys.exit(f"mark {data}: version {version} of block {block} was answered, and is not there: "
                         f"there is version {disk.get(block, 0)}")
    if marks != THREADS * ROUNDS:
        sys.exit(f"{log} has {marks} marks of {THREADS * ROUNDS}")
    print(f"{marks} times all was there that was answered; {writes} writes, {len(durable)} blocks")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("action", choices=["write", "check"])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--forget", type=int, default=0)
    options = parser.parse_args()
    if options.action == "write":
        write(*options.names)
    else:
        check(*options.names, options.forget)


main()
