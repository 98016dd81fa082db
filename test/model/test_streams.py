"""Streams that end, stall, break or take too long, in every model."""
import contextlib
import os
import random
import select
import selectors
import socket
import time

import pytest

from serving import (CONCURRENT, MODEL_FACTS, WAIT_S, ask, at_once, closed, connect, read_all,
                     read_n, reset, same, until)

ECHO = ("echo", "tcp://127.0.0.1:0")
concurrent = pytest.mark.parametrize("model", CONCURRENT)
CLOSE = r"^\S+ close \S+ .*: (.*)$"


# --- the two directions ---

def test_client_ends_first_and_still_receives_everything(serve, model):
    """The end of the input is not the end of the output, however many bytes are in flight."""
    server = serve(*ECHO, model=model)
    data = os.urandom(300_000)  # more than the buffers hold before the client reads
    for delay in (False, True):
        with server.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            if delay:  # the end arrives separately
                client.sendall(data[:10])
                assert read_n(client, 10) == data[:10]
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""
            else:
                same(ask(client, data), data)


def test_server_ends_first_and_discards_the_rest(serve, model):
    """reply --once closes first; bytes that the client still sends must not cause an error
    before it has read the reply."""
    server = serve("reply", "tcp://127.0.0.1:0", "--once", model=model)
    with server.connect() as client:
        client.sendall(b"one\n" + b"x" * 50_000)
        assert read_all(client) == b"Server got message\n"


def test_small_pieces_and_pauses(serve, model):
    """Each piece is answered before the next is sent: the server does not wait for more."""
    server = serve(*ECHO, model=model)
    with server.connect() as client:
        for size in (1, 2, 3, 1000, 1, 65537, 1):
            piece = os.urandom(size)
            client.sendall(piece)
            same(read_n(client, size), piece)


# --- many at once ---

@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_two_hundred_connections_with_64_kib_in_flight(serve, tmp_path, scheme, model):
    """Each client writes everything before it reads; a well-known io_uring example hangs here
    because its buffers run out."""
    address = "tcp://127.0.0.1:0" if scheme == "tcp" else f"unix:{tmp_path}/s"
    # A model that serves one client at a time would wait for the first one forever.
    workers = ["--workers", "200"] if MODEL_FACTS[model]["one_session"] else []
    server = serve("echo", address, *workers, model=model)
    data = random.Random(1).randbytes(200 * 65536)
    pieces = [data[i * 65536:(i + 1) * 65536] for i in range(200)]
    clients = [server.connect() for _ in pieces]
    if model not in CONCURRENT:
        for client, piece in zip(clients, pieces):
            same(ask(client, piece), piece)
            client.close()
        return
    with selectors.DefaultSelector() as writing:
        left = {}
        for client, piece in zip(clients, pieces):
            client.setblocking(False)
            left[client] = memoryview(piece)
            writing.register(client, selectors.EVENT_WRITE)
        while left:
            ready = writing.select(WAIT_S)
            assert ready, f"{len(left)} of 200 can send no more"
            for key, _ in ready:
                client = key.fileobj
                left[client] = left[client][client.send(left[client]):]
                if not left[client]:
                    del left[client]
                    writing.unregister(client)
    for client, piece in zip(clients, pieces):
        client.settimeout(WAIT_S)
        same(read_n(client, 65536), piece)
        client.close()


def test_second_client_waits_and_is_served(serve):
    """iterative: further clients wait in the backlog, and none is refused."""
    server = serve(*ECHO, model="iterative")
    first, *others = [server.connect() for _ in range(20)]
    for client in others:
        client.sendall(b"waiting")
        client.shutdown(socket.SHUT_WR)
    first.sendall(b"first")
    assert read_n(first, 5) == b"first"
    first.close()
    for client in others:
        assert read_all(client) == b"waiting"
    assert server.counters()["accepted"] == 20


# --- clients that do not read ---

def pour(client, data):
    """Sends until the server takes no more. Returns the number of bytes sent."""
    sent = 0
    client.settimeout(0.3)  # after this time without progress, the server is stuck
    with contextlib.suppress(TimeoutError):
        while sent < len(data):
            sent += client.send(data[sent:sent + (1 << 16)])
    client.settimeout(WAIT_S)
    return sent


