"""Shared by the tests of sockeye relay: a relay, its target, and numbered packets."""
import contextlib
import signal
import socket
import struct
import time

import pytest

from conftest import QUIET_S, WAIT_S, connect_to, events, read_all, read_events, readable

LAST = b"the last"


def udp(host="127.0.0.1", port=0):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.settimeout(WAIT_S)
    sock.bind((host, port))
    return sock


@pytest.fixture
def target():
    """Makes sockets that are a relay's target; each comes with its address."""
    with contextlib.ExitStack() as stack:
        def make(host="127.0.0.1"):
            sock = stack.enter_context(udp(host))
            shown = f"[{host}]" if ":" in host else host
            return sock, f"udp://{shown}:{sock.getsockname()[1]}"
        yield make


@pytest.fixture
def relay(ready):
    """Starts a relay to `url`. Returns the process and its own address."""
    def start(url, *options, listen="udp://127.0.0.1:0"):
        started, [own] = ready("relay", listen, url, "--json", *options)
        return started, own
    return start


def counters(started, sig=signal.SIGTERM):
    """Ends a relay and returns its counters, after checking that they add up."""
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
    """Sends the packets, then LAST until it arrives. Returns the packets received before LAST."""
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


def passed(relay, target, *options, count=1000):
    """The numbers of the packets that pass, in order of arrival, out of `count`."""
    sock, url = target()
    started, own = relay(url, *options)
    with connect_to(own) as client:
        came = send_and_collect(client, None, sock, numbered(count), gap=50)
    return [int.from_bytes(packet, "big") for packet in came], counters(started)


def counters_now(started):
    started.send_signal(signal.SIGUSR1)
    return read_events(started.stdout, "counters")[-1]
