"""sockeye listen: one client or many, --ready-fd, names, datagrams, UNIX paths."""
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest

from conftest import (QUIET_S, WAIT_S, connect_to, events, read_all, read_events, read_exactly,
                      readable, until)


def test_one_client_then_it_leaves(ready):
    started, [url] = ready("listen", "tcp://127.0.0.1:0")
    with connect_to(url) as client:
        client.sendall(b"in")
        started.stdin.write(b"out")
        assert client.recv(3) == b"out"
        with pytest.raises(ConnectionRefusedError):  # no client is left waiting
            connect_to(url)
        started.close_input()
        assert client.recv(1) == b""
    assert read_all(started.stdout) == b"in"
    said = started.end()
    assert said == f"sockeye: listening on {url}\n".encode()


def test_keep_serves_one_after_another(ready):
    started, [url] = ready("listen", "-k", "tcp://127.0.0.1:0", stdin=subprocess.DEVNULL)
    for text in (b"one", b"two", b"three"):
        with connect_to(url) as client:
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        assert read_exactly(started.stdout, len(text)) == text
    started.send_signal(signal.SIGINT)
    started.end(130)


def test_keep_gives_each_client_its_part_of_the_input(ready):
    started, [url] = ready("listen", "--keep", "tcp://127.0.0.1:0")
    for text in (b"for the first\n", b"for the second\n"):
        with connect_to(url) as client:
            started.stdin.write(text)
            assert read_exactly(client, len(text)) == text
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""  # the session is over, the input is not
    with connect_to(url) as client:
        started.close_input()
        assert client.recv(1) == b""
    started.terminate()
    started.end(130)


def test_keep_outlives_a_reset(ready):
    started, [url] = ready("listen", "-k", "tcp://127.0.0.1:0", stdin=subprocess.DEVNULL)
    with connect_to(url) as client:
        client.sendall(b"x")
        assert read_exactly(started.stdout, 1) == b"x"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connect_to(url) as client:
        client.sendall(b"y")
        assert read_exactly(started.stdout, 1) == b"y"
    started.terminate()
    assert b"Connection reset by peer" in started.end(130)


@pytest.mark.parametrize("when", ["in a session", "between", "datagrams"])
def test_keep_ends_when_the_reader_closes_the_output(ready, when):
    """Like listen -k | head -1."""
    scheme = "udp" if when == "datagrams" else "tcp"
    started, [url] = ready("listen", *["-k"] * (scheme == "tcp"), f"{scheme}://127.0.0.1:0")
    with connect_to(url) as client:
        client.sendall(b"one\n")
        assert read_exactly(started.stdout, 4) == b"one\n"
        if when == "between":
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        started.stdout.close()
        if when == "in a session":
            client.sendall(b"two\n")
            assert client.recv(1) == b""
        started.end()


def test_count_of_clients(ready):
    started, [url] = ready("listen", "--count", "2", "tcp://127.0.0.1:0", stdin=subprocess.DEVNULL)
    for _ in range(2):
        with connect_to(url) as client:
            client.sendall(b"x")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    assert read_all(started.stdout) == b"xx"
    started.end()


def test_message_greets_each_client(ready):
    started, [url] = ready("listen", "-n", "2", "-m", "hello", "tcp://127.0.0.1:0")
    for _ in range(2):
        with connect_to(url) as client:
            assert read_all(client) == b"hello\n"
    started.end()


def test_no_client_in_time(run):
    result = run("listen", "--timeout", "50ms", "tcp://127.0.0.1:0")
    assert result.returncode == 5
    assert b"no client" in result.stderr


def test_ready_line_comes_when_it_listens(ready):
    for _ in range(20):
        started, [url] = ready("listen", "tcp://127.0.0.1:0")
        connect_to(url).close()
        started.close_input()
        started.wait(WAIT_S)


