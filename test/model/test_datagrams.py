"""Datagrams: all queued ones, of any size, answered from the address of the request, and never
with an answer that could loop or flood."""
import contextlib
import os
import pathlib
import re
import select
import socket
import subprocess

import pytest

from serving import connect, parse, same, until

QUEUE = int(pathlib.Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
AMPLIFYING = ["chargen", "daytime", "reply", "time"]
PRIVILEGED_AND_SMALL = [7, 53, 123, 1023, 1900, 5353, 11211]


def udp(address="127.0.0.1", port=0):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(15)
    s.bind((address, port))
    return s


def answers(s, count, wait=0.2):
    """Receives `count` datagrams, and checks that no more arrive within `wait`."""
    got = [s.recv(1 << 17) for _ in range(count)]
    while select.select([s], [], [], wait)[0]:
        got.append(s.recv(1 << 17))
    return got


# --- all datagrams, unchanged ---

@pytest.mark.parametrize("scheme", ["udp", "unix-dgram"])
def test_every_datagram_of_a_burst_is_answered(serve, tmp_path, scheme, model):
    """They are queued while the worker is stopped, so that all are ready at the same time."""
    server = serve("upper", f"unix-dgram:{tmp_path}/s" if scheme == "unix-dgram"
                   else "udp://127.0.0.1:0", "--workers", "1", model=model)
    count = 64 if scheme == "udp" else QUEUE - 2
    client = server.connect()
    client.send(b"warm")
    assert client.recv(99) == b"WARM"
    for worker in server.descendants():
        worker.freeze()
    messages = [b"message %d" % i for i in range(count)]
    for message in messages:
        client.send(message)
    for worker in server.descendants():
        worker.thaw()
    assert answers(client, count, 0) == [message.upper() for message in messages]
    counted = server.wait_counters(datagrams_out=count + 1)
    assert (counted["datagrams_in"], counted["dropped_queue"]) == (count + 1, 0)


def test_a_limit_on_connections_leaves_datagrams_alone(serve, model):
    server = serve("echo", "udp://127.0.0.1:0", "--max-connections", "10", model=model)
    with server.connect() as client:
        client.send(b"hello")
        assert client.recv(99) == b"hello"
    assert server.counters()["workers_died"] == 0


def test_many_clients_at_once_each_get_their_own(serve, model):
    server = serve("echo", "udp://127.0.0.1:0", model=model)
    clients = [server.connect() for _ in range(50)]
    for round_ in range(3):
        for i, client in enumerate(clients):
            client.send(b"%d of %d" % (round_, i))
        for i, client in enumerate(clients):
            assert client.recv(99) == b"%d of %d" % (round_, i)


def test_longest_and_empty(serve, model):
    server = serve("echo", "udp://127.0.0.1:0", "echo", "udp://[::1]:0", model=model)
    for address in server.addresses:
        with server.connect(address) as client:
            for size in (0, 65507, 0, 1, 0):
                data = os.urandom(size)
                client.send(data)
                same(client.recv(1 << 17), data)
    counted = server.wait_counters(datagrams_out=10)
    assert counted["bytes_in"] == counted["bytes_out"] == 2 * 65508


def test_queue_that_overflows_is_counted(serve):
    server = serve("echo", "udp://127.0.0.1:0?rcvbuf=4096", "--workers", "1")
    worker, = server.workers(1)
    with server.connect() as client:
        worker.freeze()
        for _ in range(100):
            client.send(b"x" * 1000)
        worker.thaw()
        dropped = server.wait_counters(datagrams_in=server_takes(server))["dropped_queue"]
        assert 0 < dropped < 100
        assert len(answers(client, 100 - dropped)) == 100 - dropped


def server_takes(server):
    counted = server.counters()
    while counted["datagrams_in"] + counted["dropped_queue"] < 100:
        counted = server.counters()
    return counted["datagrams_in"]


# --- the source of replies ---

@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.9.9.9", "::1"])
def test_answer_comes_from_the_address_asked(serve, asked, model):
    server = serve("echo", "udp://*:0", model=model)
    port = parse(server.address)[1][1]
    with udp("::1" if ":" in asked else "127.0.0.1") as client:
        client.sendto(b"who is there?", (asked, port))
        data, name = client.recvfrom(99)
    assert (data, name[:2]) == (b"who is there?", (asked, port))


def test_answer_comes_from_the_address_bound(serve, model):
    server = serve("echo", "udp://127.0.0.3:0", model=model)
    with server.connect() as client:  # connected: the kernel drops replies from other sources
        client.send(b"x")
        assert client.recv(99) == b"x"


# --- requests that are not answered ---

@pytest.mark.skipif(os.getuid() != 0, reason="ports below 1024 are root's")
def test_ports_of_services_that_would_answer(serve, netns, model):
    server = serve("echo", "udp://127.0.0.1:0", "--workers", "1", model=model)
    port = parse(server.address)[1][1]
    for source in PRIVILEGED_AND_SMALL:
        with udp(port=source) as client:
            client.sendto(b"ping", ("127.0.0.1", port))
    counted = server.wait_counters(dropped_loop=len(PRIVILEGED_AND_SMALL))
    assert counted["datagrams_out"] == 0
    server.wait_log(r"refuse echo udp://127\.0\.0\.1:7: the source could be a server")
    assert len(re.findall("could be a server", server.log())) == 1  # once per second, not for each
    with udp(port=1024) as client:
        client.sendto(b"ping", ("127.0.0.1", port))
        assert client.recv(9) == b"ping"


def test_two_services_do_not_answer_each_other(serve, model):
    """A datagram with a forged source port: the port of another service of this server."""
    server = serve("echo", "udp://127.0.0.1:0", "upper", "udp://127.0.0.2:0", model=model)
    victim = parse(server.addresses[1])[1][1]
    with udp("127.0.0.3", victim) as forger:
        forger.sendto(b"and on and on", parse(server.address)[1])
        server.wait_counters(dropped_loop=1, datagrams_in=1, datagrams_out=0)


def test_broadcast_is_not_answered(serve, netns, model):
    server = serve("echo", "udp://0.0.0.0:0", "echo", "udp://*:0", "--workers", "1", model=model)
    with udp() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for address in server.addresses:
            port = parse(address)[1][1]
            client.sendto(b"anybody?", ("127.255.255.255", port))
            client.sendto(b"you?", ("127.0.0.1", port))
        assert answers(client, 2) == [b"you?"] * 2
    counted = server.wait_counters(datagrams_in=4)
    assert (counted["dropped_loop"], counted["dropped_send"]) == (2, 0)


def ip(words):
    return subprocess.run(["ip", *words.split()], check=False, capture_output=True).returncode == 0


def test_multicast_is_not_answered(serve, netns, model):
    """Every host has joined 224.0.0.1 and ff02::1, so these requests arrive without a join."""
    ip("route add 224.0.0.0/4 dev lo")
    ipv6 = ip("link add v0 type veth peer name v1") and ip("link set v0 up") and \
        ip("link set v1 up") and ip("addr add fd00::1/64 dev v0 nodad")
    server = serve("echo", "udp://0.0.0.0:0", *(["echo", "udp://[::]:0"] if ipv6 else []),
                   "--workers", "1", model=model)
    with udp() as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        client.sendto(b"anybody?", ("224.0.0.1", parse(server.address)[1][1]))
        server.wait_counters(dropped_loop=1)
    if ipv6:
        with udp("fd00::1") as client:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF,
                              socket.if_nametoindex("v0"))
            client.sendto(b"anybody?", ("ff02::1", parse(server.addresses[1])[1][1]))
            until(lambda: server.counters()["dropped_loop"] >= 2, "dropped")  # v1 receives it, too
    assert server.counters()["datagrams_out"] == 0


