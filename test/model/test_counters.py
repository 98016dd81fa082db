"""The counters of a server, as a monitoring system samples them."""
import contextlib
import re
import threading
import time

import pytest

from serving import ROOT, connect, reset, until

LOAD_S = 1.5
HEADER = (ROOT / "include" / "sockeye" / "serve.h").read_text()
GAUGES = set(re.findall(r"X\((\w+), GAUGE,", HEADER))


def slow_reader(address, stop):
    """Requests far more than it reads, reads some of it, and resets."""
    while not stop.is_set():
        with contextlib.suppress(OSError), connect(address) as client:
            client.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while not stop.is_set():
                    client.sendall(b"x" * 100_000)
            client.recv(300_000)
            reset(client)


def quick_reader(address, stop):
    while not stop.is_set():
        with contextlib.suppress(OSError), connect(address) as client:
            for _ in range(50):
                client.sendall(b"y" * 3000)
                client.recv(3000)


def test_no_counter_decreases(serve, model):
    """No counter decreases while readers are slow and reset, or when a worker dies."""
    assert GAUGES == {"open"}
    server = serve("echo", "tcp://127.0.0.1:0", "echo", "udp://127.0.0.1:0",
                   "chargen", "tcp://127.0.0.1:0", "--workers", "2", model=model)
    echo, _, chargen = server.addresses
    stop = threading.Event()
    load = [threading.Thread(target=target, args=(address, stop), daemon=True)
            for target, address in [(slow_reader, echo), (slow_reader, chargen),
                                    (slow_reader, echo), (quick_reader, echo)]]
    for thread in load:
        thread.start()
    samples, end = [server.counters()], time.monotonic() + LOAD_S
    killed = False
    while time.monotonic() < end or len(samples) < 20:
        samples.append(server.counters())
        if not killed and len(samples) > 10:
            until(server.children, "a worker")[0].kill()
            killed = True
    stop.set()
    for thread in load:
        thread.join()
    samples.append(server.wait_counters(workers_died=1))
    assert samples[-1]["bytes_out"] > 100_000
    for before, after in zip(samples, samples[1:]):
        fell = {name for name in before if name not in GAUGES and after[name] < before[name]}
        assert fell == set(), (before, after)
