# SPDX-License-Identifier: BSD-3-Clause
"""crash_order.py write DEVICE DM FILE: several threads write blocks of DEVICE, each its own, and have them
made durable by Flush or FUA. After each answer the log of the device-mapper device DM gets a mark, and FILE
a line with what has to be there at that mark.

crash_order.py check LOG FILE [--forget N]: plays the log of dm-log-writes on the device LOG back and
compares at each mark; with --forget as if each N-th write had never come.

crash_order.py trace-write DEVICE FILE, and trace-check TRACE DISK FILE [--forget N], for devices that
log nothing: the marks are the kernel's trace's, with the commands that the drive DISK was given, and when it
had done each. What a Flush was not for yet is lost. With --forget as if each N-th Flush or FUA had not
been asked for.

crash_order.py content DEVICE FILE: DEVICE holds what was answered, or what came later.

The log is the kernel's: Documentation/admin-guide/device-mapper/log-writes.rst and struct log_write_super
and log_write_entry in drivers/md/dm-log-writes.c."""
import argparse
import json
import mmap
import os
import random
import re
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

TRACE_MARKER = "/sys/kernel/tracing/trace_marker"
EVENT = re.compile(r" (nvme_setup_cmd|nvme_complete_rq): \w+: disk=(\w+), qid=(\d+), cmdid=(\d+),(.*)")
WRITE = re.compile(r"cmd=\(nvme_cmd_write slba=(\d+), len=(\d+), ctrl=(0x[0-9a-f]+)")
FUA = 1 << 14


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
            if self.dm:
                subprocess.run(["dmsetup", "message", self.dm, "0", "mark", name], check=True)
                return
            with open(TRACE_MARKER, "w", encoding="ascii") as marker:
                marker.write(f"crash {name}")

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


def answers(path):
    """What was answered, by mark: the version of each block."""
    with open(path, encoding="ascii") as lines:
        return {line["mark"]: line["blocks"] for line in map(json.loads, lines)}


class Promises:
    """What has been answered so far, against what is there."""

    def __init__(self, path):
        self.answered = answers(path)
        self.durable = {}  # version that has to be there, by block
        self.disk = {}  # version that is there
        self.marks = 0

    def mark(self, name):
        if name not in self.answered:
            return
        self.marks += 1
        for block, version in self.answered[name].items():
            self.durable[int(block)] = version
        for block, version in self.durable.items():
            if self.disk.get(block, 0) < version:
                sys.exit(f"mark {name}: version {version} of block {block} was answered, and is not there: "
                         f"there is version {self.disk.get(block, 0)}")

    def end(self, log, writes):
        if self.marks != THREADS * ROUNDS:
            sys.exit(f"{log} has {self.marks} marks of {THREADS * ROUNDS}")
        print(f"{self.marks} times all was there that was answered; {writes} writes, "
              f"{len(self.durable)} blocks")


def check(log, path, forget):
    promises = Promises(path)
    writes = 0
    for begin, flags, data in entries(log):
        if flags & MARK:
            promises.mark(data)
            continue
        writes += bool(data)
        if forget and data and writes % forget == 0:
            continue
        for offset in range(0, len(data), BLOCK):
            piece = data[offset:offset + BLOCK]
            block, version = struct.unpack_from("<QQ", piece)
            if (begin + offset) == block * BLOCK and piece == stamp(block, version):
                promises.disk[block] = version
    promises.end(log, writes)


class Drive:
    """A drive with a cache, by its commands; a block's versions come one after the other."""

    def __init__(self, disk, block_size, forget):
        self.disk, self.per_block, self.forget = disk, BLOCK // block_size, forget
        self.durable = {}
        self.under_way = {}  # commands, by queue and number: blocks and FUA, or what a Flush is for
        self.cache = {}  # versions
        self.promised = self.writes = 0

    def keeps(self):
        """One more Flush or FUA: is it as if it was asked for?"""
        self.promised += 1
        return not self.forget or self.promised % self.forget

    def begun(self, key, text):
        write = WRITE.search(text)
        if write:
            first, last, control = int(write[1]), int(write[1]) + int(write[2]), int(write[3], 16)
            blocks = range(first // self.per_block, last // self.per_block + 1)
            self.under_way[key] = (blocks, bool(control & FUA))
        elif "nvme_cmd_flush" in text:
            self.under_way[key] = dict(self.cache)

    def done(self, key, text):
        what = self.under_way.pop(key, None)
        if what is None:
            return
        if "status=0x0" not in text:
            sys.exit(f"a command of {self.disk} failed: {text}")
        if isinstance(what, dict):
            if self.keeps():
                for block, version in what.items():
                    self.there(block, version)
            return
        blocks, fua = what
        self.writes += 1
        kept = fua and self.keeps()
        for block in blocks:
            self.cache[block] = self.cache.get(block, 0) + 1
            if kept:
                self.there(block, self.cache[block])

    def there(self, block, version):
        self.durable[block] = max(version, self.durable.get(block, 0))


def trace_check(trace, disk, path, forget):
    promises = Promises(path)
    with open(f"/sys/block/{disk}/queue/logical_block_size", encoding="ascii") as size:
        drive = Drive(disk, int(size.read()), forget)
    drive.durable = promises.disk
    with open(trace, encoding="ascii") as lines:
        for line in lines:
            if "LOST" in line:
                sys.exit(f"{trace} is not all: {line}")
            event = EVENT.search(line)
            if event and event[2] == disk:
                key = (event[3], event[4])
                (drive.begun if event[1] == "nvme_setup_cmd" else drive.done)(key, event[5])
            elif "tracing_mark_write: crash " in line:
                promises.mark(line.split()[-1])
    promises.end(trace, drive.writes)


def content(device, path):
    last = {}
    for blocks in answers(path).values():
        for block, version in blocks.items():
            last[int(block)] = max(version, last.get(int(block), 0))
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, BLOCK)
    for block, version in last.items():
        os.preadv(fd, [page], block * BLOCK)
        there = struct.unpack_from("<QQ", page)
        if page[:] != stamp(*there) or there[0] != block or there[1] < version:
            sys.exit(f"block {block}: wanted version {version} or a later one, found {there}")
    os.close(fd)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("action", choices=["write", "check", "trace-write", "trace-check", "content"])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--forget", type=int, default=0)
    options = parser.parse_args()
    if options.action == "write":
        write(*options.names)
    elif options.action == "trace-write":
        write(options.names[0], None, options.names[1])
    elif options.action == "check":
        check(*options.names, options.forget)
    elif options.action == "content":
        content(*options.names)
    else:
        trace_check(*options.names, options.forget)


main()
