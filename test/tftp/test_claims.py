"""The second of two clients that upload the same file is refused before it sends its data."""
import fcntl
import os
import signal
import time

import pytest

from shared import until
from test_storing import disk, library, offers  # noqa: F401
from wire import ACCESS, EXISTS, ack, data, error, wrq

OTHER = ("127.0.0.2", 0)  # another host
ACTIVE_S = 1  # as long as a silent client keeps the name from its own host


def begins(server, name, source=None, to=None):
    """A client that has sent the first block."""
    peer = server.peer(to, source=source)
    peer.asks(wrq(name))
    peer.gets(ack(0))
    peer.says(data(1, b"x" * 512))
    peer.gets(ack(1))
    return peer


def is_refused(server, name, source=None, to=None):
    peer = server.peer(to, source=source)
    peer.asks(wrq(name))
    assert b"Another client" in peer.gets_error(ACCESS)


def ends(peer):
    peer.says(data(2, b"x"))
    peer.gets(ack(2))


def test_second_client(serve, root):
    """It is refused by every worker, and the log has the reason."""
    server = serve("--upload", "--workers", "2")
    first = begins(server, "f")
    for _ in range(12):
        is_refused(server, "f", OTHER)
    refused = until(lambda: len(server.transfers(result="refused")) == 12 and
                    server.transfers(result="refused"), "twelve lines")
    assert {event["text"] for event in refused} == {"Another client is uploading this file"}
    ends(first)
    assert (root / "f").read_bytes() == b"x" * 513
    late = server.peer()
    late.asks(wrq("f"))
    late.gets_error(EXISTS)


def test_second_client_of_a_host(serve, root):
    server = serve("--upload", "--workers", "2")
    first = begins(server, "f")
    for number in range(2, 8):
        second = server.peer()
        first.says(data(number, b"x" * 512))
        second.asks(wrq("f"))
        first.gets(ack(number))
        assert b"Another client" in second.gets_error(ACCESS)
    first.says(data(8))
    first.gets(ack(8))
    assert os.listdir(root) == ["f"]


@pytest.mark.parametrize("old", [None, b"old"])
def test_before_the_first_block(serve, root, old):
    """The client that sends it first has the name; the others are refused at theirs."""
    server = serve("--overwrite" if old else "--upload", "--workers", "2")
    if old:
        server.put_file("f", old)
    peers = [server.peer(source=source) for source in (None, OTHER, ("127.0.0.3", 0))]
    for peer in peers:
        peer.asks(wrq("f"))
        peer.gets(ack(0))
    peers[1].says(data(1, b"x" * 512))
    peers[1].gets(ack(1))
    for peer in (peers[0], peers[2]):
        peer.says(data(1, b"y" * 512))
        assert b"Another client" in peer.gets_error(ACCESS)
    is_refused(server, "f", ("127.0.0.4", 0))
    ends(peers[1])
    assert (root / "f").read_bytes() == b"x" * 513


@pytest.mark.parametrize("options, first, second", [
    ([], "a/f", "a//./f"),
    (["--fold-case"], "a/F", "A/f"),
    (["--backslash"], "a/f", "a\\f"),
    (["--map", "rules"], "a/f", "mapped"),
])
def test_aliases(serve, root, tmp_path, options, first, second):
    """The claim is for the file, not for the name in the request."""
    (tmp_path / "rules").write_text("r ^mapped$ a/f\n")
    (root / "a").mkdir()
    server = serve("--upload", *[str(tmp_path / o) if o == "rules" else o for o in options])
    peer = begins(server, first)
    is_refused(server, second, OTHER)
    ends(peer)


def test_address_families(serve):
    server = serve("--upload", url=["udp://127.0.0.1:0", "udp://[::1]:0"])
    first = begins(server, "f")
    six = ("::1", int(server.urls[1].rpartition(":")[2]))
    is_refused(server, "f", to=six)
    ends(first)
    first = begins(server, "g", to=six)
    is_refused(server, "g")
    ends(first)


