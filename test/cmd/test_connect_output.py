"""sockeye connect: hex dump, peek, urgent data, JSON and messages."""
import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import termios
import threading

import pytest

from conftest import QUIET_S, events, read_all, read_events, read_exactly, readable, until
from connect_fixtures import connected


def test_hex_has_direction_and_time(run, echo):
    result = run("connect", "--hex", "-m", "hello sockets, hello", echo("tcp://127.0.0.1:0"))
    line = r"\d\d:\d\d:\d\d\.\d{6} %s 00000000%s  %s +\|%s\|\n"
    data = [("00", "68 65 6c 6c 6f 20 73 6f  63 6b 65 74 73 2c 20 68", "hello sockets, h"),
            ("10", "65 6c 6c 6f 0a", r"ello\.")]
    expected = "".join(line % (mark, *row) for mark in "><" for row in data)
    assert re.fullmatch(expected, result.stderr.decode()), result.stderr.decode()
    assert result.stdout == b"hello sockets, hello\n"


@pytest.mark.parametrize("args, env, colored", [
    ([], {}, False), (["--color", "always"], {}, True), (["--color", "always"], {"NO_COLOR": "1"}, True),
    (["--color=never"], {}, False)])
def test_color_of_the_dump(run, echo, args, env, colored):
    result = run("connect", "--hex", *args, "-m", "x", echo("tcp://127.0.0.1:0"),
                 env={**os.environ, **env})
    assert (b"\x1b[" in result.stderr) == colored


def test_peek_leaves_the_bytes(program, listening):
    with connected(program, listening(), "--peek", "3", stdin=subprocess.DEVNULL) as (started, conn):
        conn.sendall(b"abcdef")
    assert read_all(started.stdout) == b"abcdef"
    assert started.end() == b"sockeye: peek at 3 bytes: abc\n"


def test_urgent_data_is_sent(program, listening):
    server = listening()
    with connected(program, server, "--oob", "ab!", "-m", "line") as (started, conn):
        assert read_exactly(conn, 2) == b"ab"
        until(lambda: urgent_waits(conn), "urgent data")
        assert conn.recv(1, socket.MSG_OOB) == b"!"
        assert read_exactly(conn, 5) == b"line\n"
    started.end()


def test_large_urgent_data_is_sent_completely(program, listening):
    """More than the socket takes at once; the last byte is the urgent one."""
    server = listening()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    text = "u" * 100_000 + "!"
    started = program("connect", "--oob", text, "-m", "and more", f"{server.url}?sndbuf=4096")
    with server.accept()[0] as conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        got = bytearray()
        while piece := conn.recv(65536):
            got += piece
    assert got == text.encode() + b"and more\n"
    started.end()


def urgent_waits(conn):
    import select
    return select.select([], [], [conn], 0)[2]


def test_urgent_data_is_received_with_its_position(program, listening):
    with connected(program, listening(), stdin=subprocess.DEVNULL) as (started, conn):
        conn.sendall(b"12345")
        assert read_exactly(started.stdout, 5) == b"12345"
        conn.send(b"!", socket.MSG_OOB)
        assert os.read(started.stderr.fileno(), 1000) == (
            b"sockeye: urgent byte 0x21 '!' after 5 bytes\n")
        conn.sendall(b"678")
        conn.send(b"90?", socket.MSG_OOB)
    assert read_all(started.stdout) == b"67890"
    assert started.end() == b"sockeye: urgent byte 0x3f '?' after 10 bytes\n"


def test_linger0_resets(program, listening):
    with connected(program, listening(), "--linger0", "--count", "1") as (started, conn):
        conn.sendall(b"line\n")
        started.end()
        with pytest.raises(ConnectionResetError):
            conn.recv(1)


def test_verbose_reports_both_names_and_every_address(run, listening):
    server = listening()
    result = run("connect", "-v", "--wait-after-eof", "0", server.url)
    port = server.getsockname()[1]
    assert f"tried 127.0.0.1:{port}: connected" in result.stderr.decode()
    assert re.search(rf"connected: local 127.0.0.1:\d+, peer 127.0.0.1:{port}",
                     result.stderr.decode())


def test_quiet_prints_nothing(run, listening):
    result = run("connect", "-q", "--wait-after-eof", "0", "--peek", "3", listening().url)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_json_has_one_document_per_line(program, listening):
    server = listening()
    with connected(program, server, "--json", "-m", "hi") as (started, conn):
        conn.sendall("é\n".encode())
        assert read_all(conn) == b"hi\n"
        first = read_events(started.stdout, "data")
        conn.sendall(b"\xff\x00")
        second = read_events(started.stdout, "data")
        conn.send(b"!", socket.MSG_OOB)
        third = read_events(started.stdout, "urgent")
    rest = events(read_all(started.stdout))
    assert [e["event"] for e in first] == ["attempt", "connected", "data"]
    assert first[0]["error"] is None
    assert first[1]["peer"] == "127.0.0.1:%d" % server.getsockname()[1]
    assert (first[2]["data"], first[2]["offset"], first[2]["length"]) == ("é\n", 0, 3)
    assert (second[-1]["data_base64"], second[-1]["offset"]) == ("/wA=", 3)
    assert (third[-1]["data"], third[-1]["offset"]) == ("!", 5)
    assert [e["event"] for e in rest] == ["eof", "end"]
    assert (rest[1]["sent_bytes"], rest[1]["received_bytes"], rest[1]["exit"]) == (3, 5, 0)
    assert started.end() == b""


def test_json_of_a_full_buffer(program, listening):
    """Data that grows most in JSON, and a reader that starts late."""
    data = bytes(range(1, 32)) * 20_000
    with connected(program, listening(), "--json") as (started, conn):
        thread = threading.Thread(target=conn.sendall, args=[data])
        thread.start()
        assert not thread.join(QUIET_S)
        started.close_input()
        reader = read_until_bytes(started, len(data))
        thread.join()
    assert "".join(e["data"] for e in reader).encode() == data


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("args", [[], ["--timeout", "100ms"]])
def test_json_lines_are_complete_for_a_late_reader(program, listening, kind, args):
    peer = listening(kind)
    started = program("connect", "--json", "-w", "1h", "-m", "hello", *args, peer.url)
    if kind == socket.SOCK_STREAM:
        conn = peer.accept()[0]
        read_exactly(conn, 6)
    else:
        conn = peer
        conn.connect(conn.recvfrom(100)[1])
    with conn:
        conn.setblocking(False)
        until(lambda: send_until_full(conn) and blocked_write(started.stdout), "a full pipe")
        if args:
            assert not readable(started.stderr, 2 * QUIET_S)  # the time has passed
        else:
            started.send_signal(signal.SIGINT)
        found = events(read_all(started.stdout))
    assert found[-1]["event"] == "end"
    started.end(found[-1]["exit"])
    assert started.returncode == (5 if args else 130)


def send_until_full(conn):
    with contextlib.suppress(BlockingIOError):
        conn.send(b"\1" * 30_000)
    return True


def blocked_write(pipe):
    """Whether the pipe has less than one page of room."""
    waiting = bytearray(4)
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return int.from_bytes(waiting, "little") > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - 4096


def read_until_bytes(started, count):
    found, text = [], b""
    while sum(e["length"] for e in found) < count:
        text += os.read(started.stdout.fileno(), 65536)
        whole, _, text = text.rpartition(b"\n")
        found += [e for e in events(whole) if e["event"] == "data"]
    return found
