"""sockeye bench against servers that answer rightly, wrongly, late or not at all."""
import json
import os
import pathlib
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

PROGRAM = os.environ.get("SOCKEYE") or str(pathlib.Path(__file__).parents[2] / "build/sockeye")
RST = struct.pack("ii", 1, 0)


class Server:
    """Listens on a free port; handle(server, conn) runs in a thread for each
    connection. What it notes can be read when the bench has ended."""

    def __init__(self, handle, family=socket.AF_INET, kind=socket.SOCK_STREAM, name=("127.0.0.1", 0)):
        self.handle, self.notes, self.barrier = handle, [], threading.Barrier(2)
        self.socket = socket.socket(family, kind)
        self.socket.bind(name)
        self.threads = []
        self.datagram = kind == socket.SOCK_DGRAM
        if self.datagram:
            self.socket.settimeout(30)
            self.spawn(self.handle, self, self.socket)
        else:
            self.socket.listen(128)
            self.spawn(self.accept)

    def spawn(self, target, *args):
        thread = threading.Thread(target=self.quietly, args=(target, *args), daemon=True)
        thread.start()
        self.threads.append(thread)

    @staticmethod
    def quietly(target, *args):
        try:
            target(*args)
        except OSError:
            pass

    def accept(self):
        while True:
            conn, peer = self.socket.accept()
            self.notes.append(("open", peer))
            self.spawn(self.served, conn)

    def served(self, conn):
        with conn:
            self.handle(self, conn)

    @property
    def url(self):
        name = self.socket.getsockname()
        if isinstance(name, str):
            kind = {socket.SOCK_STREAM: "unix", socket.SOCK_DGRAM: "unix-dgram",
                    socket.SOCK_SEQPACKET: "unix-seqpacket"}[self.socket.type]
            return f"{kind}:{name}"
        return f"{'udp' if self.datagram else 'tcp'}://127.0.0.1:{name[1]}"

    def wait_for_notes(self, count):
        """The bench may be gone before we have seen its last connection end."""
        deadline = time.monotonic() + 10
        while len(self.notes) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def opened(self):
        return sum(note[0] == "open" for note in self.notes)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept and recv
        except OSError:
            pass
        self.socket.close()


@pytest.fixture
def serve():
    servers = []

    def start(handle, **kw):
        servers.append(Server(handle, **kw))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def echo(server, conn, change=lambda data: data):
    while True:
        try:
            data = conn.recv(1 << 18)
        except ConnectionResetError:
            server.notes.append(("reset",))
            return
        if not data:
            server.notes.append(("end",))
            return
        conn.sendall(change(data))


def echo_datagrams(server, sock):
    while True:
        data, peer = sock.recvfrom(1 << 17)
        sock.sendto(data, peer)


def bench(*args, **kw):
    return subprocess.run([PROGRAM, "bench", *map(str, args)], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, **kw)


def bench_json(*args, **kw):
    """The exit code and the one document there is on every path."""
    done = bench("--json", *args, **kw)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done
    assert done.stderr == ""
    document = json.loads(lines[0])
    assert document["exit"] == done.returncode
    return done.returncode, document


