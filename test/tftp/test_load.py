"""Many clients, floods, signals, a root folder that disappears, and inherited sockets."""
import contextlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import time

import pytest

from cases import case
from shared import until
from wire import ack, data, error, oack, pattern, receive, rrq, wrq

TEXT = bytes(i * 13 % 251 for i in range(1 << 20))


class Crowd:
    """Many clients in one loop, each with its own transfer."""

    def __init__(self, server, count, name, options, blksize, window, sources=("127.0.0.1",)):
        self.server, self.window, self.blksize = server, window, blksize
        self.poll, self.clients, self.repeats, self.strange = select.epoll(), {}, 0, 0
        self.ack = [pattern(ack(n)) for n in range(65536)]
        for i in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            sock.bind((sources[i % len(sources)], 0))
            sock.setblocking(False)
            sock.sendto(rrq(name, options), server.name)
            self.clients[sock.fileno()] = [sock, 1, []]
            self.poll.register(sock, select.EPOLLIN)

    def turn(self, client, packet, source):
        """Handles one packet. Returns whether it was the last one of the transfer."""
        sock, following, parts = client
        if len(packet) < 4 or packet[1] not in (3, 6):
            self.strange += 1  # from another test, whose port we have now
            return False
        if packet[1] == 6:
            sock.sendto(self.ack[0], source)
            return False
        number = packet[2] << 8 | packet[3]
        if number != following:
            self.repeats += 1
            if number == (following + 1) % 65536:
                sock.sendto(self.ack[following - 1], source)
            return False
        parts.append(packet[4:])
        client[1] += 1
        last = len(packet) < self.blksize + 4
        if last or following % self.window == 0:
            sock.sendto(self.ack[following], source)
        return last

    def run(self):
        """Returns the content that each client received."""
        contents, deadline = [], time.monotonic() + 60
        while self.clients:
            events = self.poll.poll(5)
            assert events, f"{len(self.clients)} wait and nothing comes"
            assert time.monotonic() < deadline
            for fd, _ in events:
                client = self.clients.get(fd)
                for _ in range(64):
                    try:
                        packet, source = client[0].recvfrom(65536)
                    except BlockingIOError:
                        break
                    if self.turn(client, packet, source):
                        contents.append(b"".join(client[2]))
                        self.poll.unregister(fd)
                        client[0].close()
                        del self.clients[fd]
                        break
        return contents


@case(135)
@pytest.mark.parametrize("count, size, blksize, options", [
    (200, 1 << 20, 8192, []), (1000, 50_000, 1428, []), (1000, 50_000, 1428, ["--single-port"])])
def test_crowd(serve, count, size, blksize, options):
    server = serve(*options)
    server.put_file("f", TEXT[:size])
    descriptors = server.at_rest()
    crowd = Crowd(server, count, "f", f"blksize={blksize} windowsize=8", blksize, 8)
    contents = crowd.run()
    assert crowd.strange < 10
    assert len(contents) == count and set(contents) == {TEXT[:size]}
    until(lambda: len(server.transfers(file="f")) == count, "a line for each")
    assert {e["result"] for e in server.transfers()} == {"done"}
    until(lambda: server.descriptors() <= descriptors + 2, "all closed again")


