"""connect --check and connect --deadline."""
import resource
import socket
import subprocess

import pytest

from conftest import events


def ports_in_a_row(count, open_ones):
    """Sockets that listen on some of `count` ports, the first of these ports, and URLs."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            base = first.getsockname()[1]
        socks = []
        try:
            for i in range(count):
                sock = socket.socket()
                socks.append(sock)
                sock.bind(("127.0.0.1", base + i))
        except (OSError, OverflowError):
            for sock in socks:
                sock.close()
            continue
        for i, sock in enumerate(socks):
            if i in open_ones:
                sock.listen()
        return socks, base


@pytest.mark.parametrize("open_ones, code", [({0, 1, 2, 3}, 0), ({1, 3}, 4), (set(), 4)])
def test_a_range(run, open_ones, code):
    socks, base = ports_in_a_row(4, open_ones)
    done = run("connect", "--check", f"tcp://127.0.0.1:{base}-{base + 3}")
    listed = run("connect", "--check", "127.0.0.1", f"{base + 3},{base}-{base + 1}")
    found = events(run("connect", "--json", "--check", f"127.0.0.1:{base}-{base + 3}").stdout)
    for sock in socks:
        sock.close()
    text = {i: f"tcp://127.0.0.1:{base + i}: " + ("open" if i in open_ones else "Connection refused")
            for i in range(4)}
    assert done.returncode == code and done.stdout.decode().splitlines() == list(text.values())
    assert listed.stdout.decode().splitlines() == [text[3], text[0], text[1]]
    assert [(e["event"], e["address"], e["open"]) for e in found] == [
        ("check", f"tcp://127.0.0.1:{base + i}", i in open_ones) for i in range(4)]
    assert done.stderr == b""


def test_many_ports(run, listening):
    """More than the limit of open files."""
    server = listening(backlog=1)
    port = server.getsockname()[1]
    done = run("connect", "--check", "127.0.0.1:1-3000", preexec_fn=lambda: limit_files(40))
    assert done.stdout.count(b"\n") == 3000
    assert run("connect", "--check", server.url).stdout == b"tcp://127.0.0.1:%d: open\n" % port


def limit_files(count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def test_the_code_is_that_of_the_worst_failure(netns, run):
    """Refused, timed out and unreachable: 4 < 5 < 6."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port, waiting = full.getsockname()[1], []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            waiting.append(sock)
        done = run("connect", "--check", "--connect-timeout", "300ms", f"127.0.0.1:1,{port},2")
        for sock in waiting:
            sock.close()
    assert done.returncode == 5
    assert done.stdout.decode().splitlines() == [
        "tcp://127.0.0.1:1: Connection refused", f"tcp://127.0.0.1:{port}: Connection timed out",
        "tcp://127.0.0.1:2: Connection refused"]
    subprocess.run(["ip", "route", "add", "unreachable", "192.0.2.9/32"], check=True)
    done = run("connect", "--check", "192.0.2.9:7-8")
    assert done.returncode == 6 and done.stdout.count(b": No route to host\n") == 2


@pytest.mark.parametrize("args, code", [
    (["udp://127.0.0.1:1"], 2), (["127.0.0.1:9-7"], 2), (["127.0.0.1:0-7"], 2),
    (["127.0.0.1:1-65536"], 2), (["-m", "x", "127.0.0.1:1"], 2), (["no.invalid:1-2"], 3),
    (["unix:/no/such"], 9)])
def test_what_cannot_be_checked(run, args, code):
    assert run("connect", "--check", *args).returncode == code


def test_unix_socket(run, listening):
    server = listening(family=socket.AF_UNIX)
    done = run("connect", "--check", server.url)
    assert (done.returncode, done.stdout) == (0, server.url.encode() + b": open\n")


# --- --deadline ---

def test_deadline_of_a_session(run, listening):
    done = run("connect", "--deadline", "300ms", "--no-shutdown", listening().url)
    assert done.returncode == 5 and b"the time of --deadline has passed" in done.stderr


@pytest.mark.parametrize("json", [False, True])
def test_deadline_of_all_tries(run, json):
    done = run("connect", "--deadline", "300ms", "--retry", "9", "--retry-pause", "1h",
               *(["--json"] if json else []), "127.0.0.1:1")
    said = (done.stdout if json else done.stderr).decode().splitlines()
    assert done.returncode == 5 and "the time of --deadline has passed" in said[-1]
    if json:
        assert events(done.stdout)[-1]["exit"] == 5


def test_deadline_of_a_check(run, listening):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        done = run("connect", "--check", "--connect-timeout", "1h", "--deadline", "300ms",
                   f"127.0.0.1:{port},1")
        for sock in waiting:
            sock.close()
    assert done.returncode == 5 and done.stdout.count(b"\n") == 2


def test_interrupt_before_the_deadline(program, listening):
    server = listening()
    client = program("connect", "--deadline", "1h", server.url)
    conn, _ = server.accept()
    with conn:
        client.terminate()
        client.end(130)
