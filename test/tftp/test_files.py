"""Files: what is served and what is not, and files that change during a transfer."""
import os
import socket
import stat
import threading

import pytest

from cases import case
from files_fixtures import needs_root, refused, secrets
from wire import ACCESS, ILLEGAL, NOT_FOUND, ack, data, oack, pattern, rrq, wrq

NAMES_OUT = ["../secret", "a/../../secret", "../root-secret/f", "..", "../", "a/../..",
             "../root/../secret", "./../secret", "a/b/../../../secret", "//../secret"]


@case(118, 119)
@pytest.mark.parametrize("name", NAMES_OUT)
def test_names_that_lead_out(serve, secrets, name):
    """The reply is the same whether the file exists or not."""
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
def test_names_that_seem_to_lead_out(serve, secrets, name):
    """They are ordinary names below the root, and no such file exists."""
    assert refused(serve(), name, codes=(NOT_FOUND,))
    assert refused(serve("--backslash"), name)


@case(118)
def test_dots_in_names(serve, root):
    """Two dots inside a name do not lead to the parent folder."""
    server = serve("--upload")
    for name in ("backup..2024.bin", "..data", "data..", "..."):
        server.put_file(name, pattern(name))
        assert server.get(name).content == pattern(name)
    server.put_file("a/x", b"x")
    server.put("..new..", b"new")
    assert (root / "..new..").read_bytes() == b"new"


@case(121, 129)
def test_links(serve, secrets, root):
    """Followed inside the root, refused if they lead out; the reply is the same whether the
    target exists or not."""
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


@pytest.mark.parametrize("links", ["inside", "none", "any"])
@pytest.mark.parametrize("user", [[], ["--user", "nobody"]], ids=["root", "nobody"])
def test_option_links(serve, secrets, root, links, user):
    """none: no link is followed. any: also to files outside, through the sandbox too."""
    if user and os.getuid() != 0:
        pytest.skip("needs root to become another user")
    for folder in (secrets, *list(secrets.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    server = serve("--links", links, *user)
    server.put_file("a/f", b"inside")
    followed = {"in": ("a/f", b"inside", ("inside", "any")),
                "back": (f"../{root.name}/a/f", b"inside", ("inside", "any")),
                "out": ("../secret", b"secret", ("any",))}
    for name, (target, content, when) in followed.items():
        (root / name).symlink_to(target)
        if links in when:
            assert server.get(name).content == content
        else:
            refused(server, name)
    refused(server, "../secret")


@case(121)
def test_link_that_changes(serve, secrets, root):
    """The check and the open are one system call, so no change fits in between."""
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
    assert len(seen) > 1, seen  # the test met both directions


@case(122)
def test_files_that_are_not_regular(serve, root):
    """The server does not wait for the other end of a pipe."""
    server = serve("--overwrite")
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        os.chdir(root)  # the path of a socket has to be short
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


@case(123)
@needs_root
def test_file_that_may_not_be_read(serve, root):
    root.chmod(0o777)
    server = serve("--user", "nobody", "--overwrite")
    server.put_file("mine", b"mine").chmod(0o600)
    refused(server, "mine", codes=(ACCESS,))
    refused(server, "mine", wrq, codes=(ACCESS,))
    (root / "closed").mkdir(mode=0o700)
    (root / "closed" / "f").write_bytes(b"f")
    refused(server, "closed/f", codes=(ACCESS,))
    assert server.answers()
    server.put("new", b"new")
    assert (root / "new").stat().st_uid != 0


def test_file_that_is_replaced_while_it_is_sent(serve, root):
    """The running transfer sends the old file to its end, the next one sends the new file."""
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
def test_file_that_shrinks_while_it_is_sent(serve, root, options, mode):
    """The client gets an ERROR, and the server goes on."""
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
    """Sends the length at the time of the request, which is the tsize."""
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


def test_changed_file_is_served(serve):
    """The cache of open files returns no old content, even for a file of the same size."""
    server = serve()
    for round_ in range(20):
        content = bytes([65 + round_]) * 3000
        server.put_file("f", content)
        assert server.get("f").content == content