@pytest.fixture
def many_files():
    """Raises this process's limit of descriptors to the maximum."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def more():
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
        if before[1] < 12_000:
            pytest.skip("needs 12,000 descriptors")
    yield more
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@case(136, 138)
@pytest.mark.parametrize("options", [[], ["--max-per-source", "100"], ["--single-port"]],
                         ids=["default", "100 each", "one port"])
def test_flood(serve, many_files, options):
    """10,000 requests from one address that never confirms: the server serves others, and the
    memory it holds and the bytes it sends are bounded."""
    server = serve("--timeout", "100ms", *options, url="udp://0.0.0.0:0")
    server.put_file("f", TEXT[:4096])
    there, packet = ("127.0.0.1", server.port), rrq("f", "blksize=1024")
    before, kib, most = server.at_rest(), server.private_kib(), 0
    many_files()
    with contextlib.ExitStack() as stack:
        flood = []
        for turn in range(10_000):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(("127.0.0.66", 0))
            sock.sendto(packet, there)
            flood.append(sock)
            if turn % 500 == 499:
                most = max(most, server.descriptors())
                assert patient(server, there) == TEXT[:4096]
        # One socket each, and one file each while it has just changed.
        assert most - before <= 2 * (100 if "100" in options else 2048) + 10
        assert server.grown_by(kib) < 60_000
        until(lambda: server.descriptors() <= before + 2, "all given up")
        got = sum(map(drained, flood))
    # At most 20 bytes are sent for each byte that may be forged.
    assert got < 20 * len(packet) * len(flood)
    assert patient(server, there) == TEXT[:4096]


def patient(server, there):
    """Reads a file; repeats the request, which a full receive queue may drop."""
    peer = server.peer(there)
    for _ in range(20):
        peer.asks(rrq("f", "blksize=1024"))
        packet = peer.hears(0.5)
        if packet is not None:
            assert packet == oack("blksize=1024")
            return receive(peer, 1024, first=ack(0)).content
    raise AssertionError("not served")


def drained(sock):
    """Receives all queued packets and returns their bytes."""
    got = 0
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            got += len(sock.recv(65536))
    return got


@pytest.mark.parametrize("options", [["--max-transfers", "5"], ["--max-per-source", "5"]])
def test_strangers_make_room(serve, options):
    """Unconfirmed requests may be forged: at the limit, the oldest is dropped."""
    server = serve(*options, "--workers", "1", url="udp://0.0.0.0:0")
    server.put_file("f", TEXT[:4096])
    there = ("127.0.0.1", server.port)
    peers = [server.peer(there) for _ in range(7)]
    for peer in peers:
        peer.asks(rrq("f", "blksize=1024"))
        peer.gets(oack("blksize=1024"))
        if peer is peers[0]:
            peer.says(ack(0))
            peer.gets(data(1, TEXT[:1024]))
    for peer in peers[1:3]:
        server.transfer(text="dropped to make room for another transfer", peer=f"udp://127.0.0.1:{peer.port}")
    for peer in (peers[0], peers[6]):
        peer.says(ack(0 if peer is peers[6] else 1))
        peer.gets(data(1 if peer is peers[6] else 2, TEXT[:1024] if peer is peers[6]
                       else TEXT[1024:2048]))


@case(138)
@pytest.mark.parametrize("options", [["--max-transfers", "5"], ["--max-per-source", "5"]])
def test_over_the_limit(serve, options):
    """The sixth request gets an ERROR or no reply; it is served once a slot is free."""
    server = serve(*options, "--workers", "1", url="udp://0.0.0.0:0")
    server.put_file("f", TEXT[:4096])
    there = ("127.0.0.1", server.port)
    peers = [server.peer(there) for _ in range(6)]
    for peer in peers[:5]:
        peer.asks(rrq("f", "blksize=1024"))
        peer.gets(oack("blksize=1024"))
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:1024]))
    peers[5].asks(rrq("f"))
    packet = peers[5].hears(0.3)
    assert packet is None or packet[:4] == b"\0\5\0\0", packet
    other = server.peer(there, source=("127.0.0.9", 0))
    other.asks(rrq("f", "blksize=1024"))
    if options[0] == "--max-per-source":
        other.gets(oack("blksize=1024"))
    else:
        packet = other.hears(0.3)
        assert packet is None or packet[:4] == b"\0\5\0\0", packet
    peers[0].says(error(0, "enough"))
    server.transfer(code=0, peer=f"udp://127.0.0.1:{peers[0].port}")
    peers[5].asks(rrq("f", "blksize=1024"))
    peers[5].gets(oack("blksize=1024"))


@pytest.mark.parametrize("options", [[], ["--single-port"]], ids=["own ports", "one port"])
def test_stopped_worker(serve, options):
    """The kernel queues the requests of some clients for it: they are served, too. The first
    stop costs no transfer; after the second one, another worker has its requests."""
    server = serve("--workers", "3", *options)
    server.put_file("f", TEXT[:2000])
    begun = server.peer()
    begun.asks(rrq("f"))
    begun.gets(data(1, TEXT[:512]))
    workers = until(lambda: len(found := server.pids()[1:]) == 3 and found, "3 workers")
    for word in ("continuing", "replacing"):
        for pid in workers[1:]:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(30):
            assert patient(server, server.name) == TEXT[:2000]
        until(lambda word=word: len(re.findall(f"by SIGSTOP; {word} it", server.log.read_text())) == 2,
              f"2 times: {word}")
        until(lambda: len(server.pids()) == 4, "3 workers")
    assert server.counters()["workers_died"] == 2
    assert not set(workers[1:]) & set(server.pids())


@case(138)
def test_request_rate(serve):
    """The unconfirmed requests of a source: those over its rate are dropped without a reply.
    Confirmed ones do not count, and neither do replies that are no longer than their
    request."""
    server = serve("--request-rate", "10", url="udp://0.0.0.0:0")
    server.put_file("large", TEXT)
    server.put_file("f", b"x" * 50)
    there, answered = ("127.0.0.1", server.port), 0
    peers = [server.peer(there) for _ in range(200)]
    for peer in peers:
        peer.asks(rrq("large"))
    for peer in peers:
        answered += peer.hears(0.0) is not None
    answered += sum(peer.hears(0.01) is not None for peer in peers[:20])
    assert 1 <= answered <= 60, answered
    for _ in range(40):
        other = server.peer(there, source=("127.0.0.9", 0))
        assert server.get("f", peer=other).content == b"x" * 50
    for peer in peers:
        peer.asks(rrq("missing/file"))
    assert all(peer.hears() for peer in peers)


def many(server, count):
    """Reads `count` small files one after another from one port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.bind(("127.0.0.1", 0))
    ask, confirm = rrq("f"), ack(1)
    with sock:
        for _ in range(count):
            sock.sendto(ask, server.name)
            packet, source = sock.recvfrom(600)
            assert packet == data(1, b"contents")
            sock.sendto(confirm, source)


