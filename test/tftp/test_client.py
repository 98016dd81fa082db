"""sockeye get and put: options and errors of the server, packet by packet."""
import json
import re

import pytest

from cases import case
from client_fixtures import PROTOCOL, TEXT, get, granted, left, put
from shared import WAIT_S, read_all, until
from wire import REFUSED, RRQ, WRQ, ack, data, error, oack, receive, send


def test_get(port, get):
    """Most servers support the options that it requests by default."""
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
    """The server sends DATA 1 at once: 512 bytes, lockstep (RFC 2347)."""
    client = get(port.url())
    peer = port.gets(RRQ)[1]
    assert send(peer, TEXT[:size]).acks == list(range(1, size // 512 + 2))
    client.end()
    assert client.path.read_bytes() == TEXT[:size]


@case(107)
def test_get_without_the_window(port, get):
    """It requests a window, and the server grants other options only: each block gets its ACK
    (renesas-rcar/u-boot#8)."""
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
    """curl once had a buffer of the size that it had requested (CVE-2019-5482)."""
    client = get(port.url(), "--blksize", asked)
    peer = port.gets(RRQ)[1]
    peer.says(oack(f"blksize={answer}"), data(1, b"x" * int(answer)))
    peer.gets_error(REFUSED)
    client.end(PROTOCOL)
    assert left(tmp_path) == []


def test_blocks_longer_than_agreed_on(port, get, tmp_path):
    """Also from a server that knows no options and sends more than 512 bytes."""
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
    """Old servers reply ERROR to options: the client requests once more without them (RFC
    2347)."""
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
def test_it_requests_only_once_more(port, get, tmp_path, code):
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
    """The server's text reaches a terminal only with escapes."""
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


def test_oack_followed_by_garbage(port, get):
    """Tivoli's PXE server sends some (trap 9)."""
    client = get(port.url(), "--blksize", "1024")
    peer = port.gets(RRQ)[1]
    peer.says(oack("blksize=512") + b"\0\0\xff\xff")
    peer.gets(ack(0))
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    client.end()


def test_probe(program, port):
    """Learns which options the server grants, and aborts the transfer like UEFI."""
    client = program("get", "--probe", "--json", port.url())
    request, peer = port.gets(RRQ)
    assert {b"tsize", b"blksize", b"windowsize"} <= set(request.options)
    peer.says(oack("blksize=512 tsize=77"))
    peer.gets_error(REFUSED, 0)
    until(lambda: client.poll() is not None, "its end")
    assert client.returncode == 0
    assert re.search(rb'77', read_all(client.stdout))
