"""sockeye get: replies from other addresses and ports, silence, bind, IPv6."""
import time

import pytest

from conftest import events, until
from get_fixtures import CONTENT, get, names, server
from tftp import Peer, Server, ack, code_of, data, error, send


def test_strangers(server, get, tmp_path):
    """A stranger gets an ERROR and does not disturb the transfer (RFC 1350, section 4)."""
    client = get(server.url())
    request = server.request()
    with server.answer(request) as peer, Peer(request.client) as stranger:
        peer.say(data(1, CONTENT[:512]))
        peer.expect(ack(1))
        stranger.say(data(2, b"wrong"), ack(1), error(0, "die"))
        assert [code_of(stranger.hear()) for _ in range(2)] == [5, 5]
        stranger.expect_silence()  # an ERROR is never acknowledged
        peer.say(data(2, b"right"))
        until(lambda: peer.hear() == ack(2), "the end")  # the client may have repeated its ACK
        client.end()
    assert (tmp_path / "f").read_bytes() == CONTENT[:512] + b"right"


def test_two_servers_answer(server, get, tmp_path):
    client = get(server.url())
    request = server.request()
    with server.answer(request, data(1, CONTENT[:512])) as first:
        first.expect(ack(1))
        with server.answer(request, data(1, b"from the second")) as second:
            assert code_of(second.hear()) == 5
        first.say(data(2, b"first"))
        first.expect(ack(2))
        client.end()
    assert (tmp_path / "f").read_bytes().endswith(b"first")


def test_another_address_answers(server, get, tmp_path):
    client = get("--timeout", "100ms", "--retries", "1", server.url())
    with server.answer(server.request(), data(1, b"forged"), host="127.0.0.2") as other:
        assert code_of(other.hear()) == 5
        said = client.end(5)
        assert b"127.0.0.2" in said and b"--any-source" in said
    assert names(tmp_path) == []


def test_another_address_with_any_source(server, get, tmp_path):
    client = get("--any-source", server.url())
    with server.answer(server.request(), host="127.0.0.2") as other:
        send(other, b"wanted")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"wanted"


def test_no_server_listens(run, tmp_path):
    with Server() as gone:
        url = gone.url()
    begun = time.monotonic()
    done = run("get", "--no-wait", url, cwd=tmp_path)
    assert done.returncode == 4 and b"Connection refused" in done.stderr
    assert time.monotonic() - begun < 5 and names(tmp_path) == []


def test_the_server_closes(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request(), data(1, CONTENT[:512])) as peer:
        peer.expect(ack(1))
    with Peer() as waker:  # the next ACK is sent to a closed port
        waker.sendto(b"", server.getsockname())
        assert b"Connection refused (the server closed its port after 512 bytes)" in client.end(4)
    assert names(tmp_path) == []


def test_no_server_answers(server, get, tmp_path):
    begun = time.monotonic()
    client = get("--timeout", "50ms", "--retries", "2", server.url())
    assert b"(no reply; replies come from a new port, which a firewall may block)" in client.end(5)
    assert 0.1 < time.monotonic() - begun < 5
    requests = [server.request() for _ in range(3)]
    server.expect_silence()
    assert len({request.client for request in requests}) == 1
    assert names(tmp_path) == []


def test_no_retries(server, get):
    get("--timeout", "50ms", "--retries", "0", server.url()).end(5)
    server.request()
    server.expect_silence()


def test_silence_in_the_middle(server, get, tmp_path):
    client = get("--timeout", "50ms", "--retries", "2", server.url())
    with server.answer(server.request(), data(1, CONTENT[:512])) as peer:
        peer.expect(ack(1))
        assert b"no packet from the server after 512 bytes" in client.end(5)
    assert names(tmp_path) == []


@pytest.mark.parametrize("given, option, value", [
    ("1s", "timeout", 1), ("255", "timeout", 255), ("1.5", "utimeout", 1500000),
    ("20ms", "utimeout", 20000)])
def test_timeout_options(server, get, given, option, value):
    client = get("--timeout", given, server.url())
    request = server.request()
    assert request.options[option] == value
    assert len({"timeout", "utimeout"} & set(request.options)) == 1
    with server.answer(request, error(1, "no")):
        client.end(8)


