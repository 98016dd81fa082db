"""sockeye get: local files, pipes, signals, and sizes that differ from tsize."""
import ctypes
import os
import signal

import pytest

from cases import case
from client_fixtures import INTERRUPTED, LOCAL, PROTOCOL, TEXT, USAGE, get, granted, left, put
from shared import WAIT_S, read_all
from wire import ACK, DATA, ERROR, RRQ, WRQ, ack, data, decode, error, oack, send

CLONE_NEWNS = 0x00020000


@case(152)
@pytest.mark.parametrize("path, name, mode", [
    ("f", b"f", b"octet"), ("a/b/c", b"a/b/c", b"octet"), ("/x", b"/x", b"octet"),
    ("a%20b;mode=netascii", b"a b", b"netascii"), ("f;mode=octet", b"f", b"octet"),
    ("f;mode=NETASCII", b"f", b"netascii"), ("%3bmode=x", b";mode=x", b"octet"),
    ("%ff%80", b"\xff\x80", b"octet"), ("a%3bb", b"a;b", b"octet"), ("%25", b"%", b"octet")])
def test_names(port, get, path, name, mode):
    """The slash after the host is not part of the name (RFC 3617)."""
    client = get(port.url(path))
    request, peer = port.gets(RRQ)
    assert (request.name, request.mode.lower()) == (name, mode)
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    client.end()
    assert client.path.read_bytes() == b"abc"


@case(152)
@pytest.mark.parametrize("url", ["tftp://127.0.0.1/a%00b", "tftp://127.0.0.1/a%", "tftp://127.0.0.1/%zz",
                                 "tftp://127.0.0.1/f;mode=mail", "tftp://127.0.0.1/",
                                 "tftp://127.0.0.1:99999/f", "tftp://127.0.0.1/a;b"])
def test_urls_that_are_refused(get, tmp_path, url):
    get(url).end(USAGE)
    assert left(tmp_path) == []


@case(156)
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount")
def test_full_disk(port, get, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)

    def mount():
        if (libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, 0x4000 | 1 << 18, None) or
                libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=64k")):
            raise OSError(ctypes.get_errno(), "mount")
    client = get(port.url(), "--blksize", "8192", "--window", "1", name="small/out",
                 preexec_fn=mount)
    _, peer = port.gets(RRQ)
    inside = f"/proc/{client.pid}/root{folder}"
    at = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    peer.says(oack("blksize=8192"))
    peer.gets(ack(0))
    for number in range(1, 30):
        peer.says(data(number, b"x" * 8192))
        packet = peer.hears()
        if packet != ack(number):
            break
    assert packet[:4] == b"\0\5\0\3"
    client.end(LOCAL)
    assert os.listdir(at) == []
    os.close(at)


@case(157)
@pytest.mark.parametrize("way", ["get", "put"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(port, get, put, tmp_path, way, sign):
    """The server gets an ERROR, and no file is left."""
    client = (get(port.url(), "--no-options") if way == "get"
              else put(port.url(), TEXT, "--no-options"))
    _, peer = port.gets(RRQ if way == "get" else WRQ)
    peer.says(data(1, TEXT[:512]) if way == "get" else ack(0))
    peer.hears()
    client.send_signal(sign)
    while (packet := peer.hears()) and decode(packet).opcode in (ACK, DATA):
        pass
    assert decode(packet)[:2] == (ERROR, 0)
    assert client.wait(WAIT_S) in (INTERRUPTED, 128 + sign, -sign)
    assert left(tmp_path) == []


def test_existing_file_is_replaced_at_the_end(port, get, tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    client = get(port.url(), "--no-options")
    _, peer = port.gets(RRQ)
    peer.says(data(1, TEXT[:512]))
    peer.gets(ack(1))
    assert client.path.read_bytes() == b"old"
    peer.says(data(2, b"."))
    peer.gets(ack(2))
    client.end()
    assert client.path.read_bytes() == TEXT[:512] + b"."


def test_error_in_the_middle_leaves_nothing(port, get, tmp_path):
    client = get(port.url(), "--no-options")
    _, peer = port.gets(RRQ)
    peer.says(data(1, TEXT[:512]))
    peer.gets(ack(1))
    peer.says(error(0, "that was it"))
    assert b"that was it" in client.end(PROTOCOL)
    peer.over()
    assert left(tmp_path) == []


@pytest.mark.parametrize("size, tsize", [(1000, 1001), (1000, 999), (1024, 1023), (5, 1 << 60)])
def test_size_differs_from_tsize(port, get, tmp_path, size, tsize):
    """A file whose size differs from tsize is discarded."""
    client = get(port.url())
    request, peer = port.gets(RRQ)
    peer.says(oack(f"tsize={tsize}"))
    peer.gets(ack(0))
    for number in range(1, size // 512 + 2):
        peer.says(data(number, TEXT[:size][number * 512 - 512:number * 512]))
        packet = peer.hears()
        if packet[1] == ERROR:
            break
    assert packet[1] == ERROR
    client.end(PROTOCOL)
    assert left(tmp_path) == []
    assert request.options[b"tsize"] == b"0"


def test_tsize_0_is_ignored(port, get):
    client = get(port.url())
    peer = port.gets(RRQ)[1]
    peer.says(oack("tsize=0"))
    peer.gets(ack(0))
    peer.says(data(1, b"something"))
    peer.gets(ack(1))
    client.end()
    assert client.path.read_bytes() == b"something"


def test_get_to_a_pipe(program, port):
    client = program("get", "-o", "-", port.url())
    request, peer = port.gets(RRQ)
    answer, _ = granted(request, blksize=1024, windowsize=4, tsize=len(TEXT))
    peer.says(answer)
    peer.gets(ack(0))
    send(peer, TEXT, 1024, 4)
    assert read_all(client.stdout) == TEXT
    client.end()


def test_get_to_a_pipe_that_is_closed(program, port):
    """The reader closed the pipe: the server gets an ERROR."""
    client = program("get", "-o", "-", "--no-options", port.url())
    _, peer = port.gets(RRQ)
    client.stdout.close()
    for number in range(1, 50):
        peer.says(data(number, TEXT[:512]))
        packet = peer.hears()
        if packet[1] == ERROR:
            break
    assert packet[1] == ERROR
    client.wait(WAIT_S)


def test_several_files(program, port, tmp_path):
    """In parallel, each from its own port."""
    client = program("get", "-j", "3", "--no-options", *[port.url(f"f{i}") for i in range(3)],
                     cwd=tmp_path)
    peers = {}
    while len(peers) < 3:
        request, peer = port.gets(RRQ)
        peers.setdefault(request.name, peer)
    assert len({peer.tid for peer in peers.values()}) == 3
    for name, peer in peers.items():
        peer.says(data(1, b"content of " + name))
        peer.gets(ack(1))
    client.end()
    assert left(tmp_path) == ["f0", "f1", "f2"]
    assert (tmp_path / "f1").read_bytes() == b"content of f1"