@pytest.mark.parametrize("command", [["listen"], ["serve", "echo"]], ids=["listen", "serve"])
@pytest.mark.parametrize("number", [3, 4, 5, 6, 77])  # the program itself might open low ones
def test_ready_descriptor_that_is_not_open(run, command, number):
    result = run(*command, "--ready-fd", number, "tcp://127.0.0.1:0")
    assert result.returncode == 2
    assert b"--ready-fd: file descriptor %d is not open" % number in result.stderr


@pytest.mark.parametrize("number", [1, 2])
def test_ready_on_a_standard_stream_leaves_it_open(program, number):
    started = program("listen", "-q", "--ready-fd", number, "tcp://127.0.0.1:0")
    stream = started.stdout if number == 1 else started.stderr
    url = b""
    while not url.endswith(b"\n"):
        url += read_exactly(stream, 1)
    with connect_to(url.decode().strip()) as client:
        client.sendall(b"data")
    started.close_input()
    assert read_all(started.stdout) == b"data"
    started.end()


def test_every_address_of_a_wildcard(ready):
    _, [url] = ready("listen", "-k", "tcp://*:0", stdin=subprocess.DEVNULL)
    port = url.rpartition(":")[2]
    for host in ("127.0.0.1", "127.0.0.2", "[::1]"):
        with connect_to(f"tcp://{host}:{port}") as client:
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""


@pytest.mark.parametrize("flag, host", [("-4", "127.0.0.1"), ("-6", "[::1]")])
def test_one_family(ready, flag, host):
    _, [url] = ready("listen", flag, "tcp://localhost:0" if flag == "-4" else "tcp://[::1]:0")
    assert url.startswith(f"tcp://{host}:")
    connect_to(url).close()


@pytest.mark.parametrize("clients", [0, 1])
def test_interrupted_between_clients_in_json(ready, clients):
    started, [url] = ready("listen", "--json", "-k", "tcp://127.0.0.1:0", stdin=subprocess.DEVNULL)
    found = read_events(started.stdout, "listening")
    for _ in range(clients):
        with connect_to(url) as client:
            client.shutdown(socket.SHUT_WR)
            found += read_events(started.stdout, "end")
    started.send_signal(signal.SIGINT)
    last = events(read_all(started.stdout))[-1]
    assert (last["event"], last["op"], last["error"], last["address"], last["exit"]) == (
        "error", "accept", "EINTR", url, 130)
    started.end(130)


def test_port_in_use(run, listening):
    result = run("listen", listening().url)
    assert result.returncode == 9
    assert b"Address already in use" in result.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_port_without_permission(run):
    result = run("listen", "tcp://127.0.0.1:7", user=65534, group=65534)
    assert result.returncode == 9
    assert b"Permission denied" in result.stderr


# --- UNIX sockets ---

@pytest.fixture
def short_path():
    """A folder whose path leaves room for 107 characters."""
    import tempfile
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield pathlib.Path(folder)


@pytest.mark.parametrize("way", ["one client", "signal", "no client"])
def test_path_is_removed_at_every_exit(ready, short_path, way):
    path = short_path / "sock"
    timeout = ["--timeout", "50ms"] if way == "no client" else []
    started, [url] = ready("listen", *timeout, f"unix:{path}")
    assert url == f"unix:{path}"
    if way == "one client":
        with connect_to(url):
            started.close_input()
        started.end()
    elif way == "signal":
        started.terminate()
        started.end(130)
    else:
        started.end(5)
    assert not path.exists()


def test_longest_path(ready, run, short_path):
    path = str(short_path / "x") + "y" * (107 - len(str(short_path / "x")))
    started, [url] = ready("listen", f"unix:{path}", stdin=subprocess.DEVNULL)
    assert run("connect", "-m", "fits", url).returncode == 0
    assert read_all(started.stdout) == b"fits\n"
    started.end()
    for command in ("listen", "connect"):
        result = run(command, f"unix:{path}y")
        assert (result.returncode, b"107" in result.stderr) == (2, True)


