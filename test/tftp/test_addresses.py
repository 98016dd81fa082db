"""Addresses and ports: whose packets count, and from which address replies are sent (RFC 1350,
section 4; RFC 1123, section 4.2.3.5)."""
import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import time

import pytest

from cases import case
from shared import until
from wire import UNKNOWN_TID, ack, data, error, free_range, oack, rrq, wrq

TEXT = bytes(range(256)) * 16


@pytest.fixture
def file(serve):
    """Starts a server with options, whose file "f" is TEXT."""
    def start(*options, **kw):
        server = serve(*options, **kw)
        server.put_file("f", TEXT)
        return server
    return start


def block(number, size=512):
    return data(number, TEXT[(number - 1) * size:number * size])


@case(5)
def test_ports_of_transfers(file):
    """Each transfer has its own port, and the ports are not consecutive."""
    server = file()
    ports = []
    for _ in range(20):
        peer = server.peer()
        peer.asks(rrq("f"))
        peer.gets(block(1))
        ports.append(peer.tid[1])
    assert len(set(ports)) == 20 and server.port not in ports
    steps = {later - earlier for earlier, later in zip(ports, ports[1:])}
    assert len(steps) > 5, ports


@case(81)
@pytest.mark.parametrize("packet", [ack(1), ack(9), data(1, b"x"), rrq("f"), oack("blksize=8")],
                         ids=["ACK 1", "ACK 9", "DATA", "RRQ", "OACK"])
@pytest.mark.parametrize("where", ["another port", "another address"])
def test_stranger(file, packet, where):
    server = file()
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(block(1))
    stranger = server.peer(source=("127.0.0.1" if where == "another port" else "127.0.0.9", 0))
    stranger.tid = peer.tid
    stranger.says(packet)
    stranger.gets_error(UNKNOWN_TID)
    stranger.silent()
    for number in range(1, 9):
        peer.says(ack(number))
        peer.gets(block(number + 1))
    peer.says(ack(9))
    assert server.transfer()["bytes"] == len(TEXT)


@case(81)
@pytest.mark.parametrize("packet", [error(0, "end it"), error(5), error(8), b"", b"\0", b"\0\5"],
                         ids=["ERROR 0", "ERROR 5", "ERROR 8", "empty", "one byte", "cut ERROR"])
def test_strangers_error(file, packet):
    """The server neither ends the transfer nor replies."""
    server = file()
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(block(1))
    stranger = server.peer()
    stranger.tid = peer.tid
    stranger.says(packet)
    stranger.silent()
    peer.says(ack(1))
    peer.gets(block(2))


@case(81)
def test_strangers_data(file):
    """The server writes none of it."""
    server = file("--upload")
    peer = server.peer()
    peer.asks(wrq("new"))
    peer.gets(ack(0))
    stranger = server.peer()
    stranger.tid = peer.tid
    stranger.says(data(1, b"not yours"))
    stranger.gets_error(UNKNOWN_TID)
    peer.says(data(1, b"mine"))
    peer.gets(ack(1))
    assert (server.root / "new").read_bytes() == b"mine"


@case(85)
@pytest.mark.parametrize("url, source", [("udp://0.0.0.0:0", "127.0.0.1"), ("udp://*:0", "127.0.0.1"),
                                         ("udp://0.0.0.0:0", "127.0.0.7")])
@pytest.mark.parametrize("single", [False, True])
def test_replies_come_from_the_address_of_the_request(file, url, source, single):
    """NIC firmware ignores a reply from another address (pin/tftp#58)."""
    server = file(*["--single-port"] * single, url=url)
    for host in ("127.0.0.1", "127.0.0.2", "127.3.2.1"):
        peer = server.peer((host, server.port), source=(source, 0))
        peer.asks(rrq("f", "blksize=1024"))
        peer.gets(oack("blksize=1024"))
        assert peer.tid[0] == host
        assert (peer.tid[1] == server.port) == single
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:1024]))
        peer.says(error(0))
        peer.asks(rrq("nothing"))
        peer.gets_error(1)
        assert peer.tid[0] == host