def memory_kib(server):
    """The memory of the server's processes; pages that they share count once. A child of the
    model fork may exit meanwhile."""
    total = 0
    for process in server.descendants():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, TypeError):
            total += process.pss_kib()
    return total


def test_slow_reader_stops_its_own_input(serve, model):
    """The client offers 64 MiB and reads nothing: the server must stop reading instead of
    buffering. Then all bytes arrive."""
    server = serve(*ECHO, "--workers", "1", model=model)
    data = random.Random(2).randbytes(1 << 20) * 64
    assert server.ask(b"warm") == b"warm"
    before = memory_kib(server)
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sent = pour(client, data)
        assert sent < len(data)
        assert memory_kib(server) - before < 20 * 1024
        spent = sum(p.cpu_s() for p in server.descendants())
        same(ask_rest(client, data, sent), data)
    assert spent < 5


def test_small_send_buffer(serve, model):
    """The kernel takes a few KiB at a time: the rest of each piece of output waits, is sent in
    many parts, and arrives in order."""
    server = serve("echo", "tcp://127.0.0.1:0?sndbuf=4096", "--workers", "1", model=model)
    data = random.Random(3).randbytes(1 << 20)
    with server.connect() as client:
        same(ask_rest(client, data, 0), data)


@concurrent
def test_many_slow_readers(serve, tmp_path, model):
    """60 clients of one worker fill the buffers and read nothing, which under uring is more
    input than its ring buffers may hold. Then they read everything."""
    server = serve("echo", f"unix:{tmp_path}/s", "--workers",
                   "60" if model == "prefork" else "1", model=model)
    data = random.Random(4).randbytes(600_000)
    clients = [server.connect() for _ in range(60)]
    sent = dict.fromkeys(clients, 0)
    idle_rounds = 0
    for client in clients:
        client.setblocking(False)
    while idle_rounds < 10:
        time.sleep(0.01)
        idle_rounds += 1
        for client in clients:
            with contextlib.suppress(BlockingIOError):
                while sent[client] < len(data):
                    sent[client] += client.send(data[sent[client]:sent[client] + 10_000])
                    idle_rounds = 0
    for client in clients:
        same(ask_rest(client, data, sent[client]), data)
        client.close()


def ask_rest(client, data, sent):
    """Reads everything while sending the rest of data."""
    got = bytearray()
    client.setblocking(False)
    events = select.POLLIN | select.POLLOUT
    poll = select.poll()
    poll.register(client, events)
    view = memoryview(data)
    while True:
        ready = poll.poll(WAIT_S * 1000)
        assert ready, f"nothing moves after {len(got)} of {len(data)}"
        if ready[0][1] & select.POLLIN:
            part = client.recv(1 << 20)
            if not part:
                return got
            got += part
        elif ready[0][1] & select.POLLOUT:
            sent += client.send(view[sent:sent + (1 << 20)])
            if sent == len(data):
                client.shutdown(socket.SHUT_WR)
                poll.modify(client, select.POLLIN)


@concurrent
def test_one_who_does_not_read_holds_up_nobody(serve, model):
    server = serve("chargen", "tcp://127.0.0.1:0", *ECHO, model=model)
    # connections to chargen: 20 MB would not be enough
    stuck = [server.connect() for _ in range(4)]
    for client in stuck:
        assert client.recv(1)
    assert server.ask(b"quick", server.addresses[1]) == b"quick"


# --- resets ---

def reset_before_data(client):
    reset(client)


def reset_with_data(client):
    client.sendall(b"half a l")
    reset(client)


def reset_after_an_answer(client):
    client.sendall(b"x")
    client.recv(1)
    reset(client)


def reset_while_it_sends(client):
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(b"y" * 65536)
    reset(client)


def reset_after_the_end(client):
    client.sendall(b"z" * 100_000)
    client.shutdown(socket.SHUT_WR)
    reset(client)


RESETS = [reset_before_data, reset_with_data, reset_after_an_answer, reset_while_it_sends,
          reset_after_the_end]


@pytest.mark.parametrize("how", RESETS)
def test_resets_at_every_moment(serve, how, model):
    server = serve(*ECHO, model=model)
    for _ in range(50):
        how(server.connect())
    assert server.ask(b"still there") == b"still there"
    counted = server.wait_counters(open=0, accepted=51)
    if how is reset_after_the_end:  # the server may have finished with it
        assert counted["closed_reset"] + counted["closed_end"] == 51
    else:
        assert (counted["closed_reset"], counted["closed_end"]) == (50, 1)
    assert counted["closed_error"] == 0


