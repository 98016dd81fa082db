"""sockeye relay passes packets unchanged, also from other ports of the target."""
import contextlib
import os
import random
import socket
import struct
import subprocess

import pytest

from conftest import QUIET_S, connect_to, events, read_all, readable
from relay_fixtures import counters, relay, target, udp


# --- unchanged packets ---

@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_rules_nothing_changes(relay, target, host):
    sock, url = target(host)
    shown = f"[{host}]" if ":" in host else host
    started, own = relay(url, listen=f"udp://{shown}:0")
    sizes = [0, 1, 2, 511, 512, 513, 1428, 9000, 65000, 65507]
    noise = random.Random(1)
    with connect_to(own) as client:
        for size in sizes:
            sent, answer = noise.randbytes(size), noise.randbytes(size)
            client.send(sent)
            came, peer = sock.recvfrom(70000)
            assert came == sent
            sock.sendto(answer, peer)
            assert client.recv(70000) == answer
    counts = counters(started)
    assert counts["up"] == counts["down"] == {
        "in": len(sizes), "in_bytes": sum(sizes), "out": len(sizes), "out_bytes": sum(sizes),
        "dropped": 0, "duplicated": 0, "reordered": 0, "corrupted": 0, "lost": 0}
    assert (counts["flows"], counts["strangers"]) == (1, 0)


def test_between_families(relay, target):
    sock, url = target("::1")
    started, own = relay(url)
    with connect_to(own) as client:
        client.send(b"x")
        came, peer = sock.recvfrom(10)
        assert (came, peer[0]) == (b"x", "::1")
        sock.sendto(b"y", peer)
        assert client.recv(10) == b"y"
    assert counters(started)["flows"] == 1


def test_each_client_gets_its_own_replies(relay, target):
    sock, url = target()
    started, own = relay(url)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect_to(own)) for _ in range(200)]
        for i, client in enumerate(clients):
            client.send(str(i).encode())
        peers = [sock.recvfrom(100) for _ in clients]
        assert len({peer for _, peer in peers}) == len(clients)
        for text, peer in reversed(peers):
            sock.sendto(b"for " + text, peer)
        for i, client in enumerate(clients):
            assert client.recv(100) == f"for {i}".encode()
    assert counters(started)["flows"] == 200


def test_a_reply_is_sent_from_the_address_of_the_request(relay, target):
    sock, url = target()
    started, own = relay(url, listen="udp4://*:0")
    port = int(own.rsplit(":", 1)[1])
    with udp() as client:
        for host in ("127.0.0.5", "127.0.0.6"):
            client.sendto(b"x", (host, port))
            _, peer = sock.recvfrom(10)
            sock.sendto(b"y", peer)
            assert client.recvfrom(10) == (b"y", (host, port))
            with udp() as other:  # another port of the target
                other.sendto(b"z", peer)
                came, mapping = client.recvfrom(10)
                assert (came, mapping[0]) == (b"z", host) and mapping[1] != port
    assert counters(started)["flows"] == 2  # one flow for each of our addresses

# --- several packets in one system call ---

UDP_SEGMENT, UDP_GRO = 103, 104


def segments(client, sizes, size):
    """Sends packets of the given size, of which the last may be shorter, in one call."""
    data = b"".join(bytes([i]) * n for i, n in enumerate(sizes))
    client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    client.send(data)
    client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)


def test_segments_are_packets(relay, target):
    """Each packet that the sender passed to the kernel in one call gets its own decision."""
    sock, url = target()
    started, own = relay(url, "--drop-nth-up", "3,9", "--drop-nth-down", "1")
    with connect_to(own) as client:
        segments(client, [100] * 9 + [50], 100)
        came = [sock.recvfrom(1000) for _ in range(8)]
        assert [packet for packet, _ in came] == [
            bytes([i]) * (50 if i == 9 else 100) for i in (0, 1, 3, 4, 5, 6, 7, 9)]
        sock.connect(came[0][1])
        segments(sock, [1000] * 20, 1000)
        assert [client.recv(2000) for _ in range(19)] == [bytes([i]) * 1000 for i in range(1, 20)]
        assert not readable(client, 0) and not readable(sock, 0)
    counts = counters(started)
    assert (counts["up"]["in"], counts["up"]["out"], counts["up"]["out_bytes"]) == (10, 8, 750)
    assert (counts["down"]["in"], counts["down"]["out"], counts["down"]["lost"]) == (20, 19, 0)


