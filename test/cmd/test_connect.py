"""sockeye connect on streams: ends, waits, bytes, terminals, urgent data, JSON."""
import contextlib
import fcntl
import hashlib
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from conftest import (QUIET_S, SOCKEYE, WAIT_S, events, read_all, read_events, read_exactly,
                      readable, until)

RESET = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def connected(program, server, *args, **kw):
    """The program, connected to a listening socket, and the other end."""
    started = program("connect", *args, server.url, **kw)
    with server.accept()[0] as conn:
        yield started, conn


def reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    conn.close()


# --- the ends ---

def test_answer_that_comes_long_after_the_input_ended(program, listening):
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


def test_both_ends_leave_at_once_in_spite_of_an_idle_timeout(program, listening):
    begun = time.monotonic()
    with connected(program, listening(), "--timeout", "1h",
                   stdin=subprocess.DEVNULL) as (started, conn):
        conn.close()
        started.end()
    assert time.monotonic() - begun < WAIT_S


def test_idle_timeout(program, listening):
    with connected(program, listening(), "--timeout", "100ms") as (started, _):
        assert b"Timer expired" in started.end(5)


def test_idle_timeout_begins_again_with_each_byte(program, listening):
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


def test_count_leaves_after_so_many_lines(program, listening):
    with connected(program, listening(), "--count", "2") as (started, conn):
        conn.sendall(b"one\ntwo\nthree\n")
        assert read_all(started.stdout) == b"one\ntwo\n"
        started.end()


# --- broken connections and outputs ---

