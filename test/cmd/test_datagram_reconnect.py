"""sockeye connect --reconnect: another peer for the same datagram socket."""
import socket
import time

import pytest

from conftest import events
from datagram_fixtures import Answering, udp


def test_reconnect(run, listening):
    first, second = listening(socket.SOCK_DGRAM), listening(socket.SOCK_DGRAM)
    servers = [Answering(first, lambda data: [b"1" + data]), Answering(second, lambda data: [b"2" + data])]
    result = run("connect", "-v", "--reconnect", f"{second.url}@2", "--reconnect", f"{first.url}@3",
                 *["-m", "a", "-m", "b", "-m", "c", "-m", "d"], first.url)
    assert (result.returncode, result.stdout) == (0, b"1a1b2c1d")
    assert [server.got for server in servers] == [[b"a", b"b", b"d"], [b"c"]]
    assert result.stderr.count(b"is now connected to") == 2


def test_reconnect_waits_for_replies_in_flight(run, listening):
    """Lines of the input do not wait for replies, but a change of the peer does: after it the
    kernel would drop replies from the old peer."""
    first, second = listening(socket.SOCK_DGRAM), listening(socket.SOCK_DGRAM)

    def slowly(data):
        time.sleep(0.1)
        return [b"1" + data]

    Answering(first, slowly)
    Answering(second, lambda data: [b"2" + data])
    result = run("connect", "--reconnect", f"{second.url}@1", first.url, input=b"a\nb\n")
    assert (result.returncode, result.stdout) == (0, b"1a\n2b\n")


def test_reconnect_to_none(run, udp, listening):
    """Then a reply from any address is accepted, and messages go to the last peer."""
    other = listening(socket.SOCK_DGRAM)
    Answering(udp, reply_from=other)
    result = run("connect", "--json", "--wait", "200ms", "--reconnect", "none@1",
                 "-m", "dropped", "-m", "taken", udp.url)
    found = events(result.stdout)
    assert [e["event"] for e in found] == ["attempt", "connected", "reconnected", "datagram", "end"]
    assert (found[2]["peer"], found[3]["data"], found[3]["peer"]) == (
        "none", "taken", other.url[6:])


@pytest.mark.parametrize("wrong", ["udp://127.0.0.1:9", "none", "none@", "none@x", "@3", "udp://x@-1",
                                   "tcp://127.0.0.1:9@1", "udp://127.0.0.1:99999@1"])
def test_reconnect_usage_errors(run, udp, wrong):
    assert run("connect", "--reconnect", wrong, "-m", "x", udp.url).returncode == 2


@pytest.mark.parametrize("wrong", ["udp://[::1]:9", "udp6://localhost:9", "unix-dgram:/nobody", "fd:0"])
def test_reconnect_to_another_family(run, udp, wrong):
    result = run("connect", "--reconnect", f"{wrong}@1", "-m", "x", udp.url)
    assert (result.returncode, wrong.encode() in result.stderr) == (2, True), result.stderr
    assert b"not a datagram address" in result.stderr or b"the socket uses IPv4" in result.stderr


def test_reconnect_in_the_wrong_order(run, udp):
    result = run("connect", "--reconnect", f"{udp.url}@2", "--reconnect", "none@1", "-m", "x", udp.url)
    assert (result.returncode, b"--reconnect none@1: N is smaller" in result.stderr) == (2, True)


def test_reconnect_that_fails_names_its_own_address(run, udp):
    Answering(udp)
    result = run("connect", "--reconnect", "udp://255.255.255.255:9@1", "-m", "a", "-m", "b", udp.url)
    assert (result.returncode, result.stderr.startswith(
        b"sockeye: connect udp://255.255.255.255:9: Permission denied")) == (9, True), result.stderr


def test_refusal_after_reconnect_names_its_own_address(run, listening):
    first, second = (listening(socket.SOCK_DGRAM, socket.AF_UNIX) for _ in range(2))

    def leave(data):
        second.close()
        return [data]
    gone = second.url
    Answering(first, leave)
    result = run("connect", "--reconnect", f"{gone}@1", "-m", "a", "-m", "b", first.url)
    assert gone.encode() in result.stderr and first.url.encode() not in result.stderr