def test_mode_and_stale_file(ready, short_path):
    path = short_path / "sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    started, _ = ready("listen", f"unix:{path}?mode=0600")
    assert path.stat().st_mode & 0o777 == 0o600
    started.terminate()
    started.end(130)


def test_live_server_is_left_alone(run, listening, short_path):
    path = short_path / "sock"
    listening(family=socket.AF_UNIX, name=str(path))
    result = run("listen", f"unix:{path}")
    assert (result.returncode, path.is_socket()) == (9, True)


def test_records(ready):
    started, [url] = ready("listen", f"unix-seqpacket:@records-{os.getpid()}", stdin=subprocess.PIPE)
    with connect_to(url) as client:
        started.stdin.write(b"one\ntwo\n")
        assert [client.recv(100), client.recv(100)] == [b"one\n", b"two\n"]
        client.send(b"three")
        client.shutdown(socket.SHUT_WR)
        assert read_exactly(started.stdout, 5) == b"three"
        started.stdin.write(b"more")
        started.close_input()
        assert [client.recv(100), client.recv(100)] == [b"more", b""]
    started.end()


def test_keep_with_records_gives_each_client_its_part_of_the_input(ready):
    started, [url] = ready("listen", "-k", f"unix-seqpacket:@keep-{os.getpid()}",
                           stdin=subprocess.PIPE)
    for text in (b"one\n", b"two\n"):
        with connect_to(url) as client:
            client.send(b"hello")
            assert read_exactly(started.stdout, 5) == b"hello"
            started.stdin.write(text)
            assert client.recv(100) == text
            client.shutdown(socket.SHUT_WR)  # the input is still open
            assert client.recv(100) == b""
    started.terminate()
    started.end(130)


def test_lines_of_the_next_client_are_not_lost_with_the_last_one(ready):
    started, [url] = ready("listen", "-n", "2", f"unix-seqpacket:@next-{os.getpid()}",
                           stdin=subprocess.PIPE)
    with connect_to(url) as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    started.stdin.write(b"one\n")
    started.close_input()
    with connect_to(url) as client:
        assert client.recv(100) == b"one\n"
        client.shutdown(socket.SHUT_WR)
    started.end()


def test_count_of_clients_with_records(ready):
    started, [url] = ready("listen", "-n", "2", f"unix-seqpacket:@count-{os.getpid()}",
                           stdin=subprocess.DEVNULL)
    for _ in range(2):
        with connect_to(url) as client:
            for text in (b"a", b"b", b"c"):
                client.send(text)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    assert read_all(started.stdout) == b"abcabc"
    started.end()


def test_inherited_listener(program, listening):
    server = listening()
    started = program("listen", f"fd:{server.fileno()}", pass_fds=[server.fileno()],
                      stdin=subprocess.DEVNULL)
    with connect_to(server.url) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert read_all(started.stdout) == b"hello"
    started.end()


# --- datagrams ---

def test_datagrams_of_all_and_replies_to_the_latest_sender(ready):
    started, [url] = ready("listen", "udp://127.0.0.1:0")
    with connect_to(url) as first, connect_to(url) as second:
        first.send(b"from first")
        assert read_exactly(started.stdout, 10) == b"from first"
        started.stdin.write(b"to first\n")
        assert first.recv(100) == b"to first\n"
        second.send(b"from second")
        assert read_exactly(started.stdout, 11) == b"from second"
        started.stdin.write(b"to second\n")
        assert second.recv(100) == b"to second\n"
        started.close_input()
        first.send(b"still listening")
        assert read_exactly(started.stdout, 15) == b"still listening"
    started.terminate()
    assert started.end(130).count(b"-byte datagram") == 3


def test_input_waits_for_a_peer(ready):
    started, [url] = ready("listen", "udp://127.0.0.1:0")
    started.stdin.write(b"early\n")
    with connect_to(url) as client:
        client.send(b"")
        assert client.recv(100) == b"early\n"


