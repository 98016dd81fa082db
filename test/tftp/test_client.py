"""sockeye get and put against a server whose every packet is made here."""
import ctypes
import json
import os
import pathlib
import re
import signal
import time

import pytest

from cases import case
from shared import WAIT_S, read_all, until
from wire import (ACK, DATA, ERROR, REFUSED, RRQ, UNKNOWN_TID, WRQ, Peer, ack, data, decode, error, free_range,
                  oack, receive, send)

TEXT = bytes(i * 17 % 251 for i in range(100_000))
PROTOCOL, TIMED_OUT, USAGE, LOCAL, INTERRUPTED = 8, 5, 2, 9, 130
CLONE_NEWNS = 0x00020000


@pytest.fixture
def get(program, tmp_path):
    """Starts `sockeye get`; .path is where the file goes."""
    def start(url, *options, name="out", **kw):
        path = tmp_path / name
        started = program("get", "-o", path, *options, url, **kw)
        started.path = path
        return started
    return start


@pytest.fixture
def put(program, tmp_path):
    """Starts `sockeye put` of such a content."""
    def start(url, content, *options, **kw):
        path = tmp_path / "in"
        path.write_bytes(content)
        return program("put", *options, path, url, **kw)
    return start


def granted(request, **less):
    """An OACK for all that was asked for, with other values where they are given."""
    options = {k.decode().lower(): v.decode() for k, v in request.options.items()}
    options.update({k: str(v) for k, v in less.items() if k in options})
    return oack(list(options.items())), options


def left(folder):
    """The files in a folder, hidden ones too."""
    return sorted(p.name for p in pathlib.Path(folder).iterdir() if p.name != "in")


# --- get ---

def test_get(port, get):
    """What it asks for by default is what most servers have."""
    client = get(port.url("some/file"))
    request, peer = port.gets(RRQ)
    assert (request.name, request.mode) == (b"some/file", b"octet")
    assert request.options[b"tsize"] == b"0"
    assert int(request.options[b"blksize"]) >= 512 and int(request.options[b"windowsize"]) > 1
    assert len(request.options) <= 6
    answer, options = granted(request, blksize=1024, windowsize=4, tsize=len(TEXT))
    peer.says(answer)
    peer.gets(ack(0))
    send(peer, TEXT, 1024, 4)
    client.end()
    assert client.path.read_bytes() == TEXT