def test_other_files(serve, root):
    """The same name in another directory, and a name that failed, are free."""
    server = serve("--upload", "--create", "--unique-root", "ip")
    peers = [begins(server, "f"), begins(server, "f", OTHER), begins(server, "a/f"),
             begins(server, "g")]
    failed = begins(server, "h")
    failed.says(error(0, "enough"))
    until(lambda: server.transfers(file="127.0.0.1/h"), "its end")
    for peer in [*peers, begins(server, "h")]:
        ends(peer)
    assert len(os.listdir(root / "127.0.0.1")) == 4


def test_restarted_client_that_replaces_a_file(serve, root):
    """The transfer that it has abandoned does not keep the file."""
    server = serve("--overwrite", "--workers", "2")
    server.put_file("f", b"old")
    begins(server, "f")
    is_refused(server, "f", OTHER)
    time.sleep(ACTIVE_S + 0.2)
    is_refused(server, "f", OTHER)
    ends(begins(server, "f"))
    assert (root / "f").read_bytes() == b"x" * 513


def test_file_that_another_process_replaces(serve, root):
    server = serve("--overwrite")
    with open(server.put_file("f", b"old"), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        peer = server.peer()
        peer.asks(wrq("f"))
        assert b"being written" in peer.gets_error(ACCESS)
    ends(begins(server, "f"))


def test_restarted_client(serve, root):
    """It uses the name again at once from the same port, and after a pause from another port. Other
    hosts wait until its old transfer has ended."""
    server = serve("--upload")
    old = begins(server, "f")
    old.asks(wrq("f", "blksize=600"))
    assert old.hears()[1] == 6
    silent = begins(server, "g")
    time.sleep(ACTIVE_S + 0.2)
    is_refused(server, "g", OTHER)
    new = begins(server, "g")
    ends(new)
    silent.says(data(2, b"x"))
    silent.gets_error(EXISTS)
    assert os.listdir(root) == ["g"]


@pytest.mark.parametrize("options, old", [
    (["--upload"], None),
    (["--overwrite"], b"old"),
    (["--overwrite", "--single-port"], b"old"),
])
def test_forged_requests(serve, root, options, old):
    """Requests without an answer do not keep the name from a client."""
    server = serve(*options, "--workers", "2")
    if old:
        server.put_file("f", old)
    for host in range(10, 40):
        server.peer(source=(f"127.0.0.{host}", 0)).asks(wrq("f"))
    peer = begins(server, "f", OTHER)
    for host in range(40, 50):
        server.peer(source=(f"127.0.0.{host}", 0)).asks(wrq("f"))
    ends(peer)
    assert (root / "f").read_bytes() == b"x" * 513


def test_forged_request_of_the_active_client(serve, root):
    """It neither takes the name over nor frees it."""
    server = serve("--upload")
    first = begins(server, "f")
    first.asks_again(wrq("f", "blksize=600"))
    oack, _ = first.sock.recvfrom(1000)  # the client ignores it
    assert oack[1] == 6
    is_refused(server, "f", OTHER)
    ends(first)
    assert (root / "f").read_bytes() == b"x" * 513


def test_forged_data(serve):
    """On a single port the data may be forged too: any client may take the name of a silent one."""
    server = serve("--upload", "--single-port")
    begins(server, "f")
    is_refused(server, "f", OTHER)
    time.sleep(ACTIVE_S + 0.2)
    ends(begins(server, "f", OTHER))


def test_worker_that_dies(serve):
    server = serve("--upload", "--workers", "1")
    begins(server, "f")
    os.kill(server.pids()[1], signal.SIGKILL)
    peer = server.peer(source=OTHER)
    peer.asks(wrq("f"))
    while (packet := peer.hears(1)) is None:
        peer.asks_again(wrq("f"))
    assert packet == ack(0)


def test_slow_disk(serve, disk):  # noqa: F811
    """A client that waits for the disk is not silent."""
    server = serve("--upload", env=disk.env)
    disk.stops()
    peer = offers(server, "f")
    disk.waits_for(1)
    time.sleep(ACTIVE_S + 0.2)
    is_refused(server, "f")
    disk.continues()
    peer.gets(ack(1))
