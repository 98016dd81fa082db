"""sockeye relay drops, duplicates, delays and changes packets by its rules."""
import signal
import struct
import time

import pytest

from conftest import QUIET_S, connect_to, events, read_all, read_events, readable, until
from relay_fixtures import counters, counters_now, numbered, passed, relay, send_and_collect, target


def test_drop_always(relay, target):
    sock, url = target()
    started, own = relay(url, "--drop", "100%")
    with connect_to(own) as client:
        for packet in numbered(100):
            client.send(packet)
        assert not readable(sock, QUIET_S)
    counts = counters(started)
    assert (counts["up"]["in"], counts["up"]["dropped"], counts["up"]["out"]) == (100, 100, 0)


def test_one_direction_takes_precedence(relay, target):
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


def test_seeds_reproduce(relay, target):
    rules = ("--drop", "10%", "--duplicate", "5%")
    first, counts = passed(relay, target, *rules, "--seed", "7")
    assert 50 < counts["up"]["dropped"] < 160 and 20 < counts["up"]["duplicated"] < 90
    assert first == sorted(first)
    assert passed(relay, target, *rules, "--seed", "7")[0] == first
    assert passed(relay, target, *rules, "--seed", "8")[0] != first
    assert counts["seed"] == 7


def test_a_seed_is_printed_if_none_is_given(relay, target):
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


def test_reorder_lets_one_to_four_packets_overtake(relay, target):
    came, counts = passed(relay, target, "--reorder", "10%", "--seed", "1")
    assert sorted(came) == list(range(1000)) and came != sorted(came)
    late = {n: i - n for i, n in enumerate(came)}  # positions too late
    assert 60 < counts["up"]["reordered"] < 150
    assert max(late.values()) <= 4 and min(late.values()) >= -4


def test_reorder_holds_the_same_packets_again(relay, target):
    """The log counts the packets that overtake each of them; a pause of 20 ms ends the wait."""
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


def test_reorder_holds_no_packet_forever(relay, target):
    sock, url = target()
    started, own = relay(url, "--reorder", "1", "-v")
    with connect_to(own) as client:
        begun = time.monotonic()
        client.send(b"alone")
        assert sock.recv(10) == b"alone"
        assert time.monotonic() - begun >= 0.02
    counters(started)


def test_corrupt_flips_one_bit(relay, target):
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
        # packets worth 10 ms may be sent at once
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


def test_lost_packets_take_no_line_time(relay, target):
    """After a flood the queue is as long as its limit, not longer."""
    sock, url = target()
    started, own = relay(url, "--rate-up", "20k", "--queue", "20k")
    with connect_to(own) as client:
        for count in range(100, 1001, 100):  # 50 s at this rate
            for _ in range(100):
                client.send(bytes(1000))
            until(lambda count=count: counters_now(started)["up"]["in"] == count, "all to come")
        until(lambda: counters_now(started)["waiting"] == 0, "the queue to empty")
        begun = time.monotonic()
        send_and_collect(client, None, sock, [])
        assert time.monotonic() - begun < 10
    assert counters(started)["up"]["lost"] > 500


def test_queued_packets_are_dropped_at_the_end(relay, target):
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