@case(147)
@pytest.mark.parametrize("size", [0, 511, 512, 513, 5000])
def test_get_from_a_server_that_knows_no_options(port, get, size):
    """DATA 1 at once: 512 bytes, lockstep (RFC 2347)."""
    client = get(port.url())
    peer = port.gets(RRQ)[1]
    assert send(peer, TEXT[:size]).acks == list(range(1, size // 512 + 2))
    client.end()
    assert client.path.read_bytes() == TEXT[:size]


@case(107)
def test_get_without_the_window(port, get):
    """It asked for a window, and the server granted other things: each block has its
    ACK (renesas-rcar/u-boot#8)."""
    client = get(port.url(), "--window", "16")
    request, peer = port.gets(RRQ)
    assert request.options[b"windowsize"] == b"16"
    peer.says(oack("blksize=512"))
    peer.gets(ack(0))
    for number in range(1, 20):
        peer.says(data(number, TEXT[number * 512 - 512:number * 512]))
        peer.gets(ack(number))
    peer.says(data(20))
    peer.gets(ack(20))
    client.end()
    assert client.path.read_bytes() == TEXT[:19 * 512]


@case(108, 144, 145)
@pytest.mark.parametrize("answer", [
    "windowsize=0", "windowsize=9", "windowsize=65536", "windowsize=", "windowsize=x",
    "blksize=1025", "blksize=7", "blksize=0", "blksize=-1", "blksize=65465", "blksize=x", "blksize=",
    "blksize=4294967808", "blksize=18446744073709552128", "rollover=1", "color=red",
    "multicast=239.1.1.1,1758,1", "blksize=512 color=red"])
@pytest.mark.parametrize("way", ["get", "put"])
def test_bad_oacks(port, get, put, tmp_path, way, answer):
    options = ["--blksize", "1024", "--window", "8"]
    client = (get(port.url(), *options) if way == "get"
              else put(port.url(), TEXT, *options))
    peer = port.gets(RRQ if way == "get" else WRQ)[1]
    peer.says(oack(answer))
    peer.gets_error(REFUSED)
    said = client.end(PROTOCOL)
    assert said.startswith(b"sockeye: ") and said.count(b"\n") == 1
    peer.silent()
    assert left(tmp_path) == []


@case(145)
@pytest.mark.parametrize("asked, answer", [("8", "512"), ("512", "1428"), ("100", "101")])
def test_blksize_above_what_was_asked(port, get, tmp_path, asked, answer):
    """curl once had a buffer of the size that it had asked for (CVE-2019-5482)."""
    client = get(port.url(), "--blksize", asked)
    peer = port.gets(RRQ)[1]
    peer.says(oack(f"blksize={answer}"), data(1, b"x" * int(answer)))
    peer.gets_error(REFUSED)
    client.end(PROTOCOL)
    assert left(tmp_path) == []


def test_blocks_longer_than_agreed_on(port, get, tmp_path):
    """And those of a server that knows no options and sends more than 512 bytes."""
    client = get(port.url(), "--blksize", "8", "--window", "1")
    request, peer = port.gets(RRQ)
    peer.says(data(1, b"x" * 513), data(1, b"x" * 60_000))
    peer.silent()
    peer.says(oack("blksize=8"))
    peer.gets(ack(0))
    peer.says(data(1, b"x" * 9), data(1, b"x" * 512), data(1, b"12345678"))
    peer.gets(ack(1))
    peer.says(data(2, b"9"))
    peer.gets(ack(2))
    client.end()
    assert client.path.read_bytes() == b"123456789"
    assert request.options[b"blksize"] == b"8"


@case(147)
@pytest.mark.parametrize("code", [0, 4, 8])
@pytest.mark.parametrize("way", ["get", "put"])
def test_server_that_refuses_options(port, get, put, way, code):
    """Old servers say ERROR to them: once more, without (RFC 2347)."""
    client = get(port.url()) if way == "get" else put(port.url(), TEXT[:1000])
    request, peer = port.gets(RRQ if way == "get" else WRQ)
    assert request.options
    peer.says(error(code, "what is that?"))
    request, peer = port.gets(RRQ if way == "get" else WRQ)
    assert not request.options
    if way == "get":
        send(peer, TEXT[:1000])
    else:
        assert receive(peer, first=ack(0)).content == TEXT[:1000]
    client.end()
    if way == "get":
        assert client.path.read_bytes() == TEXT[:1000]


@case(147)
@pytest.mark.parametrize("code", [0, 4, 8])
def test_it_asks_only_once_more(port, get, tmp_path, code):
    client = get(port.url())
    for _ in range(2):
        port.gets(RRQ)[1].says(error(code, "no"))
    client.end(PROTOCOL)
    assert port.hears(0.1) is None
    assert left(tmp_path) == []


@case(155)
@pytest.mark.parametrize("code, text", [(1, b"File not found"), (2, b"Access violation"),
                                        (1, b"\x1b[2J\x1b]0;x\x07 %n%s\n\r"), (1, b"\xff\xfe\x80"),
                                        (1, b"x" * 5000), (6, b"")])
@pytest.mark.parametrize("json_", [False, True])
def test_errors_of_the_server(port, get, tmp_path, code, text, json_):
    """Its words reach no terminal as they are."""
    client = get(port.url(), *["--json"] * json_)
    port.gets(RRQ)[1].says(b"\0\5" + code.to_bytes(2, "big") + text + b"\0")
    assert client.wait(WAIT_S) == PROTOCOL
    said = read_all(client.stdout) + read_all(client.stderr)
    assert all(c == 0x0a or 0x20 <= c < 0x7f for c in said), said
    assert said.count(b"\n") == 1 and len(said) < 2000
    if json_:
        assert json.loads(said)["event"] == "error"
    elif text.isascii() and text.isalnum():
        assert text[:20] in said
    assert left(tmp_path) == []


@pytest.mark.parametrize("packet", [b"\0\5\0\1", b"\0\5\0\1no NUL"])
def test_cut_errors(port, get, packet):
    client = get(port.url())
    port.gets(RRQ)[1].says(packet)
    client.end(PROTOCOL)


@case(148)
@pytest.mark.parametrize("options", [[], ["--no-options"]])
def test_block_zero_first(port, get, tmp_path, options):
    client = get(port.url(), *options)
    peer = port.gets(RRQ)[1]
    peer.says(data(0, b"x" * 512))
    peer.gets_error(4)
    client.end(PROTOCOL)
    assert left(tmp_path) == []


@case(150)
def test_oack_again(port, get):
    """Our ACK 0 was lost."""
    client = get(port.url())
    request, peer = port.gets(RRQ)
    answer, _ = granted(request, blksize=512, windowsize=1, tsize=3)
    peer.says(answer)
    peer.gets(ack(0))
    time.sleep(0.05)
    peer.says(answer)
    peer.gets_again(ack(0))
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    client.end()
    assert client.path.read_bytes() == b"abc"


@case(151)
def test_last_data_again(port, get):
    """The file is there, and the client still says so again."""
    client = get(port.url(), "--no-options", "--timeout", "500ms")
    peer = port.gets(RRQ)[1]
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    for _ in range(2):
        time.sleep(0.05)
        peer.says(data(1, b"abc"))
        peer.gets_again(ack(1))
    client.end()
    assert client.path.read_bytes() == b"abc"


@case(83)
@pytest.mark.parametrize("way", ["get", "put"])
def test_two_servers_answer(port, get, put, way):
    """The request was doubled on its way: the first answer counts, the other server is
    told ERROR 5 (RFC 1350 4)."""
    client = (get(port.url(), "--no-options") if way == "get"
              else put(port.url(), TEXT[:600], "--no-options"))
    _, first = port.gets(RRQ if way == "get" else WRQ)
    second = port.peer(first.tid)
    if way == "get":
        first.says(data(1, TEXT[:512]))
        first.gets(ack(1))
        second.says(data(1, TEXT[:512]))
    else:
        first.says(ack(0))
        first.gets(data(1, TEXT[:512]))
        second.says(ack(0))
    second.gets_error(UNKNOWN_TID)
    second.says(error(0, "not ours, and not answered"))
    second.silent()
    if way == "get":
        first.says(data(2, b"end"))
        first.gets(ack(2))
    else:
        first.says(ack(1))
        first.gets(data(2, TEXT[512:600]))
        first.says(ack(2))
    client.end()


@case(84)
@pytest.mark.parametrize("any_source", [False, True])
def test_answer_from_another_address(desk, get, any_source):
    asked = desk()
    client = get(asked.url(), "--timeout", "100ms", "--no-options",
                 *["--any-source"] * any_source)
    _, peer = asked.gets(RRQ)
    other = asked.peer(peer.tid, source=("127.0.0.2", 0))
    other.says(data(1, b"from elsewhere"))
    if any_source:
        other.gets(ack(1))
        client.end()
        assert client.path.read_bytes() == b"from elsewhere"
        return
    packet = other.hears(0.3)
    assert packet is None or decode(packet).opcode == ERROR
    peer.says(data(1, b"from where it asked"))
    peer.gets(ack(1))
    client.end()
    assert client.path.read_bytes() == b"from where it asked"


@case(81)
def test_strangers_do_no_harm(port, get):
    client = get(port.url(), "--no-options")
    _, peer = port.gets(RRQ)
    peer.says(data(1, TEXT[:512]))
    peer.gets(ack(1))
    stranger = port.peer(peer.tid)
    stranger.says(error(0, "end it"), data(2, b"not yours"), ack(7), b"", b"\0")
    stranger.gets_error(UNKNOWN_TID)
    peer.says(data(2, b"end"))
    peer.gets(ack(2))
    client.end()
    assert client.path.read_bytes() == TEXT[:512] + b"end"


@case(143)
@pytest.mark.parametrize("options", [["--timeout", "50ms", "--retries", "3"],
                                     ["--timeout", "20ms", "--retries", "2", "--no-options"]])
def test_silent_server(port, get, tmp_path, options):
    """So many requests, and no file."""
    client = get(port.url(), *options)
    begun, requests = time.monotonic(), 0
    while client.poll() is None:
        assert time.monotonic() - begun < 5
        requests += port.hears(0.02) is not None
    client.end(TIMED_OUT)
    while port.hears(0):
        requests += 1
    assert 2 <= requests <= int(options[3]) + 1
    assert left(tmp_path) == []


@case(143)
def test_closed_port(desk, get, tmp_path):
    """ICMP says so: connection refused, at once."""
    made = desk()
    url = made.url()
    made.close()
    begun = time.monotonic()
    get(url).end(4)
    assert time.monotonic() - begun < 2
    assert left(tmp_path) == []


@case(143)
def test_server_that_falls_silent(port, get, tmp_path):
    client = get(port.url(), "--timeout", "50ms", "--retries", "3", "--no-options")
    _, peer = port.gets(RRQ)
    peer.says(data(1, TEXT[:512]))
    peer.gets(ack(1))
    client.end(TIMED_OUT)
    assert left(tmp_path) == []


@case(152)
@pytest.mark.parametrize("path, name, mode", [
    ("f", b"f", b"octet"), ("a/b/c", b"a/b/c", b"octet"), ("/x", b"/x", b"octet"),
    ("a%20b;mode=netascii", b"a b", b"netascii"), ("f;mode=octet", b"f", b"octet"),
    ("f;mode=NETASCII", b"f", b"netascii"), ("%3bmode=x", b";mode=x", b"octet"),
    ("%ff%80", b"\xff\x80", b"octet"), ("a%3bb", b"a;b", b"octet"), ("%25", b"%", b"octet")])
def test_names(port, get, path, name, mode):
    """The slash behind the host is not part of the name (RFC 3617)."""
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


@case(152)
def test_ipv6(desk, get):
    made = desk(("::1", 0))
    client = get(made.url("x"))
    assert made.url("x").startswith("tftp://[::1]:")
    _, peer = made.gets(RRQ)
    peer.says(data(1, b"six"))
    peer.gets(ack(1))
    client.end()
    assert client.path.read_bytes() == b"six"


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
    """The server is told, and nothing is left."""
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
    peer.silent()
    assert left(tmp_path) == []


@pytest.mark.parametrize("size, tsize", [(1000, 1001), (1000, 999), (1024, 1023), (5, 1 << 60)])
def test_size_differs_from_tsize(port, get, tmp_path, size, tsize):
    """A file that is not what was promised is none."""
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


def test_tsize_0_is_no_promise(port, get):
    client = get(port.url())
    peer = port.gets(RRQ)[1]
    peer.says(oack("tsize=0"))
    peer.gets(ack(0))
    peer.says(data(1, b"something"))
    peer.gets(ack(1))
    client.end()
    assert client.path.read_bytes() == b"something"


def test_oack_with_garbage_behind_it(port, get):
    """Tivoli's PXE server sends some (trap 9)."""
    client = get(port.url(), "--blksize", "1024")
    peer = port.gets(RRQ)[1]
    peer.says(oack("blksize=512") + b"\0\0\xff\xff")
    peer.gets(ack(0))
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    client.end()


def test_request_is_repeated(port, get):
    """From the same port, and the same request."""
    client = get(port.url(), "--timeout", "50ms", "--no-options")
    (first, source), (second, again) = port.hears(), port.hears()
    assert (first, source) == (second, again)
    peer = port.peer(source)
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    client.end()


def test_numbers_start_again(port, get):
    """More than 65535 blocks down."""
    content = b"".join(b"%07d\n" % i for i in range(65540))
    client = get(port.url(), "--blksize", "8", "--window", "16")
    request, peer = port.gets(RRQ)
    peer.says(oack("blksize=8 windowsize=16"))
    peer.gets(ack(0))
    send(peer, content, 8, 16, lose={65536, 65537})
    client.end()
    assert client.path.read_bytes() == content
    assert request.options[b"windowsize"] == b"16"


# --- put ---

def test_put(port, put):
    client = put(port.url("up"), TEXT)
    request, peer = port.gets(WRQ)
    assert (request.name, request.mode) == (b"up", b"octet")
    assert request.options[b"tsize"] == b"%d" % len(TEXT)
    answer, options = granted(request, blksize=1024, windowsize=4)
    peer.says(answer)
    heard = receive(peer, int(options["blksize"]), int(options.get("windowsize", 1)))
    assert heard.content == TEXT
    client.end()


@case(107, 147)
@pytest.mark.parametrize("size", [0, 511, 512, 513, 5000])
def test_put_to_a_server_that_knows_no_options(port, put, size):
    """ACK 0 at once: 512 bytes, lockstep."""
    client = put(port.url(), TEXT[:size])
    peer = port.gets(WRQ)[1]
    peer.says(ack(0))
    for number in range(1, size // 512 + 2):
        peer.gets(data(number, TEXT[:size][number * 512 - 512:number * 512]))
        peer.quiet(0.01)
        peer.says(ack(number))
    client.end()


@case(61)
def test_put_every_ack_twice(port, put):
    client = put(port.url(), TEXT[:512 * 40], "--no-options")
    peer = port.gets(WRQ)[1]
    peer.says(ack(0), ack(0))
    for number in range(1, 42):
        peer.gets(data(number, TEXT[:512 * 40][number * 512 - 512:number * 512]))
        peer.says(ack(number), ack(number))
    client.end()
    peer.quiet()
    assert peer.again <= 4


@case(116)
@pytest.mark.parametrize("how", ["option", "url"])
def test_netascii(port, get, put, how):
    """Converted, both ways; curl only sets the mode (curl#12655)."""
    content, wire = b"a\nb\rc\r\n" * 300, b"a\r\nb\r\0c\r\0\r\n" * 300
    options, tail = (["--netascii"], "") if how == "option" else ([], ";mode=netascii")
    client = put(port.url("f" + tail), content, *options, "--no-options")
    request, peer = port.gets(WRQ)
    assert request.mode.lower() == b"netascii"
    peer.says(ack(0))
    assert receive(peer).content == wire
    client.end()
    client = get(port.url("f" + tail), *options, "--no-options")
    request, peer = port.gets(RRQ)
    assert request.mode.lower() == b"netascii"
    send(peer, wire)
    client.end()
    assert client.path.read_bytes() == content


@case(116)
def test_netascii_promises_no_size_of_bytes(port, put):
    """tsize would be that of the file, which is not what goes over the wire."""
    client = put(port.url(), b"\n" * 100, "--netascii")
    request, peer = port.gets(WRQ)
    assert request.options.get(b"tsize") in (None, b"200")
    peer.says(ack(0))
    assert receive(peer).content == b"\r\n" * 100
    client.end()


@case(153)
def test_put_from_a_pipe(program, port):
    """Full blocks, however little each read gives. The server is asked when there is
    something, for it would not wait long."""
    client = program("put", "--no-options", "-", port.url())
    assert port.hears(0.1) is None
    content = TEXT[:1300]
    client.stdin.write(content[:100])
    _, peer = port.gets(WRQ)
    peer.says(ack(0))
    for at in range(100, 1300, 100):
        client.stdin.write(content[at:at + 100])
        time.sleep(0.002)
    peer.gets(data(1, content[:512]))
    peer.says(ack(1))
    peer.gets(data(2, content[512:1024]))
    peer.says(ack(2))
    peer.silent()
    client.close_input()
    peer.gets(data(3, content[1024:]))
    peer.says(ack(3))
    client.end()


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
    """Nobody reads any more: the server need not go on."""
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


@case(40)
def test_put_that_is_refused(port, put):
    client = put(port.url(), TEXT)
    port.gets(WRQ)[1].says(error(3, "Disk full"))
    assert b"Disk full" in client.end(PROTOCOL)
    assert port.hears(0.1) is None


@case(70)
def test_put_whose_last_ack_is_lost(port, put):
    """It says the end again, until it is acknowledged."""
    client = put(port.url(), b"abc", "--no-options", "--timeout", "50ms")
    peer = port.gets(WRQ)[1]
    peer.says(ack(0))
    peer.gets(data(1, b"abc"))
    peer.gets_again(data(1, b"abc"))
    peer.says(ack(1))
    client.end()


def test_put_whose_last_ack_never_comes(port, put):
    """Nobody has said that the file is there: that is no success."""
    client = put(port.url(), b"abc", "--no-options", "--timeout", "20ms", "--retries", "3")
    peer = port.gets(WRQ)[1]
    peer.says(ack(0))
    peer.gets(data(1, b"abc"))
    client.end(TIMED_OUT)


def test_put_of_a_missing_file(program, port):
    client = program("put", "/nonexistent", port.url())
    client.end(LOCAL)
    assert port.hears(0.05) is None


def test_probe(program, port):
    """Which options are granted, and then it breaks off as UEFI does."""
    client = program("get", "--probe", "--json", port.url())
    request, peer = port.gets(RRQ)
    assert {b"tsize", b"blksize", b"windowsize"} <= set(request.options)
    peer.says(oack("blksize=512 tsize=77"))
    peer.gets_error(REFUSED, 0)
    until(lambda: client.poll() is not None, "its end")
    assert client.returncode == 0
    assert re.search(rb'77', read_all(client.stdout))


def test_several_files(program, port, tmp_path):
    """At once, each from a port of its own."""
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


@case(85)
def test_bind_and_port_range(desk, get):
    made = desk(("0.0.0.0", 0))
    first = free_range(8)
    url = f"tftp://127.0.0.1:{made.sock.getsockname()[1]}/f"
    client = get(url, "--bind", "127.0.0.5", "--port-range", f"{first}-{first + 7}", "--no-options")
    _, source = made.hears()
    assert source[0] == "127.0.0.5" and first <= source[1] <= first + 7
    peer = Peer(source, source=("127.0.0.1", 0), tid=source)
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    peer.close()
    client.end()


