"""The half-close matrix: client and server; the other direction quiet, filled with
back-pressure, or done; ten bytes one by one and then the end; inwards and outwards.
After "14 complaints about 11 implementations of netcat" (wh0, nc-warts), where no netcat
reaches more than 16 of the 24 cells.
"""
import contextlib
import os
import select
import socket

import pytest

from conftest import QUIET_S, connect_to, read_all, read_exactly

FILL = b"0" * 65536
each_stage = pytest.mark.parametrize("stage", ["bytes", "end"])
each_other = pytest.mark.parametrize("other", ["quiet", "filled", "done"])
each_way = pytest.mark.parametrize("way", ["in", "out"])


@pytest.fixture(params=["tcp", "unix"])
def family(request):
    return {"tcp": socket.AF_INET, "unix": socket.AF_UNIX}[request.param]


@pytest.fixture(params=["client", "server"])
def pair(request, family, program, ready, listening):
    """The program and the socket at its other end."""
    with contextlib.ExitStack() as stack:
        if request.param == "client":
            server = listening(family=family)
            started = program("connect", server.url)
            conn = stack.enter_context(server.accept()[0])
        else:
            url = "tcp://127.0.0.1:0" if family == socket.AF_INET else f"unix:@{os.getpid()}-half"
            started, urls = ready("listen", url)
            conn = stack.enter_context(connect_to(urls[0]))
        yield started, conn


def fill(fd):
    """Writes until no byte has been taken for a while: every buffer is full."""
    os.set_blocking(fd, False)
    while select.select([], [fd], [], QUIET_S)[1]:
        with contextlib.suppress(BlockingIOError):
            os.write(fd, FILL)


def inwards(started, conn, stage):
    for i in range(10):
        byte = bytes([65 + i])
        conn.send(byte)
        assert read_exactly(started.stdout, 1) == byte
    if stage == "end":
        conn.shutdown(socket.SHUT_WR)
        assert read_all(started.stdout) == b""


def outwards(started, conn, stage):
    for i in range(10):
        byte = bytes([65 + i])
        started.stdin.write(byte)
        assert conn.recv(2) == byte
    if stage == "end":
        started.close_input()
        assert conn.recv(1) == b""


def make_other(started, conn, way, other):
    """Puts the direction that is not `way` into its state."""
    if other == "filled" and way == "in":
        fill(started.stdin.fileno())
    elif other == "filled":
        fill(conn.fileno())
        conn.setblocking(True)
    elif other == "done" and way == "in":
        started.close_input()
        assert conn.recv(1) == b""
    elif other == "done":
        conn.shutdown(socket.SHUT_WR)
        assert read_all(started.stdout) == b""


@each_stage
@each_way
@each_other
def test_matrix(pair, stage, way, other):
    started, conn = pair
    make_other(started, conn, way, other)
    {"in": inwards, "out": outwards}[way](started, conn, stage)
    if stage == "bytes":
        return
    if other == "done":
        started.end()  # both directions have ended
        return
    assert started.poll() is None
    if other == "quiet" and way == "in":
        started.close_input()
        assert conn.recv(1) == b""
        started.end()
    elif other == "quiet":
        conn.shutdown(socket.SHUT_WR)
        started.end()
    else:
        started.terminate()
        started.end(130)


def test_standard_descriptors_stay_blocking(program, listening):
    """The pipe must stay blocking for the other processes that share it (nc-warts A)."""
    server = listening()
    for_input, for_output = os.pipe(), os.pipe()
    started = program("connect", server.url, stdin=for_input[0], stdout=for_output[1])
    conn, _ = server.accept()
    with conn:
        os.write(for_input[1], b"x")
        conn.send(b"y")
        assert conn.recv(1) == b"x"
        assert read_exactly(for_output[0], 1) == b"y"
        assert all(os.get_blocking(fd) for fd in (*for_input, *for_output))
        os.close(for_input[1])
    for fd in (for_input[0], *for_output):
        os.close(fd)
    started.wait(10)


def test_standard_descriptors_of_a_socket(program, listening):
    """One socket for both, like inetd's, stays blocking."""
    server = listening()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        started = program("connect", server.url, stdin=theirs, stdout=theirs)
        conn, _ = server.accept()
        with conn:
            ours.sendall(b"out")
            assert conn.recv(3) == b"out"
            conn.sendall(b"in")
            conn.shutdown(socket.SHUT_WR)
            assert ours.recv(2) == b"in"
            assert ours.recv(1) == b""
            ours.sendall(b"more")
            assert conn.recv(4) == b"more"
            ours.shutdown(socket.SHUT_WR)
            assert conn.recv(1) == b""
            assert theirs.getblocking()
        started.end()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_pipes_that_cannot_be_opened_again(program, listening):
    """For a pipe of another user there is no /proc/self/fd, and still neither direction blocks."""
    server = listening()
    started = program("connect", server.url, user=65534, group=65534)
    conn, _ = server.accept()
    with conn:
        fill(started.stdin.fileno())
        inwards(started, conn, "bytes")
        started.terminate()
        started.end(130)  # before the close, which resets the connection because of unread bytes