def test_resets_in_the_backlog(serve):
    """Clients that reset between queueing and accepting do not delay the next one."""
    server = serve(*ECHO, model="iterative")
    with server.connect() as first:
        first.sendall(b"x")
        assert read_n(first, 1) == b"x"
        for _ in range(20):
            reset(connect(server.address))
        last = server.connect()
        last.sendall(b"after them")
    assert read_n(last, 10) == b"after them"


# --- timeouts ---

def test_silent_clients_are_closed(serve, model):
    server = serve(*ECHO, "-v", "--idle-timeout", "200ms", model=model)
    clients = [server.connect() for _ in range(20 if model in CONCURRENT else 3)]
    started = time.monotonic()
    assert all(closed(client) for client in clients)
    assert time.monotonic() - started > 0.15
    assert {m[1] for m in server.wait_log(CLOSE, len(clients))} == {"idle timeout"}
    counted = server.wait_counters(open=0)
    assert (counted["closed_idle"], counted["closed_error"]) == (len(clients), 0)


def test_idle_timeout_starts_anew_with_each_byte(serve, model):
    """The timer then expires too early and is set again; the server must not spin."""
    server = serve(*ECHO, "--idle-timeout", "400ms", model=model)
    with server.connect() as client:
        spent = -sum(p.cpu_s() for p in server.descendants())
        started = time.monotonic()
        while time.monotonic() - started < 1:
            client.sendall(b"x")
            assert read_n(client, 1) == b"x"
            time.sleep(0.1)  # this tests time itself
        spent += sum(p.cpu_s() for p in server.descendants())
        assert client.recv(1) == b""
    assert spent < 0.15


def test_idle_timeout_of_one_who_never_reads(serve, model):
    server = serve("chargen", "tcp://127.0.0.1:0", "--idle-timeout", "200ms", model=model)
    with server.connect():
        server.wait_counters(accepted=1, open=0, closed_idle=1)


def drip(client):
    client.sendall(b".")


def drip_and_take(client):
    client.sendall(b".")
    client.recv(1)


@pytest.mark.parametrize("meanwhile", [None, drip, drip_and_take])
def test_longest_time(serve, meanwhile, model):
    """--max-time ends silent clients, and also those that send single bytes."""
    server = serve(*ECHO, "-v", "--max-time", "300ms", "--idle-timeout", "250ms" if meanwhile
                   else "10s", model=model)
    started = time.monotonic()
    with server.connect() as client, contextlib.suppress(ConnectionError):
        while meanwhile and time.monotonic() - started < WAIT_S:
            meanwhile(client)
            if not still_open(client, 0.02):
                break
        read_all(client)
        assert 0.25 < time.monotonic() - started < 5
    assert server.wait_log(CLOSE)[0][1] == "maximum time reached"
    server.wait_counters(open=0, closed_time=1)


def still_open(client, wait_s):
    return not select.select([client], [], [], wait_s)[0] or client.recv(1, socket.MSG_PEEK) != b""


@pytest.mark.parametrize("service", ["chargen", "echo"])
def test_longest_time_of_one_who_never_reads(serve, service, model):
    server = serve(service, "tcp://127.0.0.1:0", "--max-time", "300ms", model=model)
    with server.connect() as client:
        if service == "echo":
            with contextlib.suppress(ConnectionError):  # if that takes longer
                pour(client, bytes(1 << 25))
        server.wait_counters(accepted=1, open=0, closed_time=1)


# --- limits ---

@pytest.mark.parametrize("workers", [1, 2])
@concurrent
def test_one_too_many_waits_in_the_backlog(serve, model, workers):
    server = serve(*ECHO, "--max-connections", "4", "--workers", str(workers), model=model)
    limit = at_once(model, workers, 4)
    inside = [server.connect() for _ in range(limit)]
    for client in inside:
        client.sendall(b"in")
        assert read_n(client, 2) == b"in"
    waiting = [server.connect() for _ in range(3)]
    for client in waiting:
        client.sendall(b"next")
    assert select.select(waiting, [], [], 0.2)[0] == []
    assert server.counters()["open"] == limit
    for client in waiting:  # each one that closes admits another
        inside.pop().close()
        served = select.select(waiting, [], [], WAIT_S)[0]
        assert len(served) == 1
        assert read_n(served[0], 4) == b"next"
        waiting.remove(served[0])
        inside.append(served[0])
        if not waiting:
            break
    assert server.counters()["open"] == limit


