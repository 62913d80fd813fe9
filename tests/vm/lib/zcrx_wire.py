# SPDX-License-Identifier: BSD-3-Clause
"""zcrx_wire.py ADDRESS PORT NQN BLOCK: what no kernel's initiator sends, to a target that receives by
zero-copy. Namespace 1 has blocks of BLOCK bytes, and its content is lost."""
import sys
import time

from wire import (OK, SGL_CAPSULE, SGL_TRANSPORT, TRANSIENT_TRANSPORT, WRITE, Closed, Host, pattern,
                  read, rw, sgl, write)

COMPARE, FUSE_FIRST, FUSE_SECOND = 0x05, 1, 2
COMPARE_FAILURE, ABORTED_FAILED_FUSED = 0x285, 0x09
SLBA = 64
HALF = 10000  # of a PDU
FREE_S = 30

BLOCK = int(sys.argv[4])


def fuse(command, half):
    return command[:1] + bytes([command[1] | half]) + command[2:]


def content(conn, slba, length):
    done = read(conn, slba, length, BLOCK)
    assert done.status == OK, f"Read: status {done.status:#x}"
    return done.data


def stored(conn, slba, data):
    done = write(conn, slba, data, BLOCK)
    assert done.status == OK, f"Write: status {done.status:#x}"


def small_write(conn, slba, data):
    """The bytes of a capsule that brings its data along."""
    command = rw(WRITE, slba, len(data) // BLOCK, sgl(SGL_CAPSULE, len(data)))
    return conn.prepare(command, in_capsule=data)[1]


def fused(conn, expected, data, in_capsule):
    """A pair, both halves in one segment. Returns both status codes."""
    kind = SGL_CAPSULE if in_capsule else SGL_TRANSPORT
    segment, cids = b"", []
    for opcode, half, payload in ((COMPARE, FUSE_FIRST, expected), (WRITE, FUSE_SECOND, data)):
        command = fuse(rw(opcode, SLBA, len(payload) // BLOCK, sgl(kind, len(payload))), half)
        place = {"in_capsule" if in_capsule else "data": payload}
        cid, capsule = conn.prepare(command, **place)
        segment += capsule
        cids.append(cid)
    conn.send(segment)
    done = {}
    while len(done) < 2:
        completion = conn.reap()
        done[completion.cid] = completion.status
    return [done[cid] for cid in cids]


def fused_pairs(host):
    for conn in host.io:
        for in_capsule, length in ((False, 65536), (True, 4096)):
            old, new, wrong = (pattern(length, seed) for seed in (1, 2, 3))
            stored(conn, SLBA, old)
            assert fused(conn, old, new, in_capsule) == [OK, OK]
            assert content(conn, SLBA, length) == new
            assert fused(conn, wrong, old, in_capsule) == [COMPARE_FAILURE, ABORTED_FAILED_FUSED]
            assert content(conn, SLBA, length) == new, "written although the comparison failed"


def many_in_a_segment(host):
    """Commands whose capsules share chunks."""
    for conn in host.io:
        n, segment = 24, b""
        for i in range(n):
            segment += small_write(conn, SLBA + i * 4096 // BLOCK, pattern(4096, i))
        conn.send(segment)
        for _ in range(n):
            assert conn.reap().status == OK
        for i in range(n):
            assert content(conn, SLBA + i * 4096 // BLOCK, 4096) == pattern(4096, i)


def wrong_digests(host):
    """The command fails, nothing is written, and the connection goes on."""
    conn = host.queue(3, ddgst=True)
    old, new = pattern(32768, 4), pattern(32768, 5)
    stored(conn, SLBA, old)
    conn.submit(rw(WRITE, SLBA, len(new) // BLOCK, sgl(SGL_TRANSPORT, len(new))))
    cid, ttag, offset, length = conn.r2t()
    assert (offset, length) == (0, len(new))
    pdu = bytearray(conn.data_pdu(cid, ttag, 0, new))
    pdu[-1] ^= 1
    conn.send(pdu)
    assert conn.reap().status == TRANSIENT_TRANSPORT
    capsule = bytearray(small_write(conn, SLBA, new[:4096]))
    capsule[-1] ^= 1
    conn.send(capsule)
    assert conn.reap().status == TRANSIENT_TRANSPORT
    assert content(conn, SLBA, len(old)) == old, "written although its digest is wrong"
    stored(conn, SLBA, new)
    assert content(conn, SLBA, len(new)) == new


def pieces_of_any_length(host):
    """Packets that end anywhere, in headers, in payload and in digests."""
    conn = host.queue(4, hdgst=True, ddgst=True)
    for i, cut in enumerate((1, 3, 8, 71, 76, 79, 2049, 4095, 4171, 4173, 4175)):
        data = pattern(4096, 10 + i)
        capsule = small_write(conn, SLBA, data)
        assert cut < len(capsule)
        conn.send(capsule[:cut])
        time.sleep(0.02)
        conn.send(capsule[cut:])
        assert conn.reap().status == OK
        assert content(conn, SLBA, 4096) == data
    data = pattern(131072, 30)
    conn.submit(rw(WRITE, SLBA, len(data) // BLOCK, sgl(SGL_TRANSPORT, len(data))))
    done = 0
    while done < len(data):
        cid, ttag, offset, length = conn.r2t()
        pdu = conn.data_pdu(cid, ttag, offset, data[offset:offset + length])
        for at in range(0, len(pdu), 3001):
            conn.send(pdu[at:at + 3001])
            time.sleep(0.002)
        done = offset + length
    assert conn.reap().status == OK
    assert content(conn, SLBA, len(data)) == data


def queue_again(host, qid):
    """A queue whose identifier is free once the target has seen that the last one's host is gone."""
    end = time.monotonic() + FREE_S
    while True:
        try:
            return host.queue(qid)
        except (AssertionError, Closed):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def halves_of_pdus(host):
    """Hosts that go in the middle of one: nothing of what was begun is written."""
    old = pattern(65536, 6)
    stored(host.io[0], SLBA, old)
    for end in ("close", "reset"):
        conn = queue_again(host, 5)
        conn.submit(rw(WRITE, SLBA, len(old) // BLOCK, sgl(SGL_TRANSPORT, len(old))))
        cid, ttag, _, _ = conn.r2t()
        conn.send(conn.data_pdu(cid, ttag, 0, pattern(len(old), 7))[:HALF])
        getattr(conn, end)()
        host.io.remove(conn)
        conn = queue_again(host, 6)
        conn.send(small_write(conn, SLBA, pattern(4096, 8))[:3000])
        getattr(conn, end)()
        host.io.remove(conn)
        time.sleep(0.5)  # for what the target makes of the halves
    assert content(host.io[0], SLBA, len(old)) == old, "a part of a PDU was written"


def main():
    address = (sys.argv[1], int(sys.argv[2]))
    for check in (fused_pairs, many_in_a_segment, wrong_digests, pieces_of_any_length, halves_of_pdus):
        with Host(address, sys.argv[3], queues=2) as host:
            check(host)
        print("ok", check.__name__)


main()
