"""`sockeye get` and `sockeye put` with tftpd-hpa, atftpd and dnsmasq."""
import itertools
import json
import os
import subprocess

import pytest

from serving import SOCKEYE, WAIT_S, same
from tftp_theirs import (BIG, SIZES, arrives, get, need, content, peers, put, relayed, serving,
                         text, transfer)

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="their servers want root")

BAD_S = 60  # with packet loss
PAST_65535 = 65536 + 10  # blocks: the block numbers wrap
OPTIONS = [{}, {"no-options": True}, {"blksize": 8}, {"blksize": 512}, {"blksize": 1428},
           {"blksize": 65464}, {"blksize": "mtu"}, {"window": 1}, {"window": 2, "blksize": 513},
           {"window": 16, "blksize": 64}, {"window": 64}, {"window": 64, "blksize": 1428}]
ASKED = [pytest.param(options, id="-".join(map(str, itertools.chain(*options.items()))) or "plain")
         for options in OPTIONS]
SERVERS = peers("tftpd-hpa", "atftpd", "dnsmasq")
WRITING = peers("tftpd-hpa", "atftpd")  # dnsmasq accepts no uploads


@pytest.fixture
def root(tmp_path):
    """A served folder: tftpd-hpa and atftpd need files that everyone may read and write."""
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o777)
    return root


def public(path, data):
    path.write_bytes(data)
    path.chmod(0o666)


def told(done):
    """The last JSON document on standard output."""
    assert done.returncode == 0, done
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("options", ASKED)
@pytest.mark.parametrize("server", SERVERS)
def test_get(netns, tmp_path, root, server, options):
    for size in SIZES:
        public(root / f"{size}", content(size))
    with serving(server, root) as port:
        for size in SIZES:
            same(get("sockeye", port, f"{size}", tmp_path / f"{size}", **options), content(size))


@pytest.mark.parametrize("options", ASKED)
@pytest.mark.parametrize("server", WRITING)
def test_put(netns, tmp_path, root, server, options):
    with serving(server, root) as port:
        for size in SIZES:
            (tmp_path / "said").write_bytes(content(size))
            put("sockeye", port, tmp_path / "said", f"{size}", **options)
            arrives(root / f"{size}", content(size))


@pytest.mark.parametrize("server", SERVERS)
def test_get_lines(netns, tmp_path, root, server):
    with serving(server, root) as port:
        for size in (0, 1, 511, 512, 5000):
            # dnsmasq sends a lone CR unchanged; RFC 764 requires CR NUL
            data = text(size).replace(b"\r", b"x") if server == "dnsmasq" else text(size)
            public(root / "lines", data)
            same(get("sockeye", port, "lines", tmp_path / "got", netascii=True), data)


@pytest.mark.parametrize("server", WRITING)
def test_put_lines(netns, tmp_path, root, server):
    with serving(server, root) as port:
        for size in (0, 1, 511, 512, 5000):
            (tmp_path / "said").write_bytes(text(size))
            put("sockeye", port, tmp_path / "said", f"{size}", netascii=True)
            arrives(root / f"{size}", text(size))


@pytest.mark.parametrize("server, options", [
    pytest.param(*param.values, options, marks=param.marks, id=f"{param.values[0]}-{name}")
    for param in SERVERS for name, options in (("8", {"blksize": 8, "window": 1}),
                                               # atftpd's OACK must fit a block
                                               ("64-64", {"blksize": 64, "window": 64}))
    if (name == "8") != (param.values[0] == "atftpd")])
def test_more_blocks_than_numbers(netns, tmp_path, root, server, options):
    data = content(PAST_65535 * options["blksize"] + 3)
    public(root / "file", data)
    with serving(server, root) as port:
        same(get("sockeye", port, "file", tmp_path / "got", **options), data)
        if server != "dnsmasq":
            put("sockeye", port, tmp_path / "got", "back", **options)
            arrives(root / "back", data)


@pytest.mark.parametrize("server", SERVERS)
def test_32_mebibytes(netns, tmp_path, root, server):
    data = content(BIG)
    public(root / "file", data)
    with serving(server, root) as port:
        same(get("sockeye", port, "file", tmp_path / "got"), data)
        if server != "dnsmasq":
            put("sockeye", port, tmp_path / "got", "back", blksize=1428, window=32)
            arrives(root / "back", data)


GRANTED = {
    "tftpd-hpa": {"blksize", "timeout", "utimeout", "tsize", "rollover"},
    "atftpd": {"blksize", "timeout", "tsize", "windowsize"},
    "dnsmasq": {"blksize", "tsize"},
}


