"""Errors show the address that the user wrote, and their hints are true."""
import re
import select
import socket
import struct
import subprocess
import threading

import pytest

from conftest import WAIT_S

LINGER_RESET = struct.pack("ii", 1, 0)


@pytest.mark.parametrize("args, shown", [
    (["connect", "udp://no.invalid:17"], "udp://no.invalid:17"),
    (["connect", "-4", "udp://no.invalid:17"], "udp://no.invalid:17"),
    (["connect", "-6", "--dontroute", "no.invalid:17"], "tcp://no.invalid:17"),
    (["connect", "-4", "no.invalid", "17"], "tcp://no.invalid:17"),
    (["connect", "--bind", "127.0.0.1:18", "tcp://no.invalid:17?nodelay"],
     "tcp://no.invalid:17?nodelay"),
    (["connect", "udp4://no.invalid:17?rcvbuf=4096"], "udp4://no.invalid:17?rcvbuf=4096"),
    (["listen", "-6", "no.invalid:17"], "tcp://no.invalid:17"),
    (["get", "-4", "--netascii", "-b", "127.0.0.1", "tftp://no.invalid/x"], "tftp://no.invalid/x"),
    (["get", "tftp://no.invalid:1069/x%20y"], "tftp://no.invalid:1069/x%20y"),
    (["put", "-6", "/dev/null", "tftp://no.invalid/x"], "tftp://no.invalid/x"),
    (["put", "-4", "/dev/null", "tftp://no.invalid/x/"], "tftp://no.invalid/x/null"),
])
def test_the_address_as_it_was_written(run, args, shown):
    done = run(*args)
    assert done.returncode == 3
    assert done.stderr.decode().startswith(f"sockeye: resolve {shown}: ")


@pytest.mark.parametrize("json", [False, True])
def test_the_address_of_a_host_name(run, json):
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        url = f"tcp://localhost:{gone.getsockname()[1]}"
        done = run("connect", "-4", url, *(["--json"] if json else []))
    said = (done.stdout if json else done.stderr).decode()
    assert done.returncode == 4 and url in said and "tcp4" not in said
    assert "(127.0.0.1); nothing listens there" in said or json


def test_the_local_address_as_it_was_written(run, listening):
    done = run("connect", "--bind", "192.0.2.77", listening().url)
    assert done.returncode == 6
    assert b"sockeye: bind tcp://192.0.2.77: Cannot assign requested address (" in done.stderr


# --- ports in use ---

def connection():
    """A connection whose server did not set SO_REUSEADDR, and has closed its listener."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client = socket.create_connection(server.getsockname(), WAIT_S)
        conn, _ = server.accept()
    return conn, client


def time_wait():
    """Leaves a connection of a server in TIME_WAIT, and returns the server's port."""
    conn, client = connection()
    port = conn.getsockname()[1]
    conn.close()
    assert client.recv(1) == b""
    client.close()
    return port


@pytest.mark.parametrize("command", [["serve", "echo"], ["listen"]])
def test_a_port_in_time_wait(run, command):
    port = time_wait()
    done = run(*command, f"tcp://127.0.0.1:{port}")
    said = done.stderr.decode()
    seconds = re.search(r"a connection in TIME_WAIT has the port, free in (\d+) s; .* SO_REUSEADDR", said)
    assert done.returncode == 9 and seconds and 1 <= int(seconds[1]) <= 61, said
    assert "ss -" not in said and "try:" not in said


def test_a_port_of_a_connection(run):
    conn, client = connection()
    with conn, client:
        done = run("serve", "echo", f"tcp://*:{conn.getsockname()[1]}")
    assert done.returncode == 9 and b"opened without SO_REUSEADDR has the port" in done.stderr
    assert b"ss -tanp" in done.stderr and b"TIME_WAIT" not in done.stderr


def test_a_port_of_a_server(run, listening):
    """Its connections in TIME_WAIT are not the cause."""
    server = listening()
    for _ in range(3):
        with socket.create_connection(server.getsockname(), WAIT_S) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    done = run("serve", "echo", server.url)
    assert done.returncode == 9 and b"ss -ltnp shows which process listens there" in done.stderr
    assert b"TIME_WAIT" not in done.stderr and b"twice" not in done.stderr


