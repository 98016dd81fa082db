"""Paths that drop large packets: the request and the OACK pass, but no block does."""
import json
import select
import socket
import subprocess
import threading
import time

import pytest

from conftest import KEEP_ROOT, read_events
from get_fixtures import names, server  # noqa: F401
from tftp import WRQ, Server, ack, code_of, data, error, oack, receive, send

CONTENT = bytes(i * 7 % 251 for i in range(30000))


class Path(threading.Thread):
    """A network between clients and a server that drops datagrams larger than `largest`."""

    def __init__(self, target, largest):
        super().__init__(daemon=True)
        self.target, self.largest, self.dropped = target, largest, 0
        self.family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self.door = self.socket()
        self.flows = {}  # of a client: (socket to the client, socket to the server)
        self.peers = {}  # of a socket: (the socket that sends on, the address)
        self.ended = threading.Event()
        self.start()

    def socket(self):
        made = socket.socket(self.family, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        made.bind((self.target[0], 0))
        return made

    def flow(self, client):
        if client not in self.flows:
            near, far = self.flows[client] = self.socket(), self.socket()
            self.peers[near] = [far, self.target]
            self.peers[far] = [near, client]
        return self.flows[client]

    def forward(self, ready):
        packet, source = ready.recvfrom(65536)
        source = source[:2]
        if ready is self.door:
            ready = self.flow(source)[0]
        elif ready in [far for _, far in self.flows.values()]:
            self.peers[self.peers[ready][0]][1] = source  # the server's port for the transfer
        if len(packet) > self.largest:
            self.dropped += 1
            return
        out, address = self.peers[ready]
        out.sendto(packet, address)

    def run(self):
        while not self.ended.is_set():
            for ready in select.select([self.door, *self.peers], [], [], 0.2)[0]:
                self.forward(ready)

    def url(self, file):
        host, port = self.door.getsockname()[:2]
        return f"tftp://{f'[{host}]' if ':' in host else host}:{port}/{file}"

    def end(self):
        self.ended.set()
        self.join()
        for made in [self.door, *self.peers]:
            made.close()


@pytest.fixture(params=["127.0.0.1", "::1"])
def path(request, ready, tmp_path):
    """Makes a path to a server of the folder root: (path, server)."""
    (tmp_path / "root").mkdir()
    host, made = request.param, []

    def make(largest, *options):
        server, [url] = ready("serve", "tftp", f"udp://{f'[{host}]' if ':' in host else host}:0",
                              "--root", tmp_path / "root", "--upload", "--log", "json", *KEEP_ROOT,
                              *options, stdout=subprocess.DEVNULL)
        made.append(Path((host, int(url.rpartition(":")[2])), largest))
        return made[-1], server
    yield make
    for one in made:
        one.end()


def told(way, url, blksize):
    return (f"sockeye: {way} {url}: no block of {blksize} bytes arrived; trying blocks of 512 bytes "
            f"(--blksize 512 starts with them)")


# The last block of 800 bytes passes the path, with 1000 bytes per block.
@pytest.mark.parametrize("options, blksize", [
    ([], 16384), (["--blksize", "8192", "--window", "1"], 8192),
    (["--blksize", "1000", "--window", "64"], 1000)])
def test_get(path, run, tmp_path, options, blksize):
    (tmp_path / "root" / "f").write_bytes(CONTENT[:-200])
    between, _ = path(900)
    url = between.url("f")
    done = run("get", *options, "-o", "-", url)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 0 and done.stdout == CONTENT[:-200], lines
    assert lines[0] == told("get", url, blksize) and len(lines) == 2
    assert "blksize 512 " in lines[1] and between.dropped >= 3


@pytest.mark.parametrize("source, options, blksize", [
    ("file", [], 16384), ("pipe", ["--blksize", "1428", "--window", "4"], 1428),
    ("netascii", ["--blksize", "5000", "--window", "1"], 5000)])
def test_put(path, run, tmp_path, source, options, blksize):
    """Bytes that were read from the pipe are sent again with the smaller blocks."""
    content = b"line\n" * 6000 if source == "netascii" else CONTENT
    (tmp_path / "f").write_bytes(content)
    between, _ = path(520)
    url = between.url("there")
    file, given = ("f", None) if source == "file" else ("-", content)
    done = run("put", *options, *["--netascii"] * (source == "netascii"), file, url, cwd=tmp_path,
               input=given)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 0, lines
    assert lines[0] == told("put", url, blksize)
    assert (tmp_path / "root" / "there").read_bytes() == content


def test_json(path, run, tmp_path):
    (tmp_path / "root" / "f").write_bytes(CONTENT)
    between, _ = path(700)
    done = run("get", "--json", "--blksize", "1300", "-o", tmp_path / "got", between.url("f"))
    event = json.loads(done.stdout)
    assert (event["lost_blksize"], event["blksize"], event["exit"]) == (1300, 512, 0)
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["get", "put"])
def test_small_blocks_are_lost_too(path, run, tmp_path, way):
    (tmp_path / "root" / "f").write_bytes(CONTENT)
    (tmp_path / "f").write_bytes(CONTENT)
    between, server = path(300, "--give-up", "2s")
    url = between.url("f" if way == "get" else "new")
    done = run(way, "--blksize", "1100", "--retries", "3", *["-o", "-"][:2 * (way == "get")],
               *["f"] * (way == "put"), url, cwd=tmp_path)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 5 and lines[0] == told(way, url, 1100)
    assert lines[1].endswith("(no block arrived, neither of 1100 bytes nor of 512 bytes)")
    assert names(tmp_path / "root") == ["f"]
    event = read_events(server.stderr, "transfer")[0]
    assert event["blksize"] == 1100 and event["text"] == "the client stopped answering"
    assert event["detail"] == ("no block of 1100 bytes arrived: if the path drops large packets, "
                               "use --blksize-max 512")


