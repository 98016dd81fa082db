"""atftp, tftp-hpa, curl, busybox and Python with `sockeye serve tftp`."""
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import socket
import struct
import subprocess

import pytest

from serving import WAIT_S, Process, Server, parse, same, until
from tftp_theirs import (BIG, SIZES, command_of, get, have, need, netascii, content, peers, put,
                         relayed, text, transfer)

BAD_S = 60  # with packet loss
PAST_65535 = 65536 + 10  # blocks: the block numbers wrap

# The options that each can ask for: blksize, and atftp also windowsize.
OPTIONS = {
    "atftp": [{}, {"blksize": 8}, {"blksize": 1428}, {"blksize": 65464}, {"windowsize": 1},
              {"windowsize": 2, "blksize": 513}, {"windowsize": 16},
              {"windowsize": 16, "blksize": 8}, {"windowsize": 64, "blksize": 1428}, {"tsize": 0, "timeout": 3}],
    "tftp-hpa": [{}],
    "curl": [{}, {"blksize": 8}, {"blksize": 1428}, {"blksize": 65464}, {"plain": True}],
    "busybox": [{}, {"blksize": 64}, {"blksize": 1428}, {"blksize": 65464}],
}
ASKED = [pytest.param(client, options, marks=need(client),
                      id="-".join(map(str, (client, *itertools.chain(*options.items())))))
         for client, several in OPTIONS.items() for options in several]
ALL = peers(*OPTIONS)


class Shared:
    """A server for a folder, with uploads."""

    def __init__(self, folder, *options):
        self.root = folder / "root"
        self.root.mkdir()
        self.server = Server("tftp", "udp://127.0.0.1:0", "--root", self.root, *options)
        self.port = parse(self.server.address)[1][1]
        self.numbers = itertools.count()

    def name(self):
        """A new name. It is short because busybox limits a request to the size of a block."""
        return f"new{next(self.numbers)}"

    def file(self, data):
        name = self.name()
        (self.root / name).write_bytes(data)
        return name


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    started = Shared(tmp_path_factory.mktemp("tftp"), "--upload")
    for size in SIZES:
        (started.root / f"{size}").write_bytes(content(size))
    with started.server:
        yield started


@pytest.mark.parametrize("client, options", ASKED)
def test_get(shared, tmp_path, client, options):
    before = len(shared.server.log())
    for size in SIZES:
        same(get(client, shared.port, f"{size}", tmp_path / f"{size}", **options), content(size))
    granted = "".join(f".* {name}={options[name]}" for name in ("blksize", "windowsize")
                      if name in options)
    until(lambda: len(re.findall(rf"transfer .* get .*{granted} .* done",
                                 shared.server.log()[before:])) == len(SIZES), granted)


@pytest.mark.parametrize("client, options", ASKED)
def test_put(shared, tmp_path, client, options):
    for size in SIZES:
        name = shared.name()
        (tmp_path / name).write_bytes(content(size))
        put(client, shared.port, tmp_path / name, name, **options)
        same((shared.root / name).read_bytes(), content(size))


# --- netascii ---

@pytest.mark.parametrize("client", peers("atftp", "tftp-hpa"))
def test_lines_are_the_same_on_either_side(shared, tmp_path, client):
    for size in (0, 1, 511, 512, 5000):
        data = text(size)
        same(get(client, shared.port, shared.file(data), tmp_path / "got", mode="netascii"), data)
        (tmp_path / "said").write_bytes(data)
        name = shared.name()
        put(client, shared.port, tmp_path / "said", name, mode="netascii")
        same((shared.root / name).read_bytes(), data)


@need("curl")
def test_lines_on_the_wire(shared, tmp_path):
    """curl does not convert line ends."""
    data = text(5000)
    same(get("curl", shared.port, shared.file(data), tmp_path / "got", mode="netascii"),
         netascii(data))
    (tmp_path / "said").write_bytes(netascii(data))
    back = shared.name()
    put("curl", shared.port, tmp_path / "said", back, mode="netascii")
    same((shared.root / back).read_bytes(), data)


