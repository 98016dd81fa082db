"""Pressure on limits that all workers share: a worker makes room for requests that another
worker has received."""
import contextlib
import os
import pathlib
import re
import resource
import signal
import time

import pytest

from shared import WAIT_S, until
from wire import ack, data, error, free_range, oack, receive, rrq

TEXT = bytes(i * 7 % 249 for i in range(60_000))
MADE_ROOM = "dropped to make room for another transfer"
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


def url(host):
    return f"udp://[{host}]:0" if ":" in host else f"udp://{host}:0"


def range_of(count):
    first = free_range(count)
    return f"{first}-{first + count - 1}"


def limited(count):
    """Options that limit the server to a number of transfers, each in another way."""
    return [["--max-transfers", str(count)], ["--max-per-source", str(count)],
            ["--port-range", range_of(count)]]


LIMITS = pytest.mark.parametrize("limit", range(3), ids=["transfers", "per source", "ports"])


def ask(peer, wanted=oack("blksize=1024")):
    """Repeats a request, like a client does, until it is answered."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        peer.asks(rrq("f", "blksize=1024"))
        packet = peer.hears(2)
        if packet is not None:
            assert packet == wanted, packet
            return
    raise AssertionError("not served")


def served(peer):
    ask(peer)
    assert receive(peer, 1024, first=ack(0)).content == TEXT[:3000]


def end(peer):
    peer.says(error(0))


@HOSTS
@LIMITS
def test_unconfirmed_transfers_of_another_worker(serve, host, limit):
    """One unconfirmed transfer after another holds the only slot, each in one of four workers:
    the next client is served whichever worker receives its request."""
    server = serve("--workers", "4", *limited(1)[limit], url=url(host))
    server.put_file("f", TEXT[:3000])
    for _ in range(24):
        ask(server.peer())
        served(server.peer())
        until(lambda: server.counters()["transfers_open"] == 0, "its end")
    assert len(server.transfers(text=MADE_ROOM)) == 24
    assert server.counters()["refused_resource"] == 0


@LIMITS
def test_stalled_transfers_of_another_worker(serve, limit):
    """Confirmed transfers make room once their clients have been silent for 2 s."""
    server = serve("--workers", "4", *limited(6)[limit])
    server.put_file("f", TEXT[:3000])
    silent = [server.peer() for _ in range(6)]
    for peer in silent:
        ask(peer)
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:1024]))
    time.sleep(2.1)
    moving = [server.peer() for _ in range(6)]  # at first together with none, last with all
    for peer in moving:
        ask(peer)
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:1024]))
    assert len(server.transfers(text=MADE_ROOM)) == 6
    for peer in moving:
        peer.says(ack(1))
        peer.gets(data(2, TEXT[1024:2048]))


def worker_of(server, peer):
    """The worker that serves the peer's transfer, by the port that it uses."""
    def find():
        name = f"{peer.tid[1]:04X}"
        for line in pathlib.Path("/proc/net/udp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f":{name}"):
                socket = f"socket:[{fields[9]}]"
                for pid in server.pids()[1:]:
                    with contextlib.suppress(OSError):
                        if socket in [os.readlink(entry.path)
                                      for entry in os.scandir(f"/proc/{pid}/fd")]:
                            return pid
        return None
    return until(find, "its worker")


def clients_of_workers(server, count):
    """Clients by the worker that receives their requests, `count` for each."""
    workers = until(lambda: len(found := server.pids()[1:]) == server.workers and found, "workers")
    found = {pid: [] for pid in workers}
    deadline = time.monotonic() + WAIT_S
    while min(map(len, found.values())) < count:
        assert time.monotonic() < deadline
        peer = server.peer()
        ask(peer)
        found[worker_of(server, peer)].append(peer)
        end(peer)
    until(lambda: server.counters()["transfers_open"] == 0, "all ended")
    return found


def test_order_across_workers(serve):
    """The worker of the request has a stalled transfer, another one has an unconfirmed one,
    which goes first."""
    server = serve("--workers", "2", "--max-transfers", "3")
    server.put_file("f", TEXT[:3000])
    (stalled, *ours), (unconfirmed, *_) = clients_of_workers(server, 3).values()
    ask(stalled)
    stalled.says(ack(0))
    stalled.gets(data(1, TEXT[:1024]))
    time.sleep(2.1)
    for _ in range(2):
        ask(unconfirmed)
    other = server.peer()
    ask(other)
    for peer in ours[:2]:
        ask(peer)
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:1024]))
    names = {event["peer"] for event in server.transfers(text=MADE_ROOM)}
    assert names == {f"udp://127.0.0.1:{peer.port}" for peer in (unconfirmed, other)}
    stalled.says(ack(1))
    stalled.gets(data(2, TEXT[1024:2048]))


