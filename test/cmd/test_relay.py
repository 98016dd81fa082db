"""sockeye relay: what passes is what was sent, and what does not, by rule.

The target is a Python socket, or a server that answers from another port than
was asked, as TFTP's do; what is lost is known from the numbers that come, not
from waiting.
"""
import contextlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import QUIET_S, WAIT_S, connect_to, events, read_all, read_events, readable, until

LAST = b"the last"


def udp(host="127.0.0.1", port=0):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.settimeout(WAIT_S)
    sock.bind((host, port))
    return sock


@pytest.fixture
def target():
    """Where packets are to go to: a socket with a .url."""
    with contextlib.ExitStack() as stack:
        def make(host="127.0.0.1"):
            sock = stack.enter_context(udp(host))
            shown = f"[{host}]" if ":" in host else host
            return sock, f"udp://{shown}:{sock.getsockname()[1]}"
        yield make


@pytest.fixture
def relay(ready):
    """A relay to the url: the process, and its own url."""
    def start(url, *options, listen="udp://127.0.0.1:0"):
        started, [own] = ready("relay", listen, url, "--json", *options)
        return started, own
    return start


def counters(started, sig=signal.SIGTERM):
    """Ends a relay and returns what it counted, which adds up."""
    started.send_signal(sig)
    said = read_all(started.stdout)
    started.end(0)
    counts = events(said)[-1]
    for way in (counts["up"], counts["down"]):
        assert way["in"] + way["duplicated"] == way["out"] + way["dropped"] + way["lost"], counts
    return counts


def numbered(count):
    return [struct.pack("!I", i) for i in range(count)]


def send_and_collect(sender, to, receiver, packets, gap=None):
    """Sends the packets, then LAST as often as it takes to arrive; what came before it."""
    for i, packet in enumerate(packets):
        sender.sendto(packet, to) if to else sender.send(packet)
        if gap and i % gap == gap - 1:
            time.sleep(0)
    came, deadline = [], time.monotonic() + WAIT_S
    while True:
        assert time.monotonic() < deadline
        sender.sendto(LAST, to) if to else sender.send(LAST)
        while readable(receiver, QUIET_S):
            came.append(receiver.recv(65536))
        if LAST in came:
            return [packet for packet in came if packet != LAST]


# --- what passes ---

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


def test_each_client_gets_its_own_answers(relay, target):
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


def test_an_answer_comes_from_the_address_that_was_asked(relay, target):
    sock, url = target()
    started, own = relay(url, listen="udp4://*:0")
    port = int(own.rsplit(":", 1)[1])
    with udp() as client:
        for host in ("127.0.0.5", "127.0.0.6"):
            client.sendto(b"x", (host, port))
            _, peer = sock.recvfrom(10)
            sock.sendto(b"y", peer)
            assert client.recvfrom(10) == (b"y", (host, port))
            with udp() as other:  # another port of the target's
                other.sendto(b"z", peer)
                came, door = client.recvfrom(10)
                assert (came, door[0]) == (b"z", host) and door[1] != port
    assert counters(started)["flows"] == 2  # one of each address of ours


# --- several packets in one system call ---

UDP_SEGMENT, UDP_GRO = 103, 104


def segments(client, sizes, size):
    """Sends packets of that size, the last as short as it comes, in one call."""
    data = b"".join(bytes([i]) * n for i, n in enumerate(sizes))
    client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    client.send(data)
    client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)


def test_segments_are_packets(relay, target):
    """What a sender gave to the kernel in one call is judged one by one."""
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


def test_packets_of_one_size_may_leave_together(relay, target):
    """As segments, and arrive as packets wherever nobody asked for more."""
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
    """Where the kernel refuses segments, each packet leaves on its own."""
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
        doors = {}
        for tid in (second, third):
            tid.sendto(b"answer", peer)
            came, doors[tid] = client.recvfrom(100)
            assert came == b"answer"
        assert len({listening, *doors.values()}) == 3
        ports = [(tid.getsockname()[1], door[1]) for tid, door in doors.items()]
        for tid in (second, third, second):  # and the way back
            client.sendto(b"ack", doors[tid])
            assert tid.recvfrom(100) == (b"ack", peer)
            tid.sendto(b"more", peer)
            assert client.recvfrom(100) == (b"more", doors[tid])
        client.sendto(b"request again", listening)
        assert sock.recvfrom(100) == (b"request again", peer)
        with udp() as stranger:  # a door is for its client alone
            stranger.connect(doors[second])
            stranger.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                stranger.recv(1)
    started.terminate()
    said = [(e["target"], e["relay"]) for e in events(read_all(started.stdout))
            if e["event"] == "port"]
    assert said == ports


