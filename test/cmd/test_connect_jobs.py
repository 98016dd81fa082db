"""sockeye connect and listen as jobs of a shell: who reads the terminal, and when they end."""
import os
import re
import signal
import socket

import pytest

from conftest import QUIET_S, SOCKEYE, read_all, read_exactly, readable, until
from connect_fixtures import Terminal, connected
from job_shell import JobShell

HINT = "closed its side; --keep-open would go on sending to it until Ctrl-D"


@pytest.fixture(name="shell")
def one_shell(tmp_path):
    with JobShell(tmp_path, os.environ) as shell:
        yield shell


@pytest.fixture(name="connect")
def connect_in_shell(shell, listening):
    """Types a command that connects. Returns the other end of the connection."""
    servers = []

    def start(arguments, suffix="", **how):
        servers.append(listening(**how))
        shell.type(f"{SOCKEYE} connect {arguments} {servers[-1].url} {suffix}\n")
        return servers[-1].accept()[0]
    return start


@pytest.mark.parametrize("kind, family", [(socket.SOCK_STREAM, socket.AF_INET),
                                          (socket.SOCK_STREAM, socket.AF_UNIX),
                                          (socket.SOCK_SEQPACKET, socket.AF_UNIX)])
def test_a_session_on_a_terminal_ends_with_the_peer(shell, connect, kind, family):
    with connect("", kind=kind, family=family) as conn:
        shell.type("hello\n")
        assert conn.recv(100) == b"hello\n"
        conn.send(b"bye\n")
    said = shell.prompt()
    assert "bye\n" in said and HINT in said
    assert shell.run("echo $?").strip() == "0"


def test_the_listener_ends_with_the_sender(shell, tmp_path):
    """The manual's copy from one machine to another, without Ctrl-D at either end."""
    (tmp_path / "file").write_bytes(os.urandom(777777))
    with JobShell(tmp_path, os.environ) as other:
        shell.type(f"{SOCKEYE} listen tcp://127.0.0.1:0 >copy\n")
        shell.wait(rb"listening on ", "the address")
        url = shell.wait(rb"\n", "the end of the line")
        other.run(f"{SOCKEYE} connect {url} <file")
        shell.prompt()
        assert other.run("echo $?").strip() == "0"
        assert shell.run("echo $?").strip() == "0"
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()


def test_a_listener_in_the_background(shell, tmp_path):
    (tmp_path / "file").write_bytes(os.urandom(55555))
    shell.run(f"{SOCKEYE} listen --ready-fd 3 tcp://127.0.0.1:0 >copy 3>at &")
    url = until(lambda: (tmp_path / "at").exists() and (tmp_path / "at").read_text().strip(),
                "the listener is ready")
    assert "Stopped" not in shell.run(f"{SOCKEYE} connect {url} <file")
    assert "Stopped" not in shell.run("wait; jobs")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_background_job_reads_when_it_is_in_the_foreground(shell, connect, kind):
    with connect("", "&", kind=kind, family=socket.AF_UNIX) as conn:
        shell.prompt()
        assert not readable(conn, 3 * QUIET_S)  # no half-close
        conn.send(b"news\n")
        shell.wait(rb"news\n", "the background job's output")
        assert shell.run("echo typed for the shell") == "typed for the shell\n"
        assert "Running" in shell.run("jobs")
        shell.type("fg\n")
        shell.wait(rb"connect[^\n]*\n", "the command in the foreground")
        shell.type("typed for the peer\n")
        assert conn.recv(100) == b"typed for the peer\n"
        shell.type("\x1a")  # Ctrl-Z
        shell.wait(rb"Stopped", "the job is stopped")
        shell.prompt()
        shell.run("bg")
        assert shell.run("echo for the shell again") == "for the shell again\n"
        assert "Running" in shell.run("jobs") and not readable(conn, 0)
        shell.type("fg\n\x04")
        assert conn.recv(100) == b""
    shell.prompt()
    assert shell.run("echo $?").strip() == "0"


def test_a_background_job_ends_with_the_peer(shell, connect):
    with connect("", "&"):
        shell.prompt()
    shell.run("wait $!")
    assert shell.run("echo $?").strip() == "0"


def test_datagrams_from_the_background(shell, listening):
    server = listening(socket.SOCK_DGRAM)
    shell.run(f"{SOCKEYE} connect {server.url} &")
    assert shell.run("echo for the shell") == "for the shell\n"
    assert "Running" in shell.run("jobs") and not readable(server, 0)
    shell.type("fg\n")
    shell.wait(rb"connect[^\n]*\n", "the command in the foreground")
    shell.type("ping\n\x04")
    data, peer = server.recvfrom(100)
    server.sendto(b"pong\n", peer)
    assert data == b"ping\n" and "pong\n" in shell.prompt()


