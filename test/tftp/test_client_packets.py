"""sockeye get and put: repeated, strange and missing packets, and other addresses."""
import time

import pytest

from cases import case
from client_fixtures import TEXT, TIMED_OUT, get, granted, left, put
from wire import (ERROR, RRQ, UNKNOWN_TID, WRQ, Peer, ack, data, decode, error, free_range, oack,
                  send)


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
    """The file is complete, and the client still acknowledges the last block again."""
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
    """The request was duplicated in the network: the first reply counts, the other server gets
    ERROR 5 (RFC 1350, section 4)."""
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
    """After the last retry there is no file."""
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
    """ICMP reports the closed port: connection refused, at once."""
    made = desk()
    url = made.url()
    made.close()
    begun = time.monotonic()
    get(url, "--no-wait").end(4)
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
def test_ipv6(desk, get):
    made = desk(("::1", 0))
    client = get(made.url("x"))
    assert made.url("x").startswith("tftp://[::1]:")
    _, peer = made.gets(RRQ)
    peer.says(data(1, b"six"))
    peer.gets(ack(1))
    client.end()
    assert client.path.read_bytes() == b"six"


def test_request_is_repeated(port, get):
    """The same request from the same port."""
    client = get(port.url(), "--timeout", "50ms", "--no-options")
    (first, source), (second, again) = port.hears(), port.hears()
    assert (first, source) == (second, again)
    peer = port.peer(source)
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    client.end()


def test_numbers_wrap_around(port, get):
    """A download of more than 65535 blocks."""
    content = b"".join(b"%07d\n" % i for i in range(65540))
    client = get(port.url(), "--blksize", "8", "--window", "16")
    request, peer = port.gets(RRQ)
    peer.says(oack("blksize=8 windowsize=16"))
    peer.gets(ack(0))
    send(peer, content, 8, 16, lose={65536, 65537})
    client.end()
    assert client.path.read_bytes() == content
    assert request.options[b"windowsize"] == b"16"


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