def test_answer_leaves_from_the_address_that_was_asked(ready):
    started, [url] = ready("listen", "udp://*:0")
    port = int(url.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(WAIT_S)
        client.sendto(b"x", ("127.0.0.7", port))
        assert read_exactly(started.stdout, 1) == b"x"
        started.stdin.write(b"y\n")
        assert client.recvfrom(10) == (b"y\n", ("127.0.0.7", port))


def test_messages_of_a_listener_are_a_dialogue(ready):
    started, [url] = ready("listen", "-w", "1h", "-m", "1", "-m", "2", "-m", "3", "udp://127.0.0.1:0")
    with connect_to(url) as client:
        for text in (b"1", b"2", b"3"):
            client.send(b"?")
            assert client.recv(100) == text
            assert not readable(client, QUIET_S)  # the next message waits for its request
    started.terminate()
    started.end(130)


def test_both_families_of_localhost(ready):
    started, urls = ready("listen", "--count", "2", "udp://*:0", stdin=subprocess.DEVNULL)
    port = urls[0].rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]"):
        with connect_to(f"udp://{host}:{port}") as client:
            client.send(b"x")
            assert read_exactly(started.stdout, 1) == b"x"
    started.end()


def test_count_of_datagrams_counts_empty_ones(ready):
    started, [url] = ready("listen", "--json", "--count", "3", "udp://127.0.0.1:0")
    with connect_to(url) as client:
        for text in (b"a", b"", b"c"):
            client.send(text)
        found = events(read_all(started.stdout))
    started.end()
    assert [e["event"] for e in found] == ["listening", *["datagram"] * 3, "end"]
    assert [(e["data"], e["length"]) for e in found[1:4]] == [("a", 1), ("", 0), ("c", 1)]
    assert found[1]["local"] == "127.0.0.1:0"
    assert (found[4]["received"], found[4]["exit"]) == (3, 0)


def test_unix_datagrams(ready, run, short_path):
    started, [url] = ready("listen", f"unix-dgram:{short_path}/dgram")
    with connect_to(url) as client:
        client.send(b"ping")
        assert read_exactly(started.stdout, 4) == b"ping"
        started.stdin.write(b"pong\n")
        assert client.recv(10) == b"pong\n"
    started.terminate()
    started.end(130)
    assert not (short_path / "dgram").exists()


def test_idle_datagrams(ready):
    started, _ = ready("listen", "--timeout", "50ms", "udp://127.0.0.1:0")
    started.end(5)


def test_reader_that_does_not_read_stops_nothing(ready):
    """A full pipe on standard output does not stop sending."""
    started, [url] = ready("listen", "udp://127.0.0.1:0")
    with connect_to(url) as client:
        for _ in range(200):
            client.send(b"x" * 60_000)
        started.stdin.write(b"out\n")
        assert client.recv(100) == b"out\n"
        assert readable(started.stdout, WAIT_S)
        with open(f"/proc/{started.pid}/stat", encoding="ascii") as stat:
            before = sum(map(int, stat.read().split()[13:15]))
        time.sleep(0.3)
        with open(f"/proc/{started.pid}/stat", encoding="ascii") as stat:
            assert sum(map(int, stat.read().split()[13:15])) - before <= 5  # it does not spin


def test_sessions_do_not_spin(ready):
    """Neither with a full output nor after the peer has closed its side."""
    started, [url] = ready("listen", "tcp://127.0.0.1:0")
    with connect_to(url) as client:
        client.setblocking(False)
        sent = 0
        try:
            while True:
                sent += client.send(b"x" * 65536)
        except BlockingIOError:
            pass
        until(lambda: ticks(started) is not None, "started")
        before = ticks(started)
        time.sleep(0.3)
        assert ticks(started) - before <= 8


def ticks(started):
    with open(f"/proc/{started.pid}/stat", encoding="ascii") as stat:
        return sum(map(int, stat.read().split()[13:15]))