def test_many_ports_of_the_target_take_turns(relay, target):
    """A client that uses one socket for many transfers."""
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
                _, door = client.recvfrom(100)
                client.sendto(str(i).encode(), door)
                assert tid.recv(100) == str(i).encode()
                seen.add(door)
        assert to not in seen
        fds = os.listdir(f"/proc/{started.pid}/fd")
        assert len(fds) < 30
    counters(started)


def test_a_port_that_a_door_has_elsewhere(relay, target):
    """It is at another address than the target's, so the target's is none of ours."""
    sock, url = target("127.0.0.2")
    started, own = relay(url)
    with connect_to(own) as asks, udp() as client, udp("127.0.0.2") as first:
        asks.send(b"x")
        sock.recv(1)
        client.sendto(b"x", asks.getpeername())
        _, peer = sock.recvfrom(10)
        first.sendto(b"y", peer)
        _, door = client.recvfrom(10)
        with udp("127.0.0.2", door[1]) as second:
            second.sendto(b"z", peer)
            came, other = client.recvfrom(10)
            assert came == b"z" and other != door
    assert counters(started)["strangers"] == 0


def test_no_follow_takes_answers_of_the_port_that_was_asked(relay, target):
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


def test_a_port_that_was_a_client_is_not_the_targets(netns, relay, target):
    """A client leaves and its port becomes one of ours: what is still sent to
    it is no answer of the target, or packets might go round for ever."""
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
            left.close()  # its port is the only one that is free
            stays = udp(port=40000)
            stays.sendto(b"x", ("127.0.0.1", 7000))
            _, peer = sock.recvfrom(10)
            assert peer == ("127.0.0.1", port)
    with stays:  # and now there are ports for doors
        sock.sendto(b"late", peer_of_left)
        sock.sendto(b"y", peer)
        assert stays.recv(10) == b"y"
        assert not readable(stays, QUIET_S)
    assert counters(started)["strangers"] == 1


# --- rules ---

def test_drop_always(relay, target):
    sock, url = target()
    started, own = relay(url, "--drop", "100%")
    with connect_to(own) as client:
        for packet in numbered(100):
            client.send(packet)
        assert not readable(sock, QUIET_S)
    counts = counters(started)
    assert (counts["up"]["in"], counts["up"]["dropped"], counts["up"]["out"]) == (100, 100, 0)


def test_one_direction_counts_before_both(relay, target):
    sock, url = target()
    started, own = relay(url, "--drop-up", "0", "--drop", "1", "--duplicate-up", "1")
    with connect_to(own) as client:
        client.send(b"x")
        _, peer = sock.recvfrom(10)
        assert sock.recvfrom(10) == (b"x", peer)
        sock.sendto(b"y", peer)
        assert not readable(client, QUIET_S)
    counts = counters(started)
    assert counts["up"]["duplicated"] == counts["down"]["dropped"] == 1


def passed(relay, target, *options, count=1000):
    """Which of `count` packets come, in order."""
    sock, url = target()
    started, own = relay(url, *options)
    with connect_to(own) as client:
        came = send_and_collect(client, None, sock, numbered(count), gap=50)
    return [int.from_bytes(packet, "big") for packet in came], counters(started)


def test_seeds_reproduce(relay, target):
    rules = ("--drop", "10%", "--duplicate", "5%")
    first, counts = passed(relay, target, *rules, "--seed", "7")
    assert 50 < counts["up"]["dropped"] < 160 and 20 < counts["up"]["duplicated"] < 90
    assert first == sorted(first)
    assert passed(relay, target, *rules, "--seed", "7")[0] == first
    assert passed(relay, target, *rules, "--seed", "8")[0] != first
    assert counts["seed"] == 7


