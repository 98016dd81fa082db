"""sockeye relay: limits on clients and descriptors, and targets that refuse."""
import contextlib
import signal
import subprocess

import pytest

from conftest import QUIET_S, connect_to, read_events, readable, until
from relay_fixtures import counters, counters_now, relay, target, udp


# --- flows ---

def test_the_longest_unused_flow_is_reused(relay, target):
    sock, url = target()
    started, own = relay(url, "--max-flows", "2")
    with connect_to(own) as a, connect_to(own) as b, connect_to(own) as c:
        peers = []
        for client in (a, b, a, c):  # c replaces b
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


def test_an_idle_flow_is_closed(relay, target):
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
    """Old flows are closed when descriptors run out."""
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


def test_more_mappings_than_descriptors(relay, target):
    """Unused flows are closed to make room for mappings."""
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
            came, mapping = last.recvfrom(10)
            last.sendto(b"z", mapping)
            assert (came, tid.recvfrom(10)) == (b"y", (b"z", peer))
    counts = counters(started)
    assert counts["reused"] > 0 and counts["strangers"] == counts["down"]["lost"] == 0


# --- targets that refuse ---

@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_target_that_refuses(relay, target, host):
    """ICMP reports a refusal, which is logged once and counted. Packets sent after the target
    opens its port arrive, the first one too."""
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
def test_a_refusal_is_reported_once(relay, target, options, flows):
    """For the first flow only; with -v once for each flow."""
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


def test_packets_sent_together_to_a_closed_port(relay, target):
    """The ICMP error about the first packet does not fail the others."""
    sock, url = target()
    sock.close()
    started, own = relay(url, "--delay-up", "20ms", "--reorder-up", "50%")
    with connect_to(own) as client:
        for i in range(300):
            client.send(bytes(i % 7))
        until(lambda: counters_now(started)["up"]["out"] == 300, "all to leave")
    counts = counters(started)
    assert counts["up"]["lost"] == 0 and counts["refused"] > 0