@pytest.mark.parametrize("server", SERVERS)
def test_what_they_grant(netns, tmp_path, root, server):
    public(root / "file", content(5000))
    with serving(server, root) as port:
        probed = told(subprocess.run([SOCKEYE, "get", "--probe", "--json",
                                      f"tftp://127.0.0.1:{port}/file"],
                                     stdout=subprocess.PIPE, timeout=WAIT_S, check=False))
        assert {name for name, option in probed["options"].items()
                if option["granted"] is not None} == GRANTED[server]
        assert probed["size"] == 5000
        for direction in ("get", "put"):
            if (server, direction) == ("dnsmasq", "put"):
                continue
            done = told(transfer("sockeye", direction, port, "file", tmp_path / "got", json=True,
                                 blksize=1000, window=3))
            window = {"windowsize": 3} if "windowsize" in GRANTED[server] else {}
            assert done["options"] == {"blksize": 1000, "tsize": 5000, **window}


@pytest.mark.parametrize("server", peers("atftpd"))
def test_options_that_are_refused(netns, tmp_path, root, server):
    """The block is shorter than atftpd's OACK: an error, then success without options."""
    data = content(5000)
    public(root / "file", data)
    with serving(server, root) as port:
        done = told(transfer("sockeye", "get", port, "file", tmp_path / "got", json=True,
                             blksize=8, window=16))
    assert done["without_options"] and done["blksize"] == 512 and done["windowsize"] == 1
    same((tmp_path / "got").read_bytes(), data)


@pytest.mark.parametrize("server", SERVERS)
def test_several_and_standard_output(netns, tmp_path, root, server):
    for i in range(10):
        public(root / f"{i}", content(50_000 + i))
    with serving(server, root) as port:
        urls = [f"tftp://127.0.0.1:{port}/{i}" for i in range(10)]
        done = subprocess.run([SOCKEYE, "get", "-j", "4", *urls], cwd=tmp_path, check=True,
                              timeout=WAIT_S, capture_output=True)
        assert done.stdout == b""
        for i in range(10):
            same((tmp_path / f"{i}").read_bytes(), content(50_000 + i))
        done = subprocess.run([SOCKEYE, "get", "-o", "-", urls[3]], check=True, timeout=WAIT_S,
                              capture_output=True)
        same(done.stdout, content(50_003))


# Few losses that the server repairs with its timer, which takes a second or more.
@pytest.mark.parametrize("server, direction, window, rules", [
    pytest.param(server, direction, window, rules, marks=need(server),
                 id=f"{server}-{direction}-{window}")
    for server, direction, window, rules in (
        ("atftpd", "get", 1, ["--drop-block", "1,16", "--drop-ack", "3,196"]),
        ("atftpd", "put", 1, ["--drop-block", "1,16,196", "--drop-ack", "3"]),
        ("atftpd", "get", 16, ["--drop", "2%", "--duplicate", "1%", "--reorder", "1%"]),
        ("atftpd", "put", 16, ["--drop-block", "1,16,40,196", "--drop-ack", "32"]),
        ("tftpd-hpa", "get", 1, ["--drop-block", "16", "--drop-ack", "3,196"]),
        ("tftpd-hpa", "put", 1, ["--drop", "2%", "--duplicate", "1%", "--reorder", "1%"]),
        ("dnsmasq", "get", 1, ["--drop-block", "16", "--drop-ack", "3,196"]))])
def test_over_a_bad_network(netns, tmp_path, root, server, direction, window, rules):
    data = content(100_000)
    public(root / "file", data)
    with serving(server, root) as own, relayed(own, *rules, "--seed", "1") as port:
        options = {"blksize": 512, "window": window, "wait_s": BAD_S}
        if direction == "get":
            same(get("sockeye", port, "file", tmp_path / "got", **options), data)
        else:
            put("sockeye", port, root / "file", "back", **options)
            arrives(root / "back", data)


@pytest.mark.parametrize("server", SERVERS)
def test_unknown_file(netns, tmp_path, root, server):
    with serving(server, root) as port:
        done = transfer("sockeye", "get", port, "none", tmp_path / "got")
    assert done.returncode == 8, done
    assert b"not found" in done.stdout
    assert sorted(tmp_path.iterdir()) == [root]


def test_put_where_nothing_is_taken(netns, tmp_path, root):
    (tmp_path / "said").write_bytes(b"unwanted")
    with serving("dnsmasq", root) as port:
        done = transfer("sockeye", "put", port, "name", tmp_path / "said")
    assert done.returncode == 8, done
    assert not list(root.iterdir())