@case(139)
@pytest.mark.parametrize("options", [[], ["--single-port"]])
def test_many_small_files(serve, options):
    server = serve("--workers", "1", *options)
    server.put_file("f", b"contents")
    many(server, 1000)
    before, kib = server.at_rest(), server.private_kib()
    many(server, 10_000)
    until(lambda: server.descriptors() <= before, "descriptors")
    assert server.grown_by(kib) <= 3072  # caches fill up to their limits
    assert len(server.pids()) <= 2


def test_many_missing_names(serve):
    """Boot loaders try dozens of names: each reply is quick, and they do not flood the log
    (trap 11)."""
    server = serve()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    begun = time.monotonic()
    with sock:
        for i in range(2000):
            sock.sendto(rrq(f"grub/{i}.lst", "blksize=1024 tsize=0"), server.name)
            assert sock.recv(600)[:4] == b"\0\5\0\1"
    took = time.monotonic() - begun
    assert took < 10
    assert 10 <= len(server.transfers()) <= 50 * (took + 2) * len(server.pids())
    assert server.answers()


@case(139)
def test_many_failures(serve):
    """Refused, probed and aborted transfers do not use up descriptors or memory, either."""
    server = serve("--workers", "1", "--upload", "--timeout", "50ms", "-v")
    server.put_file("f", TEXT)

    def rounds(count):
        for i in range(count):
            peer = server.peer()
            peer.asks(rrq("nothing"))
            peer.hears()
            peer.asks(rrq("f", "tsize=0 windowsize=8"))
            peer.hears()
            peer.says(error(8))
            peer.asks(wrq(f"new{i}", "windowsize=8 blksize=8192"))
            peer.hears()
            peer.says(data(1, TEXT[:8192]), data(3, TEXT[:8192]), error(0))
            peer.close()
    rounds(50)
    until(lambda: len(server.transfers()) >= 150, "reports")
    before, kib = server.at_rest(), server.private_kib()
    rounds(200)
    until(lambda: len(server.transfers()) >= 751, "reports")
    until(lambda: server.descriptors() <= before, "descriptors")
    assert server.grown_by(kib) <= 3072
    assert sorted(p.name for p in server.root.iterdir()) == ["f", "warm"]


@pytest.fixture
def running(serve):
    """A server in the middle of a transfer."""
    def start(*options, **kw):
        server = serve(*options, **kw)
        server.put_file("f", TEXT[:2048])
        peer = server.peer()
        peer.asks(rrq("f"))
        peer.gets(data(1, TEXT[:512]))
        return server, peer

    return start


def finish(peer, first=1):
    for number in range(first, 5):
        peer.says(ack(number))
        peer.gets(data(number + 1, TEXT[:2048][number * 512:number * 512 + 512]))
    peer.says(ack(5))


