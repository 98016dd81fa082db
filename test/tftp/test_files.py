"""Files: what is served and what is not, and uploads that are whole or nothing."""
import ctypes
import os
import signal
import socket
import stat
import threading
import time

import pytest

from cases import case
from shared import until
from wire import (ACCESS, DISK_FULL, EXISTS, ILLEGAL, NOT_FOUND, ack, data, error, oack, pattern,
                  rrq, send, wrq)

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 1 << 18
NAMES_OUT = ["../secret", "a/../../secret", "../root-secret/f", "..", "../", "a/../..",
             "../root/../secret", "./../secret", "a/b/../../../secret", "//../secret"]


@pytest.fixture
def secrets(tmp_path, root):
    """What lies beside the root."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-secret").mkdir()
    (tmp_path / "root-secret" / "f").write_bytes(b"secret")
    (root / "a" / "b").mkdir(parents=True)
    return tmp_path


def refused(server, name, ask=rrq, codes=(NOT_FOUND, ACCESS)):
    """The answer to a request, which must be an ERROR of one of these codes."""
    peer = server.peer()
    peer.asks(ask(name))
    peer.gets_error(*codes)
    packet = peer.had[-1]
    peer.silent(0.02)
    return packet


@case(118, 119)
@pytest.mark.parametrize("name", NAMES_OUT)
def test_names_that_lead_out(serve, secrets, name):
    """And the answer is the same whether there is something or not."""
    server = serve("--overwrite", "--create")
    answer = refused(server, name)
    assert refused(server, name, wrq)[:4] == answer[:4]
    there_not = name.replace("secret", "nosuch")
    assert refused(server, there_not) == answer
    assert refused(server, there_not, wrq) == refused(server, name, wrq)
    assert sorted(p.name for p in secrets.iterdir() if not p.name.startswith("log")) == \
        ["root", "root-secret", "secret"]


@case(118)
@pytest.mark.parametrize("name", ["/etc/passwd", "etc/passwd", "//etc/passwd", "..\\secret",
                                  "a\\..\\..\\secret", "%2e%2e/secret", "..%2fsecret",
                                  "..\x01/secret", ".../secret", "..;/secret", "~root/.profile",
                                  "|id", "-", "CON", "AUX"])
def test_names_that_look_as_if(serve, secrets, name):
    """They are names below the root as any other, and there is no such file."""
    assert refused(serve(), name, codes=(NOT_FOUND,))
    assert refused(serve("--backslash"), name)


@case(118)
def test_dots_in_names(serve, root):
    """Two dots inside a name are no way up."""
    server = serve("--upload")
    for name in ("backup..2024.bin", "..data", "data..", "..."):
        server.put_file(name, pattern(name))
        assert server.get(name).content == pattern(name)
    server.put_file("a/x", b"x")
    server.put("..new..", b"new")
    assert (root / "..new..").read_bytes() == b"new"


@case(121, 129)
def test_links(serve, secrets, root):
    """Followed inside, refused where they lead out; the same answer whether there is
    something or not."""
    server = serve()
    server.put_file("a/f", b"inside")
    for name, target in {"in": "a/f", "a/up": "../a/f", "folder": "a", "twice": "in"}.items():
        (root / name).symlink_to(target)
        where = name + "/f" if name == "folder" else name
        assert server.get(where).content == b"inside"
    answers = set()
    for name, target in {"out": "../secret", "out2": "../nosuch", "abs": str(secrets / "secret"),
                         "abs2": "/nosuch", "proc": "/proc/self/environ",
                         "folder2": "..", "passwd": "/etc/passwd"}.items():
        (root / name).symlink_to(target)
        where = name + "/secret" if name == "folder2" else name
        answers.add(refused(server, where))
    assert len(answers) == 1
    (root / "loop").symlink_to("loop")
    refused(server, "loop")
    (root / "dangling").symlink_to("nosuch")
    refused(server, "dangling")


@case(121)
def test_link_that_changes(serve, secrets, root):
    """There is no moment between looking and opening."""
    server = serve()
    (root / "real").mkdir()
    (root / "real" / "secret").write_bytes(b"inside")
    (root / "out").symlink_to("..")
    (root / "in").symlink_to("real")
    over = threading.Event()

    def swap():
        while not over.is_set():
            for target in ("out", "in"):
                os.symlink(os.readlink(root / target), root / "next")
                os.replace(root / "next", root / "d")
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = {}
        for _ in range(1500):
            peer = server.peer()
            peer.asks(rrq("d/secret"))
            packet = peer.hears()
            seen[packet[:4]] = seen.get(packet[:4], 0) + 1
            assert b"inside" in packet or packet[1] == 5, packet
            if packet[1] == 3:
                peer.says(ack(1))
            peer.close()
    finally:
        over.set()
        thread.join()
    assert len(seen) > 1, seen  # both ways were met


@case(122)
def test_no_regular_files(serve, root):
    """Nobody waits for a pipe's other end."""
    server = serve("--overwrite")
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        os.chdir(root)  # a socket's name is short
        sock.bind("socket")
        os.chdir("/")
        names = ["pipe", "folder", "folder/", "socket", ".", "/"]
        try:
            os.mknod(root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
            names.append("zero")
        except PermissionError:
            pass
        for name in names:
            refused(server, name, codes=(ACCESS, ILLEGAL) if name in "/." else (ACCESS,))
            refused(server, name, wrq, codes=(ACCESS, ILLEGAL, NOT_FOUND))
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert server.answers()


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to be somebody else")


@case(123)
@needs_root
def test_file_that_may_not_be_read(serve, root):
    server = serve("--user", "nobody", "--overwrite")
    root.chmod(0o777)
    server.put_file("mine", b"mine").chmod(0o600)
    refused(server, "mine", codes=(ACCESS,))
    refused(server, "mine", wrq, codes=(ACCESS,))
    (root / "closed").mkdir(mode=0o700)
    (root / "closed" / "f").write_bytes(b"f")
    refused(server, "closed/f", codes=(ACCESS,))
    assert server.answers()
    server.put("new", b"new")
    assert (root / "new").stat().st_uid != 0


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


def test_folders_of_uploads_that_break_off(serve, root):
    """Go with them, but for one that another upload goes on in."""
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
    """For the child: a file system of so many KiB on `folder`, which only it sees."""
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
    # What is said in advance is refused in advance.
    peer.asks(wrq("h", f"blksize=8192 tsize={1 << 20}"))
    peer.gets_error(DISK_FULL)


@case(127)
@pytest.mark.parametrize("how", ["new", "old"])
@pytest.mark.parametrize("end", ["ERROR", "port closed", "server killed", "server stopped"])
def test_upload_that_is_cut_off(serve, root, how, end):
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
    server.put("new", b"x" * 2048)  # exactly as much


@case(129)
def test_upload_through_a_link(serve, secrets, root):
    """To nowhere outside, and to nothing else by another name."""
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
    """One wins whole, and the other is told."""
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
def test_promises_are_not_believed(serve, root):
    """Neither more nor less than what was announced, and no room taken for it."""
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


def test_file_that_is_replaced_while_it_is_sent(serve, root):
    """The old one is sent to its end, the new one from then on."""
    server = serve()
    server.put_file("f", b"o" * 2000)
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(data(1, b"o" * 512))
    (root / "next").write_bytes(b"n" * 5000)
    os.replace(root / "next", root / "f")
    assert server.get("f").content == b"n" * 5000
    for number in (2, 3):
        peer.says(ack(number - 1))
        peer.gets(data(number, b"o" * 512))
    peer.says(ack(3))
    peer.gets(data(4, b"o" * 464))


@pytest.mark.parametrize("options", ["", "blksize=8192 windowsize=8"])
@pytest.mark.parametrize("mode", ["octet", "netascii"])
def test_file_that_is_cut_while_it_is_sent(serve, root, options, mode):
    """The client is told, and the server lives."""
    server = serve()
    server.put_file("f", b"o" * (1 << 20))
    peer = server.peer()
    peer.asks(rrq("f", options, mode))
    packet = peer.hears()
    os.truncate(root / "f", 100)
    assert packet == oack(options) if options else len(packet) == 516
    number = 0 if options else 1
    peer.says(ack(number))
    for _ in range(400):
        packet = peer.hears()
        if packet[1] == 5 or len(packet) < (8196 if options else 516):
            break
        number += 1
        if not options or number % 8 == 0:
            peer.says(ack(number))
    assert packet[1] == 5 or mode == "netascii", packet[:100]
    assert server.answers()


def test_file_that_grows_while_it_is_sent(serve, root):
    """As long as it was, as tsize said."""
    server = serve()
    server.put_file("f", b"o" * 1000)
    peer = server.peer()
    peer.asks(rrq("f", "tsize=0"))
    peer.gets(oack("tsize=1000"))
    with open(root / "f", "ab") as f:
        f.write(b"more" * 1000)
    peer.says(ack(0))
    peer.gets(data(1, b"o" * 512))
    peer.says(ack(1))
    peer.gets(data(2, b"o" * 488))
    peer.says(ack(2))
    assert server.get("f").content == b"o" * 1000 + b"more" * 1000


def test_changed_file_is_seen(serve):
    """Nothing old comes from what is kept of files, even of the same size."""
    server = serve()
    for round_ in range(20):
        content = bytes([65 + round_]) * 3000
        server.put_file("f", content)
        assert server.get("f").content == content


def test_unique_root(serve, root):
    """A folder for each client's address, where there is one."""
    server = serve("--unique-root", "ip", url="udp://0.0.0.0:0")
    server.put_file("f", b"all")
    server.put_file("127.0.0.2/f", b"two")
    for source, content in (("127.0.0.1", b"all"), ("127.0.0.2", b"two")):
        peer = server.peer(("127.0.0.1", server.port), source=(source, 0))
        assert server.get("f", peer=peer).content == content
    peer = server.peer(("127.0.0.1", server.port), source=("127.0.0.2", 0))
    peer.asks(rrq("../f"))
    peer.gets_error(ACCESS, NOT_FOUND)


def test_upload_while_it_is_read(serve, root):
    """Who reads gets the old one whole."""
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