# --- what the packets are ---

def test_packets(program, server, tmp_path):
    """The first transfer ends with an ERROR; the second request has no block size."""
    client = program("get", "--blksize", "1400", "-o", "got", server.url(), cwd=tmp_path)
    first = server.request()
    with server.answer(first, oack(blksize=1400)) as peer:
        while (packet := peer.hear()) == ack(0):
            pass
        assert code_of(packet) == 0
    second = server.request()
    assert "blksize" not in second.options and second.client != first.client
    with server.answer(second) as peer:
        send(peer, CONTENT[:3000])
        client.end()
    assert (tmp_path / "got").read_bytes() == CONTENT[:3000]


def test_put_to_a_device_that_erases_its_flash(program, server, tmp_path):
    """A silent server may have the first block: its transfer goes on."""
    (tmp_path / "f").write_bytes(CONTENT[:3000])
    client = program("put", "--blksize", "1400", "f", server.url(), cwd=tmp_path)
    request = server.request(WRQ)
    with server.answer(request, oack(blksize=1400)) as peer:
        first = peer.hear()
        assert first == data(1, CONTENT[:1400])
        silent = time.monotonic() + 5
        while time.monotonic() < silent:
            assert peer.hear() == first
        peer.say(ack(1))
        while (packet := peer.hear()) == first:
            pass
        assert packet == data(2, CONTENT[1400:2800])
        peer.say(ack(2))
        peer.expect(data(3, CONTENT[2800:3000]))
        peer.say(ack(3))
        client.end()


def test_fewer_retries_win(program, server, tmp_path):
    client = program("get", "--blksize", "1400", "--retries", "1", "-o", "got", server.url(),
                     cwd=tmp_path)
    with server.answer(server.request(), oack(blksize=1400)) as peer:
        peer.expect(ack(0))
        line = client.end(5).decode()
    assert "no block of 1400 bytes arrived; --blksize 512 works on more networks" in line
