"""--upload-total: the bytes that all uploads together may add to the directory."""
import os
import signal

import pytest

from files_fixtures import needs_root
from shared import until
from wire import DISK_FULL, ack, data, error, oack, wrq


def is_refused(server, name, size):
    """An upload that announces its size is refused before it sends data."""
    peer = server.peer()
    peer.asks(wrq(name, f"tsize={size}"))
    assert b"all uploads" in peer.gets_error(DISK_FULL)


def begins(server, name, blocks):
    """A client that has sent this many blocks of 512 bytes."""
    peer = server.peer()
    peer.asks(wrq(name))
    peer.gets(ack(0))
    for number in range(1, blocks + 1):
        peer.says(data(number, b"x" * 512))
        peer.gets(ack(number))
    return peer


@pytest.mark.parametrize("sync", [True, False])
def test_total(serve, root, sync):
    """Exactly the limit fits; one byte more is refused at the request or at the block, and logged
    with the option."""
    server = serve("--upload", "--upload-total", "3Ki", "--workers", "2",
                   *([] if sync else ["--no-sync"]))
    server.put("a", b"x" * 1000, "tsize=1000")
    is_refused(server, "b", 2073)
    server.put("b", b"x" * 2072)
    for _ in range(4):  # at both workers
        is_refused(server, "c", 1)
    peer = begins(server, "c", 0)
    peer.says(data(1, b"x"))
    assert b"all uploads" in peer.gets_error(DISK_FULL)
    ended = server.transfer(file="c", result="failed")
    assert ended["code"] == DISK_FULL and "--upload-total" in ended["text"]
    refused = until(lambda: server.transfers(file="c", result="refused"), "refusals")
    assert "--upload-total" in refused[0]["text"] and "error" not in refused[0]
    server.put("empty", b"")
    assert sorted(os.listdir(root)) == ["a", "b", "empty"]


def test_no_total(serve):
    server = serve("--upload", "--upload-total", "0")
    server.put("a", b"x" * 5000, "tsize=5000")


def test_replaced_files(serve, root):
    """Their bytes are subtracted, but the sum never falls below 0."""
    server = serve("--overwrite", "--upload-total", "2000")
    server.put_file("old", b"x" * 9000)
    server.put("a", b"x" * 2000)
    is_refused(server, "b", 1)
    for _ in range(3):
        server.put("a", b"y" * 2000, "tsize=2000")
    server.put("a", b"x" * 500)
    server.put("b", b"x" * 1500)
    is_refused(server, "c", 1)
    server.put("old", b"x" * 8000)  # the sum is 1000
    server.put("c", b"x" * 1000)
    server.put("old", b"x" * 10)  # the sum is 0
    server.put("d", b"x" * 2000)
    is_refused(server, "e", 1)


def test_file_with_another_name(serve, root):
    """Replacing one of its names does not free its bytes."""
    server = serve("--overwrite", "--upload-total", "2000")
    os.link(server.put_file("old", b"x" * 5000), root / "link")
    is_refused(server, "old", 2001)
    server.put("old", b"x" * 2000)
    is_refused(server, "c", 1)


@pytest.mark.parametrize("end", ["ERROR", "worker dies"])
def test_upload_that_fails(serve, end):
    """Its bytes are available again."""
    server = serve("--upload", "--upload-total", "2000", "--workers", "2")
    peer = begins(server, "a", 3)
    is_refused(server, "b", 1000)
    if end == "ERROR":
        peer.says(error(0, "enough"))
        server.transfer(file="a")
    else:
        for pid in server.pids()[1:]:
            os.kill(pid, signal.SIGKILL)

    def fits():
        other = server.peer()
        other.asks(wrq("b", "tsize=2000"))
        packet = other.hears(1)
        other.says(error(0, "enough")) if packet else None
        return packet == oack("tsize=2000")
    until(fits, "room")


def test_many_at_once(serve, root):
    """Clients that announce no size share the limit."""
    server = serve("--upload", "--upload-total", "10000", "--workers", "2")
    peers = [begins(server, f"f{i}", 2) for i in range(9)]
    stored = 0
    for peer in peers:
        peer.says(data(3, b"x" * 500))
        stored += peer.hears() == ack(3)
    until(lambda: len(server.transfers()) >= 9 - stored, "failures")
    assert sum(path.stat().st_size for path in root.iterdir()) == stored * 1524 <= 10000
    assert stored >= 1


@needs_root
def test_overwritten_in_place(serve, root):
    """What a failed upload has written in place stays, and counts."""
    (root / "f").write_bytes(b"x" * 100)
    (root / "f").chmod(0o666)
    root.chmod(0o755)
    server = serve("--overwrite", "--upload-total", "1000", "--user", "nobody")
    peer = begins(server, "f", 2)
    peer.says(error(0, "enough"))
    server.transfer()
    assert (root / "f").stat().st_size == 1024
    is_refused(server, "f", 1024 + 77)
    server.put("f", b"y" * 1100)
