"""sockeye get from servers that are good, old or wrong; lost packets; signals."""
import json
import re
import signal
import time

import pytest

from conftest import WAIT_S, events, read_all
from get_fixtures import CONTENT, get, granted, names, server
from tftp import ERROR, ack, code_of, data, error, oack, send


def test_a_file(server, get, tmp_path):
    client = get(server.url("boot/pxelinux.0"))
    request = server.request()
    assert (request.name, request.mode) == ("boot/pxelinux.0", "octet")
    assert request.options["tsize"] == 0 and request.options["blksize"] > 512
    assert request.options["windowsize"] >= 16
    with server.answer(request, oack(blksize=100, windowsize=4, tsize=len(CONTENT))) as peer:
        peer.expect(ack(0))
        send(peer, CONTENT, 100, 4)
        said = client.end().decode()
    assert (tmp_path / "pxelinux.0").read_bytes() == CONTENT
    assert re.fullmatch(r"sockeye: pxelinux.0: 1.2 KiB in 0.\d{3} s, [\d.]+ ([KM]i)?B/s, "
                        r"blksize 100 window 4, 0 blocks resent\n", said)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024])
def test_sizes_without_options(server, get, tmp_path, size):
    client = get("--no-options", server.url())
    request = server.request()
    assert request.options == {}
    with server.answer(request) as peer:
        send(peer, CONTENT[:size])
        client.end()
    assert (tmp_path / "f").read_bytes() == CONTENT[:size]


def test_a_server_that_knows_no_options(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request()) as peer:
        send(peer, CONTENT)
        assert b"blksize 512 window 1" in client.end()
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [0, 4, 8])
def test_a_server_that_refuses_options(server, get, tmp_path, code):
    """After a refusal of options (RFC 2347) the client requests once more without them, from
    another port."""
    client = get(server.url())
    first = server.request()
    with server.answer(first, error(code, "no options")):
        second = server.request()
    assert (second.name, second.options) == (first.name, {})
    with server.answer(second) as peer:
        send(peer, CONTENT)
        assert b"without options" in client.end()
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [0, 4, 8])
def test_requests_again_only_once(server, get, code):
    client = get(server.url())
    for _ in range(2):
        with server.answer(server.request(), error(code, "no")):
            pass
    assert b'"no"' in client.end(8)
    server.expect_silence()


@pytest.mark.parametrize("code", [1, 2, 3, 6, 7, 99])
def test_other_errors_end_it(server, get, tmp_path, code):
    client = get(server.url())
    with server.answer(server.request(), error(code, "because")) as peer:
        said = client.end(8)
        assert said.startswith(b"sockeye: get tftp://127.0.0.1:") and said.count(b"\n") == 1
        assert b'error %d, ' % code in said and b'"because"' in said
        peer.expect_silence()  # an ERROR is never acknowledged
    server.expect_silence()
    assert names(tmp_path) == []


@pytest.mark.parametrize("code, text, said", [
    (1, "File not found", b'(error 1: "File not found"; names are case-sensitive and relative to the server\'s root)'),
    (1, "", b"(error 1, file not found; names are case-sensitive and relative to the server's root)"),
    (1, "no x in /srv", b'(error 1, file not found: "no x in /srv")'),
    (2, "Access violation", b"; many servers send only files that all users may read)"),
    (2, "Permission denied", b"; many servers send only files that all users may read)"),
    (0, "Is a directory", b'(error 0: "Is a directory")'), (0, "", b"(error 0, not defined)")])
def test_hints_after_an_error(server, get, code, text, said):
    """The hint appears only if the server's text repeats the error number in words."""
    client = get("--no-options", server.url())
    with server.answer(server.request(), error(code, text)):
        assert client.end(8).endswith(said + b"\n")


def test_text_of_the_server_is_escaped(server, get):
    text = "\x1b[2J\x1b]0;you\x07%s%n\r\n"
    for more in ([], ["--json"]):
        client = get(*more, server.url())
        with server.answer(server.request(), error(2, text)):
            assert client.wait(WAIT_S) == 8
        said = read_all(client.stderr) + read_all(client.stdout)
        assert all(byte == 10 or 32 <= byte < 127 for byte in said), said
        assert said.count(b"\n") == 1 and b"access violation" in said
    assert json.loads(said)["peer_text"].startswith(r"\e[2J")


