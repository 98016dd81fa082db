"""Each cause has its own exit code, its line on stderr, and its JSON document."""
import os
import signal
import socket
import struct
import subprocess

import pytest

from conftest import SOCKEYE, WAIT_S, events, read_all, read_events, read_exactly

ADDRESS_IN_VAIN = [
    # code, error, arguments
    (2, "SCHEME", ["foo://x"]),
    (2, "PORT", ["tcp://127.0.0.1:99999"]),
    (2, "PORT", ["tcp://127.0.0.1:898989"]),
    (2, "OPTION", ["tcp://127.0.0.1:7?foo"]),
    (2, "OPTION_VALUE", ["tcp://127.0.0.1:7?ttl=256"]),
    (2, "PATH_TOO_LONG", ["unix:/" + "x" * 107]),
    (3, "NONAME", ["tcp://nosuch.invalid:80"]),
    (3, "SERVICE", ["tcp://127.0.0.1:nosuchservice"]),
    (4, "ECONNREFUSED", ["tcp://127.0.0.1:1"]),
    (9, "ENOENT", ["unix:/nonexistent/sock"]),
    (10, "SCHEME_UNSUPPORTED", ["tls://127.0.0.1:443"]),
]


@pytest.mark.parametrize("code, error, args", ADDRESS_IN_VAIN)
def test_connecting_in_vain(run, code, error, args):
    result = run("connect", *args)
    assert (result.returncode, result.stdout) == (code, b"")
    assert result.stderr.startswith(b"sockeye: ") and result.stderr.count(b"\n") == 1
    result = run("connect", "--json", *args)
    last = events(result.stdout)[-1]
    assert (result.returncode, last["event"], last["exit"]) == (code, "error", code)
    # without a reachable name server, the resolver cannot say that the name does not exist
    assert last["error"] in {"NONAME": ["NONAME", "NAME_TRY_AGAIN"]}.get(error, [error])
    assert result.stderr == b""


def test_full_accept_queue_times_out(run, listening):
    server = listening(backlog=0)
    waiting = []
    for _ in range(3):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(server.getsockname())
        waiting.append(sock)
    result = run("connect", "--connect-timeout", "300ms", server.url)
    for sock in waiting:
        sock.close()
    assert result.returncode == 5
    assert b"Connection timed out" in result.stderr


def test_unreachable(run, netns):
    result = run("connect", "tcp://10.9.8.7:9")
    assert (result.returncode, b"Network is unreachable" in result.stderr) == (6, True)


def test_source_address_that_is_not_ours(run, listening):
    result = run("connect", "--bind", "10.9.8.7", listening().url)
    assert (result.returncode, b"Cannot assign requested address" in result.stderr) == (6, True)


def test_source_port_in_use(run, listening):
    port = listening().getsockname()[1]
    result = run("connect", "--bind", f"127.0.0.1:{port}", listening().url)
    assert (result.returncode, b"Address already in use" in result.stderr) == (9, True)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_source_port_without_permission(run, listening):
    result = run("connect", "--bind", "127.0.0.1:7", listening().url, user=65534, group=65534)
    assert (result.returncode, b"Permission denied" in result.stderr) == (9, True)


def test_reset(program, listening):
    server = listening()
    started = program("connect", "--json", server.url)
    conn, _ = server.accept()
    before = read_events(started.stdout, "connected")
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()
    error, end = events(read_all(started.stdout))
    started.end(7)
    assert [e["event"] for e in before] == ["attempt", "connected"]
    assert (error["op"], error["error"], error["exit"]) == ("receive", "ECONNRESET", 7)
    assert (end["event"], end["exit"]) == ("end", 7)


def test_idle_and_kernel_timeouts_have_names_of_their_own(run, listening):
    result = run("connect", "--json", "--timeout", "50ms", "--no-shutdown", listening().url,
                 stdin=subprocess.DEVNULL)
    [error] = [e for e in events(result.stdout) if e["event"] == "error"]
    assert (error["op"], error["error"], error["exit"]) == ("wait for", "ETIME", 5)


def test_interrupted_while_connecting(program):
    started = program("connect", "--retry", "1", "--retry-pause", "1h", "tcp://127.0.0.1:1")
    assert b"trying again" in os.read(started.stderr.fileno(), 1000)
    started.send_signal(signal.SIGINT)
    started.end(130)


def test_interrupted_while_connecting_in_json(program):
    started = program("connect", "--json", "--retry", "1", "--retry-pause", "1h", "tcp://127.0.0.1:1")
    first = read_exactly(started.stdout, 10)
    started.send_signal(signal.SIGINT)
    found = events(first + read_all(started.stdout))
    assert [(e["event"], e["error"]) for e in found] == [("attempt", "ECONNREFUSED"), ("error", "EINTR")]
    assert (found[1]["exit"], found[1]["address"]) == (130, "tcp://127.0.0.1:1")
    started.end(130)


def test_interrupted_session_in_json(program, listening):
    server = listening()
    started = program("connect", "--json", server.url)
    with server.accept()[0] as conn:
        conn.sendall(b"x")
        read_events(started.stdout, "data")
        started.send_signal(signal.SIGINT)
        [end] = events(read_all(started.stdout))
    assert (end["event"], end["exit"]) == ("end", 130)
    started.end(130)


def test_interrupt_that_is_ignored_stays_ignored(program, listening):
    """Like a background job of a shell."""
    server = listening()
    started = subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", SOCKEYE, "connect",
                                server.url], stdin=subprocess.PIPE)
    with server.accept()[0] as conn:
        started.send_signal(signal.SIGINT)
        started.stdin.close()
        assert conn.recv(1) == b""
    assert started.wait(WAIT_S) == 0


@pytest.mark.parametrize("url, code", [("tls://127.0.0.1:1", 10), ("unix:/dev/null/x", 9)])
def test_no_retry_of_what_cannot_change(run, url, code):
    result = run("connect", "--retry", "1", "--retry-pause", "1h", url)
    assert result.returncode == code and b"trying again" not in result.stderr
