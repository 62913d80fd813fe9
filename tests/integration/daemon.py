# SPDX-License-Identifier: BSD-3-Clause
"""Starts sluiced for a test, watches it, and runs the cases of a test file."""
import atexit
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import wire

NQN = "nqn.2026-11.io.sluice:wire"
START_S = 30
STOP_S = 30

if "SLUICE_BUILD" not in os.environ:
    sys.exit("set SLUICE_BUILD to the directory that sluiced was built in")
BUILD = os.environ["SLUICE_BUILD"]
SLUICED = os.path.join(BUILD, "sluiced")
SLUICECTL = os.path.join(BUILD, "sluicectl")
# Under a runner these are set, and send reports to files that it looks at.
os.environ.setdefault("ASAN_OPTIONS", "halt_on_error=1:detect_leaks=1")
os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")


def port_free():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def scratch():
    """A directory that other users may enter, gone afterwards."""
    path = tempfile.mkdtemp(prefix="sluice-")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Daemon:
    """A running sluiced with one subsystem, NQN, that admits everybody.

    @namespaces: the bodies of [namespace NQN/1], /2, ... Sections get what their arguments say;
    `@DIR@` in any of them is the daemon's own directory.
    """

    def __init__(self, namespaces=("backend = ram\nsize = 16M",), daemon="", memory="", listener="",
                 discovery="port = none", subsystem="allow_any_host = yes", extra="", env=None,
                 prefix=(), directory=None):
        self._own = contextlib.ExitStack()
        self.dir = directory or self._own.enter_context(scratch())
        self.port = port_free()
        self.address = ("127.0.0.1", self.port)
        self.control = os.path.join(self.dir, "control.sock")
        self.config = os.path.join(self.dir, "sluice.conf")
        self.lines = []
        self.stopped = False
        self._news = threading.Condition()
        text = (f"[daemon]\ncontrol_socket = {self.control}\n{daemon}\n[memory]\n{memory}\n"
                f"[discovery]\n{discovery}\n"
                f"[listener tcp]\naddress = 127.0.0.1\nport = {self.port}\n{listener}\n"
                f"[subsystem {NQN}]\n{subsystem}\n")
        for nsid, body in enumerate(namespaces, 1):
            text += f"[namespace {NQN}/{nsid}]\n{body}\n"
        with open(self.config, "w", encoding="ascii") as out:
            out.write((text + extra).replace("@DIR@", self.dir))
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([*prefix, SLUICED, "--config", self.config],
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        env={**os.environ, **(env or {})})
        atexit.register(self.stop, quiet=True)  # a failed test leaves nothing behind
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.log_wait(r"^sluiced: ready$", START_S)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self._own.close()
            raise

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def log_wait(self, regex, timeout_s=5, start=0):
        """Waits for a line of the log, from number @start on; returns it."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                for line in self.lines[start:]:
                    if re.search(regex, line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"no line of the log matches {regex!r}:\n" +
                                         "\n".join(self.lines[-20:]))
                self._news.wait(min(left, 0.2))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop(quiet=kind is not None)

    def stop(self, quiet=False, sig=signal.SIGTERM):
        """Ends the daemon; fails unless it ends with status 0 and without a finding."""
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.lines.append(f"(killed: it did not stop within {STOP_S} s)")
        self._reader.join(10)
        self.process.stderr.close()
        self._own.close()
        if not quiet:
            self.check()

    def check(self):
        log = "\n".join(self.lines[-60:])
        assert self.process.returncode == 0, f"exit status {self.process.returncode}:\n{log}"
        assert not re.search(r"Sanitizer|runtime error:", log), f"a sanitizer's finding:\n{log}"

    def alive(self):
        return self.process.poll() is None

    def ctl(self, *verb):
        out = subprocess.run([SLUICECTL, "--socket", self.control, "--json", *verb], check=True,
                             stdout=subprocess.PIPE, timeout=30).stdout
        return json.loads(out)

    def counts(self):
        return self.ctl("status")["counts"]

    def host(self, **options):
        return wire.Host(self.address, NQN, **options)

    def conn(self, **options):
        return wire.Conn(self.address, **options)

    def wait_connections(self, n, timeout_s=10):
        """Waits until exactly @n connections are left."""
        until(lambda: self.counts()["connections"] == n, timeout_s,
              lambda: f"{self.counts()['connections']} connections, not {n}")

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024

    def cpu_ticks(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])


def until(condition, timeout_s, what):
    """Waits for @condition; @what: a text or a function that makes one, for the failure."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s} s: {what() if callable(what) else what}")
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------- cases

_cases = []


class Skip(Exception):
    """A case cannot run here; the text says why."""


def case(function):
    """Marks a function as a case: it gets the shared daemon, or nothing when it takes nothing."""
    _cases.append(function)
    return function


class _Shared:
    """The daemon that cases share, with a host that must never notice what they do."""

    def __init__(self, options):
        self.daemon = Daemon(**options)
        self.witness = self.daemon.host(kato_ms=120000)
        self.round = 0

    def check(self):
        """The other host's queues work, and what the case opened is gone."""
        self.round += 1
        data = wire.pattern(4096, self.round)
        done = wire.write(self.witness.io[0], 8 * (self.round % 16), data)
        assert done.status == wire.OK, f"another host's write: {done.status:#x}"
        assert wire.read(self.witness.io[0], 8 * (self.round % 16), 4096).data == data
        self.daemon.wait_connections(2)

    def end(self, quiet=False):
        self.witness.close()
        self.daemon.stop(quiet)


def _one(function, shared):
    start = time.monotonic()
    result, why = "ok", ""
    try:
        if shared:
            function(shared.daemon)
            shared.check()
        else:
            function()
    except Skip as skip:
        result, why = "skipped", f": {skip}"
    except Exception:  # pylint: disable=broad-except
        result, why = "FAILED", "\n" + traceback.format_exc()
    print(f"{result:8}{function.__name__} ({time.monotonic() - start:.1f} s){why}", flush=True)
    return result


def main(**options):
    """Runs the cases, all or those whose names contain an argument, and exits. The first 16 KiB
    x 4 of namespace 1 of the shared daemon belong to the host that watches."""
    wanted = sys.argv[1:]
    shared, results = None, []
    for function in _cases:
        if wanted and not any(word in function.__name__ for word in wanted):
            continue
        own = function.__code__.co_argcount == 0
        if not own and not shared:
            shared = _Shared(options)
        results.append(_one(function, None if own else shared))
        if results[-1] == "FAILED" and not own:
            print("\n".join(shared.daemon.lines[-20:]), flush=True)
            shared.end(quiet=True)
            shared = None
    if shared:
        try:
            shared.end()
        except AssertionError as error:
            print(f"FAILED  the daemon's end: {error}", flush=True)
            results.append("FAILED")
    if not results:
        sys.exit(f"no case is called {wanted}")
    if "FAILED" in results:
        sys.exit(1)
    if set(results) == {"skipped"}:
        print("every case was skipped")
        sys.exit(77)