@concurrent
def test_max_connections_holds_however_they_come_and_go(serve, model):
    server = serve(*ECHO, "--max-connections", "3", "--workers", "2", model=model)
    for _ in range(60):
        assert server.ask(b"x" * 100) == b"x" * 100
    assert server.wait_counters(open=0)["accepted"] == 60


@pytest.mark.parametrize("model", CONCURRENT)
def test_max_per_source(serve, model):
    server = serve("echo", "tcp://127.0.0.1:0", "--max-per-source", "2", "-v", "--workers", "8",
                   model=model)
    for source in ("127.0.0.2", "127.0.0.3"):
        inside = [server.connect(source=source) for _ in range(2)]
        for client in inside:
            client.sendall(b"in")
            assert read_n(client, 2) == b"in"
        assert closed(server.connect(source=source))
    server.wait_log(r"refuse echo tcp://127\.0\.0\.2:\d+: too many connections from this source")
    # once per second for each worker
    assert server.log().count("too many") <= 2 * len(server.children())
    counted = server.counters()
    assert (counted["open"], counted["refused_source"], counted["accepted"]) == (4, 2, 4)
    inside.pop().close()  # which frees its slot
    server.wait_counters(open=3)
    with server.connect(source="127.0.0.3") as client:
        client.sendall(b"in")
        assert read_n(client, 2) == b"in"


@concurrent
def test_places_of_a_dead_worker_are_given_back(serve, model):
    server = serve(*ECHO, "--max-per-source", "2", "--workers", "1", model=model)
    places = at_once(model, 1, 2)
    for _ in range(3):
        inside = [server.connect() for _ in range(places)]
        for client in inside:
            client.sendall(b"in")
            assert read_n(client, 2) == b"in"
        server.workers(1)[0].kill()
        assert all(closed(client) for client in inside)
        server.wait_counters(open=0)
    assert server.counters()["refused_source"] == 0


def test_neighbours_are_not_one_source(serve):
    """The 65th client of a /16 was refused in the past."""
    server = serve("echo", "tcp://127.0.0.1:0", "--max-per-source", "1", "--workers", "2")
    for n in range(300):
        client = server.connect(source=f"127.9.{n // 256}.{n % 256}")
        client.sendall(b"in")
        assert read_n(client, 2) == b"in"
    assert closed(server.connect(source="127.9.0.7"))
    assert server.counters()["open"] == 300


@pytest.mark.parametrize("prefix, other, refused", [("24", "127.0.9.255", True),
                                                    ("24", "127.0.8.1", False),
                                                    ("32", "127.0.9.255", False)])
def test_a_network_may_be_one_source(serve, prefix, other, refused):
    server = serve("echo", "tcp://127.0.0.1:0", "--max-per-source", "1", "--workers", "1",
                   "--source-ipv4-prefix", prefix)
    with server.connect(source="127.0.9.1") as client:
        client.sendall(b"in")
        assert read_n(client, 2) == b"in"
        second = server.connect(source=other)
        with contextlib.suppress(ConnectionError):
            second.sendall(b"in")
        assert closed(second) == refused


def test_ipv6_sources_count_too(serve):
    server = serve("echo", "tcp://[::1]:0", "--max-per-source", "1", "--workers", "1")
    with server.connect() as client:
        client.sendall(b"in")
        assert read_n(client, 2) == b"in"
        assert closed(server.connect())
    server.wait_counters(open=0)
    assert server.ask(b"again") == b"again"


def test_everything_is_counted_once(serve, model):
    """The client's counts match the server's."""
    server = serve(*ECHO, "-v", model=model)
    until(lambda: server.ask(b"12345") == b"12345", "an answer")
    line = server.wait_log(r"^\S+ close echo tcp://127\.0\.0\.1:\d+ pid=\d+(?: thread=\d+)? in=(\d+) out=(\d+): (.*)$")[0]
    assert line.groups() == ("5", "5", "done")
