"""An upload is confirmed when the disk has it, and no other transfer waits for the disk."""
import ctypes
import errno
import os
import pathlib
import re
import signal
import struct
import subprocess

import pytest

from shared import SOCKEYE, until
from wire import DISK_FULL, ack, data, error, oack, readable, send, wrq

SOURCE = pathlib.Path(__file__).with_name("disk.c")
COMMITTERS = 4  # threads of a worker
IN_CLOSE_WRITE, IN_MOVED_TO = 0x8, 0x80


class Disk:
    """The disk of a server: see disk.c."""

    def __init__(self, folder, library):
        self.gate, self.log = folder / "gate", folder / "calls"
        listed = subprocess.run(["ldd", SOCKEYE], capture_output=True, text=True, check=False).stdout
        runtime = re.findall(r"=> (\S*/lib[atu][a-z]*san\.so\S*)", listed)
        self.env = {**os.environ, "LD_PRELOAD": " ".join([*runtime, str(library)]),
                    "DISK_GATE": str(self.gate), "DISK_LOG": str(self.log)}
        self.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

    def stops(self):
        self.gate.touch()

    def continues(self):
        self.gate.unlink()

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def waits_for(self, count):
        """Waits until this many files are being written."""
        until(lambda: self.calls().count("begin file") >= count, f"{count} calls of fsync")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("disk") / "disk.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", path, SOURCE], check=True)
    return path


