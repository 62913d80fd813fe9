# SPDX-License-Identifier: BSD-3-Clause
"""A raw NVMe/TCP host: builds every PDU by hand, so that a test can break any of its bytes.

Nothing here retries or hides what the target does: what comes back is checked or handed to the test.
"""
import collections
import random
import socket
import struct
import uuid

ICREQ, ICRESP, H2C_TERM, C2H_TERM, CMD, RSP, H2C_DATA, C2H_DATA, R2T = 0, 1, 2, 3, 4, 5, 6, 7, 9
HDGSTF, DDGSTF, LAST, SUCCESS = 1, 2, 4, 8
HLEN = {ICREQ: 128, ICRESP: 128, H2C_TERM: 24, C2H_TERM: 24, CMD: 72, RSP: 24, H2C_DATA: 24,
        C2H_DATA: 24, R2T: 24}
FES_HEADER, FES_SEQUENCE, FES_HDGST, FES_RANGE, FES_LIMIT, FES_UNSUPPORTED = 1, 2, 3, 4, 5, 6

SGL_TRANSPORT, SGL_CAPSULE = 0x5A, 0x01
FABRICS = 0x7F
PROPERTY_SET, CONNECT, PROPERTY_GET, DISCONNECT = 0x00, 0x01, 0x04, 0x08
FLUSH, WRITE, READ, DSM = 0x00, 0x01, 0x02, 0x09
GET_LOG_PAGE, IDENTIFY, SET_FEATURES, GET_FEATURES, ASYNC_EVENT, KEEP_ALIVE = 2, 6, 9, 10, 12, 0x18
CAP, VS, CC, CSTS = 0x00, 0x08, 0x14, 0x1C
CC_ENABLE = 1 | 6 << 16 | 4 << 20

# Status type and code as one number; DNR and MORE beside it.
OK, INVALID_OPCODE, INVALID_FIELD, INTERNAL, ABORTED_SQ = 0x00, 0x01, 0x02, 0x06, 0x08
INVALID_NSID, SEQUENCE, SGL_LENGTH, SGL_TYPE, SGL_OFFSET = 0x0B, 0x0C, 0x0F, 0x11, 0x16
TRANSIENT_TRANSPORT, LBA_RANGE = 0x22, 0x80
CONNECT_FORMAT, CONNECT_BUSY, CONNECT_PARAM, CONNECT_HOST = 0x180, 0x181, 0x182, 0x184
DISCONNECT_TYPE = 0x185
DNR = 0x4000

DISCOVERY_NQN = "nqn.2014-08.org.nvmexpress.discovery"
HOST_NQN = "nqn.2014-08.org.nvmexpress:uuid:6f3c1a52-9d44-4c1b-8a0e-5b7d0c2e9f11"
HOST_ID = uuid.UUID("6f3c1a52-9d44-4c1b-8a0e-5b7d0c2e9f11").bytes
TIMEOUT_S = 20


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def digest(data):
    return struct.pack("<I", crc32c(data))


def pattern(length, seed=0):
    """Bytes that differ between places and seeds."""
    return random.Random(seed).randbytes(length)


class WireError(AssertionError):
    """The target sent what no controller may send."""


class Closed(Exception):
    """The target closed the connection."""


Pdu = collections.namedtuple("Pdu", "type flags hlen pdo plen header data")
Completion = collections.namedtuple("Completion", "cid status dnr more dw0 dw1 sqhd sqid data flagged")


def header(kind, flags=0, hlen=None, pdo=0, plen=0):
    return struct.pack("<BBBBI", kind, flags, HLEN[kind] if hlen is None else hlen, pdo, plen)


def icreq(pfv=0, hpda=0, dgst=0, maxr2t=0, flags=0, hlen=None, pdo=0, plen=128):
    return header(ICREQ, flags, hlen, pdo, plen) + struct.pack("<HBBI112x", pfv, hpda, dgst, maxr2t)


def sgl(kind, length, offset=0):
    return struct.pack("<QI3xB", offset, length, kind)


NO_SGL = bytes(16)


def sqe(opcode, cid=0, nsid=0, dptr=NO_SGL, cdws=(), flags=0x40):
    words = tuple(cdws) + (0,) * (6 - len(cdws))
    return struct.pack("<BBHI16x16s6I", opcode, flags, cid, nsid, dptr, *words)


