"""sockeye connect on streams: ends, resets, and bytes that pass unchanged."""
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import QUIET_S, SOCKEYE, WAIT_S, read_all, read_exactly, readable, until
from connect_fixtures import RESET, connected, reset, unread


# --- ends ---

def test_answer_long_after_the_input_ended(program, listening):
    with connected(program, listening(), stdin=subprocess.DEVNULL) as (started, conn):
        assert conn.recv(1) == b""
        assert not readable(started.stdout, QUIET_S)
        conn.sendall(b"late")
    assert read_all(started.stdout) == b"late"
    started.end()


def test_no_shutdown_keeps_the_write_side_open(program, listening):
    with connected(program, listening(), "--no-shutdown", "-m", "hi") as (started, conn):
        assert conn.recv(3) == b"hi\n"
        conn.settimeout(QUIET_S)
        with pytest.raises(TimeoutError):
            conn.recv(1)
        conn.sendall(b"answer")
    assert read_all(started.stdout) == b"answer"
    started.end()


@pytest.mark.parametrize("wait", ["0", "200ms", "0.2"])
def test_wait_after_eof_is_bounded(program, listening, wait):
    begun = time.monotonic()
    with connected(program, listening(), "--wait-after-eof", wait,
                   stdin=subprocess.DEVNULL) as (started, _):
        started.end()
    took = time.monotonic() - begun
    assert took < WAIT_S
    assert wait == "0" or took >= 0.2


def test_exits_at_once_after_both_ends_despite_an_idle_timeout(program, listening):
    begun = time.monotonic()
    with connected(program, listening(), "--timeout", "1h",
                   stdin=subprocess.DEVNULL) as (started, conn):
        conn.close()
        started.end()
    assert time.monotonic() - begun < WAIT_S


def test_idle_timeout(program, listening):
    with connected(program, listening(), "--timeout", "100ms") as (started, _):
        assert b"Timer expired" in started.end(5)


def test_idle_timeout_restarts_with_each_byte(program, listening):
    with connected(program, listening(), "--timeout", "1s") as (started, conn):
        for _ in range(4):
            conn.sendall(b"x")
            assert read_exactly(started.stdout, 1) == b"x"
            assert not readable(started.stdout, 0.4)
        conn.shutdown(socket.SHUT_WR)
        started.close_input()
        started.end()


def test_message_is_a_line_on_a_stream(program, listening):
    with connected(program, listening(), "-m", "one", "-m", "", "-m", "three") as (started, conn):
        assert read_all(conn) == b"one\n\nthree\n"
        conn.sendall(b"answer\n")
    assert read_all(started.stdout) == b"answer\n"
    started.end()


def test_messages_longer_than_the_queue(program, listening):
    """The socket takes a full queue at once: the next messages must not wait for poll."""
    messages = [str(n) * 100_000 for n in range(6)]
    server = listening()
    args = [word for message in messages for word in ("-m", message)]
    with connected(program, server, *args) as (started, conn):
        conn.shutdown(socket.SHUT_WR)
        assert read_all(started.stdout) == b""
        assert read_all(conn).decode().split() == messages
        started.end()


def test_count_exits_after_n_lines(program, listening):
    with connected(program, listening(), "--count", "2") as (started, conn):
        conn.sendall(b"one\ntwo\nthree\n")
        assert read_all(started.stdout) == b"one\ntwo\n"
        started.end()


# --- broken connections and outputs ---

