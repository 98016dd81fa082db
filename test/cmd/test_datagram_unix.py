"""sockeye connect on UNIX datagrams and records."""
import os
import socket
import threading

import pytest

from conftest import QUIET_S, WAIT_S, connect_to, events, read_all, read_exactly, readable
from datagram_fixtures import Answering


def test_unix_client_without_a_name_gets_replies(run, listening):
    server = listening(socket.SOCK_DGRAM, socket.AF_UNIX)
    Answering(server)
    assert run("connect", "-m", "hello", server.url).stdout == b"hello"


def test_unix_client_with_a_path_removes_it(run, listening, tmp_path):
    server = listening(socket.SOCK_DGRAM, socket.AF_UNIX)
    Answering(server)
    path = tmp_path / "client"
    result = run("connect", "--bind", path, "-m", "hello", server.url)
    assert (result.returncode, result.stdout) == (0, b"hello")
    assert not path.exists()
    path.write_text("somebody's file")
    assert run("connect", "--bind", path, "-m", "hello", server.url).returncode == 9
    assert path.read_text() == "somebody's file"


def test_path_of_a_failed_attempt_is_removed(run, tmp_path):
    path = tmp_path / "client"
    result = run("connect", "--bind", path, "--retry", "2", "--retry-pause", "1ms",
                 f"unix:{tmp_path}/nobody")
    assert result.returncode == 9
    assert result.stderr.count(b"No such file") == 3
    assert not path.exists()


def test_unix_server_that_closes(program, listening):
    server = listening(socket.SOCK_DGRAM, socket.AF_UNIX)
    started = program("connect", "--wait", "0", server.url)
    started.stdin.write(b"taken\n")
    assert server.recv(100) == b"taken\n"
    server.close()
    started.stdin.write(b"refused\n")
    assert b"Connection refused" in os.read(started.stderr.fileno(), 1000)
    started.close_input()
    started.end(4)


def test_full_queue_of_a_unix_server_waits(program, listening):
    server = listening(socket.SOCK_DGRAM, socket.AF_UNIX)
    started = program("connect", "--wait", "0", "--per", "1000", server.url)
    blocks = 600  # more than a socket's queue holds (net.unix.max_dgram_qlen)
    feeder = threading.Thread(target=lambda: (started.stdin.write(b"x" * 1000 * blocks),
                                              started.close_input()))
    feeder.start()
    assert [len(server.recv(2000)) for _ in range(blocks)] == [1000] * blocks
    feeder.join()
    started.end()


def test_records_keep_their_boundaries_and_end(program, listening):
    server = listening(socket.SOCK_SEQPACKET, socket.AF_UNIX)
    started = program("connect", server.url)
    with server.accept()[0] as conn:
        started.stdin.write(b"one\ntwo\n")
        started.close_input()
        assert [conn.recv(100) for _ in range(3)] == [b"one\n", b"two\n", b""]
        conn.send(b"answer")  # after the end of the input
        conn.send(b"")
        conn.send(b"after an empty one")
    assert read_all(started.stdout) == b"answerafter an empty one"
    assert b"empty record" in started.end()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_empty_records_are_not_the_end(run, listening, count):
    server = listening(socket.SOCK_SEQPACKET, socket.AF_UNIX)

    def serve():
        with server.accept()[0] as conn:
            for _ in range(count):
                conn.send(b"")
    peer = threading.Thread(target=serve)
    peer.start()
    result = run("connect", "--json", "--no-shutdown", server.url)
    peer.join()
    lengths = [e["length"] for e in events(result.stdout) if e["event"] == "record"]
    assert (lengths, result.returncode) == ([0] * count, 0)


def test_records_of_a_peer_that_resets(program, listening):
    server = listening(socket.SOCK_SEQPACKET, socket.AF_UNIX)
    started = program("connect", server.url)
    with server.accept()[0] as conn:
        started.stdin.write(b"never read\n")
        assert readable(conn, WAIT_S)
    started.end(7)


def test_records_before_a_reset_are_shown(program, listening):
    server = listening(socket.SOCK_SEQPACKET, socket.AF_UNIX)
    started = program("connect", "-m", "hello", server.url)
    conn = server.accept()[0]
    assert readable(conn, WAIT_S)
    conn.send(b"busy\n")
    conn.close()  # closing with unread records resets the connection
    assert read_all(started.stdout) == b"busy\n"
    assert b"reset" in started.end(7)


def test_listener_receives_records_of_a_peer_that_does_not_read(ready):
    with open("/dev/zero", "rb") as endless:
        started, [url] = ready("listen", "--per", "1000", f"unix-seqpacket:@hears-{os.getpid()}",
                               stdin=endless)
    with connect_to(url) as conn:
        assert readable(conn, WAIT_S)
        assert not readable(started.stdout, QUIET_S)  # and the queue fills
        conn.send(b"hear me\n")
        assert read_exactly(started.stdout, 8) == b"hear me\n"