# --- limits ---

def ask_from(source, server, index, count):
    with udp(source) as client:
        for _ in range(count):
            client.sendto(b"", parse(server.addresses[index])[1])
        return len(answers_until_quiet(client))


def answers_until_quiet(client):
    got = []
    with contextlib.suppress(TimeoutError):
        client.settimeout(0.3)
        while True:
            got.append(client.recv(9999))
    return got


def test_longer_answers_have_a_rate_for_each_source(serve, netns, model):
    pairs = [word for name in AMPLIFYING for word in (name, "udp://127.0.0.1:0")]
    server = serve(*pairs, "--rate", "10", "--length", "64", "--workers", "1", model=model)
    assert 20 <= ask_from("10.9.8.7", server, 0, 100) <= 30
    assert ask_from("10.9.8.7", server, 1, 100) <= 10  # one budget for all services
    dropped = server.counters()["dropped_rate"]
    assert dropped >= 70
    server.wait_log("the source exceeded its rate")
    # Hosts outside cannot forge loopback addresses: those have no limit.
    assert ask_from("127.0.0.1", server, 1, 100) == 100
    assert server.counters()["dropped_rate"] == dropped


def test_rate_comes_back_with_time(serve, netns):
    server = serve("time", "udp://127.0.0.1:0", "--rate", "50", "--workers", "1")
    assert 100 <= ask_from("10.9.8.7", server, 0, 200) <= 150
    assert ask_from("10.9.8.7", server, 0, 10) == 10  # after the 0.3 s that ask_from waits