def test_moving_transfers_of_other_workers_stay(serve):
    """If no transfer may be dropped, the request is refused within the client's patience."""
    server = serve("--workers", "3", "--max-transfers", "6")
    server.put_file("f", TEXT)
    moving = [server.peer() for _ in range(6)]
    for peer in moving:
        ask(peer)
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:1024]))
    for block in range(1, 5):
        late = server.peer()
        late.asks(rrq("f", "blksize=1024"))
        late.gets_error(0)
        for peer in moving:
            peer.says(ack(block))
            peer.gets(data(block + 1, TEXT[block * 1024:][:1024]))
    assert server.transfers(text=MADE_ROOM) == []
    assert server.counters()["refused_resource"] == 4


@HOSTS
@pytest.mark.parametrize("options", [[], ["--single-port"]], ids=["own ports", "one port"])
def test_two_hundred_holders(serve, host, options):
    """200 transfers without any answer fill all workers. Then 50 clients send requests."""
    server = serve("--workers", "4", "--max-transfers", "200", *options, url=url(host))
    server.put_file("f", TEXT[:3000])
    for _ in range(200):
        ask(server.peer())
    honest = [server.peer() for _ in range(50)]
    for peer in honest:
        peer.asks(rrq("f", "blksize=1024"))
    for peer in honest:
        packet = peer.hears(5)
        assert packet == oack("blksize=1024") or packet is None
        if packet is None:  # the receive queue was full
            ask(peer)
    for peer in honest:
        assert receive(peer, 1024, first=ack(0)).content == TEXT[:3000]
    until(lambda: len(server.transfers(result="done")) == 50, "50 transfers")
    assert len(server.transfers(text=MADE_ROOM)) >= 50


def test_descriptors_of_all_workers(serve):
    """Each worker has its own limit of descriptors, and 350 transfers reach that of all."""
    server = serve("--workers", "4", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (64, 64)))
    server.put_file("f", TEXT[:3000])
    for _ in range(350):
        ask(server.peer())
    for _ in range(50):
        served(server.peer())
    assert len(server.transfers(text=MADE_ROOM)) > 50
    assert server.transfers(result="refused") == []


def test_limit_of_a_source_is_kept(serve):
    """Room is made only among the transfers of the source whose limit is reached."""
    server = serve("--workers", "4", "--max-per-source", "3", url="udp://0.0.0.0:0")
    server.put_file("f", TEXT[:3000])
    there = ("127.0.0.1", server.port)
    others = [server.peer(there, source=("127.0.0.77", 0)) for _ in range(3)]
    for peer in others:
        ask(peer)
    for _ in range(20):
        ask(server.peer(there))
    dropped = until(lambda: len(found := server.transfers(text=MADE_ROOM)) == 17 and found, "17")
    assert not [event for event in dropped if "127.0.0.77" in event["peer"]]
    assert server.counters()["transfers_open"] == 6


def test_worker_that_is_stopped_or_killed_meanwhile(serve):
    """A worker that cannot answer does not keep the others from serving."""
    server = serve("--workers", "3", "--max-transfers", "4")
    server.put_file("f", TEXT[:3000])
    for turn in range(4):
        for _ in range(4):
            ask(server.peer())
        workers = server.pids()[1:]
        os.kill(workers[turn % len(workers)], signal.SIGSTOP if turn % 2 else signal.SIGKILL)
        for _ in range(6):
            served(server.peer())
    until(lambda: len(re.findall("continuing it", server.log.read_text())) == 2, "it continues")