def test_reset_comes_after_what_was_received(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.sendall(b"before")
        assert read_exactly(started.stdout, 6) == b"before"
        reset(conn)
        assert read_all(started.stdout) == b""
        assert b"Connection reset by peer" in started.end(7)


def test_what_waits_when_the_reset_comes_is_passed_on(program, listening):
    data = os.urandom(300_000)  # more than the pipe and less than it and the buffer
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


def unread(conn):
    """Bytes sent and not yet acknowledged (SIOCOUTQ)."""
    import fcntl
    return struct.unpack("i", fcntl.ioctl(conn.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]


def test_writing_to_a_connection_that_is_gone(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.close()
        assert read_all(started.stdout) == b""
        with contextlib.suppress(BrokenPipeError):
            while started.poll() is None:
                started.stdin.write(b"x" * 1000)
        assert re.search(b"Broken pipe|Connection reset", started.end(7))


def test_reader_of_the_output_leaves(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.sendall(b"first")
        assert read_exactly(started.stdout, 5) == b"first"
        started.stdout.close()
        with contextlib.suppress(OSError):
            conn.sendall(b"second")
        assert started.end() == b""


def test_reader_of_the_output_leaves_while_the_peer_is_quiet(program, listening):
    with connected(program, listening()) as (started, conn):
        started.stdout.close()
        started.stdin.write(b"sent all the same")
        started.close_input()
        assert read_all(conn) == b"sent all the same"
        started.end()


def test_input_taken_before_the_reader_left_is_sent(program, listening):
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
def test_leaving_before_the_peer_has_ended_is_no_reset(program, listening, family, kind, way):
    """Closing with bytes unread would be one, and may cost it ours."""
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


def test_peer_that_does_not_end_is_left_all_the_same(program, listening):
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


def test_first_byte_is_shown_as_soon_as_it_comes(program, listening):
    with connected(program, listening()) as (started, conn):
        for byte in (b"a", b"\n", b"\0"):
            conn.sendall(byte)
            assert read_exactly(started.stdout, 1) == byte


def test_much_both_ways_in_bounded_memory(program, echo):
    """64 MiB; --stats tells the bytes, /proc the memory."""
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
                peak = int(found[1]) if found else peak  # it may have ended by now
    thread.join()
    said = started.end().decode()
    assert digest.digest() == hashlib.sha256(block * blocks).digest()
    assert re.search(rf"sent {got} bytes .* received {got} bytes", said)
    assert "ASAN_OPTIONS" in os.environ or peak < 4096  # KiB


def test_file_as_input_keeps_its_offset_right(run, echo, tmp_path):
    """A file is not opened again: what is read before stays read."""
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


def test_crlf_across_pieces(program, listening):
    with connected(program, listening(), "-C") as (started, conn):
        started.stdin.write(b"a\r")
        assert read_exactly(conn, 2) == b"a\r"
        started.stdin.write(b"\nb")
        assert read_exactly(conn, 2) == b"\nb"


# --- terminals ---

class Terminal:
    """A pseudo-terminal that the program has for some of its descriptors."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        modes = termios.tcgetattr(self.theirs)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self.theirs, termios.TCSANOW, modes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.ours)
        os.close(self.theirs)

    def modes(self):
        return termios.tcgetattr(self.theirs), os.get_blocking(self.theirs)


@pytest.mark.parametrize("given, shown", [
    (b"plain\n", b"plain\n"),
    (b"\x1b]0;title\x07\n", rb"\e]0;title\x07" + b"\n"),
    (b"\x1b[2J\n", rb"\e[2J" + b"\n"),
    (b"\x9b31m\n", rb"\x9b31m" + b"\n"),
    ("\u009b31m\n".encode(), rb"\xc2\x9b31m" + b"\n"),  # CSI as a C1 control
    ("žluť €\n".encode(), "žluť €\n".encode()),
    (b"tab\tback\\slash\r\n", b"tab\tback\\slash\r\n"),
    (b"hidden\rtext\n", b"hidden\\rtext\n"),
    (b"\x00\x08\n", rb"\0\x08" + b"\n"),
    (b"cut \xe2\x82", rb"cut \xe2\x82"),
])
def test_terminal_gets_no_control_sequences(program, listening, given, shown):
    with Terminal() as tty:
        with connected(program, listening(), stdout=tty.theirs) as (started, conn):
            conn.sendall(given)
            conn.shutdown(socket.SHUT_WR)
            assert read_exactly(tty.ours, len(shown)) == shown
            started.close_input()
            started.end()
            assert not readable(tty.ours, 0)


def test_terminal_gets_a_character_that_comes_in_pieces(program, listening):
    with Terminal() as tty:
        with connected(program, listening(), stdout=tty.theirs) as (_, conn):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in "€é\r\nx".encode():
                conn.sendall(bytes([byte]))
                until(lambda: unread(conn) == 0, "the byte has arrived")
            assert read_exactly(tty.ours, 8) == "€é\r\nx".encode()


def test_raw_lets_control_sequences_through(program, listening):
    with Terminal() as tty:
        with connected(program, listening(), "--raw", stdout=tty.theirs) as (_, conn):
            conn.sendall(b"\x1b[1m")
            assert read_exactly(tty.ours, 4) == b"\x1b[1m"


def test_pipe_gets_control_sequences_exactly(program, listening):
    with connected(program, listening()) as (started, conn):
        conn.sendall(b"\x1b]0;t\x07")
        assert read_exactly(started.stdout, 6) == b"\x1b]0;t\x07"


def test_typed_line_is_sent_at_once_and_ctrl_d_ends(program, listening):
    with Terminal() as tty:
        before = tty.modes()
        with connected(program, listening(), stdin=tty.theirs, stdout=tty.theirs) as (started, conn):
            os.write(tty.ours, b"typed\n")
            assert conn.recv(100) == b"typed\n"
            os.write(tty.ours, b"\x04")
            assert conn.recv(1) == b""
            conn.sendall(b"bye\n")
            conn.close()
            assert read_exactly(tty.ours, 4) == b"bye\n"
            started.end()
        assert tty.modes() == before


def test_hint_when_the_peer_ends_and_somebody_types(program, listening):
    with Terminal() as tty:
        with connected(program, listening(), stdin=tty.theirs) as (started, conn):
            conn.shutdown(socket.SHUT_WR)
            assert b"Ctrl-D" in os.read(started.stderr.fileno(), 1000)
            os.write(tty.ours, b"\x04")
            started.end()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(program, listening, sig):
    with Terminal() as tty:
        before = tty.modes()
        with connected(program, listening(), stdin=tty.theirs) as (started, conn):
            conn.sendall(b"x")
            assert read_exactly(started.stdout, 1) == b"x"
            started.send_signal(sig)
            assert started.end(130) == b""
        assert tty.modes() == before


# --- what is shown beside ---

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


@pytest.mark.parametrize("env, colored", [({}, True), ({"NO_COLOR": "1"}, False),
                                          ({"NO_COLOR": ""}, True)])
def test_color_on_a_terminal(program, echo, env, colored):
    env = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **env}
    with Terminal() as tty:
        program("connect", "--hex", "-m", "x", echo("tcp://127.0.0.1:0"), stderr=tty.theirs,
                env=env).end()
        assert (b"\x1b[" in os.read(tty.ours, 1000)) == colored


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


def test_much_urgent_data_is_sent_whole(program, listening):
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


def test_verbose_tells_both_names_and_every_address(run, listening):
    server = listening()
    result = run("connect", "-v", "--wait-after-eof", "0", server.url)
    port = server.getsockname()[1]
    assert f"tried 127.0.0.1:{port}: connected" in result.stderr.decode()
    assert re.search(rf"connected: local 127.0.0.1:\d+, peer 127.0.0.1:{port}",
                     result.stderr.decode())


def test_quiet_says_nothing(run, listening):
    result = run("connect", "-q", "--wait-after-eof", "0", "--peek", "3", listening().url)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_json_is_a_document_a_line(program, listening):
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
    """Much that expands most in JSON, to a reader that comes late."""
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
def test_json_is_whole_when_the_end_meets_a_late_reader(program, listening, kind, args):
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
        until(lambda: sent_what_goes(conn) and blocked_write(started.stdout), "a full pipe")
        if args:
            assert not readable(started.stderr, 2 * QUIET_S)  # the time is over
        else:
            started.send_signal(signal.SIGINT)
        found = events(read_all(started.stdout))
    assert found[-1]["event"] == "end"
    started.end(found[-1]["exit"])
    assert started.returncode == (5 if args else 130)


def sent_what_goes(conn):
    with contextlib.suppress(BlockingIOError):
        conn.send(b"\1" * 30_000)
    return True


def blocked_write(pipe):
    """Whether less than a page is free in the pipe."""
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


# --- which address ---

@pytest.fixture
def run_twice(netns, tmp_path):
    """run() where there is loopback alone, and twice.example has an address of
    each family, by a hosts file in a mount namespace of the program's own."""
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 twice.example\n127.0.0.1 twice.example\n", encoding="ascii")
    under = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
    if subprocess.run([*under, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    return lambda *args: subprocess.run([*under, SOCKEYE, *args], stdin=subprocess.DEVNULL,
                                        capture_output=True, timeout=WAIT_S, check=False)


def test_ipv6(run, listening):
    server = listening(family=socket.AF_INET6)
    result = run("connect", "--wait-after-eof", "0", f"[::1]:{server.getsockname()[1]}")
    assert result.returncode == 0, result.stderr


def test_two_addresses_the_first_refuses(run_twice, listening):
    server = listening()
    port = server.getsockname()[1]
    begun = time.monotonic()
    result = run_twice("connect", "-v", "--wait-after-eof", "0", f"tcp://twice.example:{port}")
    assert result.returncode == 0
    said = result.stderr.decode()
    assert f"tried [::1]:{port}: Connection refused" in said
    assert f"tried 127.0.0.1:{port}: connected" in said
    assert time.monotonic() - begun < WAIT_S


def test_two_addresses_both_refuse(run_twice):
    result = run_twice("connect", "--json", "tcp://twice.example:9")
    found = events(result.stdout)
    assert [(e["event"], e["error"]) for e in found] == [
        ("attempt", "ECONNREFUSED"), ("attempt", "ECONNREFUSED"), ("error", "ECONNREFUSED")]
    assert {e["address"] for e in found[:2]} == {"[::1]:9", "127.0.0.1:9"}
    assert result.returncode == 4


@pytest.mark.parametrize("flag, address", [("-4", "127.0.0.1"), ("-6", "[::1]")])
def test_one_family_on_a_machine_with_loopback_only(run_twice, flag, address):
    result = run_twice("connect", "-v", flag, "tcp://twice.example:9")
    assert result.returncode == 4
    tried = re.findall(r"tried (\S+):9:", result.stderr.decode())
    assert tried == [address]


def test_bind(program, listening):
    server = listening()
    started = program("connect", "--bind", "127.0.0.9", server.url)
    conn, peer = server.accept()
    with conn:
        assert peer[0] == "127.0.0.9"
    started.close_input()
    started.end()


def test_bound_unix_path_is_removed(program, listening, tmp_path):
    server, path = listening(family=socket.AF_UNIX), tmp_path / "client"
    started = program("connect", "--bind", path, server.url)
    conn, peer = server.accept()
    with conn:
        assert peer == str(path)
        assert path.is_socket()
        started.terminate()
        started.end(130)
    assert not path.exists()


def test_retry_until_somebody_listens(program, tmp_path):
    path = tmp_path / "late"
    started = program("connect", "--retry", "1000", "--retry-pause", "10ms", f"unix:{path}")
    assert b"trying again" in os.read(started.stderr.fileno(), 1000)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(WAIT_S)
        server.accept()[0].close()
    started.close_input()
    assert started.wait(WAIT_S) == 0


def test_retry_gives_up(run):
    result = run("connect", "--retry", "2", "--retry-pause", "1ms", "tcp://127.0.0.1:1")
    assert result.returncode == 4
    assert result.stderr.count(b"trying again") == 2


def test_inherited_descriptor(run):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"answer")
        ours.shutdown(socket.SHUT_WR)
        result = run("connect", "-m", "hello", f"fd:{theirs.fileno()}", pass_fds=[theirs.fileno()])
        assert (result.returncode, result.stdout) == (0, b"answer")
        assert ours.recv(100) == b"hello\n"
        assert theirs.getblocking()


def test_descriptors_closed_at_the_start(listening):
    """A socket must not become descriptor 1 or 2."""
    server = listening()
    started = subprocess.Popen(
        ["sh", "-c", f'exec "{SOCKEYE}" connect -v {server.url} <&- >&- 2>&-'])
    with server.accept()[0] as conn:
        assert conn.recv(1) == b""  # no input, and no words of the program either
    assert started.wait(WAIT_S) == 0


@pytest.mark.parametrize("wait", ["0", "200ms"])
def test_wait_with_a_message_to_a_peer_that_never_ends(run, listening, wait):
    server = listening()
    result = run("connect", "-w", wait, "-m", "x", server.url)
    assert (result.returncode, result.stdout) == (0, b"")
    assert server.accept()[0].recv(10) == b"x\n"


def test_reset_and_the_end_of_the_wait_at_once(program, listening):
    """An end that was decided stays: the time was over, too, when it was seen."""
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