def test_counts(serve):
    server = serve(echo)
    code, result = bench_json(server.url, "-c", 5, "-n", 1000)
    assert code == 0
    assert (result["messages"], result["opened"], result["size"]) == (1000, 5, 64)
    assert server.opened() == 5
    latency = result["latency_us"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["p99.99"]
    assert latency["p99.99"] <= latency["max"] and latency["min"] <= latency["mean"]
    assert set(result["errors"].values()) == {0}
    assert result["messages_per_s"] == pytest.approx(1000 / result["seconds"])
    assert result["bytes_per_s"] == pytest.approx(64 * result["messages_per_s"])


def test_words(serve):
    done = bench(serve(echo).url, "-c", 2, "-n", 100)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 connections, 64 bytes" in done.stdout
    assert "100 in" in done.stdout and "p99.9" in done.stdout and "generator" in done.stdout


@pytest.mark.parametrize("options", ["-s 1", "-s 64Ki -c 3", "-s 1Mi -c 2 -n 6", "-f 16",
                                     "-f 7 -s 3000", "-s 64Ki --burst -c 20", "-s 1M --burst -n 5",
                                     "--churn fin", "--churn rst", "--warmup 50ms"])
def test_streams(serve, options):
    code, result = bench_json(serve(echo).url, "-n", 200, *options.split())
    assert code == 0
    assert result["messages"] in (200, 6, 5)


def test_time_ends_it(serve):
    code, result = bench_json(serve(echo).url, "-t", "300ms")
    assert code == 0
    assert 0.3 <= result["seconds"] < 3
    assert result["messages"] > 0


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_unix(serve, tmp_path, kind):
    server = serve(echo, family=socket.AF_UNIX, kind=kind, name=str(tmp_path / "socket"))
    code, result = bench_json(server.url, "-c", 3, "-n", 300)
    assert (code, result["messages"]) == (0, 300)


def test_unix_datagrams(serve, tmp_path):
    server = serve(echo_datagrams, family=socket.AF_UNIX, kind=socket.SOCK_DGRAM,
                   name=str(tmp_path / "socket"))
    code, result = bench_json(server.url, "-c", 2, "-n", 300, "-f", 4)
    assert (code, result["messages"], result["lost"]) == (0, 300, 0)


@pytest.mark.parametrize("options", ["", "-s 0", "-s 3", "-s 8 -f 64", "-s 65507", "-c 4 -f 8"])
def test_datagrams(serve, options):
    server = serve(echo_datagrams, kind=socket.SOCK_DGRAM)
    code, result = bench_json(server.url, "-n", 200, *options.split())
    assert (code, result["messages"], result["lost"], result["late"]) == (0, 200, 0, 0)


def test_lost_datagrams_are_counted(serve):
    def drop_every_fifth(server, sock):
        for i in range(1 << 30):
            data, peer = sock.recvfrom(1 << 17)
            if i % 5:
                sock.sendto(data, peer)

    code, result = bench_json(serve(drop_every_fifth, kind=socket.SOCK_DGRAM).url, "-n", 100, "-f",
                              50, "--timeout", "300ms")
    assert (code, result["messages"], result["lost"]) == (0, 80, 20)


def test_order_does_not_matter_and_doubles_are_counted(serve):
    def swap_and_double(server, sock):
        while True:
            first, peer = sock.recvfrom(1 << 17)
            second, peer = sock.recvfrom(1 << 17)
            for data in (second, second, first):
                sock.sendto(data, peer)

    code, result = bench_json(serve(swap_and_double, kind=socket.SOCK_DGRAM).url, "-n", 100, "-f", 2)
    assert (code, result["messages"], result["lost"]) == (0, 100, 0)
    assert result["late"] >= 49  # the last may come when it is over


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
    assert "--sources is for IPv4 addresses" in done.stderr


def test_answers_to_each_other(serve):
    """Two connections get each other's answers: every byte was sent, on the
    wrong one."""
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


def test_an_answer_before_its_question(serve):
    """What comes back before it was sent is no echo, whatever it says."""
    def early(server, conn):
        conn.recv(1)
        conn.sendall(b"\0" * (1 << 20))
        while conn.recv(1 << 18):
            pass

    code, result = bench_json(serve(early).url, "-s", "16Mi", "-n", 1)
    assert code == 8


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_nothing_comes_back(serve, kind):
    def silent(server, conn):
        while conn.recv(1 << 17):
            pass

    code, result = bench_json(serve(silent, kind=kind).url, "-n", 3, "--timeout", "200ms")
    assert code == 5 and result["error"] == "ETIMEDOUT" and result["messages"] == 0


def quit_after(count, reset=False):
    def handle(server, conn):
        for _ in range(count):
            conn.sendall(conn.recv(64))
        if reset:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        else:
            conn.shutdown(socket.SHUT_WR)
            while conn.recv(65536):  # a close with bytes unread would be a reset
                pass
        server.socket.close()
    return handle


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_server_gone_in_the_middle(serve, reset):
    code, result = bench_json(serve(quit_after(10, reset)).url, "-t", "30s")
    assert code == 7
    assert result["messages"] == 10 and result["seconds"] < 30
    assert result["errors"]["reset" if reset else "closed"] == 1


def test_server_gone_in_the_middle_of_churn(serve):
    def one_of_ten(server, conn):
        conn.sendall(conn.recv(64))
        if server.opened() >= 10:  # the client may be at the next already
            server.close()

    code, result = bench_json(serve(one_of_ten).url, "-t", "30s", "--churn", "fin")
    assert code == 7 and 9 <= result["messages"] <= 20


def test_datagram_server_gone(serve):
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


def nobody():
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
    found, document = bench_json(address.format(nobody()), "-n", 1)
    assert (found, document["error"]) == (code, error)
    words = bench(address.format(nobody()), "-n", 1)
    assert words.returncode == code
    assert words.stderr.startswith("sockeye: ") and words.stderr.count("\n") == 1


def test_refused_on_one_address_taken_on_the_next(serve):
    """localhost has two; the server listens on one."""
    port = serve(echo).socket.getsockname()[1]
    code, result = bench_json(f"tcp://localhost:{port}", "-c", 3, "-n", 30)
    assert (code, result["messages"]) == (0, 30)


def test_upper(serve):
    upper = serve(lambda server, conn: echo(server, conn, bytes.upper))
    assert bench_json(upper.url, "-n", 50, "-s", 5000, "-e", "upper")[0] == 0
    assert bench_json(upper.url, "-n", 50, "-s", 5000)[0] == 8
    assert bench_json(serve(echo).url, "-n", 50, "-s", 5000, "-e", "upper")[0] == 8


def test_upper_datagrams(serve):
    def shout(server, sock):
        while True:
            data, peer = sock.recvfrom(1 << 17)
            sock.sendto(data.upper(), peer)

    code, result = bench_json(serve(shout, kind=socket.SOCK_DGRAM).url, "-n", 200, "-f", 8, "-e",
                              "upper")
    assert (code, result["messages"], result["lost"]) == (0, 200, 0)


def test_any_answer_to_lines(serve):
    def reply(server, conn):
        for line in conn.makefile("rb"):
            assert len(line) == 20
            conn.sendall(b"Server got message\n")

    code, result = bench_json(serve(reply).url, "-n", 50, "-s", 20, "-e", "any")
    assert (code, result["messages"]) == (0, 50)


@pytest.mark.parametrize("how, seen", [("fin", "end"), ("rst", "reset")])
def test_churn(serve, how, seen):
    server = serve(echo)
    code, result = bench_json(server.url, "-c", 4, "-n", 40, "--churn", how)
    assert (code, result["messages"], result["opened"]) == (0, 40, 40)
    server.wait_for_notes(2 * 40)
    assert server.opened() == 40
    assert [note[0] for note in server.notes if note[0] != "open"] == [seen] * 40


def test_churn_survives_a_connection(serve):
    def every_fourth_leaves(server, conn):
        if server.opened() % 4:
            echo(server, conn)

    code, result = bench_json(serve(every_fourth_leaves).url, "-n", 40, "--churn", "fin")
    assert code == 7
    assert result["errors"]["closed"] + result["errors"]["reset"] >= 10
    assert result["messages"] + sum(result["errors"].values()) == 40


def test_descriptors_are_counted_before(serve):
    server = serve(echo)
    code, document = bench_json(
        server.url, "-c", 100, "-n", 100,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert code == 9 and document["error"] == "EMFILE"
    assert "ulimit -n" in document["detail"] and "64" in document["detail"]
    assert server.opened() == 0


def test_soft_limit_is_raised(serve):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code, result = bench_json(
        serve(echo).url, "-c", 100, "-n", 200,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, hard)))
    assert (code, result["messages"]) == (0, 200)