@case(140)
def test_sighup_reads_rules_again(running, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("")
    server, peer = running("--map", rules)
    refused = server.peer()
    refused.asks(rrq("other"))
    refused.gets_error(1)
    rules.write_text("r ^other$ f\n")
    server.process.send_signal(signal.SIGHUP)

    def mapped():
        asking = server.peer()
        asking.asks(rrq("other", "blksize=2048"))
        return asking.hears() == oack("blksize=2048")
    until(mapped, "new rules")
    finish(peer)
    # With an unreadable rule file, the server warns and keeps the old rules.
    rules.write_text("what is this (\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: b"rules" in server.log.read_bytes(), "a complaint")
    assert mapped()


@case(140)
def test_sigterm_drains(running):
    server, peer = running()
    server.process.send_signal(signal.SIGTERM)

    def deaf():
        asking = server.peer()
        asking.asks(rrq("f", "blksize=2048"))
        if asking.hears(0.1) is None:
            return True
        asking.says(error(0))
        return False
    until(deaf, "no new transfers")
    finish(peer)
    assert server.process.wait(5) == 0
    assert server.transfers(result="done")


@case(140)
def test_sigterm_twice(running):
    """The second signal ends the transfers at once, with an ERROR."""
    server, peer = running()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert server.process.poll() is None
    while server.process.poll() is None:  # signals of the first half second do not count
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    begun = time.monotonic()
    server.process.wait(5)
    assert time.monotonic() - begun < 2
    peer.says(ack(1))
    packet = peer.hears(0.2)
    assert packet is None or packet[1] == 5


@case(140)
def test_grace(running):
    """The end of the grace period ends a transfer."""
    server, peer = running("--grace", "300ms")
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(5)
    assert 0.2 < time.monotonic() - begun < 3
    while (packet := peer.hears(0.1))[1] != 5:
        pass
    assert packet == b"\0\5\0\0server is stopping\0"
    server.transfer(result="failed", text="the server is stopping")


@case(141)
def test_root_that_disappears(serve, root):
    server = serve("--upload")
    server.put_file("f", b"one")
    assert server.get("f").content == b"one"
    shutil.rmtree(root)
    for ask in (rrq, wrq):
        peer = server.peer()
        peer.asks(ask("f"))
        peer.gets_error(1, 2)
    root.mkdir()
    server.put_file("f", b"two")
    # A stopping worker may drop a request, which the client then repeats.
    assert patient(server, server.name) == b"two"
    server.put("new", b"new")
    assert (root / "new").read_bytes() == b"new"


@case(142)
@pytest.mark.parametrize("single", [False, True])
def test_passed_sockets(serve, single):
    """Like systemd: several sockets, of both families, with their addresses as names."""
    socks = []
    for family, name in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET, ("127.0.0.2", 0)),
                         (socket.AF_INET6, ("::1", 0))):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind(name)
        socks.append(sock)
    server = serve(*["--single-port"] * single, url=[f"fd:{s.fileno()}" for s in socks],
                   pass_fds=[s.fileno() for s in socks])
    server.put_file("f", TEXT[:3000])
    for sock in socks:
        name = sock.getsockname()[:2]
        peer = server.peer(name)
        assert server.get("f", "blksize=1024", peer=peer).content == TEXT[:3000]
        assert peer.tid[0] == name[0]
        assert (peer.tid[1] == name[1]) == single
        sock.close()


def test_counters(serve):
    """SIGUSR1 logs the counters."""
    server = serve()
    server.put_file("f", b"x" * 100)
    for _ in range(3):
        server.get("f")
    peer = server.peer()
    peer.asks(rrq("nothing"))
    peer.gets_error(1)
    peer.asks(rrq("f", "tsize=0"))
    peer.gets(oack("tsize=100"))
    peer.says(error(8))
    until(lambda: server.transfers(result="probe"), "the probe")
    until(lambda: len(server.transfers(result="done")) == 3, "three files")
    counters = server.counters()
    assert counters["transfers"] == 4
    assert counters["transfers_done"] == 3
    assert counters["transfers_probed"] == 1
    assert counters["requests_refused"] == 1
    assert counters["bytes_out"] == 300


def test_worker_that_dies(serve):
    """Another worker replaces it."""
    server = serve("--workers", "1")
    assert server.answers()
    workers = server.pids()[1:]
    if not workers:
        pytest.skip("it serves in its first process")
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: workers[0] not in server.pids() and len(server.pids()) > 1, "a new worker")
    peer = server.peer()

    def served():
        peer.asks(rrq("alive"))
        return peer.hears(0.5) == data(1, b"yes")
    until(served, "service")