@pytest.mark.parametrize("packet", [
    oack(nonsense=1), oack(blksize=65464), oack(blksize=7), oack(windowsize=0),
    oack(windowsize=65535), oack(timeout=3), oack(blksize="x")], ids=lambda packet: repr(packet[2:]))
def test_a_server_that_grants_invalid_options(server, get, tmp_path, packet):
    client = get(server.url(), "--blksize", "1000", "--window", "4")
    with server.answer(server.request(), packet) as peer:
        assert code_of(peer.hear()) == 8
        assert b"granted" in client.end(8)
    assert names(tmp_path) == []


def test_block_zero(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request(), data(0, b"x")) as peer:
        assert code_of(peer.hear()) == 4
        client.end(8)
    assert names(tmp_path) == []


@pytest.mark.parametrize("promised", [3, 5])
def test_size_other_than_tsize(server, get, tmp_path, promised):
    client = get(server.url())
    with server.answer(server.request(), oack(tsize=promised)) as peer:
        peer.expect(ack(0))
        peer.say(data(1, b"1234"))
        assert peer.hear()[1] == ERROR
        assert b"received 4 bytes, but the server announced %d" % promised in client.end(8)
    assert names(tmp_path) == []


def test_tsize_zero_is_ignored(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request(), oack(tsize=0)) as peer:
        peer.expect(ack(0))
        send(peer, b"1234")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"1234"


# --- losses ---

def test_request_again(server, get, tmp_path):
    client = get("--timeout", "50ms", server.url())
    server.request()
    with server.answer(server.request()) as peer:
        send(peer, b"late")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"late"


def test_oack_again(server, get, tmp_path):
    client = get(server.url())
    request = server.request()
    with server.answer(request, oack(tsize=3)) as peer:
        peer.expect(ack(0))
        time.sleep(0.01)
        peer.say(oack(tsize=3))
        peer.expect(ack(0))
        send(peer, b"abc")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"abc"


def test_last_block_again(server, get):
    """The client dallies (RFC 1350, section 6): its last ACK may be lost."""
    client = get(server.url())
    with server.answer(server.request(), data(1, b"abc")) as peer:
        peer.expect(ack(1))
        peer.say(data(1, b"abc"))
        peer.expect(ack(1))
        client.end()


def test_blocks_out_of_order(server, get, tmp_path):
    client = get("--json", "--blksize", "100", "--window", "4", server.url())
    request = server.request()
    blocks = [CONTENT[at:at + 100] for at in range(0, 450, 100)]
    with server.answer(request, granted(request, tsize=450)) as peer:
        peer.expect(ack(0))
        peer.say(*(data(i + 1, blocks[i]) for i in (0, 2, 1, 3)))
        peer.expect(ack(4))
        peer.say(data(5, blocks[4][:50]))
        peer.expect(ack(5))
        client.end()
    [event] = events(read_all(client.stdout))
    assert (tmp_path / "f").read_bytes() == CONTENT[:450]
    assert (event["blocks"], event["resent"], event["gaps"]) == (5, 0, 0)


# --- several files, signals ---

def test_several_at_once(server, get, tmp_path):
    client = get("-j", "2", *(server.url(f"f{i}") for i in range(4)))
    first, second = server.request(), server.request()
    server.expect_silence()
    with server.answer(first) as peer:
        send(peer, b"1")
    third = server.request()
    with server.answer(second, error(1, "no")), server.answer(third) as peer:
        send(peer, b"3")
    with server.answer(server.request()) as peer:
        send(peer, b"4")
    assert client.end(8).count(b"\n") == 4
    assert len(names(tmp_path)) == 3


def test_interrupted(server, get, tmp_path):
    client = get("-j", "2", server.url("a"), server.url("b"), server.url("c"))
    with server.answer(server.request(), data(1, CONTENT[:512])) as a:
        with server.answer(server.request(), data(1, CONTENT[:512])) as b:
            a.expect(ack(1))
            b.expect(ack(1))
            client.send_signal(signal.SIGINT)
            for peer in (a, b):
                assert code_of(peer.hear()) == 0
            assert client.end(130) == b""
    server.expect_silence()
    assert names(tmp_path) == []


def test_interrupted_after_the_last_block(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request(), data(1, b"all")) as peer:
        peer.expect(ack(1))
        client.send_signal(signal.SIGINT)  # most likely while it dallies
        client.end()
    assert (tmp_path / "f").read_bytes() == b"all"
