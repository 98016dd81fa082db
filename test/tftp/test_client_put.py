"""sockeye put: uploads packet by packet, netascii in both directions."""
import time

import pytest

from cases import case
from client_fixtures import LOCAL, PROTOCOL, TEXT, TIMED_OUT, get, granted, put
from wire import RRQ, WRQ, ack, data, error, receive, send


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
    """The server sends ACK 0 at once: 512 bytes, lockstep."""
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
    """Converted in both directions; curl only sets the mode (curl#12655)."""
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
def test_netascii_sends_no_tsize(port, put):
    """tsize would be the size of the file, not of the bytes on the wire."""
    client = put(port.url(), b"\n" * 100, "--netascii")
    request, peer = port.gets(WRQ)
    assert request.options.get(b"tsize") in (None, b"200")
    peer.says(ack(0))
    assert receive(peer).content == b"\r\n" * 100
    client.end()


@case(153)
def test_put_from_a_pipe(program, port):
    """Sends full blocks, even if each read returns few bytes. Sends the request once there is
    data, because the server would not wait long."""
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
    peer.quiet()
    client.close_input()
    peer.gets(data(3, content[1024:]))
    peer.says(ack(3))
    client.end()


@case(40)
def test_put_that_is_refused(port, put):
    client = put(port.url(), TEXT)
    port.gets(WRQ)[1].says(error(3, "Disk full"))
    assert b"Disk full" in client.end(PROTOCOL)
    assert port.hears(0.1) is None


@case(70)
def test_put_whose_last_ack_is_lost(port, put):
    """Repeats the last block until it is acknowledged."""
    client = put(port.url(), b"abc", "--no-options", "--timeout", "50ms")
    peer = port.gets(WRQ)[1]
    peer.says(ack(0))
    peer.gets(data(1, b"abc"))
    peer.gets_again(data(1, b"abc"))
    peer.says(ack(1))
    client.end()


def test_put_whose_last_ack_never_comes(port, put):
    """No ACK says that the server has the file: the transfer failed."""
    client = put(port.url(), b"abc", "--no-options", "--timeout", "20ms", "--retries", "3")
    peer = port.gets(WRQ)[1]
    peer.says(ack(0))
    peer.gets(data(1, b"abc"))
    client.end(TIMED_OUT)


def test_put_of_a_missing_file(program, port):
    client = program("put", "/nonexistent", port.url())
    client.end(LOCAL)
    assert port.hears(0.05) is None
