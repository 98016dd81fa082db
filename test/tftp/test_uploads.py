"""Uploads: which files a client may write, atomically, and within limits."""
import ctypes
import os
import signal
import stat
import time

import pytest

from cases import case
from files_fixtures import needs_root, refused, secrets
from shared import until
from wire import (ACCESS, DISK_FULL, EXISTS, ILLEGAL, NOT_FOUND, ack, data, error, oack, rrq, send,
                  wrq)

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 1 << 18


@case(124)
@pytest.mark.parametrize("options", ["", "blksize=1024 tsize=3"])
def test_no_uploads(serve, root, options):
    server = serve()
    server.put_file("old", b"old")
    for name in ("new", "old", "a/new", "../new"):
        peer = server.peer()
        peer.asks(wrq(name, options))
        peer.gets_error(ACCESS, ILLEGAL)
        peer.says(data(1, b"x"))
        peer.quiet(0.05)
    assert [p.name for p in root.iterdir()] == ["old"] and (root / "old").read_bytes() == b"old"
    refused = until(lambda: len(server.transfers()) >= 4 and server.transfers(), "four lines")
    assert "EROFS" not in [event.get("error") for event in refused]


@case(125)
@pytest.mark.parametrize("options", ["", "blksize=1024 tsize=3"])
def test_existing_files(serve, root, options):
    server = serve("--upload")
    server.put_file("old", b"old")
    peer = server.peer()
    peer.asks(wrq("old", options))
    peer.gets_error(EXISTS)
    peer.silent()
    assert (root / "old").read_bytes() == b"old"
    server = serve("--overwrite")
    server.put("old", b"new", options)
    assert (root / "old").read_bytes() == b"new"


def test_folders_of_new_files(serve, root):
    server = serve("--upload")
    refused(server, "a/b/new", wrq, codes=(NOT_FOUND,))
    assert not (root / "a").exists()
    server = serve("--create")
    server.put("a/b/new", b"new")
    assert (root / "a" / "b" / "new").read_bytes() == b"new"


def test_folders_of_aborted_uploads(serve, root):
    """They are removed with the upload, unless another upload still uses them."""
    server = serve("--create")
    alone, first, second = server.peer(), server.peer(), server.peer()
    for peer, name in (alone, "a/b/new"), (first, "c/d/first"), (second, "c/second"):
        peer.asks(wrq(name))
        peer.gets(ack(0))
    assert (root / "a" / "b").is_dir()
    for peer in (alone, first):
        peer.says(error(0, "enough"))
    until(lambda: os.listdir(root) == ["c"] and not os.listdir(root / "c"), "folders removed")
    second.says(data(1, b"new"))
    second.gets(ack(1))
    assert (root / "c" / "second").read_bytes() == b"new"


def test_umask(serve, root):
    server = serve("--upload", "--umask", "027")
    server.put("new", b"new")
    assert stat.S_IMODE((root / "new").stat().st_mode) == 0o640


def small_disk(folder, kib):
    """For preexec_fn: mounts a file system of `kib` KiB on `folder` that only the child sees."""
    libc = ctypes.CDLL(None, use_errno=True)

    def mount():
        for failed in (libc.unshare(CLONE_NEWNS),
                       libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None),
                       libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=%dk" % kib)):
            if failed:
                raise OSError(ctypes.get_errno(), "mount")
    return mount


@case(126)
@needs_root
@pytest.mark.parametrize("how", ["new", "old"])
def test_full_disk(serve, root, how):
    server = serve("--overwrite", preexec_fn=small_disk(root, 256))
    inside = f"/proc/{server.process.pid}/root{root}"
    if how == "old":
        with open(f"{inside}/f", "wb") as old:
            old.write(b"old")
    peer = server.peer()
    peer.asks(wrq("f", "blksize=8192"))
    peer.gets(oack("blksize=8192"))
    for number in range(1, 100):
        peer.says(data(number, b"x" * 8192))
        packet = peer.hears()
        if packet != ack(number):
            break
    assert packet[:4] == b"\0\5\0\3", packet
    assert server.transfer()["code"] == DISK_FULL
    until(lambda: os.listdir(inside) == (["f"] if how == "old" else []), "nothing left behind")
    if how == "old":
        with open(f"{inside}/f", "rb") as old:
            assert old.read() == b"old"
    server.put("g", b"x" * 100_000, "blksize=8192")  # there is room again
    # A tsize that does not fit is refused at once.
    peer.asks(wrq("h", f"blksize=8192 tsize={1 << 20}"))
    peer.gets_error(DISK_FULL)