# --- large files ---

@pytest.mark.parametrize("client, options", [
    pytest.param("atftp", {"blksize": 8}, id="atftp", marks=need("atftp")),
    pytest.param("atftp", {"blksize": 8, "windowsize": 64}, id="atftp-64", marks=need("atftp")),
    pytest.param("busybox", {"blksize": 64}, id="busybox", marks=need("busybox"))])
def test_more_blocks_than_numbers(shared, tmp_path, client, options):
    data = content(PAST_65535 * options["blksize"] + 3)
    same(get(client, shared.port, shared.file(data), tmp_path / "got", **options), data)
    back = shared.name()
    put(client, shared.port, tmp_path / "got", back, **options)
    same((shared.root / back).read_bytes(), data)


@pytest.mark.parametrize("client, options", [
    # 65536 blocks of 512 bytes and an empty one
    pytest.param("tftp-hpa", {}, id="tftp-hpa", marks=need("tftp-hpa")),
    pytest.param("atftp", {"blksize": 1428, "windowsize": 64}, id="atftp-1428-64",
                 marks=need("atftp")),
    pytest.param("curl", {"blksize": 65464}, id="curl-65464", marks=need("curl"))])
def test_32_mebibytes(shared, tmp_path, client, options):
    data = content(BIG)
    same(get(client, shared.port, shared.file(data), tmp_path / "got", **options), data)
    back = shared.name()
    put(client, shared.port, tmp_path / "got", back, **options)
    same((shared.root / back).read_bytes(), data)


# --- refused requests ---

@pytest.mark.parametrize("client", ALL)
def test_unknown_file(shared, tmp_path, client):
    done = transfer(client, "get", shared.port, "there/is/none", tmp_path / "got")
    if client == "curl":
        assert done.returncode == 68  # CURLE_TFTP_NOTFOUND
    else:
        assert b"ot found" in done.stdout, done
        assert client == "tftp-hpa" or done.returncode != 0


@pytest.mark.parametrize("client", ALL)
def test_put_on_a_server_that_only_reads(tmp_path, client):
    (tmp_path / "said").write_bytes(b"unwanted")
    read_only = Shared(tmp_path)
    with read_only.server:
        done = transfer(client, "put", read_only.port, "name", tmp_path / "said")
    assert client == "tftp-hpa" or done.returncode != 0, done
    if client == "curl":
        assert done.returncode == 69  # CURLE_TFTP_PERM
    assert not list(read_only.root.iterdir())


@pytest.mark.parametrize("client", ALL)
def test_put_onto_a_file(shared, tmp_path, client):
    name = shared.file(b"old")
    (tmp_path / "said").write_bytes(b"new")
    done = transfer(client, "put", shared.port, name, tmp_path / "said")
    assert client == "tftp-hpa" or done.returncode != 0, done
    if client == "curl":
        assert done.returncode == 73  # CURLE_REMOTE_FILE_EXISTS
    assert (shared.root / name).read_bytes() == b"old"


# --- packet loss ---

LOSSY = ["--drop", "2%", "--duplicate", "1%", "--reorder", "1%", "--seed", "1"]


@pytest.mark.parametrize("client, options, direction", [
    pytest.param("atftp", {"windowsize": 16, "blksize": 1000}, "get", marks=need("atftp")),
    pytest.param("atftp", {"windowsize": 16, "blksize": 1000}, "put", marks=need("atftp")),
    pytest.param("tftp-hpa", {}, "get", marks=need("tftp-hpa")),  # a put waits 5 s for each loss
    pytest.param("curl", {}, "get", marks=need("curl")),
    pytest.param("curl", {}, "put", marks=need("curl")),
    pytest.param("busybox", {}, "get", marks=need("busybox")),
    pytest.param("busybox", {}, "put", marks=need("busybox"))])