@contextlib.contextmanager
def stopped(server):
    """Stops the workers; packets that arrive meanwhile stay in the receive queues."""
    workers = server.pids()[1:]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


@case(81)
@pytest.mark.parametrize("packet", [error(0, "bye"), ack(33)], ids=["ERROR", "ACK"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9"])
def test_stranger_before_the_socket_is_connected(serve, packet, host):
    """Connecting a socket does not remove packets that other peers sent before."""
    server, text = serve("--workers", "1"), bytes(range(256)) * 128
    server.put_file("f", text)
    peer, stranger = server.peer(), server.peer(source=(host, 0))
    peer.asks(rrq("f"))
    for number in range(1, 32):
        peer.gets(data(number, text[(number - 1) * 512:][:512]))
        peer.says(ack(number))
    peer.gets(data(32, text[31 * 512:][:512]))
    stranger.tid = peer.tid
    with stopped(server):
        peer.says(ack(32))
        stranger.says(packet)
    peer.gets(data(33, text[32 * 512:][:512]))
    peer.quiet(0.1)
    peer.says(ack(33))
    peer.gets(data(34, text[33 * 512:][:512]))


# --- a port after its transfer ---

def tid_of_a_get(server, source=("127.0.0.1", 0)):
    peer = server.peer(source=source)
    assert server.get("f", peer=peer).content == TEXT
    return peer.tid


def test_each_transfer_has_another_port(file):
    """A host that knows the port of one transfer cannot predict that of the next one."""
    server = file("--workers", "1")
    ports = [tid_of_a_get(server)[1] for _ in range(30)]
    assert len(set(ports)) >= 28  # random ports may be equal now and then
    steps = {after - before for before, after in zip(ports, ports[1:])}
    assert len(steps) >= 25


def test_late_packets_of_the_last_transfer(file):
    """The client would take a reply to these packets for the reply to its next request."""
    server = file("--workers", "1")
    server.put_file("g", b"x")
    server.put_file("h", b"y")
    for _ in range(50):
        peer = server.peer()
        peer.sock.settimeout(10)
        peer.asks(rrq("g"))
        peer.gets(data(1, b"x"))
        peer.says(ack(1))
        peer.says(ack(1))
        peer.asks(rrq("h"))
        packet = peer.sock.recv(1 << 16)
        while packet == data(1, b"x"):
            packet = peer.sock.recv(1 << 16)
        assert packet == data(1, b"y")


@pytest.mark.parametrize("packet", [data(1, b"late"), ack(1), b"", b"?"])
def test_a_port_without_a_transfer(file, packet):
    server = file("--workers", "1")
    late = server.peer()
    late.tid = tid_of_a_get(server)
    late.says(packet)
    late.silent(0.05)
    assert server.answers()


def test_ports_of_a_small_range(file):
    """A host that is gone must not keep ports from others."""
    first = free_range(2)
    server = file("--workers", "1", "--port-range", f"{first}-{first + 1}")
    for host in range(1, 6):
        assert tid_of_a_get(server, (f"127.0.0.{host}", 0))[1] in (first, first + 1)


def test_ports_are_closed(file):
    server = file("--workers", "1")
    before = server.at_rest()
    peers = [server.peer() for _ in range(8)]
    for peer in peers:
        peer.asks(rrq("f", "blksize=4096"))
        peer.gets(oack("blksize=4096"))
    for peer in peers:
        peer.says(error(8, "size query only"))
    until(lambda: server.descriptors() <= before, "closed ports")


@case(85)
def test_two_addresses(file):
    server = file(url=["udp://127.0.0.1:0", "udp://127.0.0.2:0", "udp://[::1]:0"])
    assert len(server.urls) == 3
    for url in server.urls:
        host, port = url.removeprefix("udp://").rsplit(":", 1)
        peer = server.peer((host.strip("[]"), int(port)))
        assert server.get("f", peer=peer).content == TEXT
        assert peer.tid[0] == host.strip("[]")


def broadcaster(server, host):
    """A peer that may send broadcasts."""
    peer = server.peer((host, server.port), source=("10.9.0.1", 0))
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return peer


def link(*commands):
    """Makes the link d0, waits until it is up, and runs more commands of ip."""
    for command in ("link add d0 type veth peer name d1", "link set d1 up", "link set d0 up"):
        subprocess.run(["ip", *command.split()], check=True)
    show = ["ip", "link", "show", "d0"]
    until(lambda: b"state UP" in subprocess.run(show, check=True, capture_output=True).stdout,
          "the link")
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


@case(86)
@pytest.mark.parametrize("switch", [False, True])
def test_broadcast(file, netns, switch):
    link("address add 10.9.0.1/24 broadcast + dev d0", "route add default dev d0")
    server = file(*["--broadcast"] * switch, url="udp://0.0.0.0:0")
    for host in ("255.255.255.255", "10.9.0.255"):
        peer = broadcaster(server, host)
        peer.asks(rrq("f"))
        if switch:
            peer.gets(block(1))
            assert peer.tid[0] == "10.9.0.1"
        else:
            peer.silent()
    peer = broadcaster(server, "10.9.0.1")
    peer.asks(rrq("f"))
    peer.gets(block(1))


@case(87)
def test_one_port_for_all(file):
    """A hundred clients take turns, one block each."""
    server = file("--single-port")
    before = server.at_rest()
    peers = [server.peer() for _ in range(100)]
    for peer in peers:
        peer.asks(rrq("f", "blksize=1024"))
    for number in range(0, 6):
        for peer in peers:
            peer.gets(oack("blksize=1024") if number == 0 else block(number, 1024))
            assert peer.tid == server.name
        for peer in peers:
            peer.says(ack(number))
        if number == 3:  # none for each client, except for a file that has just changed
            assert server.descriptors() <= before + 100
    until(lambda: server.descriptors() <= before, "all closed again")
    assert len(server.transfers(result="done")) == 101


@case(87)
def test_uploads_to_one_port(file):
    server = file("--single-port", "--upload")
    peers = [server.peer() for _ in range(20)]
    for i, peer in enumerate(peers):
        peer.asks(wrq(f"new{i}", "windowsize=2"))
    for peer in peers:
        peer.gets(oack("windowsize=2"))
        peer.says(block(1), block(2))
    for peer in peers:
        peer.gets(ack(2))
        peer.says(data(3, b"end"))
    for i, peer in enumerate(peers):
        peer.gets(ack(3))
        assert (server.root / f"new{i}").read_bytes() == TEXT[:1024] + b"end"


@case(88)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("started", [0, 3])
def test_new_request_of_a_peer_with_a_transfer(file, single, started):
    """The new request replaces the old transfer."""
    server = file(*["--single-port"] * single)
    server.put_file("g", b"the other")
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(block(1))
    for number in range(1, started + 1):
        peer.says(ack(number))
        peer.gets(block(number + 1))
    had = list(peer.had)
    peer.asks(rrq("g"))
    old = peer.tid
    while (packet := peer.next()) in had:  # sent before the new request
        peer.tid = old
    assert packet == data(1, b"the other")
    peer.says(ack(1))
    peer.silent(0.3)
    assert server.transfer(file="g")["bytes"] == 9
    assert server.transfer(file="f")["bytes"] < len(TEXT)


@case(90)
def test_ipv6(file):
    server = file("--upload", url="udp://[::1]:0")
    peer = server.peer()
    assert server.get("f", "blksize=1024 windowsize=4", peer=peer).content == TEXT
    assert peer.tid[0] == "::1" and peer.tid[1] != server.port
    server.put("new", TEXT, "blksize=1024 windowsize=4")
    assert (server.root / "new").read_bytes() == TEXT
    assert "[::1]" in server.transfer(file="f")["peer"]


@case(90)
@pytest.mark.parametrize("single", [False, True])
def test_ipv4_at_an_ipv6_socket(file, single):
    """Logged as an IPv4 address."""
    server = file(*["--single-port"] * single, url="udp://*:0")
    peer = server.peer(("127.0.0.1", server.port))
    assert server.get("f", peer=peer).content == TEXT
    server.transfer(peer=f"udp://127.0.0.1:{peer.port}")
    peer = server.peer(("::1", server.port))
    assert server.get("f", peer=peer).content == TEXT
    server.transfer(peer=f"udp://[::1]:{peer.port}")


def reaches_itself(host, scope):
    """Whether the kernel has made a new address usable."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0, 0, scope))
        sock.sendto(b"?", sock.getsockname())
        return bool(select.select([sock], [], [], 0.05)[0])


@case(90)
@pytest.mark.parametrize("single", [False, True])
def test_link_local(file, netns, single):
    link("address add fe80::1/64 dev d0 nodad")
    scope = socket.if_nametoindex("d0")
    until(lambda: reaches_itself("fe80::1", scope), "the address")
    for url in ("udp://[::]:0", "udp://[fe80::1%d0]:0"):
        server = file(*["--single-port"] * single, url=url)
        port = int(server.urls[0].rsplit(":", 1)[1])
        peer = server.peer(("fe80::1", port, 0, scope), source=("fe80::1", 0, 0, scope))
        assert server.get("f", "blksize=1024", peer=peer).content == TEXT
        assert peer.tid[0].partition("%")[0] == "fe80::1" and peer.tid[3] == scope


@case(91)
@pytest.mark.parametrize("single", [False, True])
def test_peer_that_closed_its_port(file, single):
    """Its port is closed, which ICMP reports: the server does not repeat packets for half a
    minute."""
    server = file("--timeout", "100ms", *["--single-port"] * single)
    peer, other = server.peer(), server.peer()
    other.asks(rrq("f"))
    other.gets(block(1))
    peer.asks(rrq("f", "blksize=1024"))
    peer.gets(oack("blksize=1024"))
    begun, port = time.monotonic(), peer.port
    peer.close()
    event = server.transfer(peer=f"udp://127.0.0.1:{port}")
    assert time.monotonic() - begun < 1, "it tried on"
    assert event["result"] == "failed" and "closed" in event["text"]
    other.says(ack(1))
    other.gets(block(2))


def test_port_range(file):
    """For firewalls. If no port is free, the server refuses requests instead of dropping them."""
    first = free_range(4)
    server = file("--port-range", f"{first}-{first + 3}")
    peers = [server.peer() for _ in range(4)]
    for peer in peers:
        peer.asks(rrq("f"))
        peer.gets(block(1))
        peer.says(ack(1))
        peer.gets(block(2))
        assert first <= peer.tid[1] <= first + 3
    assert len({peer.tid[1] for peer in peers}) == 4
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.quiet()  # the client repeats its request
    assert "port-range" in server.transfer(result="refused")["text"]
    peers[0].says(error(0))
    server.transfer(text="ended by the client")
    peer.asks(rrq("f"))
    peer.gets(block(1))


def test_request_from_port_zero(file):
    """No client can have that port: no reply, no transfer."""
    server = file()
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except OSError as e:
        assert e.errno == errno.EPERM
        pytest.skip("raw sockets need privilege")
    with raw:
        packet = rrq("f")
        raw.sendto(b"\0\0" + server.port.to_bytes(2, "big") + (8 + len(packet)).to_bytes(2, "big")
                   + b"\0\0" + packet, ("127.0.0.1", 0))
    assert server.answers()
    assert not server.transfers(file="f")
