"""sockeye bench against servers that answer correctly."""
import json
import resource
import signal
import socket
import subprocess

import pytest

from bench_fixtures import PROGRAM, bench, bench_json, echo, echo_datagrams, serve


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
    assert (result["bytes_out"], result["bytes_in"]) == (64000, 64000)
    assert result["bytes_in_per_s"] == pytest.approx(64 * result["messages_per_s"])


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
    assert result["late"] >= 49  # the last one may arrive after the end


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
    ["127.0.0.1:7", "-f", "2", "--churn", "fin"], ["127.0.0.1:7", "-e", "any"],
    ["127.0.0.1:7", "-f", "2", "-e", "regex=x"], ["127.0.0.1:7", "-e", "regex=("],
    ["127.0.0.1:7", "-e", "length=0"], ["127.0.0.1:7", "-e", "text="],
    ["127.0.0.1:7", "-e", r"text=\q"], ["127.0.0.1:7", "--send", r"\x1"],
    ["127.0.0.1:7", "--send", ""], ["127.0.0.1:7", "--send", "a", "-s", "1"],
    ["udp://127.0.0.1:7", "-f", "2", "-e", "line"], ["127.0.0.1:7", "--rate", "0"],
    ["udp://127.0.0.1:7", "--churn", "fin"], ["udp://127.0.0.1:7", "--burst"],
    ["udp://127.0.0.1:7", "-s", "65508"], ["udp://127.0.0.1:7", "-s", "7", "-f", "2"],
    ["unix:/tmp/x", "--sources", "2"],
], ids=" ".join)
def test_usage(args):
    done = bench(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("sockeye: ") and done.stderr.count("\n") == 1
    assert bench_json(*args)[0] == 2