def test_host_that_is_not_found(run, tmp_path):
    done = run("get", "tftp://no-such-host.invalid/f", cwd=tmp_path)
    assert done.returncode == 3 and names(tmp_path) == []


def test_bind_and_ports(get):
    with Server(host="0.0.0.0") as server:
        port = server.getsockname()[1]
        first = 40000 + port % 20000 // 8 * 8
        client = get("--bind", "127.0.0.9", "--port-range", f"{first}-{first + 7}",
                     f"tftp://127.0.0.1:{port}/f")
        host, at = server.request().client
        assert host == "127.0.0.9" and first <= at <= first + 7
        client.terminate()
        client.end(130)


def test_bind_of_the_other_family(run, server):
    """The message is the same as in sockeye connect."""
    done = run("get", "--bind", "::1", server.url())
    assert done.returncode == 3 and b"(bind=::1 and the host have different address families)" in done.stderr
    assert run("get", "-6", server.url()).returncode == 3
    server.expect_silence()


@pytest.mark.parametrize("args, code, why", [
    (["--bind", "192.0.2.1"], 6, "bind udp://192.0.2.1: Cannot assign requested address "
                                 "(this machine does not have the address)"),
    (["--bind", "127.0.0.1:PORT"], 9, "bind udp://127.0.0.1:PORT: Address already in use; ss -ulnp"),
    (["--port-range", "PORT-PORT", "-b", "127.0.0.1"], 9, "Address already in use (ports PORT-PORT)")])
def test_addresses_that_cannot_be_bound(run, server, args, code, why):
    port = str(server.getsockname()[1])  # in use
    done = run("get", "--no-wait", *(arg.replace("PORT", port) for arg in args), server.url())
    assert done.returncode == code and why.replace("PORT", port) in done.stderr.decode()
    [event] = events(run("get", "--no-wait", "--json", *(arg.replace("PORT", port) for arg in args),
                         server.url()).stdout)
    assert (event["exit"], event["step"]) == (code, "bind") and "bytes" not in event


def test_broadcast(get):
    """The client could not tell the replies of several servers apart."""
    assert (b"Permission denied (sending packets to 127.255.255.255:69: it is a broadcast address, "
            in get("tftp://127.255.255.255/f").end(9))


@pytest.mark.parametrize("form", [["--bind", "127.0.0.1:{}"], ["--port-range", "{0}-{0}"]])
def test_files_that_share_a_port(server, get, form):
    """The next transfer starts when the last ACK of the one before need not be repeated any
    more."""
    with Peer() as free:
        port = free.getsockname()[1]
    client = get("-j", "2", *(arg.format(port) for arg in form), server.url("a"), server.url("b"))
    for _ in range(2):
        request = server.request()
        assert request.client[1] == port
        with server.answer(request) as peer:
            send(peer, b"in turn")
    client.end()


def test_the_next_address_is_tried(get, server, tmp_path):
    """localhost may be ::1 first, where no server listens."""
    port = server.getsockname()[1]
    client = get(f"tftp://localhost:{port}/f")
    with server.answer(server.request()) as peer:
        send(peer, b"found")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"found"


@pytest.mark.parametrize("args", [["--timeout", "50ms", "--retries", "1"], []])
def test_an_address_that_does_not_answer_is_given_up(get, tmp_path, args):
    """After the retries, or after 5 seconds, the client tries the next address; :PORT means ::1
    and 127.0.0.1."""
    with Server(host="::1") as silent:
        port = silent.getsockname()[1]
        with Server(port=port) as server:
            client = get("-v", *args, f"tftp://:{port}/f")
            assert silent.request().name == "f"
            with server.answer(server.request()) as peer:
                send(peer, b"found")
                said = client.end().decode()
            assert f"sockeye: f: [::1]:{port}: Connection timed out\n" in said
    assert (tmp_path / "f").read_bytes() == b"found"


def test_ipv6(get, tmp_path):
    with Server(host="::1") as server:
        client = get(server.url())
        with server.answer(server.request()) as peer:
            send(peer, b"six")
            client.end()
    assert (tmp_path / "f").read_bytes() == b"six"
