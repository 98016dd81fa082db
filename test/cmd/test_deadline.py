"""--deadline ends a program that looks up a name, that waits for a peer, or that is blocked."""
import contextlib
import fcntl
import ipaddress
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import events

PASSED = b"the time of --deadline has passed"
NAME = "host.test"  # RFC 6761: not a registered name


@pytest.fixture
def silent_name_server(netns):
    """The name servers of this machine do not reply in this test."""
    with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as conf:
        servers = re.findall(r"^nameserver\s+([0-9a-fA-F.:]+)", conf.read(), re.M) or ["127.0.0.1"]
    with contextlib.ExitStack() as stack:
        for server in servers:
            v6 = ipaddress.ip_address(server).version == 6
            subprocess.run(["ip", "address", "add", server, "dev", "lo", *(["nodad"] if v6 else [])],
                           check=False)
            sock = stack.enter_context(
                socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind((server, 53))
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(["getent", "hosts", NAME], timeout=1, check=False)
            pytest.skip("this machine does not look up names with DNS")
        yield


@pytest.mark.parametrize("words", [
    ["connect", f"tcp://{NAME}:7"],
    ["connect", f"udp://{NAME}:7"],
    ["connect", "-u", "udp://127.0.0.1:7", f"udp://{NAME}:7"],
    ["connect", "--reconnect", f"udp://{NAME}:7@1", "udp://127.0.0.1:7"],
    ["connect", "--retry", "9", f"{NAME}:7"],
    ["connect", "--check", f"{NAME}:7-9"],
    ["bench", f"tcp://{NAME}:7"],
    ["bench", f"udp://{NAME}:7"],
    ["get", "--probe", f"tftp://{NAME}/f"],
    ["get", "-o", "-", f"tftp://{NAME}/f"],
    ["put", "/etc/hosts", f"tftp://{NAME}/f"],
    ["listen", f"tcp://{NAME}:7007"],
    ["relay", "udp://127.0.0.1:0", f"udp://{NAME}:7"],
])
def test_name_server(silent_name_server, run, words):
    done = run(words[0], "--deadline", "300ms", *words[1:])
    assert done.returncode == 5 and PASSED in done.stderr


@pytest.mark.parametrize("words", [
    ["listen", "tcp://127.0.0.1:0"],
    ["listen", "-k", "tcp://127.0.0.1:0"],
    ["listen", "udp://127.0.0.1:0"],
    ["listen", "unix:{folder}/sock"],
    ["relay", "udp://127.0.0.1:0", "udp://127.0.0.1:9"],
])
@pytest.mark.parametrize("json", [False, True])
def test_no_client(run, tmp_path, words, json):
    words = [word.format(folder=tmp_path) for word in words]
    done = run(words[0], "--deadline", "200ms", *(["--json"] if json else []), *words[1:])
    assert done.returncode == 5 and PASSED in (done.stdout if json else done.stderr)
    if json:
        assert any(e["exit"] == 5 for e in events(done.stdout) if e["event"] == "error")
    assert not list(tmp_path.iterdir())


def test_session_of_a_listener(ready):
    """-k does not wait for another client."""
    server, [url] = ready("listen", "-k", "--deadline", "2s", "tcp://127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        assert PASSED in server.end(5)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"])
@pytest.mark.parametrize("command", ["connect", "bench"])
def test_stopped_server(run, ready, url, command):
    server, [address] = ready("serve", "echo", url, "--model", "thread", "--workers", "1",
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        words = ["-m", "x", "-w", "1h"] if command == "connect" else ["--time", "1h"]
        done = run(command, "--deadline", "300ms", *words, address)
    finally:
        os.killpg(server.pid, signal.SIGCONT)
    assert done.returncode == 5 and PASSED in done.stderr


@pytest.mark.parametrize("check", [False, True])
def test_full_backlog(run, listening, check):
    server = listening(family=socket.AF_UNIX, backlog=0)
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        done = run("connect", "--deadline", "300ms", *(["--check"] if check else []), server.url)
    assert done.returncode == 5


@pytest.fixture
def full_pipe():
    """The write end of a pipe that takes no more bytes."""
    receiver, sender = os.pipe()
    flags = fcntl.fcntl(sender, fcntl.F_GETFL)
    fcntl.fcntl(sender, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(sender, bytes(65536))
    fcntl.fcntl(sender, fcntl.F_SETFL, flags)
    yield sender
    os.close(sender)
    os.close(receiver)


@pytest.mark.parametrize("words", [
    ["connect", "--json"], ["connect", "--check"], ["connect", "--check", "--json"], ["bench"],
    ["bench", "--json"]])
def test_full_output(run, echo, full_pipe, words):
    done = run(*words, "--deadline", "200ms", echo("tcp://127.0.0.1:0"), stdout=full_pipe)
    assert done.returncode == 5


def test_interrupt_with_full_output(program, listening, full_pipe):
    """The line about the interruption does not fit in the pipe either."""
    server = listening()
    client = program("connect", "--json", server.url, stdout=full_pipe)
    with server.accept()[0]:
        client.terminate()
        client.end(130)