def rw(opcode, slba, blocks, dptr, nsid=1):
    return sqe(opcode, 0, nsid, dptr, (slba & 0xFFFFFFFF, slba >> 32, blocks - 1))


def connect_sqe(qid=0, sqsize=31, cattr=0, kato_ms=0, recfmt=0, dptr=None):
    dptr = sgl(SGL_CAPSULE, 1024) if dptr is None else dptr
    return struct.pack("<BBHB19x16sHHHBxI12x", FABRICS, 0x40, 0, CONNECT, dptr, recfmt, qid, sqsize,
                       cattr, kato_ms)


def connect_data(subnqn, hostnqn=HOST_NQN, hostid=HOST_ID, cntlid=0xFFFF):
    def name(text):
        return text if isinstance(text, bytes) else text.encode()
    return struct.pack("<16sH238x256s256s256x", hostid, cntlid, name(subnqn), name(hostnqn))


def property_sqe(fctype, offset, value=0, attrib=0):
    return struct.pack("<BBHB35xB3xIQ8x", FABRICS, 0x40, 0, fctype, attrib, offset, value)


def disconnect_sqe(recfmt=0):
    return struct.pack("<BBHB19x16xH22x", FABRICS, 0x40, 0, DISCONNECT, recfmt)


def with_cid(command, cid):
    return command[:2] + struct.pack("<H", cid) + command[4:]


