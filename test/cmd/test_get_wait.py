"""A server that refuses or cannot be reached yet is asked again: a device that starts."""
import socket
import subprocess
import time

import pytest

from conftest import read_exactly
from get_fixtures import names, server  # noqa: F401
from tftp import WRQ, Server, ack, data, send

CONTENT = b"firmware" * 100


def line_of(stream):
    """The next line, as soon as it is printed."""
    line = b""
    while not line.endswith(b"\n"):
        piece = read_exactly(stream, 1)
        assert piece, line
        line += piece
    return line.decode()


def closed_port(host="127.0.0.1"):
    with Server(host=host) as gone:
        return gone.getsockname()[1]


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def fetched(client, server):
    """Serves CONTENT to a `get` that has been waiting, and returns what it printed."""
    with server.answer(server.request()) as peer:
        send(peer, CONTENT)
        return client.end().decode()


@pytest.mark.parametrize("options, seconds", [((), 5), (("--wait", "14s"), 14)])
def test_get_from_a_device_that_starts(program, tmp_path, options, seconds):
    port = closed_port()
    url = f"tftp://127.0.0.1:{port}/f"
    client = program("get", "--no-options", *options, url, cwd=tmp_path)
    assert line_of(client.stderr).startswith(f"sockeye: get {url}: Connection refused (trying for "
                                             f"{seconds} s; --no-wait gives up immediately)")
    assert client.poll() is None
    with Server(port=port) as device:
        assert fetched(client, device).startswith("sockeye: f: 800 B in ")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_put_to_a_device_that_starts(program, tmp_path):
    port = closed_port()
    (tmp_path / "f").write_bytes(CONTENT[:500])
    client = program("put", "--no-options", "--wait", "11s", "f", f"tftp://127.0.0.1:{port}/f",
                     cwd=tmp_path)
    assert "trying for 11 s" in line_of(client.stderr)
    with Server(port=port) as device, device.answer(device.request(WRQ), ack(0)) as peer:
        peer.expect(data(1, CONTENT[:500]))
        peer.say(ack(1))
        client.end()


@pytest.mark.parametrize("before, after, host, options, error", [
    ((), ("addr", "add", "192.0.2.1/32", "dev", "lo"), "192.0.2.1", (), "Network is unreachable"),
    (("route", "add", "unreachable", "192.0.2.2/32"), ("addr", "add", "192.0.2.2/32", "dev", "lo"),
     "192.0.2.2", (), "No route to host"),
    ((), ("addr", "add", "192.0.2.3/32", "dev", "lo"), "127.0.0.1", ("--bind", "192.0.2.3"),
     "Cannot assign requested address"),
], ids=["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL"])
def test_a_link_that_is_not_up_yet(netns, program, tmp_path, before, after, host, options, error):
    if before:
        ip(*before)
    port = 6969
    client = program("get", "--no-options", "--wait", "19s", *options, f"tftp://{host}:{port}/f",
                     cwd=tmp_path)
    line = line_of(client.stderr)
    assert error in line and "trying for 19 s" in line
    ip(*after)
    with Server(host=host, port=port) as device:
        fetched(client, device)
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("route, options, code, error", [
    ((), (), 4, "Connection refused"),
    (("route", "add", "unreachable", "192.0.2.2/32"), (), 6, "No route to host"),
    ((), ("--bind", "192.0.2.9"), 6, "this machine does not have the address"),
], ids=["refused", "unreachable", "bind"])
def test_the_wait_ends_with_the_last_error(netns, run, tmp_path, route, options, code, error):
    if route:
        ip(*route)
    host = "192.0.2.2" if route else "127.0.0.1"
    done = run("get", "--wait", "400ms", *options, f"tftp://{host}:6969/f", cwd=tmp_path)
    first, last = done.stderr.decode().splitlines()
    assert done.returncode == code and "(trying for 400 ms; " in first
    assert error in last and "--wait TIME tries longer" in last
    assert names(tmp_path) == []
    for option in ("--no-wait", "--wait=0"):
        done = run("get", option, *options, f"tftp://{host}:6969/f", cwd=tmp_path)
        assert done.returncode == code and b"trying" not in done.stderr
        assert b"--wait" not in done.stderr and error in done.stderr.decode()


