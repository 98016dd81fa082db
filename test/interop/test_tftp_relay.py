"""TFTP clients and servers of other projects, with `sockeye relay` between them.

Each server replies from a new port for each transfer, so these tests pass only if
the relay has a port for every port of the server.
"""
import contextlib
import os
import subprocess

import pytest

from serving import SOCKEYE, WAIT_S, same
from tftp_theirs import PORT, arrives, get, content, peers, put, serving

SIZE = 512 * 40 + 7
RULES = {
    "nothing": [],
    "order": ["--delay", "1ms", "--jitter", "2ms", "--reorder", "5%", "--seed", "1"],
    # not requests: tftpd-hpa then sends the file twice, and curl may mix both
    "twice": ["--duplicate-down", "20%", "--seed", "4"],
    # one packet in each direction; the first timeouts are 1 s to 5 s
    "once": ["--drop-block", "3"],
}
CLIENTS, SERVERS = peers("atftp", "tftp-hpa", "curl"), peers("atftpd", "tftpd-hpa")


@contextlib.contextmanager
def relay(*rules):
    """The port of a relay to their server, and the process."""
    reading, writing = os.pipe()
    with subprocess.Popen([SOCKEYE, "relay", "-q", "--ready-fd", str(writing), *rules,
                           "udp://127.0.0.1:0", f"udp://127.0.0.1:{PORT}"],
                          pass_fds=[writing]) as process:
        os.close(writing)
        try:
            with open(reading, encoding="ascii") as ready:
                yield int(ready.read().rpartition(":")[2])
            process.terminate()
            assert process.wait(WAIT_S) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("server", SERVERS)
def test_get(netns, tmp_path, server, client, rules):
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(content(SIZE))
    with serving(server, root), relay(*RULES[rules]) as port:
        for i in range(1 if rules == "once" else 3):
            same(get(client, port, "file", tmp_path / f"got{i}"), content(SIZE))


@pytest.mark.parametrize("rules", ["nothing", "order"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("server", SERVERS)
def test_put(netns, tmp_path, server, client, rules):
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o777)
    (tmp_path / "file").write_bytes(content(SIZE))
    with serving(server, root), relay(*RULES[rules]) as port:
        put(client, port, tmp_path / "file", "new")
        arrives(root / "new", content(SIZE))


@pytest.mark.parametrize("server", peers("atftpd"))
@pytest.mark.parametrize("client", peers("atftp"))
def test_windows(netns, tmp_path, server, client):
    """Windows of blocks, from a server that sends one block per call."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(content(1 << 20))
    with serving(server, root), relay("--delay", "2ms") as port:
        for blksize, window in ((8192, 4), (1428, 16), (512, 64)):
            same(get(client, port, "file", tmp_path / f"got{window}", blksize=blksize,
                     windowsize=window), content(1 << 20))
