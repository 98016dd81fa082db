"""sockeye relay: its command line, messages, start and end."""
import os
import signal
import time

import pytest

from conftest import WAIT_S, connect_to, events, read_all, readable
from relay_fixtures import counters, relay, target, udp


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_counters(relay, target, sig):
    _, url = target()
    started, _ = relay(url)
    assert counters(started, sig)["event"] == "counters"


def test_signals_that_arrive_together_count_as_one(relay, target):
    """A second signal ends the relay without counters, with code 130."""
    _, url = target()
    started, _ = relay(url)
    started.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, started.pid, os.WSTOPPED)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        started.send_signal(sig)
    started.send_signal(signal.SIGCONT)
    assert events(read_all(started.stdout))[-1]["event"] == "counters"
    started.end(0)


@pytest.mark.parametrize("command", ["relay", "serve"])
def test_in_the_background_of_a_script(ready, target, command):
    """There the shell ignores SIGINT, and the relay keeps it ignored."""
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


def test_messages(ready, target):
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
            said = read_until(started.stderr, b"of the target is port", b"up 2")
            started.send_signal(signal.SIGUSR1)
            said += read_until(started.stderr, b"flows:")
    started.terminate()
    said = (said + started.end(0)).decode()
    assert said.startswith(f"sockeye: relaying {own} to {url}, seed 5\n")
    assert f"sockeye: flow 1: client 127.0.0.1:{client_name[1]}\n" in said
    assert f"sockeye: flow 1: port {port} of the target is port " in said
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


def test_a_client_that_closed_does_not_disturb_others(relay, target):
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
        for _ in range(5):  # the client's host refuses each of them
            tid.sendto(b"y", gone)
            sock.sendto(b"y", gone)
        sock.sendto(b"here", peer)
        assert stays.recv(10) == b"here"
    counts = counters(started)
    assert counts["down"]["in"] == 12