def test_reset_is_reported_after_the_received_bytes(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.sendall(b"before")
        assert read_exactly(started.stdout, 6) == b"before"
        reset(conn)
        assert read_all(started.stdout) == b""
        assert b"Connection reset by peer" in started.end(7)


def test_bytes_received_before_a_reset_are_written(program, listening):
    data = os.urandom(300_000)  # more than the pipe holds, less than pipe and queue
    with connected(program, listening()) as (started, conn):
        conn.sendall(data)
        got = read_exactly(started.stdout, 1)
        until(lambda: unread(conn) == 0, "all has arrived")
        reset(conn)
        assert got + read_all(started.stdout) == data
        started.end(7)


@pytest.mark.parametrize("option", ["-m", "--oob"])
def test_reset_while_input_is_queued(program, listening, option):
    server = listening()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    started = program("connect", option, "x" * 100_000, f"{server.url}?sndbuf=4096")
    with server.accept()[0] as conn:
        assert conn.recv(1, socket.MSG_PEEK) == b"x"
        reset(conn)
    assert b"Connection reset by peer" in started.end(7)


def test_sending_on_a_closed_connection(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.close()
        assert read_all(started.stdout) == b""
        with contextlib.suppress(BrokenPipeError):
            while started.poll() is None:
                started.stdin.write(b"x" * 1000)
        assert re.search(b"Broken pipe|Connection reset", started.end(7))


def test_reader_closes_the_output(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.sendall(b"first")
        assert read_exactly(started.stdout, 5) == b"first"
        started.stdout.close()
        with contextlib.suppress(OSError):
            conn.sendall(b"second")
        assert started.end() == b""


def test_reader_closes_the_output_while_the_peer_is_quiet(program, listening):
    with connected(program, listening()) as (started, conn):
        started.stdout.close()
        started.stdin.write(b"sent all the same")
        started.close_input()
        assert read_all(conn) == b"sent all the same"
        started.end()


def test_input_read_before_the_reader_closed_is_sent(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.sendall(b"x")
        assert read_exactly(started.stdout, 1) == b"x"
        started.stdin.write(b"y" * 1000)
        assert read_exactly(conn, 1000) == b"y" * 1000
        started.stdout.close()
        conn.sendall(b"x")
        started.end()


@pytest.mark.parametrize("family,kind", [(socket.AF_INET, socket.SOCK_STREAM),
                                         (socket.AF_UNIX, socket.SOCK_STREAM),
                                         (socket.AF_UNIX, socket.SOCK_SEQPACKET)])
@pytest.mark.parametrize("way", ["reader", "count"])
def test_exit_before_the_peer_ends_does_not_reset(program, listening, family, kind, way):
    """Closing with unread bytes would reset the connection, and the peer could lose our bytes."""
    server = listening(kind, family)
    started = program("connect", *["-n", "1"] * (way == "count"), server.url)
    with server.accept()[0] as conn:
        started.stdin.write(b"hello\n")
        assert readable(conn, WAIT_S)
        started.send_signal(signal.SIGSTOP)
        if way == "reader":
            started.stdout.close()
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 19)
        conn.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                conn.send(b"y\n" * 500)
        started.send_signal(signal.SIGCONT)
        conn.settimeout(WAIT_S)
        assert conn.recv(100) == b"hello\n"
        assert conn.recv(100) == b""
    started.end()


def test_exits_although_the_peer_does_not_end(program, listening):
    with connected(program, listening(), "-n", "1", "-m", "hello") as (started, conn):
        conn.sendall(b"x\ny\n")
        started.end()


def test_full_disk(program, listening):
    with open("/dev/full", "wb") as full:
        with connected(program, listening(), stdout=full) as (started, conn):
            conn.sendall(b"x")
            assert b"write standard output: No space left on device" in started.end(9)


def test_input_that_cannot_be_read(program, listening):
    folder = os.open("/", os.O_RDONLY)
    with connected(program, listening(), stdin=folder) as (started, _):
        assert b"read standard input: Is a directory" in started.end(9)
    os.close(folder)


# --- bytes ---

def test_every_byte_passes_unchanged(run, echo):
    data = bytes(range(256)) * 300
    result = run("connect", echo("tcp://127.0.0.1:0"), input=data)
    assert (result.returncode, result.stdout) == (0, data)


@pytest.mark.parametrize("data", [b"Q\n", b"R\nK\n", b"~.\n", b"\x1d\nquit\n", b"\xff\xf4"])
def test_no_byte_is_a_command(run, echo, data):
    assert run("connect", echo("tcp://127.0.0.1:0"), input=data).stdout == data


def test_first_byte_is_written_at_once(program, listening):
    with connected(program, listening()) as (started, conn):
        for byte in (b"a", b"\n", b"\0"):
            conn.sendall(byte)
            assert read_exactly(started.stdout, 1) == byte


def test_large_transfers_both_ways_in_bounded_memory(program, echo):
    """Sends and receives 64 MiB; --stats reports the bytes, /proc the memory."""
    blocks, block = 64, os.urandom(1 << 20)
    started = program("connect", "--stats", echo("tcp://127.0.0.1:0"))

    def feed():
        for _ in range(blocks):
            started.stdin.write(block)
        started.close_input()

    thread = threading.Thread(target=feed)
    thread.start()
    got, peak, digest = 0, 0, hashlib.sha256()
    while piece := os.read(started.stdout.fileno(), 1 << 16):
        got += len(piece)
        digest.update(piece)
        if got % (8 << 20) < len(piece):
            with open(f"/proc/{started.pid}/status", encoding="ascii") as status:
                found = re.search(r"RssAnon:\s+(\d+)", status.read())
                peak = int(found[1]) if found else peak  # the program may have exited
    thread.join()
    said = started.end().decode()
    assert digest.digest() == hashlib.sha256(block * blocks).digest()
    assert re.search(rf"sent {got} bytes .* received {got} bytes", said)
    assert "ASAN_OPTIONS" in os.environ or peak < 4096  # KiB


def test_file_as_input_is_read_from_its_offset(run, echo, tmp_path):
    """The file is not opened again, so the bytes before its offset are not sent."""
    (tmp_path / "in").write_bytes(b"skipped|sent")
    with open(tmp_path / "in", "rb", buffering=0) as file:
        file.read(8)
        assert run("connect", echo("tcp://127.0.0.1:0"), stdin=file).stdout == b"sent"


def test_file_as_output_is_appended_to(run, echo, tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"before|")
    with open(path, "ab") as file:
        run("connect", "-m", "after", echo("tcp://127.0.0.1:0"), stdout=file)
    assert path.read_bytes() == b"before|after\n"


@pytest.mark.parametrize("given, sent", [(b"a\nb\r\n\nc", b"a\r\nb\r\n\r\nc"), (b"", b"")])
def test_crlf(program, listening, given, sent):
    with connected(program, listening(), "--crlf") as (started, conn):
        started.stdin.write(given)
        started.close_input()
        assert read_all(conn) == sent


def test_crlf_split_across_reads(program, listening):
    with connected(program, listening(), "-C") as (started, conn):
        started.stdin.write(b"a\r")
        assert read_exactly(conn, 2) == b"a\r"
        started.stdin.write(b"\nb")
        assert read_exactly(conn, 2) == b"\nb"


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_inherited_descriptor(run, kind, blocking):
    """It keeps its mode, which other processes share."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        ours.sendall(b"answer")
        ours.shutdown(socket.SHUT_WR)
        os.set_blocking(theirs.fileno(), blocking)
        result = run("connect", "-m", "hello", f"fd:{theirs.fileno()}", pass_fds=[theirs.fileno()])
        assert (result.returncode, result.stdout) == (0, b"answer")
        assert ours.recv(100).strip() == b"hello"
        assert os.get_blocking(theirs.fileno()) == blocking


@pytest.mark.parametrize("blocking", [True, False])
def test_much_data_over_an_inherited_descriptor(program, blocking):
    ours, theirs = socket.socketpair()
    data = bytes(range(256)) * 20000
    with ours:
        with theirs:
            os.set_blocking(theirs.fileno(), blocking)
            started = program("connect", f"fd:{theirs.fileno()}", pass_fds=[theirs.fileno()])
        sender = threading.Thread(target=lambda: (started.stdin.write(data), started.close_input()))
        sender.start()
        assert read_all(ours) == data
        sender.join(WAIT_S)
        ours.shutdown(socket.SHUT_WR)
    started.end(0)


def test_descriptors_closed_at_the_start(listening):
    """A socket must not become descriptor 1 or 2."""
    server = listening()
    started = subprocess.Popen(
        ["sh", "-c", f'exec "{SOCKEYE}" connect -v {server.url} <&- >&- 2>&-'])
    with server.accept()[0] as conn:
        assert conn.recv(1) == b""  # neither input nor messages of the program
    assert started.wait(WAIT_S) == 0


@pytest.mark.parametrize("wait", ["0", "200ms"])
def test_wait_with_a_message_to_a_peer_that_never_ends(run, listening, wait):
    server = listening()
    result = run("connect", "-w", wait, "-m", "x", server.url)
    assert (result.returncode, result.stdout) == (0, b"")
    assert server.accept()[0].recv(10) == b"x\n"


def test_reset_and_the_end_of_the_wait_at_once(program, listening):
    """The end of the wait decides the exit code, even if the reset is seen in the same turn."""
    with connected(program, listening(), "-w", "300ms", "-m", "x") as (started, conn):
        assert conn.recv(10) == b"x\n"
        started.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, started.pid, os.WSTOPPED | os.WNOWAIT)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        conn.close()
        over = time.monotonic() + 0.4
        until(lambda: time.monotonic() > over, "the time of -w")
        started.send_signal(signal.SIGCONT)
        assert b"reset" in started.end(7)