@pytest.mark.parametrize("first, second", [
    ("tcp://127.0.0.1:{}", "tcp://127.0.0.1:{}"), ("tcp://*:{}", "tcp://127.0.0.1:{}"),
    ("tcp://:{}", "tcp://:{}"), ("udp://127.0.0.1:{}", "udp://127.0.0.1:{}"),
    ("udp://127.0.0.1:{}", "udp://:{}"), ("unix:{}.sock", "unix:{}.sock"),
    ("unix:@sockeye-twice-{}", "unix:@sockeye-twice-{}"),
    ("unix-dgram:{}.sock", "unix-dgram:{}.sock"),
])
def test_given_twice(run, tmp_path, first, second):
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::", 0))  # free for all addresses
        port = free.getsockname()[1]
    done = run("serve", "echo", first.format(port), "upper", second.format(port), cwd=tmp_path)
    assert done.returncode == 9
    assert b"(given twice: this command already uses it)\n" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_client_port_in_time_wait(run, netns, listening):
    with open("/proc/sys/net/ipv4/tcp_timestamps", "w", encoding="ascii") as timestamps:
        timestamps.write("0")  # with them, the kernel uses the port again (RFC 6191)
    server = listening()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", 0))
        local = "127.0.0.1:%d" % client.getsockname()[1]
        client.connect(server.getsockname())
        conn, _ = server.accept()
        done = run("connect", "--bind", local, server.url)
        assert done.returncode == 6
        assert b"another connection from the same port to the server exists" in done.stderr
    with conn:
        assert conn.recv(1) == b""
    done = run("connect", "--bind", local, server.url)
    assert done.returncode == 6
    assert re.search(rb"is in TIME_WAIT for \d+ s more\)\n", done.stderr), done.stderr


# --- servers that do not accept, or do not take a half-close ---

@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_a_full_backlog(run, listening, family):
    server = listening(family=family, backlog=1)
    waiting = []
    for _ in range(4):
        sock = socket.socket(family)
        sock.setblocking(False)
        sock.connect_ex(server.getsockname())
        waiting.append(sock)
    done = run("connect", "--connect-timeout", "400ms", server.url)
    for sock in waiting:
        sock.close()
    assert done.returncode == 5 and b"the server's backlog is full" in done.stderr
    assert b"firewall" not in done.stderr


def test_no_answer_without_a_backlog(run, netns):
    """A server of this machine with the same port is not the cause."""
    subprocess.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"], check=True)
    for args in (["addr", "add", "192.0.2.1/24", "dev", "v0"], ["link", "set", "v0", "up"],
                 ["link", "set", "v1", "up"],
                 ["neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:01", "dev", "v0"]):
        subprocess.run(["ip", *args], check=True)
    done = run("connect", "--connect-timeout", "200ms", "tcp://192.0.2.2:9")
    assert done.returncode == 5 and b"firewall" in done.stderr and b"backlog" not in done.stderr


def session(program, listening, *options, given=b"hello\n", reply=b"", reset=False):
    """One connection to a server that ends it when it sees the end of the input."""
    server = listening()
    client = program("connect", *options, server.url)
    conn, _ = server.accept()
    with conn:
        client.stdin.write(given)
        client.stdin.close()
        got = 0
        while got < len(given):
            got += len(conn.recv(65536))
        if "--no-shutdown" not in options:
            assert conn.recv(1) == b""
        conn.sendall(reply)
        if reset:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    return client


def test_a_server_that_ends_with_the_input(program, listening):
    client = session(program, listening)
    assert b"closed without a reply when the input had ended" in (said := client.end())
    assert b"try --no-shutdown" in said


def test_a_server_that_resets_at_the_end_of_the_input(program, listening):
    said = session(program, listening, reset=True).end(7)
    assert b"Connection reset by peer (the peer closed the connection before it had read all " \
           b"input; if it expects none, use --recv-only; if the end of the input was the cause, " \
           b"use --no-shutdown)" in said


def test_a_server_that_sends_without_reading(run, listening):
    """Like daytime: it closes with the text that was sent still unread."""
    server = listening()

    def serve():
        conn, _ = server.accept()
        with conn:
            conn.sendall(b"noon\n")
            half_closed = select.poll()
            half_closed.register(conn, select.POLLRDHUP)
            half_closed.poll(WAIT_S * 1000)
    thread = threading.Thread(target=serve)
    thread.start()
    done = run("connect", "-m", "date?", server.url)
    thread.join()
    assert (done.returncode, done.stdout) == (7, b"noon\n")
    assert b"if it expects none, use --recv-only" in done.stderr


@pytest.mark.parametrize("options, given, reply", [
    (["--no-shutdown"], b"hello\n", b""), (["--send-only"], b"hello\n", b""), (["-q"], b"hello\n", b""), ([], b"hello\n", b"hi"),
    ([], b"", b""), ([], bytes(100_000), b""),
], ids=["no-shutdown", "send-only", "quiet", "reply", "no-input", "file"])
def test_sessions_without_that_hint(program, listening, options, given, reply):
    assert session(program, listening, *options, given=given, reply=reply).end() == b""