def test_a_seed_is_told_when_none_is_given(relay, target):
    sock, url = target()
    seeds = set()
    for _ in range(3):
        started, own = relay(url)
        told = read_events(started.stdout, "listening")[-1]
        assert (told["address"], told["target"]) == (own, url)
        seeds.add(told["seed"])
        assert counters(started)["seed"] == told["seed"]
    assert len(seeds) > 1


def test_duplicate_sends_twice(relay, target):
    came, counts = passed(relay, target, "--duplicate", "100%", count=100)
    assert came == [i // 2 for i in range(200)]
    assert counts["up"]["out"] == 2 * counts["up"]["in"]


def test_reorder_lets_one_to_four_pass(relay, target):
    came, counts = passed(relay, target, "--reorder", "10%", "--seed", "1")
    assert sorted(came) == list(range(1000)) and came != sorted(came)
    late = {n: i - n for i, n in enumerate(came)}  # places too late
    assert 60 < counts["up"]["reordered"] < 150
    assert max(late.values()) <= 4 and min(late.values()) >= -4


def test_reorder_holds_the_same_packets_again(relay, target):
    """How many others they let pass is told: a pause of 20 ms ends the wait."""
    def held():
        sock, url = target()
        started, own = relay(url, "--reorder", "10%", "--seed", "1", "-v")
        with connect_to(own) as client:
            send_and_collect(client, None, sock, numbered(1000), gap=50)
        started.terminate()
        return [(e["number"], e["held"]) for e in events(read_all(started.stdout))
                if e["event"] == "packet" and e["number"] <= 1000]

    first = held()
    assert len(first) > 60 and {behind for _, behind in first} == {1, 2, 3, 4}
    assert held() == first


def test_reorder_holds_nothing_for_ever(relay, target):
    sock, url = target()
    started, own = relay(url, "--reorder", "1", "-v")
    with connect_to(own) as client:
        begun = time.monotonic()
        client.send(b"alone")
        assert sock.recv(10) == b"alone"
        assert time.monotonic() - begun >= 0.02
    counters(started)


def test_corrupt_turns_one_bit(relay, target):
    sock, url = target()
    started, own = relay(url, "--corrupt", "100%")
    with connect_to(own) as client:
        for size in (1, 4, 500):
            sent = bytes(size)
            client.send(sent)
            came, peer = sock.recvfrom(1000)
            assert len(came) == size and sum(byte.bit_count() for byte in came) == 1
        client.send(b"")
        assert sock.recv(10) == b""
    assert counters(started)["up"]["corrupted"] == 3


def test_delay_is_both_ways(relay, target):
    sock, url = target()
    started, own = relay(url, "--delay", "30ms", "--delay-down", "50ms")
    with connect_to(own) as client:
        begun = time.monotonic()
        for packet in numbered(50):
            client.send(packet)
        for packet in numbered(50):
            came, peer = sock.recvfrom(10)
            assert came == packet
        assert time.monotonic() - begun >= 0.03
        begun = time.monotonic()
        sock.sendto(b"y", peer)
        assert client.recv(10) == b"y"
        assert time.monotonic() - begun >= 0.05
    counters(started)


def test_jitter_keeps_the_order(relay, target):
    came, counts = passed(relay, target, "--jitter", "5ms", "--delay", "1ms")
    assert came == list(range(1000))
    assert counts["up"]["lost"] == 0


def test_rate_slows(relay, target):
    sock, url = target()
    started, own = relay(url, "--rate-up", "1M")
    with connect_to(own) as client:
        begun = time.monotonic()
        for _ in range(200):
            client.send(bytes(1000))
        for _ in range(200):
            assert len(sock.recv(2000)) == 1000
        # 10 ms may leave at once
        assert time.monotonic() - begun >= 0.185
    counters(started)


def test_the_queue_is_bounded(relay, target):
    sock, url = target()
    started, own = relay(url, "--delay", "200ms", "--queue", "100k")
    with connect_to(own) as client:
        for _ in range(200):
            client.send(bytes(1000))
        came = 0
        while readable(sock, 1):
            sock.recv(2000)
            came += 1
    counts = counters(started)["up"]
    assert 80 <= came <= 100
    assert (counts["out"], counts["lost"]) == (came, 200 - came)


def test_what_is_lost_takes_no_time_of_the_line(relay, target):
    """After a flood the queue is as long as it may be, and no longer."""
    sock, url = target()
    started, own = relay(url, "--rate-up", "20k", "--queue", "20k")
    with connect_to(own) as client:
        for count in range(100, 1001, 100):  # 50 s of them
            for _ in range(100):
                client.send(bytes(1000))
            until(lambda count=count: counters_now(started)["up"]["in"] == count, "all to come")
        until(lambda: counters_now(started)["waiting"] == 0, "the queue to empty")
        begun = time.monotonic()
        send_and_collect(client, None, sock, [])
        assert time.monotonic() - begun < 10
    assert counters(started)["up"]["lost"] > 500


def test_what_waits_is_forgotten_at_the_end(relay, target):
    sock, url = target()
    started, own = relay(url, "--delay", "10m", "--reorder", "50%")
    with connect_to(own) as client:
        for packet in numbered(100):
            client.send(packet)
        started.send_signal(signal.SIGUSR1)
        until(lambda: counters_now(started)["waiting"] > 90, "the packets to come")
    counts = counters(started)
    assert counts["up"]["lost"] == 100 and counts["waiting"] == 0
    assert not readable(sock, 0)


def counters_now(started):
    started.send_signal(signal.SIGUSR1)
    return read_events(started.stdout, "counters")[-1]


@pytest.mark.parametrize("options, lost", [
    (["--drop-nth", "1,4-6"], {1, 4, 5, 6}), (["--drop-nth-up", "2", "--drop-nth-up", "9"], {2, 9}),
    (["--drop-nth-down", "2"], set()), (["--drop-nth", "3", "--drop-nth-up", "5"], {3, 5})])
def test_drop_nth(relay, target, options, lost):
    came, counts = passed(relay, target, *options, count=20)
    assert set(range(1, 21)) - {number + 1 for number in came} == lost
    assert counts["up"]["dropped"] == len(lost)


def test_drop_block_and_ack_once(relay, target):
    sock, url = target()
    started, own = relay(url, "--drop-block", "2", "--drop-ack", "1", "-v", "-v")
    data = [struct.pack("!HH", 3, block) + b"data" for block in range(4)]
    acks = [struct.pack("!HH", 4, block) for block in range(4)]
    with connect_to(own) as client:
        for packet in (*acks, acks[1]):
            client.send(packet)
        came = [sock.recvfrom(100) for _ in range(4)]
        assert [packet for packet, _ in came] == [acks[0], acks[2], acks[3], acks[1]]
        for packet in (*data, data[2]):
            sock.sendto(packet, came[0][1])
        assert [client.recv(100) for _ in range(4)] == [data[0], data[1], data[3], data[2]]
    started.terminate()
    said = [e for e in events(read_all(started.stdout)) if e["event"] == "packet"]
    assert [(e["way"], e["number"], e["what"]) for e in said if e["fate"] != "passed"] == [
        ("up", 2, "ACK 1"), ("down", 3, "DATA 2")]
    assert len(said) == 10


# --- flows ---

def test_the_longest_unused_flow_is_reused(relay, target):
    sock, url = target()
    started, own = relay(url, "--max-flows", "2")
    with connect_to(own) as a, connect_to(own) as b, connect_to(own) as c:
        peers = []
        for client in (a, b, a, c):  # c takes the place of b
            client.send(b"x")
            peers.append(sock.recvfrom(10)[1])
        assert peers[0] == peers[2]
        for peer in (peers[0], peers[3]):
            sock.sendto(b"y", peer)
        assert a.recv(1) == c.recv(1) == b"y"
        sock.sendto(b"y", peers[1])
        assert not readable(b, QUIET_S)
    counts = counters(started)
    assert (counts["flows"], counts["reused"]) == (3, 1)


def test_an_idle_flow_is_forgotten(relay, target):
    sock, url = target()
    started, own = relay(url, "--idle", "50ms", "-v")
    with connect_to(own) as client:
        client.send(b"x")
        first = sock.recvfrom(10)[1]
        read_events(started.stdout, "flow-end")
        client.send(b"x")
        assert sock.recvfrom(10)[1] != first
    assert counters(started)["reused"] == 0


def test_more_clients_than_descriptors(relay, target):
    """Flows go when descriptors do."""
    sock, url = target()
    started, own = relay(url)
    subprocess.run(["prlimit", "--nofile=40:40", "--pid", str(started.pid)], check=True)
    with contextlib.ExitStack() as stack:
        for i in range(100):
            client = stack.enter_context(connect_to(own))
            client.send(b"x")
            _, peer = sock.recvfrom(10)
            sock.sendto(str(i).encode(), peer)
            assert client.recv(10) == str(i).encode()
    counts = counters(started)
    assert counts["flows"] == 100 and counts["reused"] >= 60


def test_more_doors_than_descriptors(relay, target):
    """Flows that are not used go for them."""
    sock, url = target()
    started, own = relay(url)
    subprocess.run(["prlimit", "--nofile=40:40", "--pid", str(started.pid)], check=True)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect_to(own)) for _ in range(40)]
        for client in clients:
            client.send(b"x")
            peer = sock.recvfrom(10)[1]
        with udp() as last, udp() as tid:
            last.sendto(b"x", clients[0].getpeername())
            peer = sock.recvfrom(10)[1]
            tid.sendto(b"y", peer)
            came, door = last.recvfrom(10)
            last.sendto(b"z", door)
            assert (came, tid.recvfrom(10)) == (b"y", (b"z", peer))
    counts = counters(started)
    assert counts["reused"] > 0 and counts["strangers"] == counts["down"]["lost"] == 0


