"""Shared by the tests of this folder: a server with its own root folder, peers that
exchange packets with it one by one, and a scripted server for the client.

    def test_empty(serve):
        server = serve()
        (server.root / "f").write_bytes(b"")
        peer = server.peer()
        peer.asks(rrq("f"))
        peer.gets(data(1))
"""
import contextlib
import glob
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from shared import (SOCKEYE, WAIT_S, netns, program, pytest_make_parametrize_id,  # noqa: F401
                    read_all, run, until)
from wire import Desk, Peer, data, oack, pattern, pairs, receive, rrq, send, wrq, ack


# Otherwise the workers become nobody, who may not use the folders of tests.
KEEP_ROOT = ["--user", "root"] if os.geteuid() == 0 else []
SANITIZED = b"san.so" in subprocess.run(["ldd", SOCKEYE], capture_output=True, check=False).stdout


def name_of(url):
    """The Python socket name of udp://HOST:PORT."""
    host, port = re.fullmatch(r"udp://(.*):(\d+)", url).groups()
    return host.strip("[]"), int(port)


def lines_of(path):
    """The complete lines of a log."""
    return path.read_bytes().rpartition(b"\n")[0].splitlines()


class Server:
    """A running `sockeye serve tftp`."""

    def __init__(self, process, urls, root, log, peers, workers):
        self.process, self.urls, self.root, self.log, self.peers = process, urls, root, log, peers
        self.workers = workers

    @property
    def name(self):
        """Its first address, as a Python socket name."""
        return name_of(self.urls[0])

    @property
    def port(self):
        return self.name[1]

    def url(self, file):
        return f"tftp://{self.urls[0].removeprefix('udp://')}/{file}"

    def peer(self, to=None, source=None):
        """A client that has not sent anything yet."""
        peer = Peer(to or self.name, source=source)
        self.peers.callback(peer.close)
        return peer

    def put_file(self, name, content=b""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    # --- whole transfers ---

    def get(self, name, options="", mode="octet", peer=None, **kw):
        """Reads a file as a plain client; assumes that the server grants all options."""
        peer = peer or self.peer()
        peer.asks(rrq(name, options, mode))
        if options:
            peer.gets(oack(options))
            kw["first"] = ack(0)
        granted = {pattern(k): pattern(v) for k, v in pairs(options)}
        return receive_granted(peer, granted, **kw)

    def put(self, name, content, options="", mode="octet", peer=None, **kw):
        peer = peer or self.peer()
        peer.asks(wrq(name, options, mode))
        peer.gets(oack(options) if options else ack(0))
        granted = {pattern(k): pattern(v) for k, v in pairs(options)}
        return send(peer, content, int(granted.get(b"blksize", 512)),
                    int(granted.get(b"windowsize", 1)), **kw)

    def answers(self, name="alive"):
        """Whether the server still serves: reads a file."""
        self.put_file(name, b"yes")
        return self.get(name).content == b"yes"

    def at_rest(self):
        """Returns the number of its descriptors while it is idle: all workers run, all
        transfers have ended."""
        assert self.answers("warm")
        until(lambda: self.transfers(file="warm"), "its end")

        def settled():
            held = [len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids()[1:]]
            return len(held) == self.workers and len(set(held)) == 1
        until(settled, "workers that hold the same")
        return self.descriptors()

    # --- logs and resources ---

    def events(self, **wanted):
        """The events in its log with these values."""
        found = [json.loads(line) for line in lines_of(self.log)]
        return [e for e in found if wanted.items() <= e.items()]

    def transfers(self, **wanted):
        return self.events(event="transfer", **wanted)

    def transfer(self, **wanted):
        """The event of the one transfer with these values, once it has ended."""
        found = until(lambda: self.transfers(**wanted), f"{wanted} in {self.log.read_bytes()}")
        assert len(found) == 1, found
        return found[0]

    def pids(self):
        """The server's process and all its descendants."""
        found, new = [], [self.process.pid]
        while new:
            found += new
            new = [int(child) for pid in new for path in task_children(pid)
                   for child in path.split()]
        return found

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def private_kib(self):
        """The private memory of all its processes."""
        return sum(int(line.split()[1]) for pid in self.pids()
                   for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                   if line.startswith("Private_"))

    def grown_by(self, before_kib):
        """KiB more than before. 0 under a sanitizer, which returns no memory to the system."""
        return 0 if SANITIZED else self.private_kib() - before_kib

    def counters(self):
        """The counters that it logs on SIGUSR1."""
        before = len(self.events(event="counters"))
        self.process.send_signal(signal.SIGUSR1)
        until(lambda: len(self.events(event="counters")) > before, "counters")
        return self.events(event="counters")[-1]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


def task_children(pid):
    """The children of each thread. Threads and the process may end meanwhile."""
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield pathlib.Path(path).read_text()


def receive_granted(peer, granted, **kw):
    kw.setdefault("rollover", int(granted.get(b"rollover", 0)))
    return receive(peer, int(granted.get(b"blksize", 512)), int(granted.get(b"windowsize", 1)),
                   **kw)


@pytest.fixture
def root(tmp_path):
    """The folder that is served."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def peers():
    """Closes the sockets of a test after its programs have ended: until then these send to
    them, and another test could get the same ports."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(peers, program, root, tmp_path):
    """Starts servers of `root`, which log in JSON by default."""
    count = iter(range(100))
    logs = []

    def start(*options, url="udp://127.0.0.1:0", log="json", pass_fds=(), **kw):
        path = tmp_path / f"log{next(count)}"
        logs.append(path)
        urls = [url] if isinstance(url, str) else url
        reading, writing = os.pipe()
        with open(path, "wb") as file:
            process = program("serve", "--ready-fd", writing, "tftp", *urls, "--root", root,
                              "--log", log, *options,
                              *([] if "--user" in options else KEEP_ROOT), stderr=file,
                              pass_fds=[writing, *pass_fds], **kw)
        os.close(writing)
        with open(reading, "rb", buffering=0) as pipe:
            names = read_all(pipe).decode().split()
        assert names, path.read_text()
        workers = (int(options[options.index("--workers") + 1]) if "--workers" in options
                   else len(os.sched_getaffinity(0)))
        return Server(process, names, root, path, peers, workers)
    yield start
    for path in logs:
        assert b"the sandbox denied" not in path.read_bytes(), path.read_text()


@pytest.fixture
def desk():
    """Makes scripted server ports."""
    with contextlib.ExitStack() as stack:
        def make(name=("127.0.0.1", 0)):
            made = Desk(name)
            stack.callback(made.close)
            return made
        yield make


@pytest.fixture
def port():
    """A scripted server port on the loopback address."""
    made = Desk()
    yield made
    made.close()
