"""The example programs, and the plain-socket versions in C and Python from their
pages: every client works with every server, and all print the same.
"""
import contextlib
import functools
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import tempfile
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["SOCKEYE_BUILD"])
PAGES = ROOT / "docs" / "examples"
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.c"))
FLAVOURS = ["sockeye", "c", "python"]
MODELS = [row["name"] for row in map(json.loads, subprocess.run(
    [BUILD / "sockeye", "serve", "--list", "--json"], capture_output=True, text=True,
    check=True).stdout.splitlines()) if row["event"] == "model"]
WAIT_S = 20


def blocks(name, language):
    page = (PAGES / f"{name}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


@functools.cache
def folder():
    return tempfile.TemporaryDirectory(prefix="sockeye-examples-")


@functools.cache
def program(name, flavour):
    """The command of a program: ours is built, the others are extracted from its page."""
    if flavour == "sockeye":
        return [BUILD / "examples" / name]
    source = pathlib.Path(folder().name, f"{name}.{flavour}")
    [text] = blocks(name, flavour)
    source.write_text(text)
    if flavour == "python":
        return ["/usr/bin/python3", "-X", "dev", "-W", "error", source]
    binary = source.with_suffix(".out")
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-x", "c", source,
                    "-o", binary], check=True)
    return [binary]


def where(url, flavour):
    """The arguments for an address: a URL for ours, a host and a port or a path for the others."""
    if flavour == "sockeye":
        return [url]
    scheme, rest = url.split(":", 1)
    return [rest] if scheme == "unix" else rest.lstrip("/").rsplit(":", 1)