@needs_root
def test_reserve(serve, root):
    """Uploads leave the reserve free, whether or not they announce their size."""
    server = serve("--upload", "--reserve", "3Mi", preexec_fn=small_disk(root, 8192))
    peer = server.peer()
    peer.asks(wrq("f", f"blksize=8192 tsize={6 << 20}"))
    peer.gets_error(DISK_FULL)
    server.put("g", b"x" * (1 << 20), f"blksize=8192 tsize={1 << 20}")
    peer.asks(wrq("h", "blksize=8192"))
    peer.gets(oack("blksize=8192"))
    sent = 0
    while True:
        sent += 1
        peer.says(data(sent, b"x" * 8192))
        packet = peer.hears()
        if packet != ack(sent):
            break
    assert packet[:4] == b"\0\5\0\3" and 2 << 20 < (sent - 1) * 8192 <= 4 << 20
    inside = f"/proc/{server.process.pid}/root{root}"
    until(lambda: os.listdir(inside) == ["g"], "nothing left behind")


@needs_root
def test_file_in_a_directory_that_is_not_writable(serve, root):
    """It is overwritten in place, and the log reports this."""
    (root / "f").write_bytes(b"a long old content")
    (root / "mine").write_bytes(b"old")
    (root / "f").chmod(0o666)
    (root / "mine").chmod(0o644)
    root.chmod(0o755)
    server = serve("--overwrite", "--user", "nobody")
    server.put("f", b"new")
    assert (root / "f").read_bytes() == b"new"
    assert "not atomically" in server.transfer()["text"]
    refused(server, "mine", wrq, (ACCESS,))
    refused(server, "new", wrq, (ACCESS,))


@case(127)
@pytest.mark.parametrize("how", ["new", "old"])
@pytest.mark.parametrize("end", ["ERROR", "port closed", "server killed", "server stopped"])
def test_upload_that_is_aborted(serve, root, how, end):
    server = serve("--overwrite", "--timeout", "50ms", "--grace", "300ms")
    if how == "old":
        server.put_file("f", b"old")

    def visible():
        found = {p.name: p.read_bytes() for p in root.iterdir()}
        return found == ({"f": b"old"} if how == "old" else {})
    peer = server.peer()
    peer.asks(wrq("f", "blksize=1024 windowsize=2"))
    peer.gets(oack("blksize=1024 windowsize=2"))
    for number in range(1, 21, 2):
        peer.says(data(number, b"x" * 1024), data(number + 1, b"x" * 1024))
        peer.gets(ack(number + 1))
    if end != "server killed":
        assert {name: content for name, content in
                ((p.name, p.read_bytes()) for p in root.iterdir()) if not name.startswith(".")} \
            == ({"f": b"old"} if how == "old" else {})
    if end == "ERROR":
        peer.says(error(0, "enough"))
        server.transfer()
    elif end == "port closed":
        peer.close()
        server.transfer()
    elif end == "server killed":
        for pid in server.pids():
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
    else:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(10)
    until(visible, "nothing left behind")