@pytest.fixture(name="silent_net")
def net_without_hosts(netns):
    """192.0.2.0/24, where no host answers ARP."""
    ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    ip("link", "set", "far", "up")
    ip("addr", "add", "192.0.2.1/24", "dev", "near")
    ip("link", "set", "near", "up")


def test_the_report_about_arp_meets_the_end_of_a_request(silent_net, program, tmp_path):
    """Both are due after 3 s. The requests end at different times, because of their jitter."""
    clients = [program("get", "--wait", "5s", "--retries", "1", f"tftp://192.0.2.{i}/f",
                       cwd=tmp_path) for i in range(11, 23)]
    for client in clients:
        client.end(6)


def test_the_wait_for_a_host_without_arp(silent_net, run, tmp_path):
    """The kernel takes 3 s to find out that no host answers, and then starts again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
        first.sendto(b"", ("192.0.2.7", 9))
    time.sleep(1)  # the error arrives 2 s after the command has started
    done = run("get", "--wait", "3s", "--retries", "1", "tftp://192.0.2.7/f", cwd=tmp_path)
    said, last = done.stderr.decode().splitlines()
    assert done.returncode == 6
    assert "No route to host (trying for 3 s; " in said
    assert "No route to host" in last and "firewall" not in last


@pytest.mark.parametrize("url, code", [("tftp://192.0.2.2/f", 9), ("tftp://no.invalid/f", 3)])
def test_errors_that_do_not_pass(netns, run, tmp_path, url, code):
    """A route that prohibits the address, and a name that does not exist."""
    ip("route", "add", "prohibit", "192.0.2.2/32")
    done = run("get", "--wait", "1h", url, cwd=tmp_path)
    assert done.returncode == code and b"trying" not in done.stderr


def test_a_device_that_is_silent_at_first(server, program, tmp_path):
    """--wait outlasts --retries; each request is sent at most twice."""
    client = program("get", "--no-options", "--timeout", "50ms", "--retries", "1", "--wait", "17s",
                     server.url(), cwd=tmp_path)
    for _ in range(5):
        server.request()
    fetched(client, server)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_the_files_of_a_server_wait_once(run, tmp_path):
    port = closed_port()
    done = run("get", "-v", "--wait", "300ms", *(f"tftp://127.0.0.1:{port}/{i}" for i in "abc"),
               cwd=tmp_path)
    said = done.stderr.decode()
    assert done.returncode == 4 and said.count("trying for 300 ms") == 1
    assert said.count(" a: RRQ") > 1 and said.count(" b: RRQ") == said.count(" c: RRQ") == 1
    assert said.count("Connection refused") == 4


def test_probe_waits(program, tmp_path):
    port = closed_port()
    client = program("get", "--probe", "--wait", "18s", f"tftp://127.0.0.1:{port}/f", cwd=tmp_path)
    assert "trying for 18 s" in line_of(client.stderr)
    with Server(port=port) as device, device.answer(device.request(), data(1, b"end")):
        client.end()


def test_interrupted_wait(program, tmp_path):
    client = program("get", "--wait", "1h", f"tftp://127.0.0.1:{closed_port()}/f", cwd=tmp_path)
    assert "trying for 3600 s" in line_of(client.stderr)
    client.terminate()
    client.end(130)
    assert names(tmp_path) == []


def test_a_deadline_before_the_end_of_the_wait(run, tmp_path):
    done = run("get", "--wait", "1h", "--deadline", "2s", f"tftp://127.0.0.1:{closed_port()}/f",
               cwd=tmp_path)
    first, last = done.stderr.decode().splitlines()
    assert done.returncode == 5 and "(trying for 2 s; " in first
    assert "(the time of --deadline has passed; the last error was: Connection refused)" in last


def test_wait_and_no_wait(run):
    done = run("get", "--wait", "3s", "--no-wait", "tftp://127.0.0.1/f")
    assert done.returncode == 2 and b"--wait and --no-wait cannot be combined" in done.stderr