@pytest.mark.parametrize("service", ["echo", "upper"])
def test_answers_no_longer_than_the_question_have_none(serve, netns, service, model):
    server = serve(service, "udp://127.0.0.1:0", "--rate", "1", model=model)
    with udp("10.9.8.7") as client:
        for i in range(100):
            client.sendto(b"%03d" % i, parse(server.address)[1])
            assert client.recv(9) == b"%03d" % i


# --- UNIX ---

def test_unnamed_senders_are_heard_but_not_answered(serve, tmp_path, model):
    server = serve("reply", f"unix-dgram:{tmp_path}/s", "--show-messages", model=model)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed, server.connect() as named:
        for _ in range(3):
            unnamed.sendto(b"anonymous", f"{tmp_path}/s")
        server.wait_log(r'message reply unix-dgram:unnamed "anonymous"', 3)
        named.send(b"named")
        assert named.recv(99) == b"Server got message"
    server.wait_counters(datagrams_in=4, datagrams_out=1, dropped_send=3)


def test_unnamed_after_udp(serve, tmp_path, model):
    """A slot's memory of an earlier sender does not apply to the next sender."""
    server = serve("echo", "udp://127.0.0.1:0", "echo", f"unix-dgram:{tmp_path}/s",
                   "--workers", "1", model=model)
    with server.connect() as client, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed:
        client.send(b"from a port")
        assert client.recv(99) == b"from a port"
        unnamed.sendto(b"from nowhere", f"{tmp_path}/s")
        counted = server.wait_counters(datagrams_in=2, datagrams_out=1, dropped_send=1)
        assert counted["dropped_loop"] == 0
        assert answers(client, 0) == []


def test_full_receiver_holds_up_nobody(serve, tmp_path, model):
    server = serve("echo", f"unix-dgram:{tmp_path}/s", model=model)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full, server.connect() as other:
        full.bind("")
        for i in range(60):  # it never reads; its queue holds net.unix.max_dgram_qlen
            full.sendto(b"%d" % i, f"{tmp_path}/s")
            if i % 10 == 0:
                other.send(b"quick")
                assert other.recv(99) == b"quick"
        until(lambda: answered(server.counters()) == 66, "all counted")
        assert server.counters()["dropped_send"] >= 60 - QUEUE - 1


def answered(counted):
    return counted["datagrams_out"] + counted["dropped_send"]


def test_connected_receiver_that_never_reads(serve, tmp_path, model):
    """Between two connected sockets the kernel has no queue limit: unread datagrams fill the
    sender's buffer, which is the server's. Other peers are served again as soon as that peer
    has closed; meanwhile the server uses no memory and no CPU for it."""
    server = serve("echo", f"unix-dgram:{tmp_path}/s", model=model)
    with server.connect() as full:
        for i in range(1000):
            full.send(b"%d" % i)
        until(lambda: answered(server.counters()) == 1000, "all counted")
    with server.connect() as other:
        other.send(b"quick")
        assert other.recv(99) == b"quick"


def test_receiver_that_has_gone(serve, tmp_path, model):
    server = serve("echo", f"unix-dgram:{tmp_path}/s", "echo", "udp://127.0.0.1:0", model=model)
    for address in server.addresses:
        workers = until(server.descendants, "workers")
        for worker in workers:
            worker.freeze()
        with contextlib.closing(connect(address)) as client:
            for _ in range(5):
                client.send(b"and gone")
        for worker in workers:
            worker.thaw()
        with server.connect(address) as client:
            client.send(b"next")
            assert client.recv(99) == b"next"