@pytest.fixture
def disk(library, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    return Disk(folder, library)


def offers(server, name, size=300):
    """Sends a file of one block and does not wait for its ACK."""
    peer = server.peer()
    peer.asks(wrq(name))
    peer.gets(ack(0))
    peer.says(data(1, b"x" * size))
    return peer


@pytest.mark.parametrize("how", ["new", "old", "folders"])
def test_order_of_calls(serve, root, disk, how):
    """The contents, the name and the directories are on the disk before the last ACK."""
    server = serve("--overwrite", "--create", "--workers", "1", env=disk.env)
    if how == "old":
        server.put_file("f", b"old")
    server.put("a/b/f" if how == "folders" else "f", b"x" * 700)
    calls = [call for call in disk.calls() if not call.startswith("begin")]
    folders = ["fsync dir"] * (2 if how == "folders" else 0)
    assert calls == ["ack 0", "ack 1", "fsync file", *folders, "rename", "fsync dir", "ack 2"]


def test_without_threads(serve, root, disk):
    server = serve("--upload", env={**disk.env, "DISK_THREADS": "0"})
    for name in ("f", "g"):
        server.put(name, b"x" * 700)
    assert sorted(os.listdir(root)) == ["f", "g"]


def test_without_sync(serve, disk):
    server = serve("--upload", "--no-sync", env=disk.env)
    server.put("f", b"x" * 700)
    assert disk.calls() == ["ack 0", "ack 1", "rename", "ack 2"]


def test_others_do_not_wait(serve, root, disk):
    """While the disk is slow, one worker serves downloads and receives uploads. Repeats of a last
    block get no reply, and do not count as waste."""
    server = serve("--upload", "--workers", "1", env=disk.env)
    server.put_file("old", b"o" * 5000)
    disk.stops()
    waiting = [offers(server, f"f{i}") for i in range(COMMITTERS + 2)]
    disk.waits_for(COMMITTERS)
    assert server.get("old").content == b"o" * 5000
    other = server.peer()
    other.asks(wrq("g"))
    other.gets(ack(0))
    for number in range(1, 6):
        other.says(data(number, b"y" * 512))
        other.gets(ack(number))
    for peer in waiting:
        peer.says(data(1, b"x" * 300), data(1, b"x" * 300))
        peer.silent(0.05)
    assert os.listdir(root) == ["old"]
    disk.continues()
    for peer in waiting:
        peer.gets(ack(1))
    other.says(data(6))
    other.gets(ack(6))
    assert len(os.listdir(root)) == COMMITTERS + 4
    for i in range(COMMITTERS + 2):
        assert server.transfer(file=f"f{i}")["resent"] == 0


def test_repeated_request_while_it_is_stored(serve, root, disk):
    """A late copy of the request starts no second transfer."""
    server = serve("--upload", "--workers", "1", env=disk.env)
    disk.stops()
    peer = offers(server, "f")
    disk.waits_for(1)
    peer.asks_again(wrq("f"))
    peer.silent(0.05)
    disk.continues()
    peer.gets(ack(1))
    peer.silent()
    assert server.transfer()["file"] == "f" and os.listdir(root) == ["f"]


@pytest.mark.parametrize("port", ["own", "single"])
def test_client_that_has_left(serve, root, disk, port):
    """A complete upload is stored, even if its client has begun another one."""
    server = serve("--upload", "--workers", "1", *(["--single-port"] if port == "single" else []),
                   env=disk.env)
    disk.stops()
    peer = offers(server, "f")
    disk.waits_for(1)
    peer.asks(wrq("g"))
    peer.gets(ack(0))
    peer.says(data(1, b"y"))
    disk.waits_for(2)
    disk.continues()
    peer.gets(ack(1))
    peer.over()
    assert server.transfer(file="f")["result"] == server.transfer(file="g")["result"] == "done"
    assert sorted(os.listdir(root)) == ["f", "g"]


def test_slow_disk_is_logged(serve, disk):
    server = serve("--upload", env=disk.env)
    disk.stops()
    peer = offers(server, "f")
    peer.silent(5.1)
    disk.continues()
    peer.gets(ack(1))
    ended = server.transfer()
    assert ended["result"] == "done" and "--no-sync" in ended["text"]


def test_client_that_reports_an_error(serve, root, disk):
    server = serve("--upload", "--workers", "1", env=disk.env)
    disk.stops()
    peer = offers(server, "f")
    disk.waits_for(1)
    peer.says(error(0, "too slow"))
    peer.close()
    disk.continues()
    assert server.transfer(file="f")["result"] == "done" and os.listdir(root) == ["f"]


@pytest.mark.parametrize("how", ["new", "old", "folders"])
@pytest.mark.parametrize("kind", ["file", "dir"])
@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT", "EFBIG"])
def test_disk_that_fails(serve, root, disk, how, kind, name):
    """The client gets an ERROR, the log has the reason, and no new file stays."""
    number = getattr(errno, name)
    server = serve("--overwrite", "--create",
                   env={**disk.env, "DISK_FAIL": f"{kind} {number}"})
    if how == "old":
        server.put_file("f", b"old")
    peer = offers(server, "a/b/f" if how == "folders" else "f")
    code = 0 if name == "EIO" else DISK_FULL
    peer.gets_error(code)
    ended = server.transfer()
    assert (ended["result"], ended["error"], ended["code"]) == ("failed", name, code)
    if how != "old":
        until(lambda: not os.listdir(root), "no file")
    elif kind == "file":
        assert (root / "f").read_bytes() == b"old"
    assert not [n for n in os.listdir(root) if n != "f"]


def stopped(serve, disk):
    """A server that is stopping while more files are stored than it has threads."""
    server = serve("--upload", "--workers", "1", "--grace", "8s", env=disk.env)
    disk.stops()
    waiting = [offers(server, f"f{i}") for i in range(COMMITTERS + 2)]
    disk.waits_for(COMMITTERS)
    server.process.send_signal(signal.SIGTERM)
    return server, waiting


def test_stop_waits_for_the_disk(serve, root, disk):
    server, waiting = stopped(serve, disk)
    until(lambda: server.events(event="stopping") or True, "its stop")
    disk.continues()
    for peer in waiting:
        peer.gets(ack(1))
    assert server.process.wait(20) == 0
    assert len(os.listdir(root)) == COMMITTERS + 2


def test_stop_with_a_disk_that_is_too_slow(serve, root, disk):
    """Files that no thread has begun are refused; the others may not appear half-written."""
    server, waiting = stopped(serve, disk)
    server.process.wait(20)
    refused = [peer for peer in waiting if readable(peer.sock, 0)]
    assert len(refused) == 2
    for peer in refused:
        peer.gets_error(0)
    disk.continues()
    until(lambda: not os.listdir(root), "no file")


def test_worker_that_dies(serve, root, disk):
    """It leaves no file, and the worker that replaces it stores the next one."""
    server = serve("--upload", "--workers", "1", env=disk.env)
    disk.stops()
    offers(server, "f")
    disk.waits_for(1)
    os.kill(server.pids()[1], signal.SIGKILL)
    until(lambda: not os.listdir(root), "no file")
    disk.continues()
    until(lambda: len(server.pids()) == 2, "another worker")
    peer = server.peer()
    peer.asks(wrq("f"))
    while peer.hears(1) is None:  # the dead worker's queue may have had the request
        peer.asks_again(wrq("f"))
    peer.says(data(1, b"y"))
    peer.gets(ack(1))
    assert (root / "f").read_bytes() == b"y"


def watch(folder):
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert libc.inotify_add_watch(fd, os.fsencode(folder), IN_CLOSE_WRITE | IN_MOVED_TO) > 0
    return fd


def names_seen(fd):
    """The names of the inotify events."""
    with open(fd, "rb", buffering=0) as file:
        events = file.read(1 << 16)
    names = []
    while events:
        length = struct.unpack_from("=iIII", events)[3]
        names.append(events[16:16 + length].rstrip(b"\0").decode())
        events = events[16 + length:]
    return names


@pytest.mark.parametrize("how", ["new", "old"])
@pytest.mark.parametrize("sync", [True, False])
def test_watchers(serve, root, how, sync):
    """A program that watches the directory learns of each upload once, under its name."""
    server = serve("--overwrite", *([] if sync else ["--no-sync"]))
    if how == "old":
        server.put_file("f", b"old")
    fd = watch(root)
    peer = server.peer()
    peer.asks(wrq("f", "blksize=1024"))
    peer.gets(oack("blksize=1024"))
    send(peer, b"x" * 5000, 1024)
    assert names_seen(fd).count("f") == 1