# --- a target that is not there ---

@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_target_that_refuses(relay, target, host):
    """ICMP says so: it is told once and counted; what is sent once somebody is
    there arrives, the first too."""
    sock, url = target(host)
    name = sock.getsockname()
    sock.close()
    started, own = relay(url)
    with connect_to(own) as client, connect_to(own) as other:
        for i in range(20):
            client.send(b"x")
            until(lambda i=i: counters_now(started)["refused"] > i, "the refusal")
        other.send(b"x")
        until(lambda: counters_now(started)["refused"] == 21, "the refusal")
        with udp(host, name[1]) as there:
            client.send(b"first")
            came, peer = there.recvfrom(10)
            there.sendto(b"y", peer)
            assert (came, client.recv(10)) == (b"first", b"y")
    counts = counters(started)
    assert (counts["refused"], counts["up"]["out"], counts["up"]["lost"]) == (21, 22, 0)


@pytest.mark.parametrize("options, flows", [([], [1]), (["-v"], [1, 2])])
def test_a_refusal_is_told_once(relay, target, options, flows):
    """Of the first flow; of each to who wants to know more."""
    sock, url = target()
    port = sock.getsockname()[1]
    sock.close()
    started, own = relay(url, *options)
    said = []
    with connect_to(own) as client, connect_to(own) as other:
        for count, sender in enumerate([client, client, other, other, client], 1):
            sender.send(b"x")
            while not said or said[-1].get("refused", 0) < count:
                started.send_signal(signal.SIGUSR1)
                said += read_events(started.stdout, "counters")
    counters(started)
    assert [e for e in said if e["event"] == "refused"] == [
        {"event": "refused", "flow": flow, "target": port, "error": "ECONNREFUSED",
         "text": "Connection refused"} for flow in flows]