def run(name, flavour, *args):
    done = subprocess.run([*program(name, flavour), *args], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=WAIT_S, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@contextlib.contextmanager
def serving(name, flavour, *args):
    """Runs a server; yields the address that it printed."""
    argv = [*program(name, flavour), *args]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert select.select([server.stdout], [], [], WAIT_S)[0], "not ready"
            yield server.stdout.readline().strip()
            assert server.poll() is None, "the server died"
        finally:
            server.terminate()
            status = server.wait(WAIT_S)
    # sockeye_serve() returns upon SIGTERM; the other servers are killed by it.
    assert status == (0 if (name, flavour) == ("own_service", "sockeye") else -15)


def serving_at(name, flavour, url):
    return serving(name, flavour, *where(url, flavour))


each_flavour = pytest.mark.parametrize("flavour", FLAVOURS)
each_client = pytest.mark.parametrize("client", FLAVOURS)
each_server = pytest.mark.parametrize("server", FLAVOURS)


@pytest.mark.parametrize("name", NAMES)
def test_page(name):
    page = (PAGES / f"{name}.md").read_text()
    assert f"[examples/{name}.c](../../examples/{name}.c)" in page
    assert len(blocks(name, "c")) == 1
    assert len(blocks(name, "python")) == 1
    assert f"[{name}]({name}.md)" in (PAGES / "README.md").read_text()


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda path: path.name)
def test_links(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (PAGES / target).exists(), target


@each_client
@each_server
@pytest.mark.parametrize("text", ["hello server", "", "Grüße, 世界", "x" * 100000],
                         ids=["short", "empty", "utf-8", "long"])
def test_tcp_echo(client, server, text):
    with serving_at("tcp_echo_server", server, "tcp://127.0.0.1:0") as url:
        for _ in range(2):  # the server accepts the next client
            assert run("tcp_echo_client", client, *where(url, client), text) == \
                (0, text + "\n", "")


@each_client
def test_tcp_refused(client):
    with socket.socket() as bound:  # but does not listen
        bound.bind(("127.0.0.1", 0))
        url = "tcp://127.0.0.1:%d" % bound.getsockname()[1]
        status, out, err = run("tcp_echo_client", client, *where(url, client), "hello")
    assert status != 0 and out == ""
    assert "Connection refused" in err


@each_server
def test_tcp_echo_survives_a_reset(server):
    with serving_at("tcp_echo_server", server, "tcp://127.0.0.1:0") as url:
        host, port = where(url, "c")
        with socket.create_connection((host, int(port))) as rude:
            rude.sendall(bytes(1 << 20))
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        assert run("tcp_echo_client", "sockeye", url, "hello")[1] == "hello\n"


@each_client
@each_server
def test_upper_tcp(client, server):
    with serving_at("upper_tcp", server, "tcp://127.0.0.1:0") as url:
        host, port = where(url, "c")
        with socket.create_connection((host, int(port))):  # sends nothing
            assert run("tcp_echo_client", client, *where(url, client), "hello, Wörld") == \
                (0, "HELLO, WöRLD\n", "")


@each_client
@each_server
@pytest.mark.parametrize("name", ["udp_connected", "udp_unconnected"])
def test_upper_udp(name, client, server):
    with serving_at("upper_udp", server, "udp://127.0.0.1:0") as url:
        who = f"{url.removeprefix('udp://')}: " if name == "udp_unconnected" else ""
        for text in ["hello, Wörld", "x" * 20000, ""]:
            assert run(name, client, *where(url, client), text) == \
                (0, f"{who}{text.replace('ö', '#').upper().replace('#', 'ö')}\n", "")


@each_client
def test_udp_connected_refused(client):
    with socket.socket(type=socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        url = "udp://127.0.0.1:%d" % gone.getsockname()[1]
    status, out, err = run("udp_connected", client, *where(url, client), "hello")
    assert status != 0 and out == ""
    assert "Connection refused" in err


@each_client
def test_udp_unconnected_times_out(client):
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        url = "udp://127.0.0.1:%d" % silent.getsockname()[1]
        status, out, err = run("udp_unconnected", client, *where(url, client), "hello")
    assert status != 0 and out == ""
    assert err != ""


@each_client
@each_server
def test_unix_pair(client, server, tmp_path):
    url = f"unix:{tmp_path}/pair.sock"
    for _ in range(2):  # the second server finds the file of the first
        with serving("unix_pair", server, "server", *where(url, server)) as printed:
            assert printed == url
            for text in ["hello server", "", "x" * 100000]:
                assert run("unix_pair", client, "client", *where(url, client), text) == \
                    (0, f"Server got {len(text)} bytes\n", "")


def test_unix_pair_leaves_a_live_server_alone(tmp_path):
    url = f"unix:{tmp_path}/pair.sock"
    with serving("unix_pair", "sockeye", "server", url):
        status, _, err = run("unix_pair", "sockeye", "server", url)
        assert status != 0 and "another server uses this socket path" in err
        assert run("unix_pair", "sockeye", "client", url, "hello")[0] == 0


@each_client
@pytest.mark.parametrize("model", [*MODELS, "c", "python"])
def test_own_service(client, model):
    url = "tcp://127.0.0.1:0"
    server = serving("own_service", "sockeye", model, url) if model in MODELS else \
        serving_at("own_service", model, url)
    with server as printed:
        assert run("tcp_echo_client", client, *where(printed, client), "Hello, Wörld!") == \
            (0, "Uryyb, Jöeyq!\n", "")


def test_own_service_unknown_model():
    status, _, err = run("own_service", "sockeye", "carrier-pigeon", "tcp://127.0.0.1:0")
    assert status == 2 and "unknown server model" in err


@each_flavour
def test_five_writes(flavour):
    out = ("stream: 5 writes of 512, one read of 2560: 2560\n"
           "datagram: 5 writes of 512, reads of 2560: 512 512 512 512 512\n")
    assert run("five_writes", flavour) == (0, out, "")
    assert "".join(f"    {line}\n" for line in out.splitlines()) in \
        (PAGES / "five_writes.md").read_text()


PIECES = {
    "cut anywhere": ([b"on", b"e\ntw", b"o\n", b"\nfour", b"\n"],
                     "1: one\n2: two\n3: \n4: four\nend\n"),
    "all at once": ([b"one\ntwo\nthree\n"], "1: one\n2: two\n3: three\nend\n"),
    "no newline": ([b"one\n", b"tw"], "1: one\n2: tw (no newline)\nend\n"),
    "nothing": ([], "end\n"),
    "just fits": ([b"x" * 80 + b"\n", b"two\n"], f"1: {'x' * 80}\n2: two\nend\n"),
    "too long": ([b"x" * 81 + b"\ntwo\n"], "1: too long\n2: two\nend\n"),
    "much too long": ([b"one\n", b"x" * 100000, b"\nthree\n" + b"y" * 200],
                      "1: one\n2: too long\n3: three\n4: too long\nend\n"),
}


@contextlib.contextmanager
def sending(pieces, then=lambda client: None):
    """A server for one client: sends the pieces, then calls `then`."""
    def serve():
        client, _ = listener.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
            then(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        thread = threading.Thread(target=serve)
        thread.start()
        yield "tcp://127.0.0.1:%d" % listener.getsockname()[1]
        thread.join(WAIT_S)


@each_flavour
@pytest.mark.parametrize("kind", PIECES)
def test_line_reader(flavour, kind):
    pieces, out = PIECES[kind]
    with sending(pieces) as url:
        assert run("line_reader", flavour, *where(url, flavour), "10000") == (0, out, "")


@each_flavour
def test_line_reader_deadline(flavour):
    """Single bytes do not extend the deadline of a line."""
    done = threading.Event()

    def drip(client):
        with contextlib.suppress(OSError):
            while not done.wait(0.05):
                client.sendall(b"x")

    with sending([b"one\n"], drip) as url:
        status, out, _ = run("line_reader", flavour, *where(url, flavour), "500")
        done.set()
    assert status != 0
    assert out == "1: one\ntimed out\n"