@pytest.mark.parametrize("as_json", [True, False])
def test_interrupted(serve, as_json):
    command = [PROGRAM, "bench", serve(echo).url, "-t", "60s", "-v", *["--json"] * as_json]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:
        (running.stdout if as_json else running.stderr).readline()  # "measuring"
        running.send_signal(signal.SIGINT)
        out = running.communicate(timeout=20)[0]
    assert running.returncode == 130
    if as_json:
        events = [json.loads(line) for line in out.splitlines()]
        assert [event["event"] for event in events] == ["measured", "bench"]
        assert events[1]["interrupted"] is True and events[1]["exit"] == 130
    else:
        assert "messages" in out


def test_sources(serve):
    server = serve(echo)
    assert bench_json(server.url, "-c", 8, "-n", 80, "--sources", 4)[0] == 0
    peers = {note[1][0] for note in server.notes if note[0] == "open"}
    assert peers == {f"127.0.0.{i}" for i in range(1, 5)}


def test_bind(serve):
    server = serve(echo)
    assert bench_json(server.url + "?bind=127.0.0.9", "-c", 2, "-n", 4)[0] == 0
    assert {note[1][0] for note in server.notes if note[0] == "open"} == {"127.0.0.9"}


@pytest.mark.parametrize("args", [
    [], ["a:1", "b:2"], ["127.0.0.1:7", "-s", "0"], ["127.0.0.1:7", "-c", "0"],
    ["127.0.0.1:7", "-c", "x"], ["127.0.0.1:7", "-t", "0"], ["127.0.0.1:7", "-t", "soon"],
    ["127.0.0.1:7", "-n", "-1"], ["127.0.0.1:7", "--churn", "maybe"],
    ["127.0.0.1:7", "-e", "lower"], ["127.0.0.1:7", "-f", "2", "--burst"],
    ["127.0.0.1:7", "-f", "2", "--churn", "fin"], ["127.0.0.1:7", "-f", "2", "-e", "any"],
    ["udp://127.0.0.1:7", "--churn", "fin"], ["udp://127.0.0.1:7", "--burst"],
    ["udp://127.0.0.1:7", "-s", "65508"], ["udp://127.0.0.1:7", "-s", "7", "-f", "2"],
    ["unix:/tmp/x", "--sources", "2"],
], ids=" ".join)
def test_usage(args):
    done = bench(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("sockeye: ") and done.stderr.count("\n") == 1
    assert bench_json(*args)[0] == 2
