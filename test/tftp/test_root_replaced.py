"""The root directory is replaced while clients use it: a switched symbolic link, a directory
that is removed and made again, or one that cannot be read."""
import os
import pathlib
import resource
import shutil
import signal
import tempfile
import time

import pytest

from files_fixtures import needs_root
from shared import until
from wire import ACCESS, NOT_FOUND, ack, data, rrq, wrq

NOBODY = 65534
BLOCKS = 60
USERS = [None, pytest.param("nobody", marks=needs_root)]


class Releases:
    """Directories with the numbers of their releases, and the link that names one of them."""

    def __init__(self, folder):
        self.folder = folder
        self.link = folder / "current"
        self.make(0)
        self.switch(0)

    def path(self, number):
        return self.folder / f"v{number}"

    def make(self, number):
        self.path(number).mkdir()
        self.path(number).joinpath("f").write_bytes(b"v%d" % number)
        self.path(number).joinpath("big").write_bytes(self.big(number))

    def big(self, number):
        return b"".join(b"%-511d\n" % (1000 * number + i) for i in range(BLOCKS))

    def switch(self, number):
        new = self.folder / "next"
        new.symlink_to(f"v{number}")
        os.replace(new, self.link)


@pytest.fixture
def releases():
    """Below a directory that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Releases(pathlib.Path(folder))


@pytest.fixture
def root(releases):
    return releases.link


def as_user(user):
    return ["--user", user] if user else []


def begun(server, name):
    """A client that has received the first block of a file."""
    peer = server.peer()
    peer.asks(rrq(name))
    return peer, peer.hears()


def proceed(peer, blocks, first):
    """Receives blocks after `first`."""
    for number in range(first + 1, first + 1 + len(blocks)):
        peer.says(ack(number - 1))
        peer.gets(data(number, blocks[number - first - 1]))


def served(server, content):
    """The next replies have this content, whichever worker sends them."""
    for _ in range(6):
        peer = server.peer()
        peer.asks(rrq("f"))
        peer.gets(data(1, content))
        peer.says(ack(1))


def only_workers(server, count):
    until(lambda: len(server.pids()) == 1 + count, "old workers that end")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_switched_link(serve, releases, host, single, user):
    """Each request after the switch gets the new file at once; transfers that began before it
    end with the old one."""
    server = serve("--workers", "4", *["--single-port"] * single, *as_user(user),
                   url=f"udp://{host}:0")
    old = [begun(server, "big")[0] for _ in range(8)]
    blocks = [releases.big(0)[i:i + 512] for i in range(0, BLOCKS * 512, 512)]
    for number in range(1, 21):
        releases.make(number)
        releases.switch(number)
        served(server, b"v%d" % number)
        for peer in old:
            proceed(peer, blocks[number:number + 1], number)
    for peer in old:
        proceed(peer, blocks[21:] + [b""], 21)
        peer.says(ack(BLOCKS + 1))
    until(lambda: len(server.transfers(file="big", result="done")) == len(old), "all ends")
    until(lambda: len(server.transfers(file="f", result="done")) == 120, "the small files")
    only_workers(server, 4)
    counters = server.counters()
    assert counters["transfers_done"] == counters["transfers"] == len(old) + 120
    assert counters["transfers_open"] == counters["transfers_failed"] == 0
    assert counters["workers_died"] == 0
    assert len([e for e in server.events() if "was replaced" in e.get("text", "")]) == 20


def texts(server, part):
    return [e["text"] for e in server.events() if part in e.get("text", "")]


@needs_root
def test_parent_that_workers_cannot_enter(serve, releases, monkeypatch):
    """The supervisor, which is still root, notices the switch."""
    monkeypatch.setitem(serve.__globals__, "KEEP_ROOT", [])
    os.chmod(releases.folder, 0o700)
    server = serve("--workers", "2")
    served(server, b"v0")
    releases.make(1)
    releases.switch(1)
    until(lambda: texts(server, "was replaced"), "the switch")
    served(server, b"v1")


@needs_root
@pytest.mark.parametrize("user", ["nobody", "another"])
def test_unreadable_root(serve, releases, user, monkeypatch):
    """The old root stays in use, the log has the remedy, and the new one is used after it."""
    if user == "another":  # the whole server
        monkeypatch.setitem(serve.__globals__, "KEEP_ROOT", [])
        server = serve("--workers", "2", user=NOBODY, group=NOBODY, extra_groups=[])
    else:
        server = serve("--workers", "2", "--user", user)
    releases.make(1)
    os.chmod(releases.path(1), 0o700)
    releases.switch(1)
    served(server, b"v0")
    warned = until(lambda: texts(server, "keeping the old root"), "a warning")
    assert f"run: chmod o+rx {releases.link}" in warned[0], warned
    for _ in range(2):
        served(server, b"v0")
    os.chmod(releases.path(1), 0o755)
    until(lambda: texts(server, "was replaced"), "the next look")
    served(server, b"v1")
    assert len(texts(server, "keeping the old root")) == 1


@needs_root
def test_root_that_uploads_may_not_write(serve, releases):
    os.chown(releases.path(0), NOBODY, NOBODY)
    server = serve("--workers", "2", "--user", "nobody", "--upload")
    releases.make(1)
    releases.switch(1)
    served(server, b"v0")
    warned = until(lambda: texts(server, "keeping the old root"), "a warning")
    assert f"run: chown nobody {releases.link}" in warned[0], warned
    os.chown(releases.path(1), NOBODY, NOBODY)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: texts(server, "was replaced"), "the new root")
    served(server, b"v1")
    server.put("new", b"new")
    assert (releases.path(1) / "new").read_bytes() == b"new"


def test_upload_into_the_old_root(serve, releases):
    """An upload finishes where it began; the next one goes to the new root."""
    server = serve("--workers", "4", "--create", "--unique-root", "ip")
    peer = server.peer()
    peer.asks(wrq("a/b"))
    peer.gets(ack(0))
    peer.says(data(1, b"x" * 512))
    peer.gets(ack(1))
    releases.make(1)
    releases.switch(1)
    server.put("a/c", b"new")
    assert (releases.path(1) / "127.0.0.1" / "a" / "c").read_bytes() == b"new"
    peer.says(data(2, b"y"))
    peer.gets(ack(2))
    assert (releases.path(0) / "127.0.0.1" / "a" / "b").read_bytes() == b"x" * 512 + b"y"


@pytest.mark.parametrize("single", [False, True])
def test_removed_root(serve, releases, single):
    """While there is no root, requests are answered by an ERROR. A new one is used at once."""
    server = serve("--workers", "4", "--upload", *["--single-port"] * single)
    for number in range(1, 4):
        folder = releases.path(number - 1)
        served(server, b"v%d" % (number - 1))
        shutil.rmtree(folder)
        for ask in (rrq, wrq):
            peer = server.peer()
            peer.asks(ask("f"))
            peer.gets_error(NOT_FOUND, ACCESS)  # ACCESS: the sandbox refuses it
        releases.make(number)
        releases.switch(number)
        served(server, b"v%d" % number)
        server.put(f"new{number}", b"new")
        assert (releases.path(number) / f"new{number}").read_bytes() == b"new"


def test_missing_root(serve, releases):
    """A link to nothing: the root that is open stays in use."""
    server = serve("--workers", "2")
    releases.switch(1)
    until(lambda: texts(server, "keeping the old root"), "a warning")
    served(server, b"v0")
    releases.make(1)
    served(server, b"v1")


def test_link_that_is_switched_back(serve, releases):
    server = serve("--workers", "2")
    releases.make(1)
    for number in (1, 0, 1, 0):
        releases.switch(number)
        served(server, b"v%d" % number)
    until(lambda: len(texts(server, "was replaced")) == 4, "four lines")


def test_many_old_workers(serve, releases):
    """Old workers have a limit: then the last ones stay, until an old transfer ends."""
    server = serve("--workers", "1")
    old = [begun(server, "big")[0]]
    for number in range(1, 101):
        releases.make(number)
        releases.switch(number)
        served(server, b"v%d" % number)
        old.append(begun(server, "big")[0])
    assert len(server.pids()) == 1 + 101
    releases.make(101)
    releases.switch(101)
    served(server, b"v100")
    assert len(server.pids()) == 1 + 101
    until(lambda: texts(server, "too many workers"), "a warning")
    old[7].says(b"\0\5\0\0enough\0")
    until(lambda: len(server.transfers(file="big", result="failed")) == 1, "its end")
    until(lambda: get(server) == b"v101", "the next look")
    blocks = releases.big(3)
    proceed(old[3], [blocks[512:1024], blocks[1024:1536]], 1)


def leave_descriptors(pid, spare):
    """Limits the file descriptors of a process to those that it has and `spare` more."""
    used = set(range(1024))
    for _ in range(5):  # at times, the supervisor looks at the root
        used &= {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
        time.sleep(0.05)
    limit = len(used) + spare
    while sum(fd not in used for fd in range(limit)) > spare:
        limit -= 1
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))


def test_new_worker_cannot_start(serve, releases):
    """The old worker goes on with the old root until the new one can be started."""
    server = serve("--workers", "1")
    supervisor = server.process.pid
    served(server, b"v0")
    before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    leave_descriptors(supervisor, 1)  # enough for the root, too few for the link to a worker
    releases.make(1)
    releases.switch(1)
    until(lambda: texts(server, "cannot start a worker"), "a warning")
    served(server, b"v0")
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
    until(lambda: get(server) == b"v1", "the next look")


def get(server):
    peer = server.peer()
    peer.asks(rrq("f"))
    return peer.hears()[4:]


@pytest.mark.parametrize("single", [False, True])
def test_stop_after_a_switch(serve, releases, single):
    """Transfers in the old root end after SIGTERM too."""
    server = serve("--workers", "2", *["--single-port"] * single)
    peer, first = begun(server, "big")
    blocks = [releases.big(0)[i:i + 512] for i in range(0, BLOCKS * 512, 512)]
    assert first == data(1, blocks[0])
    proceed(peer, blocks[1:2], 1)
    releases.make(1)
    releases.switch(1)
    served(server, b"v1")
    server.process.send_signal(signal.SIGTERM)
    proceed(peer, blocks[2:] + [b""], 2)
    peer.says(ack(BLOCKS + 1))
    server.process.wait(5)
    server.transfer(file="big", result="done")


def test_hangup_with_rules(serve, releases, tmp_path):
    """SIGHUP renews rules and root together."""
    rules = tmp_path / "rules"
    rules.write_text("r ^f$ f\n")
    server = serve("--workers", "2", "--map", rules)
    served(server, b"v0")
    rules.write_text("r ^f$ g\n")
    releases.make(1)
    releases.path(1).joinpath("g").write_bytes(b"other")
    releases.switch(1)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: texts(server, "reloaded"), "the rules")
    until(lambda: get(server) == b"other", "both")
    served(server, b"other")


def test_request_again_from_one_port(serve, releases):
    """With one port, the new worker serves a repeated request, and the old one stops."""
    server = serve("--workers", "1", "--single-port")
    peer, first = begun(server, "f")
    assert first == data(1, b"v0")
    releases.make(1)
    releases.switch(1)
    peer.asks(rrq("f"))
    peer.gets(data(1, b"v1"))
    peer.says(ack(1))
    server.transfer(file="f", text="the client began another transfer")
    until(lambda: server.transfers(file="f", result="done"), "the second")
    only_workers(server, 1)
