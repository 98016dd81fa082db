"""atftp, tftp-hpa, curl, busybox and Python against `sockeye serve tftp`."""
import concurrent.futures
import itertools
import socket
import struct

import pytest

from serving import WAIT_S, Server, parse, same
from tftp_theirs import BIG, SIZES, get, need, netascii, octets, peers, put, text, transfer

PAST_65535 = 65536 + 10  # so many blocks, and the numbers wrap

# What each can ask for: blksize, and atftp windowsize.
OPTIONS = {
    "atftp": [{}, {"blksize": 8}, {"blksize": 1428}, {"blksize": 65464}, {"windowsize": 1},
              {"windowsize": 2, "blksize": 513}, {"windowsize": 16}, {"windowsize": 16, "blksize": 8},
              {"windowsize": 64, "blksize": 1428}, {"tsize": 0, "timeout": 3}],
    "tftp-hpa": [{}],
    "curl": [{}, {"blksize": 8}, {"blksize": 1428}, {"blksize": 65464}, {"plain": True}],
    "busybox": [{}, {"blksize": 64}, {"blksize": 1428}, {"blksize": 65464}],
}
ASKED = [pytest.param(client, options, marks=need(client),
                      id="-".join(map(str, (client, *itertools.chain(*options.items())))))
         for client, several in OPTIONS.items() for options in several]
ALL = peers(*OPTIONS)


class Shared:
    """A server that reads and writes a folder."""

    def __init__(self, folder, *options):
        self.root = folder / "root"
        self.root.mkdir()
        self.server = Server("tftp", "udp://127.0.0.1:0", "--root", self.root, *options)
        self.port = parse(self.server.address)[1][1]
        self.numbers = itertools.count()

    def name(self):
        """A new one, short because busybox wants room in a block for its request."""
        return f"new{next(self.numbers)}"

    def file(self, data):
        name = self.name()
        (self.root / name).write_bytes(data)
        return name


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    started = Shared(tmp_path_factory.mktemp("tftp"), "--upload")
    for size in SIZES:
        (started.root / f"{size}").write_bytes(octets(size))
    with started.server:
        yield started


@pytest.mark.parametrize("client, options", ASKED)
def test_get(shared, tmp_path, client, options):
    for size in SIZES:
        same(get(client, shared.port, f"{size}", tmp_path / f"{size}", **options), octets(size))


@pytest.mark.parametrize("client, options", ASKED)
def test_put(shared, tmp_path, client, options):
    for size in SIZES:
        name = shared.name()
        (tmp_path / name).write_bytes(octets(size))
        put(client, shared.port, tmp_path / name, name, **options)
        same((shared.root / name).read_bytes(), octets(size))


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
    """curl translates nothing."""
    data = text(5000)
    same(get("curl", shared.port, shared.file(data), tmp_path / "got", mode="netascii"),
         netascii(data))
    (tmp_path / "said").write_bytes(netascii(data))
    back = shared.name()
    put("curl", shared.port, tmp_path / "said", back, mode="netascii")
    same((shared.root / back).read_bytes(), data)


# --- large ones ---

@pytest.mark.parametrize("client, options", [
    pytest.param("atftp", {"blksize": 8}, id="atftp", marks=need("atftp")),
    pytest.param("atftp", {"blksize": 8, "windowsize": 64}, id="atftp-64", marks=need("atftp")),
    pytest.param("busybox", {"blksize": 64}, id="busybox", marks=need("busybox"))])
def test_more_blocks_than_numbers(shared, tmp_path, client, options):
    data = octets(PAST_65535 * options["blksize"] + 3)
    same(get(client, shared.port, shared.file(data), tmp_path / "got", **options), data)
    back = shared.name()
    put(client, shared.port, tmp_path / "got", back, **options)
    same((shared.root / back).read_bytes(), data)


@pytest.mark.parametrize("client, options", [
    # 65536 blocks of 512 and an empty one
    pytest.param("tftp-hpa", {}, id="tftp-hpa", marks=need("tftp-hpa")),
    pytest.param("atftp", {"blksize": 1428, "windowsize": 64}, id="atftp-1428-64",
                 marks=need("atftp")),
    pytest.param("curl", {"blksize": 65464}, id="curl-65464", marks=need("curl"))])
def test_32_mebibytes(shared, tmp_path, client, options):
    data = octets(BIG)
    same(get(client, shared.port, shared.file(data), tmp_path / "got", **options), data)
    back = shared.name()
    put(client, shared.port, tmp_path / "got", back, **options)
    same((shared.root / back).read_bytes(), data)


# --- what is refused ---

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


# --- other ways to serve ---

@pytest.mark.parametrize("client", ALL)
def test_through_a_single_port(tmp_path, client):
    single = Shared(tmp_path, "--upload", "--single-port")
    data = octets(100_000)
    with single.server:
        same(get(client, single.port, single.file(data), tmp_path / "got"), data)
        put(client, single.port, tmp_path / "got", "back")
    same((single.root / "back").read_bytes(), data)


@pytest.mark.parametrize("client", peers("tftp-hpa", "curl", "busybox"))
def test_over_ipv6(serve, tmp_path, client):
    (tmp_path / "file").write_bytes(octets(5000))
    server = serve("tftp", "udp://[::1]:0", "--root", tmp_path)
    port = parse(server.address)[1][1]
    same(get(client, port, "file", tmp_path / "got", host="::1"), octets(5000))


def test_all_at_once(shared, tmp_path):
    """40 clients of every kind, each with a file of its own size."""
    clients = [param.values[0] for param in ALL for _ in range(10)]
    names = {i: shared.file(octets(20_000 + i)) for i in range(len(clients))}

    def one(i):
        same(get(clients[i], shared.port, names[i], tmp_path / names[i]), octets(20_000 + i))

    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(one, names))


def test_python_sockets(shared):
    """Lockstep as RFC 1350 has it, packet by packet."""
    data, got = octets(1200), b""
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