class Conn:
    """One connection, that is one queue."""

    def __init__(self, address, hdgst=False, ddgst=False, hpda=0, init=True, rcvbuf=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.hdgst = self.ddgst = False
        self.align = (hpda + 1) * 4
        self.buffer = bytearray()
        self.next_cid = 0
        self.to_send = {}   # cid: payload of a write that waits for R2Ts
        self.received = {}  # cid: payload of a read so far
        self.r2ts = 0
        if init:
            self.send(icreq(hpda=hpda, dgst=hdgst | ddgst << 1))
            reply = self.icresp()
            self.hdgst, self.ddgst = bool(reply.header[11] & 1), bool(reply.header[11] & 2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # ----------------------------------------------------------------------------------- sending

    def send(self, data):
        self.sock.sendall(data)

    def capsule(self, command, data=b"", pad=0, **broken):
        """The bytes of a command capsule; @broken: fields of the common header, put in as given."""
        fields = {"flags": (HDGSTF if self.hdgst else 0) | (DDGSTF if self.ddgst and data else 0),
                  "pdo": 0, "plen": 72 + (4 if self.hdgst else 0)}
        if data:
            fields["pdo"] = fields["plen"] + pad
            fields["plen"] += pad + len(data) + (4 if self.ddgst else 0)
        fields.update(broken)
        head = header(CMD, **fields) + command
        return (head + (digest(head) if self.hdgst else b"") + bytes(pad) + data +
                (digest(data) if self.ddgst and data else b""))

    def data_pdu(self, cid, ttag, offset, data, last=True, pad=0, datal=None, **broken):
        fields = {"flags": (HDGSTF if self.hdgst else 0) | (DDGSTF if self.ddgst else 0) |
                  (LAST if last else 0), "pdo": 24 + (4 if self.hdgst else 0) + pad}
        fields["plen"] = fields["pdo"] + len(data) + (4 if self.ddgst else 0)
        fields.update(broken)
        head = header(H2C_DATA, **fields) + struct.pack("<HHII4x", cid, ttag, offset,
                                                        len(data) if datal is None else datal)
        return (head + (digest(head) if self.hdgst else b"") + bytes(pad) + data +
                (digest(data) if self.ddgst else b""))

    def prepare(self, command, data=b"", in_capsule=b""):
        """A command with a new CID: that, and the bytes to be sent. @data: to be sent when asked for."""
        cid, self.next_cid = self.next_cid, (self.next_cid + 1) & 0xFFFF
        self.to_send[cid] = data
        return cid, self.capsule(with_cid(command, cid), in_capsule)

    def submit(self, command, data=b"", in_capsule=b""):
        """Sends a command with a new CID; returns the CID. @data: to be sent when asked for."""
        cid, capsule = self.prepare(command, data, in_capsule)
        self.send(capsule)
        return cid

    # --------------------------------------------------------------------------------- receiving

    def take(self, length):
        while len(self.buffer) < length:
            try:
                piece = self.sock.recv(1 << 20)
            except ConnectionError:
                piece = b""
            if not piece:
                raise Closed(f"closed with {len(self.buffer)} of {length} bytes there")
            self.buffer += piece
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        return data

    def pdu(self):
        """Receives one PDU and checks everything about it that the specification fixes (hosts trusted HLEN
        and R2Ts of theirs: CVE-2025-21927, CVE-2025-38264)."""
        common = self.take(8)
        kind, flags, hlen, pdo, plen = struct.unpack("<BBBBI", common)
        if kind not in (ICRESP, C2H_TERM, RSP, C2H_DATA, R2T):
            raise WireError(f"PDU type {kind:#x} from a controller")
        if hlen != HLEN[kind]:
            raise WireError(f"HLEN {hlen} in PDU type {kind:#x}")
        head, left, allowed, data = common + self.take(hlen - 8), plen - hlen, 0, b""
        if kind in (RSP, C2H_DATA, R2T) and self.hdgst:
            allowed |= HDGSTF
            left -= 4
            if self.take(4) != digest(head):
                raise WireError(f"header digest of PDU type {kind:#x}")
        if kind == C2H_DATA:
            allowed |= (DDGSTF if self.ddgst else 0) | LAST | SUCCESS
            pad = pdo - hlen - (4 if self.hdgst else 0)
            if pdo % self.align or not 0 <= pad < self.align:
                raise WireError(f"PDO {pdo} for an alignment of {self.align}")
            if self.take(pad) != bytes(pad):
                raise WireError("padding that is not zero")
            left -= pad + (4 if self.ddgst else 0)
            data = self.take(left)
            if self.ddgst and self.take(4) != digest(data):
                raise WireError("data digest of C2HData")
        elif pdo:
            raise WireError(f"PDO {pdo} in PDU type {kind:#x}")
        elif kind == C2H_TERM:
            if not 24 <= plen <= 152:
                raise WireError(f"PLEN {plen} in a termination request")
            data = self.take(left)
        elif left:
            raise WireError(f"PLEN {plen} in PDU type {kind:#x}")
        if kind in (C2H_DATA, R2T) and any(head[20:24]) or kind == C2H_DATA and any(head[10:12]):
            raise WireError(f"reserved bytes of PDU type {kind:#x}")
        if flags & ~allowed or (allowed ^ flags) & (HDGSTF | DDGSTF):
            raise WireError(f"flags {flags:#x} in PDU type {kind:#x}")
        return Pdu(kind, flags, hlen, pdo, plen, head, data)

    def icresp(self):
        pdu = self.pdu()
        pfv, cpda, dgst, maxh2c = struct.unpack("<HBBI", pdu.header[8:16])
        if pdu.type != ICRESP or pfv or cpda or dgst & ~3 or maxh2c < 4096 or maxh2c % 4:
            raise WireError(f"ICResp: {pdu}")
        if any(pdu.header[16:]):
            raise WireError("reserved bytes of ICResp")
        return pdu

    def r2t(self):
        """Receives an R2T: (cid, ttag, offset, length)."""
        pdu = self.pdu()
        assert pdu.type == R2T, f"an R2T was due, not {pdu}"
        return struct.unpack("<HHII", pdu.header[8:20])

    def _completion(self, cqe, cid, data, flagged=False):
        dw0, dw1, sqhd, sqid, _, status = struct.unpack("<IIHHHH", cqe)
        return Completion(cid, status >> 1 & 0x7FF, bool(status & 0x8000), bool(status & 0x4000), dw0,
                          dw1, sqhd, sqid, data, flagged)

    def reap(self):
        """Serves R2Ts and takes in data until a command is complete."""
        while True:
            pdu = self.pdu()
            if pdu.type == R2T:
                cid, ttag, offset, length = struct.unpack("<HHII", pdu.header[8:20])
                payload = self.to_send[cid][offset:offset + length]
                assert len(payload) == length > 0, f"R2T {offset}+{length} is beyond the command"
                self.r2ts += 1
                self.send(self.data_pdu(cid, ttag, offset, payload))
            elif pdu.type == C2H_DATA:
                cid, _, offset, length = struct.unpack("<HHII", pdu.header[8:20])
                assert length == len(pdu.data), "DATAL does not fit PLEN"
                assert offset == len(self.received.get(cid, b"")), f"C2HData at {offset}"
                self.received[cid] = self.received.get(cid, b"") + pdu.data
                if pdu.flags & SUCCESS:
                    assert pdu.flags & LAST, "SUCCESS without LAST_PDU"
                    del self.to_send[cid]
                    return self._completion(bytes(16), cid, self.received.pop(cid), True)
            elif pdu.type == RSP:
                cid = struct.unpack_from("<H", pdu.header, 20)[0]
                assert cid in self.to_send, f"a completion of CID {cid:#x}, which is not in flight"
                del self.to_send[cid]
                return self._completion(pdu.header[8:], cid, self.received.pop(cid, b""))
            else:
                raise WireError(f"unexpected {pdu}")

    def run(self, command, data=b"", in_capsule=b""):
        """One command from start to end, with nothing else in flight."""
        cid = self.submit(command, data, in_capsule)
        done = self.reap()
        assert done.cid == cid, f"completion of CID {done.cid:#x}, not {cid:#x}"
        return done

    def expect_term(self, fes, fei=None, copy=None):
        """A termination request is the next PDU. Leaves the connection open."""
        pdu = self.pdu()
        assert pdu.type == C2H_TERM, f"a termination request was due, not {pdu}"
        got_fes, got_fei = struct.unpack("<HI", pdu.header[8:14])
        assert got_fes == fes, f"FES {got_fes}, not {fes}"
        assert fei is None or got_fei == fei, f"FEI {got_fei:#x}, not {fei:#x}"
        assert not any(pdu.header[14:24]), "reserved bytes of the termination request"
        if copy is not None:
            assert pdu.data and pdu.data == copy[:len(pdu.data)], "the copy is not the header at fault"
        return pdu

    def expect_close(self, timeout_s=5):
        """Nothing more comes but the end of the connection."""
        self.sock.settimeout(timeout_s)
        try:
            got = self.take(1)
        except Closed:
            return
        except TimeoutError:
            raise AssertionError(f"still open after {timeout_s} s") from None
        raise AssertionError(f"a byte {got!r} where the connection should end")

    def expect_silence(self, seconds):
        """Neither a byte nor the end comes within this time."""
        assert not self.buffer, "bytes where nothing should come"
        self.sock.settimeout(seconds)
        try:
            got = self.sock.recv(1)
        except TimeoutError:
            self.sock.settimeout(TIMEOUT_S)
            return
        raise AssertionError(f"{got!r} where nothing should come (empty: it was closed)")


class Host:
    """A controller: an admin queue, enabled, and what I/O queues are asked for."""

    def __init__(self, address, subnqn, kato_ms=0, queues=1, depth=128, enable=True, cattr=0,
                 hostnqn=HOST_NQN, hostid=HOST_ID, **ic):
        self.address, self.subnqn, self.hostnqn, self.hostid = address, subnqn, hostnqn, hostid
        self.ic = ic
        self.io = []
        self.admin = Conn(address, **ic)
        done = self.admin.run(connect_sqe(kato_ms=kato_ms, cattr=cattr),
                              in_capsule=connect_data(subnqn, hostnqn, hostid))
        assert done.status == OK, f"Connect: status {done.status:#x}, result {done.dw0:#x}"
        self.cntlid = done.dw0 & 0xFFFF
        if enable:
            done = self.admin.run(property_sqe(PROPERTY_SET, CC, CC_ENABLE))
            assert done.status == OK
            for qid in range(1, queues + 1):
                self.queue(qid, depth, cattr)

    def queue(self, qid, depth=128, cattr=0, **ic):
        conn = Conn(self.address, **{**self.ic, **ic})
        data = connect_data(self.subnqn, self.hostnqn, self.hostid, self.cntlid)
        done = conn.run(connect_sqe(qid, depth - 1, cattr), in_capsule=data)
        assert done.status == OK, f"Connect of queue {qid}: status {done.status:#x}"
        self.io.append(conn)
        return conn

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for conn in self.io + [self.admin]:
            conn.close()

    def identify(self):
        done = self.admin.run(sqe(IDENTIFY, dptr=sgl(SGL_TRANSPORT, 4096), cdws=(1,)))
        assert done.status == OK and len(done.data) == 4096
        return done.data


def write(conn, slba, data, block=512, in_capsule=False, nsid=1):
    kind = SGL_CAPSULE if in_capsule else SGL_TRANSPORT
    command = rw(WRITE, slba, len(data) // block, sgl(kind, len(data)), nsid)
    return conn.run(command, in_capsule=data) if in_capsule else conn.run(command, data)


def read(conn, slba, length, block=512, nsid=1):
    return conn.run(rw(READ, slba, length // block, sgl(SGL_TRANSPORT, length), nsid))
