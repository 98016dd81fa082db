"""Two servers do not reply to each other endlessly after a forged datagram, and clients do not
notice what prevents it."""
import contextlib
import os
import pathlib
import random
import socket

import pytest

from serving import KEEP_ROOT, parse, until

RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
QUEUE = int(pathlib.Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
LIMIT = 200
PAIRS = [("upper", "reply"), ("reply", "reply"), ("chargen", "chargen"), ("chargen", "echo"),
         ("daytime", "time")]


def outside(host="127.0.0.1"):
    """A socket bound to a port outside the range from which the kernel picks: a random one,
    because other tests use some at the same time, and this test uses it again."""
    first, last = map(int, RANGE.read_text().split())
    ports = [port for port in range(10000, 65536) if not first <= port <= last]
    for port in random.sample(ports, min(len(ports), 100)):
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.bind((host, port))
        except OSError:
            s.close()
        else:
            s.settimeout(15)
            return s
    return pytest.skip("all ports are in the range")


def url_of(s):
    host, port = s.getsockname()[:2]
    return f"udp://[{host}]:{port}" if ":" in host else f"udp://{host}:{port}"


@contextlib.contextmanager
def frozen(server):
    workers = server.workers(1)
    for worker in workers:
        worker.freeze()
    yield
    for worker in workers:
        worker.thaw()


@contextlib.contextmanager
def name_of_another(scheme, first):
    """A socket whose name a server can use once this block ends, and the server's address."""
    if scheme == "unix-dgram":
        path = f"{parse(first)[1]}.2"
        s, url = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), f"unix-dgram:{path}"
        s.bind(path)
    else:
        s = outside(parse(first)[1][0])
        path, url = None, url_of(s)
    with s:
        yield s, url
    if path:
        os.unlink(path)


def loops_start(serve, services, address, model=None):
    """Two servers. The first one receives datagrams that seem to come from the second: another
    socket had its address. There are so many that even a busy machine exceeds the limit in a
    second. Returns the servers and the number of loops."""
    first = serve(services[0], address, *KEEP_ROOT, "--workers", "1", model=model)
    scheme, name = parse(first.address)
    count = 50 if scheme == "udp" else QUEUE // 2
    with frozen(first):
        with name_of_another(scheme, first.address) as (forger, url):
            for i in range(count):
                forger.sendto(b"forged %d" % i, name)
        second = serve(services[1], url, *KEEP_ROOT, model=model)
    return (first, second), count


def loops_end(servers, count):
    """Waits until every loop has ended, and returns the counters of both servers."""
    def ended():
        counted = [server.counters() for server in servers]
        lost = sum(c["dropped_repeat"] + c["dropped_send"] for c in counted)
        return lost == count and counted

    return until(ended, f"the end of {count} loops")


def check(servers, count):
    counted = loops_end(servers, count)
    assert all(c["datagrams_out"] <= LIMIT for c in counted), counted
    assert sum(c["dropped_repeat"] for c in counted) > 0
    for server, values in zip(servers, counted):
        if values["dropped_repeat"]:
            server.wait_log(r"refuse .*: the source may be a server .*\(--repeat-rate\)")
        with server.connect() as client:
            client.send(b"still there?")
            client.recv(999)  # chargen may answer with no bytes


@pytest.mark.parametrize("scheme", ["udp4", "udp6", "unix-dgram"])
def test_two_echo_servers(serve, tmp_path, scheme, model):
    addresses = {"udp4": "udp://127.0.0.1:0", "udp6": "udp://[::1]:0",
                 "unix-dgram": f"unix-dgram:{tmp_path}/s"}
    with contextlib.ExitStack() as stack:
        if scheme != "unix-dgram":  # a port outside the range, for the first server, too
            s = stack.enter_context(outside(parse(addresses[scheme])[1][0]))
            addresses[scheme] = url_of(s)
    check(*loops_start(serve, ("echo", "echo"), addresses[scheme], model))


@pytest.mark.parametrize("services", PAIRS, ids="-".join)
def test_two_services(serve, services):
    check(*loops_start(serve, services, "udp://127.0.0.1:0"))


@pytest.mark.parametrize("scheme", ["udp", "unix-dgram"])
def test_a_fast_client_is_not_limited(serve, tmp_path, scheme, model):
    server = serve("echo", f"unix-dgram:{tmp_path}/s" if scheme == "unix-dgram"
                   else "udp://127.0.0.1:0", model=model)
    with server.connect() as client:
        for i in range(5 * LIMIT):
            client.send(b"%d" % i)
            assert client.recv(99) == b"%d" % i
    assert server.counters()["dropped_repeat"] == 0


def ask(server, client, count):
    """Sends `count` datagrams that the server answers at the same moment. Returns how many it
    answered and how many it dropped."""
    with frozen(server):
        for i in range(count):
            client.sendto(b"%d" % i, parse(server.address)[1])

    def all_handled():
        counted = server.counters()
        found = counted["datagrams_out"], counted["dropped_repeat"]
        return sum(found) == count and found

    return until(all_handled, f"{count} answered or dropped")


@pytest.mark.parametrize("rate, answered", [(None, 200), (30, 30), (250, 240), (0, 240)])
def test_a_port_outside_the_range(serve, rate, answered):
    server = serve("upper", "udp://127.0.0.1:0", "--workers", "1",
                   *(["--repeat-rate", rate] if rate is not None else []))
    with outside() as client:
        assert ask(server, client, 240) == (answered, 240 - answered)


def test_the_range_is_that_of_the_system(serve, netns):
    RANGE.write_text("20000 20999")
    server = serve("echo", "udp://127.0.0.1:3000", "--repeat-rate", "1")
    for total, (port, limited) in enumerate(
            [(19999, True), (20000, False), (20999, False), (21000, True), (50000, True)], 1):
        before = server.counters()["dropped_repeat"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", port))
            for _ in range(3):
                client.sendto(b"x", parse(server.address)[1])
        server.wait_counters(datagrams_in=3 * total, dropped_repeat=before + (2 if limited else 0))
