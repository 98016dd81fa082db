"""sockeye bench against servers that answer wrongly, late or not at all."""
import resource
import socket

import pytest

from bench_fixtures import RST, bench, bench_json, echo, serve


def flip(at):
    def change(data):
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
    return change


def test_one_wrong_byte(serve):
    server = serve(lambda server, conn: echo(server, conn, flip(17)))
    code, result = bench_json(server.url, "-c", 3, "-n", 1000)
    assert code == 8
    assert result["error"] == "MISMATCH" and "from byte 17:" in result["detail"]
    assert (result["errors"]["mismatch"], result["messages"]) == (3, 0)


def test_one_wrong_byte_of_a_datagram(serve):
    def wrong(server, sock):
        for i in range(1 << 30):
            data, peer = sock.recvfrom(1 << 17)
            sock.sendto(flip(33)(data) if i == 10 else data, peer)

    code, result = bench_json(serve(wrong, kind=socket.SOCK_DGRAM).url, "-n", 100)
    assert code == 8
    assert (result["errors"]["mismatch"], result["messages"]) == (1, 99)
    assert "from byte 33:" in result["detail"]


@pytest.mark.parametrize("change", [lambda data: data + b"!", lambda data: data[:-1]],
                         ids=["longer", "shorter"])
def test_a_datagram_of_another_length(serve, change):
    def wrong(server, sock):
        while True:
            data, peer = sock.recvfrom(1 << 17)
            sock.sendto(change(data), peer)

    code, result = bench_json(serve(wrong, kind=socket.SOCK_DGRAM).url, "-n", 10)
    assert (code, result["errors"]["mismatch"], result["messages"]) == (8, 10, 0)


@pytest.mark.parametrize("text", [b"no", b"Server got message"], ids=["short", "unknown"])
@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_datagram_without_our_number(serve, text, in_flight):
    def wrong(server, sock):
        while True:
            sock.sendto(text, sock.recvfrom(1 << 17)[1])

    code, result = bench_json(serve(wrong, kind=socket.SOCK_DGRAM).url, "-n", 1, "-f", in_flight,
                              "--timeout", "100ms")
    assert (code, result["error"]) == (8, "MISMATCH")
    assert (result["errors"]["mismatch"], result["late"], result["lost"]) == (1, 0, 1)


def test_waiting_for_the_last_answer_takes_no_processor(serve):
    server = serve(lambda server, conn: conn.recv(1 << 20) and conn.recv(1))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert bench(server.url, "-t", "50ms", "--timeout", "1s").returncode == 5
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.4


@pytest.mark.parametrize("url", ["tcp://[::1]:1", "udp://[::1]:1", "tcp://127.0.0.1:1?bind=[::1]"])
def test_sources_are_ipv4(url):
    done = bench(url, "--sources", 2)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--sources is only for IPv4 addresses" in done.stderr


def test_answers_on_the_wrong_connection(serve):
    """Two connections receive each other's answers: every byte was sent, but on the other
    connection."""
    waiting = []

    def crossed(server, conn):
        data = conn.recv(64)
        waiting.append((conn, data))
        server.barrier.wait(10)
        other = next(text for owner, text in waiting if owner is not conn)
        conn.sendall(other)
        conn.recv(1)

    code, result = bench_json(serve(crossed).url, "-c", 2, "-n", 2)
    assert (code, result["errors"]["mismatch"]) == (8, 2)


def test_more_than_was_sent(serve):
    code, result = bench_json(serve(lambda s, c: echo(s, c, lambda data: data * 2)).url, "-n", 10)
    assert code == 8 and result["error"] == "MISMATCH"


def test_an_answer_before_its_request(serve):
    """Bytes that arrive before they were sent are not an echo, even if they match."""
    def early(server, conn):
        conn.recv(1)
        conn.sendall(b"\0" * (1 << 20))
        while conn.recv(1 << 18):
            pass

    code, result = bench_json(serve(early).url, "-s", "16Mi", "-n", 1)
    assert code == 8


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_no_answer(serve, kind):
    def silent(server, conn):
        while conn.recv(1 << 17):
            pass

    url = serve(silent, kind=kind).url
    code, result = bench_json(url, "-n", 3, "--timeout", "200ms")
    assert code == 5 and result["error"] == "ETIMEDOUT" and result["messages"] == 0
    assert result["detail"] == "no reply within 0.2 s"
    done = bench(url, "-n", 1, "--timeout", "100ms")
    said = done.stdout
    assert done.returncode == 5 and "no reply within 0.1 s" in done.stderr
    assert "messages   0\n" in said and "lost       1 message" in said
    assert "latency" not in said and "generator" not in said


def quit_after(count, reset=False):
    def handle(server, conn):
        for _ in range(count):
            conn.sendall(conn.recv(64))
        if reset:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        else:
            conn.shutdown(socket.SHUT_WR)
            while conn.recv(65536):  # closing with unread bytes would reset the connection
                pass
        server.socket.close()
    return handle


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_server_closes_in_the_middle(serve, reset):
    code, result = bench_json(serve(quit_after(10, reset)).url, "-t", "30s")
    assert code == 7
    assert result["messages"] == 10 and result["seconds"] < 30
    assert result["errors"]["reset" if reset else "closed"] == 1


def test_server_closes_in_the_middle_of_churn(serve):
    def one_of_ten(server, conn):
        conn.sendall(conn.recv(64))
        if server.opened() >= 10:  # the client may be at the next one already
            server.close()

    code, result = bench_json(serve(one_of_ten).url, "-t", "30s", "--churn", "fin")
    assert code == 7 and 9 <= result["messages"] <= 20


def test_datagram_server_closes(serve):
    def ten(server, sock):
        for _ in range(10):
            data, peer = sock.recvfrom(100)
            sock.sendto(data, peer)
        sock.close()

    code, result = bench_json(serve(ten, kind=socket.SOCK_DGRAM).url, "-t", "30s")
    assert code == 7 and result["messages"] == 10


def test_one_connection_lost_the_others_go_on(serve):
    def first_leaves(server, conn):
        if server.opened() == 1:
            conn.recv(64)
            return
        echo(server, conn)

    code, result = bench_json(serve(first_leaves).url, "-c", 4, "-t", "300ms")
    assert code == 7
    assert result["errors"]["closed"] == 1 and result["messages"] > 0
    assert result["seconds"] >= 0.3


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("address, code, error", [
    ("tcp://127.0.0.1:{}", 4, "ECONNREFUSED"),
    ("udp://127.0.0.1:{}", 4, "ECONNREFUSED"),
    ("unix:/nowhere/at/all", 9, "ENOENT"),
    ("tcp://127.0.0.1:99999", 2, "PORT"),
    ("frog://127.0.0.1:1", 2, "SCHEME"),
])
def test_no_server(address, code, error):
    found, document = bench_json(address.format(free_port()), "-n", 1)
    assert (found, document["error"]) == (code, error)
    words = bench(address.format(free_port()), "-n", 1)
    assert words.returncode == code
    assert words.stderr.startswith("sockeye: ") and words.stderr.count("\n") == 1


def test_refused_on_one_address_accepted_on_the_next(serve):
    """localhost has two addresses; the server listens on one of them."""
    port = serve(echo).socket.getsockname()[1]
    code, result = bench_json(f"tcp://localhost:{port}", "-c", 3, "-n", 30)
    assert (code, result["messages"]) == (0, 30)
