"""docs/coming-from/netcat.md: the commands of each row have the same result."""
import os
import pathlib
import re
import shutil

import pytest

import coming_from
import mdoc
from network import needs_namespace, needs_root, network

SOCKEYE = pathlib.Path(os.environ.get("SOCKEYE", mdoc.ROOT / "build" / "sockeye")).resolve()
PAGE = "netcat.md"
# As nobody, workers could not reply to the sockets in the file system that root's clients make.
KEEP_ROOT = "--user root" if os.geteuid() == 0 else ""
SERVERS = f"""sockeye serve {KEEP_ROOT} --ready-fd 3 3>ready \
    echo tcp://:7007 udp://:7007 unix:echo.sock unix:@echo unix-dgram:dgram.sock \
    unix-seqpacket:seq.sock upper tcp://:7001 discard tcp://:7009 daytime tcp://:7013"""
IDLE = "give up after one second without traffic"  # here the input stays open
pytestmark = needs_namespace


def have(command):
    program = re.search(r"\b(?:nc|ncat|socat)\b", command)[0]
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {program} here")


def parameters(heading):
    for row in coming_from.pairs(PAGE, heading):
        marks = [have(row[1]), *([needs_root] if "--user" in row[2] else [])]
        yield pytest.param(*row, marks=marks, id=row[1][:40])


def expected_status(command):
    """An idle timeout is an error of ncat (1) and of ours (5), but not of socat."""
    return 1 if re.match("ncat .*-i1", command) else 5 if "--timeout" in command else 0


@pytest.mark.parametrize("task, theirs, ours", parameters("Clients"))
def test_client(tmp_path, task, theirs, ours):
    results = []
    for command in (theirs, ours):
        with network(tmp_path, SOCKEYE) as net, \
                net.serving(SERVERS, lambda: net.written("ready")):
            waiting = "sleep 3 | " if task == IDLE else ""
            status, output, errors = net.run(waiting + command, b"hello\n")
            assert status == expected_status(command), errors
            output = re.sub(rb"^tcp:.*: open\n", b"", output)  # from --check; nc needs -v
            results.append(re.sub(rb"\d\d:\d\d:\d\d", b"TIME", output))
        for left in tmp_path.iterdir():
            left.unlink()
    assert results[0] == results[1]


def probe(theirs, ours):
    """Whether the server at our command's address is ready, and a client for it."""
    scheme, where = re.search(r"(tcp|udp|unix):(?://)?([^'? ]*)", ours).groups()
    # ncat and socat lose the output of their child when the client ends its input at once. The
    # child needs a moment on a busy machine.
    child = "exec" in theirs or "SYSTEM" in theirs
    client = "(cat; sleep 1) | socat -t5 - " if child else "socat -t1 - "
    if scheme == "unix":
        return (lambda net: net.listens_at(where)), f"{client}UNIX-CONNECT:{where}"
    port = int(where.rpartition(":")[2])
    return (lambda net: net.bound(scheme, port)), f"{client}{scheme.upper()}:127.0.0.1:{port}"


@pytest.mark.parametrize("task, theirs, ours", parameters("Listeners and servers"))
def test_server(tmp_path, task, theirs, ours):
    ready, client = probe(theirs, ours)
    results = []
    for command in (theirs, ours):
        with network(tmp_path, SOCKEYE) as net:
            with net.serving(command, lambda: ready(net), b"from the server\n") as server:
                status, output, errors = net.run(client, b"hello\n")
            assert status == 0, errors
        for left in tmp_path.iterdir():
            left.unlink()
        if " listen " in ours:
            output += server.said
        results.append(output.replace(b"from the server\n", b"") if " -u " in theirs else output)
    assert results[0] == results[1] != b""


# The commands for each row of the table of exit statuses.
EXITS = {
    "wrong command line": ("nc --bad", "ncat --bad", "socat --bad", "sockeye connect --bad"),
    "unknown host": ("nc host.invalid 1", "ncat host.invalid 1", "socat - TCP:host.invalid:1",
                     "sockeye connect host.invalid:1"),
    "connection refused": ("nc 127.0.0.1 1", "ncat 127.0.0.1 1", "socat - TCP:127.0.0.1:1",
                           "sockeye connect 127.0.0.1:1"),
    "datagram refused (ICMP port unreachable)":
        ("nc -uw1 127.0.0.1 1", "ncat -u 127.0.0.1 1", "socat -t1 - UDP:127.0.0.1:1",
         "sockeye connect udp://127.0.0.1:1"),
    "connection reset by the peer":
        ("nc 127.0.0.1 9000", "ncat 127.0.0.1 9000", "socat - TCP:127.0.0.1:9000",
         "sockeye connect 127.0.0.1:9000"),
}
RESETS = """/usr/bin/python3 -c '
import socket
with socket.create_server(("127.0.0.1", 9000)) as listener:
    client, _ = listener.accept()
    client.recv(100)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    client.close()'"""


def exit_rows():
    text = (coming_from.FOLDER / PAGE).read_text()
    return {cells[0]: cells[1:] for cells in re.findall(
        r"^\| (.*) \| (\d) \| (\d) \| (\d) \| (\d) \|$", text, re.M)}


@pytest.mark.parametrize("cause", EXITS)
def test_exit_status(tmp_path, cause):
    for command, expected in zip(EXITS[cause], exit_rows()[cause], strict=True):
        if not shutil.which(command.split()[0]) and "sockeye" not in command:
            continue
        with network(tmp_path, SOCKEYE) as net, net.serving(RESETS, lambda: net.bound("tcp", 9000)):
            status, _, errors = net.run(f"(echo hello; sleep 1) | {command}")
        assert status == int(expected), (command, errors)


def test_rows():
    assert set(EXITS) == set(exit_rows())
    clients, servers = (coming_from.rows(PAGE, heading)
                        for heading in ("Clients", "Listeners and servers"))
    assert len(clients) >= 15 and len(servers) >= 10