def test_packets_that_are_sent_at_once_to_nobody(relay, target):
    """What ICMP says of the first fails none of the others."""
    sock, url = target()
    sock.close()
    started, own = relay(url, "--delay-up", "20ms", "--reorder-up", "50%")
    with connect_to(own) as client:
        for i in range(300):
            client.send(bytes(i % 7))
        until(lambda: counters_now(started)["up"]["out"] == 300, "all to leave")
    counts = counters(started)
    assert counts["up"]["lost"] == 0 and counts["refused"] > 0


# --- beginning and end ---

@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_counters(relay, target, sig):
    _, url = target()
    started, _ = relay(url)
    assert counters(started, sig)["event"] == "counters"


@pytest.mark.parametrize("command", ["relay", "serve"])
def test_in_the_background_of_a_script(ready, target, command):
    """There the shell has SIGINT ignored, and so it stays."""
    sock, url = target()
    line = ["relay", "udp://127.0.0.1:0", url] if command == "relay" else [
        "serve", "echo", "udp://127.0.0.1:0"]
    started, [own] = ready(*line, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    started.send_signal(signal.SIGINT)
    with connect_to(own) as client:
        for _ in range(2):
            client.send(b"x")
            assert (sock if command == "relay" else client).recv(1) == b"x"
    started.terminate()
    started.end(0)


def read_until(stream, *parts):
    said = b""
    while not all(part in said for part in parts):
        assert readable(stream, WAIT_S), said
        said += os.read(stream.fileno(), 4096)
    return said


def test_words(ready, target):
    sock, url = target()
    started, [own] = ready("relay", "udp://127.0.0.1:0", url, "-v", "--seed", "5", "--drop-nth",
                           "2")
    with connect_to(own) as client:
        client.send(b"\0\1a\33name\0octet\0")
        _, peer = sock.recvfrom(100)
        client.send(b"x")
        with udp() as tid:
            tid.sendto(b"y", peer)
            client_name = client.getsockname()
            port = tid.getsockname()[1]
            said = read_until(started.stderr, b"target's port", b"up 2")
            started.send_signal(signal.SIGUSR1)
            said += read_until(started.stderr, b"flows:")
    started.terminate()
    said = (said + started.end(0)).decode()
    assert said.startswith(f"sockeye: relaying {own} to {url}, seed 5\n")
    assert f"sockeye: flow 1: of 127.0.0.1:{client_name[1]}\n" in said
    assert f"sockeye: flow 1: the target's port {port} is " in said
    assert "sockeye: flow 1 up 2: dropped by number, 1 bytes\n" in said
    assert "sockeye: up: 2 in, 1 out, 15 bytes, 1 dropped, 0 duplicated" in said
    assert "\33" not in said


def test_time_ends_it(run, target):
    _, url = target()
    begun = time.monotonic()
    done = run("relay", "udp://127.0.0.1:0", url, "--time", "100ms", "--json")
    assert done.returncode == 0 and time.monotonic() - begun >= 0.1
    assert [event["event"] for event in events(done.stdout)] == ["listening", "counters"]


@pytest.mark.parametrize("options, part", [
    (["--drop", "5"], "--drop takes a chance such as 1% or 0.01, not '5'"),
    (["--drop-up", "x\33"], "--drop-up takes a chance such as 1% or 0.01, not 'x\\e'"),
    (["--corrupt", "-1%"], "--corrupt takes a chance"),
    (["--drop-nth", "0"], "--drop-nth takes numbers from 1"),
    (["--drop-nth-down", "3-1"], "--drop-nth-down takes numbers from 1"),
    (["--drop-block", "65536"], "--drop-block takes blocks of 0 to 65535"),
    (["--drop-ack", ""], "--drop-ack takes blocks"),
    (["--drop-ack", ",".join("5" * 65)], "--drop-ack takes 64 ranges at most"),
    (["--seed", "-1"], "--seed takes a whole number, not '-1'"),
    (["--seed", "99999999999999999999"], "--seed takes a whole number"),
    (["--delay", "2h"], "--delay takes"), (["--rate", "0"], "--rate takes"),
    (["--max-flows", "0"], "--max-flows takes")])
def test_wrong_options(run, options, part):
    done = run("relay", "udp://127.0.0.1:0", "udp://127.0.0.1:9", *options)
    assert done.returncode == 2 and part in done.stderr.decode() and done.stdout == b""


@pytest.mark.parametrize("addresses, code", [
    ([], 2), (["udp://127.0.0.1:0"], 2), (["udp://127.0.0.1:0"] * 3, 2),
    (["tcp://127.0.0.1:0", "udp://127.0.0.1:9"], 2), (["udp://127.0.0.1:0", "tcp://127.0.0.1:9"], 2),
    (["udp://127.0.0.1:0", "udp://127.0.0.1:9?bind=127.0.0.2"], 2),
    (["udp://127.0.0.1:0", "nonsense"], 2), (["udp://192.0.2.1:0", "udp://127.0.0.1:9"], 6),
    (["udp://127.0.0.1:0", "udp://name.invalid:9"], 3)])
def test_wrong_addresses(run, addresses, code):
    done = run("relay", *addresses)
    assert done.returncode == code and done.stderr.startswith(b"sockeye: ")


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0", "*"])
def test_a_relay_to_itself(run, listen):
    with udp() as sock:
        port = sock.getsockname()[1]
    done = run("relay", f"udp://{listen}:{port}", f"udp://127.0.0.1:{port}")
    assert done.returncode == 2 and b"the target is the relay itself" in done.stderr


def test_an_inherited_socket(program, target):
    sock, url = target()
    with udp() as given:
        own = given.getsockname()
        started = program("relay", f"fd:{given.fileno()}", url, pass_fds=[given.fileno()])
    with udp() as client:
        client.connect(own)
        client.send(b"x")
        assert sock.recv(10) == b"x"
    started.terminate()
    started.end(0)


def test_a_client_that_left_harms_nobody(relay, target):
    sock, url = target()
    started, own = relay(url)
    with connect_to(own) as left, connect_to(own) as stays, udp() as tid:
        left.send(b"x")
        gone = sock.recvfrom(10)[1]
        tid.sendto(b"y", gone)
        assert left.getsockname()
        stays.send(b"x")
        peer = sock.recvfrom(10)[1]
        left.close()
        for _ in range(5):  # refused each time, by the client's host
            tid.sendto(b"y", gone)
            sock.sendto(b"y", gone)
        sock.sendto(b"here", peer)
        assert stays.recv(10) == b"here"
    counts = counters(started)
    assert counts["down"]["in"] == 12


# --- real TFTP ---

def get(client, own, name, folder):
    port = own.rsplit(":", 1)[1]
    line = {"atftp": ["atftp", "--get", "--remote-file", name, "--local-file", folder / "got",
                      "127.0.0.1", port],
            "tftp": ["tftp", "-m", "octet", "127.0.0.1", port, "-c", "get", name, folder / "got"],
            "curl": ["curl", "-s", "-o", folder / "got", f"tftp://127.0.0.1:{port}/{name}"]}[client]
    subprocess.run(line, check=True, timeout=2 * WAIT_S, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    return (folder / "got").read_bytes()


def tftp_server(stack, root):
    """A TFTP server in Python as small as can be: each transfer at a port of
    its own, one block at a time, repeated when nothing comes."""
    sock = stack.enter_context(udp())
    stop = threading.Event()

    def transfer(name, peer):
        data, block = (root / name).read_bytes(), 1
        with udp() as tid:
            tid.settimeout(0.1)
            while not stop.is_set():
                piece = data[(block - 1) * 512:block * 512]
                tid.sendto(struct.pack("!HH", 3, block & 0xffff) + piece, peer)
                with contextlib.suppress(socket.timeout):
                    while tid.recv(600) != struct.pack("!HH", 4, block & 0xffff):
                        pass
                    block += 1
                    if len(piece) < 512:
                        return

    def serve():
        sock.settimeout(0.1)
        threads = []
        while not stop.is_set():
            with contextlib.suppress(socket.timeout):
                request, peer = sock.recvfrom(600)
                threads.append(threading.Thread(target=transfer, args=(
                    request[2:].split(b"\0")[0].decode(), peer)))
                threads[-1].start()
        for thread in threads:
            thread.join(WAIT_S)

    thread = threading.Thread(target=serve)
    thread.start()
    stack.callback(thread.join, WAIT_S)
    stack.callback(stop.set)
    return f"udp://127.0.0.1:{sock.getsockname()[1]}"


@pytest.mark.parametrize("client", ["atftp", "tftp", "curl"])
@pytest.mark.parametrize("rules", [
    [], ["--drop-block", "3", "--drop-ack", "5"], ["--delay", "1ms", "--jitter", "1ms"],
    ["--duplicate", "20%", "--seed", "3"]], ids=lambda rules: rules[0] if rules else "none")
def test_clients_nobody_here_wrote(relay, client, rules, tmp_path):
    if not shutil.which(client):
        pytest.skip(f"no {client} here")
    data = random.Random(2).randbytes(20 * 512 + 100)
    (tmp_path / "file").write_bytes(data)
    with contextlib.ExitStack() as stack:
        started, own = relay(tftp_server(stack, tmp_path), *rules)
        if client == "tftp" and "--drop-ack" in rules:
            pytest.skip("repeats after 5 s")
        assert get(client, own, "file", tmp_path) == data
    counts = counters(started)
    assert counts["down"]["dropped"] == ("--drop-block" in rules)
    assert counts["up"]["dropped"] == ("--drop-ack" in rules)