def test_over_a_bad_network(shared, tmp_path, client, options, direction):
    data = content(100_000)
    with relayed(shared.port, *LOSSY) as port:
        if direction == "get":
            same(get(client, port, shared.file(data), tmp_path / "got", wait_s=BAD_S, **options),
                 data)
        else:
            (tmp_path / "said").write_bytes(data)
            name = shared.name()
            put(client, port, tmp_path / "said", name, wait_s=BAD_S, **options)
            same((shared.root / name).read_bytes(), data)


@need("atftp")
def test_client_sends_no_third_ack(shared, tmp_path):
    """atftp repeats an ACK once for a repeated block and then not until 5 s without a
    packet have passed: both ACKs of block 4 are lost."""
    data = content(5000)
    with relayed(shared.port, "--drop-nth-up", "5,6") as port:
        same(get("atftp", port, shared.file(data), tmp_path / "got", wait_s=BAD_S), data)


def queued(process):
    """The memory of the datagrams in the queues of a process."""
    sockets = process.descriptors()
    lines = pathlib.Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]
    return sum(int(fields[4].split(":")[1], 16) for fields in map(str.split, lines)
               if f"socket:[{fields[9]}]" in sockets)


def position(process, path):
    """The position of a process in a file."""
    for info in pathlib.Path(f"/proc/{process.pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{process.pid}/fd/{info.name}") == str(path):
                return int(info.read_text().split()[1])
    return 0


@need("atftp")
def test_client_resends_on_a_duplicate_ack(tmp_path):
    """Stops atftp until two ACKs of one block are in its queue: it sends the next block
    twice, but not all that follow."""
    server, said = Shared(tmp_path, "--upload"), tmp_path / "said"
    said.write_bytes(content(200_000))
    command = command_of("atftp", "put", server.port, "name", said, blksize=8)
    with server.server, subprocess.Popen(command, stdout=subprocess.DEVNULL) as client:
        process = Process(client.pid)
        until(lambda: position(process, said) > 10_000, "some of the file read")
        process.freeze()
        while not (one := queued(process)):
            process.thaw()
            process.freeze()
        until(lambda: queued(process) > one, "the ACK again")
        process.thaw()
        assert client.wait(BAD_S) == 0
        resent = server.server.wait_log(r"put .* resent=(\d+)")[0][1]
    assert 0 < int(resent) < 100
    same((server.root / "name").read_bytes(), said.read_bytes())


# --- other ways to serve ---

@pytest.mark.parametrize("client", ALL)
def test_through_a_single_port(tmp_path, client):
    single = Shared(tmp_path, "--upload", "--single-port")
    data = content(100_000)
    with single.server:
        same(get(client, single.port, single.file(data), tmp_path / "got"), data)
        put(client, single.port, tmp_path / "got", "back")
    same((single.root / "back").read_bytes(), data)


@pytest.mark.parametrize("client", peers("tftp-hpa", "curl", "busybox"))
def test_over_ipv6(serve, tmp_path, client):
    (tmp_path / "file").write_bytes(content(5000))
    server = serve("tftp", "udp://[::1]:0", "--root", tmp_path)
    port = parse(server.address)[1][1]
    same(get(client, port, "file", tmp_path / "got", host="::1"), content(5000))


def test_all_at_once(shared, tmp_path):
    """40 clients, ten of each kind, with files of different sizes."""
    clients = [client for client in OPTIONS if have(client) for _ in range(10)]
    names = {i: shared.file(content(20_000 + i)) for i in range(len(clients))}

    def one(i):
        same(get(clients[i], shared.port, names[i], tmp_path / names[i]), content(20_000 + i))

    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(one, names))


def test_python_sockets(shared):
    """Lockstep as in RFC 1350, packet by packet."""
    data, got = content(1200), b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(WAIT_S)
        s.sendto(b"\0\1" + shared.file(data).encode() + b"\0octet\0", ("127.0.0.1", shared.port))
        for block in (1, 2, 3):
            packet, source = s.recvfrom(1000)
            assert packet[:4] == struct.pack("!HH", 3, block)
            got += packet[4:]
            s.sendto(struct.pack("!HH", 4, block), source)
    assert source[1] != shared.port
    same(got, data)
