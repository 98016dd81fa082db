"""More requests from the port of a transfer: repeated, restarted and forged."""
import time

import pytest

from cases import case
from lockstep_fixtures import TEXT, block, file
from wire import ack, data, decode, free_range, oack, readable, rrq, strings, wrq


@case(80)
@pytest.mark.parametrize("options", ["", "blksize=512"])
@pytest.mark.parametrize("where", ["its own port", "the server's port"])
def test_upload_request_in_the_middle(file, options, where):
    """The server sends the last ACK again; the upload does not start over (uftpd#41, ptftpd#8)."""
    server = file("--overwrite", "--timeout", "5s")
    server.put_file("new", b"old")
    peer, packet = server.peer(), wrq("new", options)
    peer.asks(packet)
    peer.gets(oack(options) if options else ack(0))
    peer.says(block(1))
    peer.gets(ack(1))
    peer.says(block(2))
    peer.gets(ack(2))
    time.sleep(0.05)
    (peer.says if where == "its own port" else peer.asks_again)(packet)
    peer.gets_again(ack(2))
    peer.says(data(3, b"end"))
    peer.gets(ack(3))
    assert (server.root / "new").read_bytes() == TEXT[:1024] + b"end"
    assert server.transfer()["bytes"] == 1027


def test_request_in_a_row_from_one_port(file):
    """The client reuses a port after its transfer has ended."""
    server = file()
    peer = server.peer()
    for _ in range(20):
        peer.asks(rrq("f", "blksize=8192"))
        peer.gets(oack("blksize=8192"))
        peer.says(ack(0))
        peer.gets(data(1, TEXT))
        peer.says(ack(1))
        peer.gets(data(2))
        peer.says(ack(2))
        peer.asks(rrq("nothing"))
        assert decode(peer.hears()).number == 1


def test_another_request_from_the_port_of_a_transfer(file):
    """A client that reuses a port wants the new file: the old transfer is over."""
    server = file()
    server.put_file("g", b"the other")
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(block(1))
    peer.asks(b"\0\1" + strings("g", "octet"))
    peer.had.append(block(1))
    assert peer.hears()[4:] == b"the other"
    peer.says(ack(1))
    assert server.transfer(file="g")["bytes"] == 9


def halfway(server):
    """A client that has received the first half of "f"."""
    peer = server.peer()
    peer.asks(rrq("f"))
    for number in range(1, 5):
        peer.gets(block(number))
        peer.says(ack(number))
    peer.gets(block(5))
    return peer


def test_another_request_from_the_middle_of_a_transfer(file):
    server = file()
    server.put_file("g", b"the other")
    peer = halfway(server)
    peer.asks(rrq("g"))
    peer.gets(data(1, b"the other"))
    assert not server.transfers(file="f")
    peer.says(ack(1))
    assert server.transfer(file="f")["text"] == "the client began another transfer"
    assert server.transfer(file="g")["result"] == "done"


def test_forged_requests(file):
    """An attacker needs only a client's port: the transfer goes on."""
    server = file()
    server.put_file("g", b"the other")
    peer = halfway(server)
    peer.sock.settimeout(20)
    for number in range(5, len(TEXT) // 512 + 1):
        for name in ("g", "nothing", "f"):
            peer.asks_again(rrq(name))
        peer.says(ack(number))
        packet, source = peer.sock.recvfrom(1 << 16)
        while source != peer.tid:
            packet, source = peer.sock.recvfrom(1 << 16)
        assert packet == block(number + 1)
    peer.says(ack(len(TEXT) // 512 + 1))
    assert server.transfer(file="f", result="done")["bytes"] == len(TEXT)


def test_forged_requests_do_not_stop_repeats(file):
    """The server repeats a lost block, whatever other requests arrive meanwhile."""
    server = file()
    peer = halfway(server)
    peer.sock.settimeout(20)
    peer.asks_again(rrq("nothing"))
    while peer.sock.recvfrom(1 << 16)[1] == peer.tid:
        pass  # the server has replied to the request
    stop = time.monotonic() + 20
    while not readable(peer.sock, 0.1) or peer.sock.recvfrom(1 << 16) != (block(5), peer.tid):
        assert time.monotonic() < stop
        peer.asks_again(rrq("nothing"))


@pytest.mark.parametrize("options", ["--max-transfers 1", "--max-per-source 1", "--port-range"])
def test_a_client_that_restarts_with_the_same_port(file, options):
    """The client was switched off and on: its old transfer must not count against its limit."""
    if options == "--port-range":
        first = free_range(1)
        options += f" {first}-{first}"
    server = file("--workers", "1", *options.split())
    peer = halfway(server)
    peer.sock.settimeout(20)
    time.sleep(1.1)  # a client that requests sooner does not count as restarted
    peer.asks(rrq("f"))
    packet = peer.sock.recv(1 << 16)
    while packet == block(5):
        packet = peer.sock.recv(1 << 16)
    assert packet == block(1)


def test_an_upload_that_restarts_with_the_same_port(file):
    server = file("--upload", "--overwrite", "--workers", "1")
    peer = server.peer()
    peer.sock.settimeout(20)
    peer.asks(wrq("f"))
    peer.gets(ack(0))
    peer.says(data(1, bytes(512)))
    peer.gets(ack(1))
    time.sleep(1.1)
    peer.asks(wrq("f"))
    packet = peer.sock.recv(1 << 16)
    while packet == ack(1):
        packet = peer.sock.recv(1 << 16)
    assert packet == ack(0)
