"""sockeye get --probe."""
import re
import socket

from conftest import events, read_all
from get_fixtures import get, names, server
from tftp import code_of, data, error, oack


def test_verbose_probe(server, get):
    client = get("-v", "--probe", server.url())
    with server.answer(server.request(), oack(blksize=1428)) as peer:
        assert code_of(peer.hear()) == 8
        said = client.end().decode()
    assert 'sockeye: f: RRQ "f" octet blksize=65464 timeout=1' in said and "grants blksize=1428\n" in said


def test_probe(server, get, tmp_path):
    client = get("--probe", "--json", server.url())
    request = server.request()
    assert set(request.options) == {"blksize", "timeout", "utimeout", "tsize", "windowsize",
                                    "rollover"}
    with server.answer(request, oack(blksize=1428, tsize=77, windowsize=8)) as peer:
        assert code_of(peer.hear()) == 8
    client.end()
    [event] = events(read_all(client.stdout))
    assert (event["event"], event["size"], event["together"]) == ("probe", 77, True)
    assert {name: option["granted"] for name, option in event["options"].items()} == {
        "blksize": 1428, "tsize": 77, "windowsize": 8, "timeout": None, "utimeout": None,
        "rollover": None}
    assert names(tmp_path) == []


def test_probe_one_by_one(server, get):
    client = get("--probe", server.url())
    with server.answer(server.request(), error(8, "too many")):
        pass
    for _ in range(6):
        request = server.request()
        [name] = request.options
        answer = oack(blksize=1024) if name == "blksize" else error(8, "not that")
        with server.answer(request, answer) as peer:
            if name == "blksize":
                peer.hear()
    client.end()
    said = read_all(client.stdout).decode()
    assert re.search(r"^blksize +65464 +1024$", said, re.M)
    assert re.search(r"^tsize +0 +no$", said, re.M) and "each was requested alone" in said


def test_probe_of_a_server_without_options(server, get):
    client = get("--probe", "--json", server.url())
    with server.answer(server.request(), data(1, b"none of that")) as peer:
        assert code_of(peer.hear()) == 0
        client.end()
    [event] = events(read_all(client.stdout))
    assert event["size"] is None and not any(o["granted"] for o in event["options"].values())


def test_probe_of_a_missing_file(server, get, run):
    client = get("--probe", server.url())
    with server.answer(server.request(), error(1, "none")):
        assert b"file not found" in client.end(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    assert run("get", "--probe", f"tftp://127.0.0.1:{port}/f").returncode == 4
