"""sockeye bench with requests and replies that the user describes: what counts as a reply, how
many bytes were sent and received, and the latency of messages without one."""
import socket
import threading
import time

import pytest

from bench_fixtures import bench, bench_json, echo, serve  # noqa: F401


def answers(*parts, pause=0.0):
    """A server that replies to each line or datagram with these parts, `pause` seconds apart."""
    def handle(server, conn):
        if server.datagram:
            while True:
                conn.sendto(parts[0], conn.recvfrom(1 << 16)[1])
        for _ in conn.makefile("rb"):
            for i, part in enumerate(parts):
                time.sleep(pause if i else 0)
                conn.sendall(part)
    return handle


RIGHT = [
    ("line", b"anything\n"), ("length=8", b"\0" * 8), ("length=1k", b"x" * 1000),
    (r"text=250 ok\r\n", b"250 ok\r\n"), (r"text=\x00\xff\\\n", b"\0\xff\\\n"),
    (r"regex=^2\d\d \w+\r\n$", b"220 ready\r\n"), (r"regex=\n\n", b"several\nlines\n\n"),
]


@pytest.mark.parametrize("expect, reply", RIGHT)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
def test_a_reply_is_complete_with_its_last_byte(serve, expect, reply, cut):  # noqa: F811
    """Half of a reply is not a reply: the latency includes the pause before the rest."""
    parts = (reply[:len(reply) // 2], reply[len(reply) // 2:]) if cut else (reply,)
    code, result = bench_json(serve(answers(*parts, pause=0.03)).url, "-n", 5, "--send", r"hello\n",
                              "-e", expect)
    assert (code, result["messages"], result["size"]) == (0, 5, 6)
    assert (result["bytes_out"], result["bytes_in"]) == (30, 5 * len(reply))
    assert result["latency_us"]["min"] >= 30_000 * cut


@pytest.mark.parametrize("expect, reply", RIGHT)
def test_datagrams(serve, expect, reply):  # noqa: F811
    code, result = bench_json(serve(answers(reply), kind=socket.SOCK_DGRAM).url, "-n", 5, "--send",
                              "hello", "-e", expect)
    assert (code, result["messages"]) == (0, 5)
    assert (result["bytes_out"], result["bytes_in"]) == (25, 5 * len(reply))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("expect, reply", [
    (r"text=250 ok\n", b"500 no\n"), (r"text=250 ok\n", b"250 ok\n250 ok\n"), ("length=3", b"four"),
    ("line", b"two\nlines\n"), ("echo", b"hello?\n"), ("upper", b"hello\n")])
def test_other_replies_are_not_counted(serve, kind, expect, reply):  # noqa: F811
    code, result = bench_json(serve(answers(reply), kind=kind).url, "-n", 1, "--send", r"hello\n",
                              "-e", expect)
    assert code == 8 and result["error"] == "MISMATCH" and result["errors"]["mismatch"] == 1
    assert result["messages"] <= 1 - (kind == socket.SOCK_DGRAM)


@pytest.mark.parametrize("kind, code", [(socket.SOCK_STREAM, 5), (socket.SOCK_DGRAM, 8)])
def test_error_replies_do_not_match(serve, kind, code):  # noqa: F811
    found, result = bench_json(serve(answers(b"500 no\n"), kind=kind).url, "-n", 1, "--send",
                               r"hello\n", "-e", "regex=^2", "--timeout", "200ms")
    assert (found, result["messages"]) == (code, 0)


def test_lines_without_a_text(serve):  # noqa: F811
    def check(server, conn):
        for line in conn.makefile("rb"):
            assert len(line) == 20
            conn.sendall(b"Server got message\n")

    code, result = bench_json(serve(check).url, "-n", 50, "-s", 20, "-e", "line", "-f", 5)
    assert (code, result["messages"], result["bytes_in"]) == (0, 50, 50 * 19)
    long = serve(answers(b"x" * 100_000 + b"\n"))
    assert ", sent " in bench(long.url, "-n", 50, "-s", 20, "-e", "line").stdout


@pytest.mark.parametrize("options", [[], ["--expect", "upper"]])
def test_own_text_is_echoed(serve, options):  # noqa: F811
    server = serve(lambda server, conn: echo(server, conn, bytes.upper if options else bytes))
    code, result = bench_json(server.url, "-n", 50, "--send", r"some text\t\x80", "-f", 5, *options)
    assert (code, result["messages"], result["size"]) == (0, 50, 11)


# --- messages without a reply ---

def test_lost_datagrams_have_the_latency_of_the_limit(serve):  # noqa: F811
    def drop_every_fifth(server, sock):
        for i in range(1 << 30):
            data, peer = sock.recvfrom(1 << 17)
            if i % 5:
                sock.sendto(data, peer)

    code, result = bench_json(serve(drop_every_fifth, kind=socket.SOCK_DGRAM).url, "-n", 100, "-f",
                              50, "--timeout", "300ms")
    assert (code, result["messages"], result["lost"]) == (0, 80, 20)
    assert result["latency_us"]["p90"] >= 300_000 > result["latency_us"]["min"]


def test_a_late_reply_is_not_the_next_one(serve):  # noqa: F811
    """Datagrams of one text have no number."""
    def slow_once(server, sock):
        data, first = sock.recvfrom(99)
        sock.recvfrom(99)  # the next message, after the timeout
        for _ in range(3):
            sock.sendto(data, first)
        while True:
            data, peer = sock.recvfrom(99)
            sock.sendto(data, peer)

    code, result = bench_json(serve(slow_once, kind=socket.SOCK_DGRAM).url, "-n", 10, "--send", "x",
                              "--timeout", "200ms")
    assert (code, result["messages"], result["lost"]) == (0, 8, 2)


def test_a_connection_that_fails_loses_its_messages(serve):  # noqa: F811
    def first_leaves(server, conn):
        if server.opened() == 1:
            conn.recv(64)
            return
        echo(server, conn)

    code, result = bench_json(serve(first_leaves).url, "-c", 4, "-n", 100, "--timeout", "400ms")
    assert (code, result["errors"]["closed"], result["lost"]) == (7, 1, 1)
    assert result["latency_us"]["max"] >= 400_000


def test_replies_after_the_end_count(serve):  # noqa: F811
    """A server that stalls when measuring ends does not hide its slowest reply."""
    def stall(server, conn):
        conn.sendall(conn.recv(64))
        data = conn.recv(64)
        time.sleep(0.6)
        conn.sendall(data)
        conn.recv(1)

    code, result = bench_json(serve(stall).url, "-t", "200ms")
    assert (code, result["messages"]) == (0, 1) and result["seconds"] < 0.5
    assert result["latency_us"]["max"] >= 500_000


# --- an open loop ---

def test_rate(serve):  # noqa: F811
    code, result = bench_json(serve(echo).url, "-n", 200, "-c", 4, "--rate", 400)
    assert (code, result["messages"], result["rate"], result["lost"]) == (0, 200, 400, 0)
    assert result["seconds"] >= 0.49  # not faster
    assert "open loop, 400/s" in bench(serve(echo).url, "-n", 5, "--rate", 400).stdout


def stall_once(server, conn):
    for i in range(1 << 30):
        data = conn.recv(64)
        if not data:
            return
        if i == 5:
            time.sleep(0.5)
        conn.sendall(data)


def test_a_stall_delays_all_messages_that_were_due(serve):  # noqa: F811
    """The reply to one message is late. In an open loop the following ones are, too."""
    code, closed = bench_json(serve(stall_once).url, "-n", 200)
    assert code == 0 and closed["latency_us"]["p90"] < 200_000
    code, opened = bench_json(serve(stall_once).url, "-n", 200, "--rate", 200)
    assert (code, opened["messages"]) == (0, 200)
    assert opened["latency_us"]["p50"] < opened["latency_us"]["max"]
    assert opened["latency_us"]["p90"] >= 200_000


def test_messages_that_were_never_sent(serve):  # noqa: F811
    """The server handles 10 messages per second, 100 are due."""
    def slow(server, conn):
        while data := conn.recv(64):
            time.sleep(0.1)
            conn.sendall(data)

    code, result = bench_json(serve(slow).url, "-t", "1s", "--rate", 100, "--timeout", "3s")
    assert code == 0 and result["messages"] <= 10
    assert 85 <= result["messages"] + result["lost"] <= 100
    assert result["latency_us"]["p50"] >= 3_000_000


@pytest.mark.parametrize("options", ["--churn fin", "-f 4 -c 3", "--burst", "--warmup 100ms"])
def test_rate_with_other_options(serve, options):  # noqa: F811
    code, result = bench_json(serve(echo).url, "-n", 60, "--rate", 600, *options.split())
    assert (code, result["messages"], result["lost"]) == (0, 60, 0)


def test_rate_of_datagrams(serve):  # noqa: F811
    def echoes(server, sock):
        while True:
            data, peer = sock.recvfrom(1 << 17)
            sock.sendto(data, peer)

    code, result = bench_json(serve(echoes, kind=socket.SOCK_DGRAM).url, "-n", 100, "-c", 3, "-f", 4,
                              "--rate", 1000)
    assert (code, result["messages"], result["lost"]) == (0, 100, 0)


# --- a server that restarts ---

class Restarted:
    """An echo server that leaves after a few messages and comes back on the same port."""

    def __init__(self, kind, after, pause):
        self.kind, self.after, self.pause = kind, after, pause
        self.socket = self.bound(("127.0.0.1", 0))
        self.name = self.socket.getsockname()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @property
    def url(self):
        scheme = "tcp" if self.kind == socket.SOCK_STREAM else "udp"
        return f"{scheme}://127.0.0.1:{self.name[1]}"

    def bound(self, name):
        s = socket.socket(socket.AF_INET, self.kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(name)
        s.settimeout(20)
        if self.kind == socket.SOCK_STREAM:
            s.listen(16)
        return s

    def run(self):
        self.serve(self.after)
        time.sleep(self.pause)
        self.socket = self.bound(self.name)
        self.serve(1 << 30)

    def serve(self, count):
        try:
            if self.kind == socket.SOCK_DGRAM:
                for _ in range(count):
                    data, peer = self.socket.recvfrom(1 << 16)
                    self.socket.sendto(data, peer)
            else:
                conn = self.socket.accept()[0]
                with conn:
                    while count > 0 and (data := conn.recv(64)):
                        conn.sendall(data)
                        count -= 1
        except OSError:
            pass
        self.socket.close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("options", [[], ["--rate", 100]], ids=["closed", "open"])
def test_the_downtime_of_a_restart(kind, options):
    server = Restarted(kind, 20, 0.5)
    code, result = bench_json(server.url, "-n", 60, "--keep-going", "--timeout", "700ms", *options)
    assert (code, result["messages"] + result["lost"]) == (0, 60)
    assert result["lost"] >= 1 or options  # in flight when the server left
    assert result["latency_us"]["max"] >= (700_000 if result["lost"] else 400_000)
    down = result["downtime"]
    assert down["times"] >= 1 and 0.45 <= down["longest"] <= down["seconds"]


def test_downtime_in_words():
    done = bench(Restarted(socket.SOCK_STREAM, 5, 0.3).url, "-n", 20, "--keep-going")
    assert done.returncode == 0 and "  downtime   " in done.stdout


def test_a_server_that_does_not_come_back(serve):  # noqa: F811
    def leave(server, conn):
        conn.sendall(conn.recv(64))
        server.close()

    code, result = bench_json(serve(leave).url, "-t", "700ms", "--keep-going")
    assert code in (4, 7) and result["messages"] == 1
    assert result["downtime"]["seconds"] >= 0.5 and result["seconds"] >= 0.7


# --- local ports ---

def test_no_local_port_is_left(netns, serve):  # noqa: F811
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as ports:
        ports.write("40000 40019")

    def answer(server, conn):  # the client closes first and has the ports in TIME_WAIT
        conn.sendall(conn.recv(64))
        conn.recv(1)

    with open("/proc/sys/net/ipv4/tcp_tw_reuse", "w", encoding="ascii") as reuse:
        reuse.write("0")
    server = serve(answer, name=("127.0.0.1", 7007))
    code, result = bench_json(server.url, "-n", 100, "--churn", "fin")
    assert (code, result["error"]) == (6, "EADDRNOTAVAIL")
    assert result["errors"]["no_port"] == 1 and result["messages"] == 20
    assert "--sources" in result["detail"] and "ip_local_port_range" in result["detail"]
    assert result["lost"] == 0  # the server is not to blame
    others = server.url + "?bind=127.0.0.50"
    assert bench_json(others, "-n", 100, "--churn", "fin", "--sources", 10)[0] == 0
