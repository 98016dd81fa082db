"""nc, ncat, socat, curl and Python with our servers, under every model."""
import os
import socket
import subprocess

import pytest

from serving import KEEP_ROOT, WAIT_S, parse, same
from theirs import answer_of, both_ways, client, listening, need, output_of

STREAM = [pytest.param(name, scheme, marks=need(name))
          for scheme, names in (("tcp", ["nc", "ncat", "socat"]), ("unix", ["nc", "ncat", "socat"]),
                                ("unix-seqpacket", ["socat"])) for name in names]
DATAGRAM = [pytest.param(name, scheme, marks=need(name))
            for scheme, names in (("udp", ["nc", "ncat", "socat"]),
                                  ("unix-dgram", ["nc", "socat"])) for name in names]


def place(scheme, folder):
    return f"{scheme}:{folder}/s" if scheme.startswith("unix") else f"{scheme}://127.0.0.1:0"


@pytest.mark.parametrize("name, scheme", STREAM)
def test_echo_to_the_end(serve, tmp_path, name, scheme, model):
    """The client receives all bytes and then the end, and exits."""
    server = serve("echo", place(scheme, tmp_path), model=model)
    data = os.urandom(5000 if scheme == "unix-seqpacket" else 300_000)
    same(output_of(client(name, server.address), data), data)
    assert server.wait_counters(open=0)["closed_end"] == 1


@pytest.mark.parametrize("name, scheme", DATAGRAM)
def test_echo_of_datagrams(serve, tmp_path, name, scheme, model):
    # The workers must be able to write to the socket of a client that is root.
    server = serve("echo", place(scheme, tmp_path), *KEEP_ROOT, model=model)
    assert answer_of(client(name, server.address), b"hello\n", 6) == b"hello\n"
    assert server.counters()["datagrams_in"] == 1


@pytest.mark.parametrize("name", [pytest.param(n, marks=need(n)) for n in ("nc", "ncat", "socat")])
def test_over_ipv6(serve, name):
    server = serve("upper", "tcp://[::1]:0")
    assert output_of(client(name, server.address), b"six\n") == b"SIX\n"


@pytest.mark.parametrize("name, scheme", STREAM)
def test_server_ends_first(serve, tmp_path, name, scheme, model):
    server = serve("daytime", place(scheme, tmp_path), model=model)
    assert output_of(client(name, server.address), b"").endswith(b" +0000\r\n")


def telnet(server):
    return ["curl", "-sN", "telnet://127.0.0.1:%d" % parse(server.address)[1][1]]


@need("curl")
@pytest.mark.parametrize("service, sent, reply", [
    ("upper", b"hello\n", b"HELLO\n"), ("echo", b"x" * 1000 + b"\n", b"x" * 1000 + b"\n"),
    ("reply", b"?\n", b"Server got message\n")], ids=["upper", "echo", "reply"])
def test_curl_telnet(serve, service, sent, reply, model):
    server = serve(service, "tcp://127.0.0.1:0", model=model)
    assert answer_of(telnet(server), sent, len(reply)) == reply


@need("curl")
def test_curl_receives_the_time(serve, model):
    server = serve("daytime", "tcp://127.0.0.1:0", model=model)
    assert output_of(telnet(server), b"").endswith(b" +0000\r\n")


@need("nc")
def test_server_survives_a_port_scan(serve, model):
    server = serve("echo", "tcp://127.0.0.1:0", model=model)
    for _ in range(20):
        subprocess.run(["nc", "-z", "127.0.0.1", str(parse(server.address)[1][1])], check=True)
    assert server.ask(b"still") == b"still"


def test_python_sockets(serve, model):
    server = serve("echo", "tcp://127.0.0.1:0", model=model)
    with socket.create_connection(parse(server.address)[1]) as s, s.makefile("rwb") as file:
        for i in range(100):
            file.write(b"line %d\n" % i)
            file.flush()
            assert file.readline() == b"line %d\n" % i


# --- sockeye listen ---

@pytest.mark.parametrize("name, scheme", [pytest.param(*p.values, marks=p.marks) for p in STREAM
                                          if p.values[1] != "unix-seqpacket"])
def test_listen_both_ways(tmp_path, name, scheme):
    to_server, to_client = os.urandom(200_000), os.urandom(150_000)
    with listening(place(scheme, tmp_path)) as (server, address):
        heard = both_ways(client(name, address), server, to_server, to_client)
        same(heard[0], to_server)
        same(heard[1], to_client)
        assert server.wait(WAIT_S) == 0


@pytest.mark.parametrize("name", [pytest.param(n, marks=need(n)) for n in ("nc", "ncat", "socat")])
def test_listen_receives_datagrams(name):
    with listening("--count", "1", "udp://127.0.0.1:0") as (server, address):
        output_of(client(name, address), b"over here\n")
        assert server.communicate(b"", timeout=WAIT_S)[0] == b"over here\n"
        assert server.returncode == 0


@need("nc")
def test_listen_keep(tmp_path):
    with listening("-k", "--count", "3", "tcp://127.0.0.1:0") as (server, address):
        server.stdin.close()
        for i in range(3):
            output_of(client("nc", address), b"client %d\n" % i)
        assert server.stdout.read() == b"client 0\nclient 1\nclient 2\n"
        assert server.wait(WAIT_S) == 0
