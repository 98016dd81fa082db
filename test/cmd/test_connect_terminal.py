"""sockeye connect on a terminal: control sequences, typed lines, colours."""
import os
import signal
import socket

import pytest

from conftest import read_exactly, readable, until
from connect_fixtures import Terminal, connected, unread


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


def test_terminal_gets_a_character_split_across_reads(program, listening):
    with Terminal() as tty:
        with connected(program, listening(), stdout=tty.theirs) as (_, conn):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in "€é\r\nx".encode():
                conn.sendall(bytes([byte]))
                until(lambda: unread(conn) == 0, "the byte has arrived")
            assert read_exactly(tty.ours, 8) == "€é\r\nx".encode()


def test_raw_passes_control_sequences(program, listening):
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


@pytest.mark.parametrize("env, colored", [({}, True), ({"NO_COLOR": "1"}, False),
                                          ({"NO_COLOR": ""}, True)])
def test_color_on_a_terminal(program, echo, env, colored):
    env = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **env}
    with Terminal() as tty:
        program("connect", "--hex", "-m", "x", echo("tcp://127.0.0.1:0"), stderr=tty.theirs,
                env=env).end()
        assert (b"\x1b[" in os.read(tty.ours, 1000)) == colored