def test_packets_of_one_size_are_sent_together(relay, target):
    """The relay sends them as segments; a receiver without UDP_GRO gets single packets."""
    sock, url = target()
    sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    started, own = relay(url, "--delay-up", "50ms", "--duplicate-up", "50%", "--seed", "1",
                         listen="udp4://*:0")
    with connect_to(own.replace("0.0.0.0", "127.0.0.1")) as client:
        sizes = [600, 600, 600, 0, 600, 700, 700, 5, 5, 6, 700, 0, 0]
        for i, size in enumerate(sizes):
            client.send(bytes([i]) * size)
        came = messages = 0
        data = b""
        while data[-700:] != bytes([10]) * 700 or readable(sock, QUIET_S):
            piece, ancillary, _, peer = sock.recvmsg(70000, 100)
            data += piece
            messages += 1
            sizes_told = [struct.unpack("i", what)[0] for level, kind, what in ancillary
                          if (level, kind) == (socket.IPPROTO_UDP, UDP_GRO)]
            came += -(-len(piece) // sizes_told[0]) if sizes_told else 1
        sock.sendto(b"y", peer)
        assert client.recv(10) == b"y"
    counts = counters(started)["up"]
    assert came == counts["out"] == 13 + counts["duplicated"] and counts["duplicated"] > 3
    assert messages < came
    assert sorted(set(data)) == sorted({i for i, size in enumerate(sizes) if size})
    assert len(data) == counts["out_bytes"]


def test_packets_longer_than_the_link_takes(netns, relay, target):
    """If the kernel refuses segments, each packet is sent by itself."""
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500"], check=True)
    sock, url = target()
    started, own = relay(url, "--delay-up", "20ms", "--rate-down", "100M")
    with connect_to(own) as client:
        for _ in range(2):
            for i in range(10):
                client.send(bytes([i]) * 4000)
            for i in range(10):
                came, peer = sock.recvfrom(5000)
                assert came == bytes([i]) * 4000
        for i in range(10):
            sock.sendto(bytes([i]) * 5000, peer)
        for i in range(10):
            assert client.recv(6000) == bytes([i]) * 5000
    counts = counters(started)
    assert (counts["up"]["out"], counts["up"]["lost"]) == (20, 0)


# --- other ports of the target ---

def test_another_port_of_the_target_is_another_port_here(relay, target):
    sock, url = target()
    started, own = relay(url, "-v")
    listening = ("127.0.0.1", int(own.rsplit(":", 1)[1]))
    with udp() as client, udp() as second, udp() as third:
        client.sendto(b"request", listening)
        _, peer = sock.recvfrom(100)
        mappings = {}
        for tid in (second, third):
            tid.sendto(b"answer", peer)
            came, mappings[tid] = client.recvfrom(100)
            assert came == b"answer"
        assert len({listening, *mappings.values()}) == 3
        ports = [(tid.getsockname()[1], mapping[1]) for tid, mapping in mappings.items()]
        for tid in (second, third, second):  # and back
            client.sendto(b"ack", mappings[tid])
            assert tid.recvfrom(100) == (b"ack", peer)
            tid.sendto(b"more", peer)
            assert client.recvfrom(100) == (b"more", mappings[tid])
        client.sendto(b"request again", listening)
        assert sock.recvfrom(100) == (b"request again", peer)
        with udp() as stranger:  # a mapping accepts packets from its client only
            stranger.connect(mappings[second])
            stranger.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                stranger.recv(1)
    started.terminate()
    said = [(e["target"], e["relay"]) for e in events(read_all(started.stdout))
            if e["event"] == "port"]
    assert said == ports


def test_many_ports_of_the_target_take_turns(relay, target):
    """A client uses one socket for many transfers."""
    sock, url = target()
    started, own = relay(url)
    with connect_to(own) as first, udp() as client:
        first.send(b"x")
        sock.recv(1)
        to, seen = first.getpeername(), set()
        for i in range(50):
            client.sendto(b"request", to)
            _, peer = sock.recvfrom(100)
            with udp() as tid:
                tid.sendto(b"answer", peer)
                _, mapping = client.recvfrom(100)
                client.sendto(str(i).encode(), mapping)
                assert tid.recv(100) == str(i).encode()
                seen.add(mapping)
        assert to not in seen
        fds = os.listdir(f"/proc/{started.pid}/fd")
        assert len(fds) < 30
    counters(started)


def test_a_port_of_a_mapping_at_another_address(relay, target):
    """The mapping's port belongs to the relay at another address than the target's, so the
    target's port is a different one."""
    sock, url = target("127.0.0.2")
    started, own = relay(url)
    with connect_to(own) as asks, udp() as client, contextlib.ExitStack() as stack:
        asks.send(b"x")
        sock.recv(1)
        client.sendto(b"x", asks.getpeername())
        _, peer = sock.recvfrom(10)
        second = None
        while second is None:  # until the mapping's port is free at the target's address, too
            first = stack.enter_context(udp("127.0.0.2"))
            first.sendto(b"y", peer)
            _, mapping = client.recvfrom(10)
            with contextlib.suppress(OSError):
                second = udp("127.0.0.2", mapping[1])
        with second:
            second.sendto(b"z", peer)
            came, other = client.recvfrom(10)
            assert came == b"z" and other != mapping
    counters(started)


def test_no_follow_accepts_replies_from_the_target_port_only(relay, target):
    sock, url = target()
    started, own = relay(url, "--no-follow")
    with connect_to(own) as client, udp() as other:
        client.send(b"x")
        _, peer = sock.recvfrom(10)
        other.sendto(b"not this", peer)
        sock.sendto(b"this", peer)
        assert client.recv(100) == b"this"
        assert not readable(client, QUIET_S)
    assert counters(started)["strangers"] == 1


def test_other_hosts_are_strangers(relay, target):
    sock, url = target()
    started, own = relay(url)
    with connect_to(own) as client, udp("127.0.0.2") as other:
        client.send(b"x")
        _, peer = sock.recvfrom(10)
        other.sendto(b"not this", ("127.0.0.1", peer[1]))
        sock.sendto(b"this", peer)
        assert client.recv(100) == b"this"
        assert not readable(client, QUIET_S)
    assert counters(started)["strangers"] == 1


def test_a_former_port_of_a_client_is_not_the_target(netns, relay, target):
    """A client closes its socket, and the relay gets that port for a flow. Packets that the
    target still sends to the port are not replies of the target: passing them on could loop
    forever."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as ports:
        ports.write("50000 50004")
    sock, url = target()
    started, _ = relay(url, listen="udp://127.0.0.1:7000")
    with udp(port=50001 if sock.getsockname()[1] == 50000 else 50000) as left:
        left.sendto(b"x", ("127.0.0.1", 7000))
        _, peer_of_left = sock.recvfrom(10)
        port = left.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for other in {*range(50000, 50005)} - {port, peer_of_left[1], sock.getsockname()[1]}:
                stack.enter_context(udp(port=other))
            left.close()  # its port is the only free one
            stays = udp(port=40000)
            stays.sendto(b"x", ("127.0.0.1", 7000))
            _, peer = sock.recvfrom(10)
            assert peer == ("127.0.0.1", port)
    with stays:  # now there are free ports for mappings
        sock.sendto(b"late", peer_of_left)
        sock.sendto(b"y", peer)
        assert stays.recv(10) == b"y"
        assert not readable(stays, QUIET_S)
    assert counters(started)["strangers"] == 1