def test_an_orphaned_job_ends_with_the_peer(shell, listening, tmp_path):
    """Its parent is gone, so a read from the terminal would fail with EIO."""
    server = listening()
    shell.run(f"( ({SOCKEYE} connect {server.url}; echo $? >status) </dev/tty & )")
    with server.accept()[0] as conn:
        shell.run("echo typed for the shell")
        assert not readable(conn, 3 * QUIET_S)
    assert until(lambda: (tmp_path / "status").exists() and (tmp_path / "status").read_text(),
                 "the orphan ends") == "0\n"


def test_keep_open_sends_to_a_peer_that_has_half_closed(shell, connect):
    with connect("--keep-open") as conn:
        conn.shutdown(socket.SHUT_WR)
        shell.wait(rb"press Ctrl-D", "the hint")
        shell.type("still here\n")
        assert conn.recv(100) == b"still here\n"
        assert not readable(conn, QUIET_S)
        shell.type("\x04")
        assert conn.recv(100) == b""
    shell.prompt()
    assert shell.run("echo $?").strip() == "0"


def test_typed_before_the_peer_ended(program, listening):
    with Terminal() as tty:
        with connected(program, listening(), stdin=tty.theirs) as (started, conn):
            started.send_signal(signal.SIGSTOP)
            os.write(tty.ours, b"typed early\n")
            conn.shutdown(socket.SHUT_WR)
            started.send_signal(signal.SIGCONT)
            assert read_exactly(conn, 100) == b"typed early\n"
            started.end()


def test_ctrl_d_before_the_peer_ended_needs_no_hint(program, listening):
    with Terminal() as tty:
        with connected(program, listening(), stdin=tty.theirs) as (started, conn):
            os.write(tty.ours, b"\x04")
            assert conn.recv(1) == b""
            conn.close()
            assert started.end() == b""


# --- one direction ---

def test_recv_only_leaves_the_input_alone(program, listening):
    reading, writing = os.pipe()
    os.write(writing, b"not for the peer")
    with connected(program, listening(), "--recv-only", stdin=reading) as (started, conn):
        conn.sendall(b"data")
        assert read_exactly(started.stdout, 4) == b"data"
        assert not readable(conn, QUIET_S)  # neither data nor a half-close
        conn.shutdown(socket.SHUT_WR)
        started.end()
        assert conn.recv(1) == b""
    os.close(writing)
    assert read_all(reading) == b"not for the peer"
    os.close(reading)


@pytest.mark.parametrize("command", ["connect", "listen"])
def test_recv_only_datagrams_end_by_count(program, ready, listening, command):
    """Without input, a session of datagrams would end after a second of silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as conn:
        conn.bind(("127.0.0.1", 0))
        if command == "listen":
            started, [url] = ready("listen", "--recv-only", "-n", 2, "udp://127.0.0.1:0")
            conn.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        else:
            started = program("connect", "-v", "--recv-only", "-n", 2,
                              f"udp://127.0.0.1:{conn.getsockname()[1]}")
            said = b""
            while b"connected: " not in said or not said.endswith(b"\n"):
                said += read_exactly(started.stderr, 1)
            conn.connect(("127.0.0.1", int(re.search(rb"local [^ ]*:(\d+)", said)[1])))
        conn.send(b"one")
        conn.send(b"two")
        assert read_exactly(started.stdout, 6) == b"onetwo"
        started.end()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_send_only_discards_and_ends_with_the_input(program, listening, family):
    with connected(program, listening(family=family), "--send-only") as (started, conn):
        conn.sendall(b"unwanted")
        started.stdin.write(b"wanted")
        started.close_input()
        assert read_exactly(conn, 100) == b"wanted"
        started.end()  # although the peer does not end its side
        assert read_all(started.stdout) == b""


def test_send_only_listener(ready, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 300000)
    with open(tmp_path / "file", "rb") as file:
        started, urls = ready("listen", "--send-only", "tcp://127.0.0.1:0", stdin=file)
    port = int(urls[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as conn:
        conn.sendall(b"unwanted")
        assert len(read_all(conn)) == 300000
        started.end()
        assert read_all(started.stdout) == b""


def test_send_only_datagrams_need_no_reply(run, listening):
    server = listening(socket.SOCK_DGRAM)
    result = run("connect", "--send-only", server.url, input=b"one\ntwo\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert [server.recv(10), server.recv(10)] == [b"one\n", b"two\n"]