@case(128)
@pytest.mark.parametrize("blksize", [512, 1024])
def test_upload_over_the_limit(serve, root, blksize):
    server = serve("--upload", "--max-upload", "2Ki")
    peer = server.peer()
    peer.asks(wrq("new", f"blksize={blksize}"))
    peer.gets(oack(f"blksize={blksize}"))
    for number in range(1, 2048 // blksize + 1):
        peer.says(data(number, b"x" * blksize))
        peer.gets(ack(number))
    peer.says(data(2048 // blksize + 1, b"x"))
    peer.gets_error(DISK_FULL)
    peer.silent()
    assert server.transfer()["code"] == DISK_FULL
    assert list(root.iterdir()) == []
    server.put("new", b"x" * 2048)  # exactly the limit


@case(129)
def test_upload_through_a_link(serve, secrets, root):
    """A link leads neither outside nor to another file."""
    server = serve("--overwrite", "--create")
    server.put_file("a/f", b"inside")
    for name, target in {"in": "a/f", "out": "../secret", "dangling": "../new", "new": "nosuch",
                         "abs": str(secrets / "root-secret" / "f")}.items():
        (root / name).symlink_to(target)
        refused(server, name, wrq)
    (root / "folder").symlink_to("../root-secret")
    refused(server, "folder/f", wrq)
    refused(server, "folder/new", wrq)
    assert (secrets / "secret").read_bytes() == b"secret"
    assert (secrets / "root-secret" / "f").read_bytes() == b"secret"
    assert (root / "a" / "f").read_bytes() == b"inside"
    assert not (secrets / "new").exists() and not (root / "nosuch").exists()
    assert os.listdir(secrets / "root-secret") == ["f"]


@case(130)
@pytest.mark.parametrize("options", [["--upload"], ["--overwrite"]], ids=["new", "existing"])
def test_two_uploads_to_one_name(serve, root, options):
    """One file is written completely; the other client gets an ERROR."""
    server = serve(*options)
    if "--overwrite" in options:
        server.put_file("f", b"old")
    one, two, answers = server.peer(), server.peer(), {}
    for peer in (one, two):
        peer.asks(wrq("f"))
        answers[peer] = peer.hears()
    for number in range(1, 6):
        for peer, byte in ((one, b"1"), (two, b"2")):
            if answers[peer][1] == 5:
                continue
            peer.says(data(number, byte * (512 if number < 5 else 100)))
            answers[peer] = peer.hears()
    content = (root / "f").read_bytes()
    assert content in (b"1" * 2148, b"2" * 2148)
    winner, loser = (one, two) if content[:1] == b"1" else (two, one)
    assert answers[winner] == ack(5)
    assert answers[loser][1] == 5 and answers[loser][3] in (EXISTS, ACCESS)
    assert [p.name for p in root.iterdir()] == ["f"]


@case(133)
def test_tsize_is_not_trusted(serve, root):
    """The file has neither more nor fewer bytes than were sent, and the server reserves no room
    for tsize."""
    server = serve("--upload")
    peer = server.peer()
    peer.asks(wrq("new", "tsize=100"))
    peer.gets(oack("tsize=100"))
    peer.says(data(1, b"x" * 99))
    peer.gets_error(0)
    peer.asks(wrq("new", "tsize=100"))
    peer.gets(oack("tsize=100"))
    peer.says(data(1, b"x" * 101))
    peer.gets_error(0)
    assert list(root.iterdir()) == []


def test_unique_root(serve, root):
    """Each client has the folder named after its address, if it exists."""
    server = serve("--unique-root", "ip", url="udp://0.0.0.0:0")
    server.put_file("f", b"all")
    server.put_file("127.0.0.2/f", b"two")
    for source, content in (("127.0.0.1", b"all"), ("127.0.0.2", b"two")):
        peer = server.peer(("127.0.0.1", server.port), source=(source, 0))
        assert server.get("f", peer=peer).content == content
    peer = server.peer(("127.0.0.1", server.port), source=("127.0.0.2", 0))
    peer.asks(rrq("../f"))
    peer.gets_error(ACCESS, NOT_FOUND)


@pytest.mark.parametrize("create", [False, True])
def test_unique_root_of_an_upload(serve, root, create):
    """An upload of a client without a directory never goes to the root."""
    server = serve("--unique-root", "ip", "--create" if create else "--upload")
    if create:
        server.put("a/f", b"mine")
        assert (root / "127.0.0.1" / "a" / "f").read_bytes() == b"mine"
        assert server.get("a/f").content == b"mine"
    else:
        refused(server, "f", wrq, (NOT_FOUND,))
    assert not (root / "f").exists() and not (root / "a").exists()


def test_upload_with_folded_case(serve, root):
    """A new file gets the name in lower case; an existing one keeps its own."""
    server = serve("--fold-case", "--overwrite")
    server.put_file("Exact", b"old")
    for name in ("Exact", "NEW"):
        server.put(name, b"n")
        assert server.get(name).content == b"n"
    assert sorted(os.listdir(root)) == ["Exact", "new"]


def test_upload_while_it_is_read(serve, root):
    """The reader receives the old file completely."""
    server = serve("--overwrite")
    server.put_file("f", b"o" * 1500)
    reader = server.peer()
    reader.asks(rrq("f"))
    reader.gets(data(1, b"o" * 512))
    writer = server.peer()
    writer.asks(wrq("f"))
    writer.gets(ack(0))
    send(writer, b"n" * 3000)
    assert (root / "f").read_bytes() == b"n" * 3000
    reader.says(ack(1))
    reader.gets(data(2, b"o" * 512))
    reader.says(ack(2))
    reader.gets(data(3, b"o" * 476))
    reader.says(ack(3))
    begun = time.monotonic()
    assert server.get("f").content == b"n" * 3000
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("end", ["timeout", "port closed", "stop", "too large"])
def test_folders_of_broken_uploads(serve, root, end):
    """However an upload ends, the directories that were made for it are removed."""
    # The worker has the last eighth of the grace period for the removal.
    server = serve("--create", "--timeout", "50ms", "--give-up", "1s", "--grace", "8s",
                   "--max-upload", "1500")
    (root / "old").mkdir()
    peer = server.peer()
    peer.asks(wrq("old/a/b/f"))
    peer.gets(ack(0))
    peer.says(data(1, b"x" * 512))
    peer.gets(ack(1))
    if end == "port closed":
        peer.close()
    elif end == "stop":
        assert server.stop() == 0
    elif end == "too large":
        peer.says(data(2, b"x" * 512))
        peer.gets(ack(2))
        peer.says(data(3, b"x" * 512))
        peer.gets_error(DISK_FULL)
    until(lambda: os.listdir(root) == ["old"] and not os.listdir(root / "old"), "folders removed")
