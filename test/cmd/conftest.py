"""Shared by the tests of the program: starting it, its peers, and waits with a limit.

    def test_hello(run, server):
        assert run("connect", "-m", "hi", server.url).stdout == b"..."

The program is $SOCKEYE, by default build/sockeye. No test sleeps to wait for an event:
ports are free ones, --ready-fd reports when a server listens, and every wait ends after
WAIT_S.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import select
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOCKEYE = os.environ.get("SOCKEYE", str(ROOT / "build" / "sockeye"))
WAIT_S = 20
QUIET_S = 0.15  # time in which an unwanted event would be seen
CLONE_NEWNET = 0x40000000
# Otherwise the workers become nobody, who may not use the folders of tests.
KEEP_ROOT = ["--user", "root"] if os.geteuid() == 0 else []


def pytest_make_parametrize_id(val):
    """Names the rows of a table by the words of a command line, instead of args0, args1 ..."""
    if isinstance(val, dict):
        val = [f"{key}={value}" for key, value in val.items()]
    if isinstance(val, (set, frozenset)):
        val = sorted(val)
    if isinstance(val, (list, tuple)):
        return " ".join(map(str, val))[:60] or "none"
    return None


def until(condition, what, timeout=WAIT_S):
    """Polls until condition() is true, for events that cannot be waited for."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.005)
    return found


def readable(fd, timeout):
    return bool(select.select([fd], [], [], timeout)[0])


def read_exactly(fd, count):
    """Reads `count` bytes from a descriptor, or all if it ends before."""
    fd, data = getattr(fd, "fileno", lambda: fd)(), bytearray()
    while len(data) < count:
        assert readable(fd, WAIT_S), f"only {bytes(data[:1000])} within {WAIT_S} s"
        piece = os.read(fd, min(count - len(data), 65536))
        if not piece:
            break
        data += piece
    return bytes(data)


def read_all(fd):
    return read_exactly(fd, 1 << 40)


def events(output):
    """The JSON documents of an output with one document per line."""
    return [json.loads(line) for line in output.splitlines()]


def read_events(stream, last):
    """Reads JSON documents up to the first event with that name."""
    text = b""
    while not text.endswith(b"\n") or events(text)[-1]["event"] != last:
        piece = read_exactly(stream, 1)
        assert piece, text
        text += piece
    return events(text)


def url_of(sock):
    """The address of a Python socket in the program's notation."""
    name, scheme = sock.getsockname(), {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}
    if sock.family == socket.AF_UNIX:
        kinds = {socket.SOCK_STREAM: "unix", socket.SOCK_DGRAM: "unix-dgram",
                 socket.SOCK_SEQPACKET: "unix-seqpacket"}
        path = "@" + name[1:].decode() if isinstance(name, bytes) else name
        return f"{kinds[sock.type]}:{path}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"{scheme[sock.type]}://{host}:{name[1]}"


class Program(subprocess.Popen):
    """The running program, with unbuffered pipes."""

    def __init__(self, *args, **kw):
        for stream in ("stdin", "stdout", "stderr"):
            kw.setdefault(stream, subprocess.PIPE)
        super().__init__([SOCKEYE, *map(str, args)], bufsize=0, **kw)

    def end(self, code=0):
        """Waits until the program exits with `code`. Returns the rest of its stderr."""
        assert self.wait(WAIT_S) == code, read_all(self.stderr) if self.stderr else ""
        return read_all(self.stderr) if self.stderr else b""

    def close_input(self):
        self.stdin.close()


@pytest.fixture(scope="session")
def sockeye():
    """The path of the program."""
    return SOCKEYE


@pytest.fixture
def run():
    """Runs the program until it exits. Its stdin is empty unless input= is given."""
    def start(*args, input=b"", timeout=WAIT_S, **kw):
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        if "stdin" not in kw:
            kw["input"] = input
        return subprocess.run([SOCKEYE, *map(str, args)], timeout=timeout, check=False, **kw)
    return start


@pytest.fixture
def program():
    """Starts the program, and kills it after the test if it still runs."""
    with contextlib.ExitStack() as stack:
        def start(*args, **kw):
            started = Program(*args, **kw)

            def end():
                if started.poll() is None:
                    started.kill()
                    started.wait(WAIT_S)
                for stream in (started.stdin, started.stdout, started.stderr):
                    if stream:
                        stream.close()
            stack.callback(end)
            return started
        yield start


@pytest.fixture
def ready(program):
    """Starts a command with --ready-fd. Returns the process and the addresses it reports."""
    def start(*args, **kw):
        reading, writing = os.pipe()
        try:
            started = program(args[0], "--ready-fd", writing, *args[1:], pass_fds=[writing], **kw)
        finally:
            os.close(writing)
        with open(reading, "rb", buffering=0) as pipe:
            urls = read_all(pipe).decode().split()
        assert urls, read_all(started.stderr).decode()
        return started, urls
    return start


@pytest.fixture
def echo(ready):
    """Starts `sockeye serve echo`: echo("tcp://127.0.0.1:0") returns its address."""
    def start(url, service="echo"):
        return ready("serve", service, url, "--workers", "1", stdout=subprocess.DEVNULL,
                     stderr=subprocess.PIPE)[1][0]
    return start


@pytest.fixture
def listening():
    """Makes Python sockets that listen or are bound; each has a .url."""
    with contextlib.ExitStack() as stack:
        def make(kind=socket.SOCK_STREAM, family=socket.AF_INET, name=None, backlog=8):
            sock = stack.enter_context(Peer(family, kind))
            defaults = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0),
                        socket.AF_UNIX: ""}  # "" picks an abstract name
            sock.settimeout(WAIT_S)
            sock.bind(defaults[family] if name is None else name)
            if kind != socket.SOCK_DGRAM:
                sock.listen(backlog)
            return sock
        yield make


class Peer(socket.socket):
    @property
    def url(self):
        return url_of(self)

    def accept(self):
        conn, peer = super().accept()
        conn.settimeout(WAIT_S)
        return conn, peer


def connect_to(url):
    """A Python client connected to an address that the program printed."""
    scheme, _, rest = url.partition(":")
    kind = {"tcp": socket.SOCK_STREAM, "unix": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM,
            "unix-dgram": socket.SOCK_DGRAM, "unix-seqpacket": socket.SOCK_SEQPACKET}[scheme]
    if scheme.startswith("unix"):
        family, name = socket.AF_UNIX, "\0" + rest[1:] if rest[0] == "@" else rest
    else:
        host, _, port = rest[2:].rpartition(":")
        family = socket.AF_INET6 if host[0] == "[" else socket.AF_INET
        name = (host.strip("[]"), int(port))
    sock = socket.socket(family, kind)
    sock.settimeout(WAIT_S)
    if scheme == "unix-dgram":
        sock.bind("")  # bind it to an abstract name, so that the server can reply
    sock.connect(name)
    return sock


@pytest.fixture
def netns():
    """Runs the test in a new network namespace with loopback up. Needs root or unprivileged
    user namespaces."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", encoding="ascii") as before:
        if libc.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"unshare: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            libc.setns(before.fileno(), CLONE_NEWNET)


def pytest_collection_modifyitems(items):
    """Spreads the tests that wait for seconds over pytest's workers, which each take many
    consecutive tests."""
    slow = [item for item in items if item.path.name == "test_lost_blocks.py"]
    others = [item for item in items if item not in slow]
    step = len(others) // (len(slow) + 1)
    for i, item in enumerate(slow):
        others.insert((i + 1) * step + i, item)
    items[:] = others
