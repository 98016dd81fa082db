"""sockeye put: files to servers that are good, old or wrong, or that close."""
import os
import pathlib
import signal
import socket
import subprocess
import threading

import pytest

from conftest import events, read_all, until
from tftp import WRQ, Peer, Server, ack, code_of, data, error, oack, receive, unreachable

CONTENT = bytes(range(256)) * 5


@pytest.fixture
def server():
    with Server() as made:
        yield made


@pytest.fixture
def put(program, tmp_path):
    """Starts `sockeye put` in a folder with the file f."""
    (tmp_path / "f").write_bytes(CONTENT)

    def start(*args, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        return program("put", *args, cwd=tmp_path, **kw)
    return start


def test_a_file(server, put):
    client = put("f", server.url("in/fw.bin"))
    request = server.request(WRQ)
    assert (request.name, request.mode) == ("in/fw.bin", "octet")
    assert request.options["tsize"] == len(CONTENT) and request.options["windowsize"] > 1
    with server.answer(request, oack(blksize=100, windowsize=4, tsize=len(CONTENT))) as peer:
        assert receive(peer, 100, 4) == CONTENT
        said = client.end()
    assert said.startswith(b"sockeye: f: 1.2 KiB in ") and b"blksize 100 window 4, 0 blocks" in said


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024])
@pytest.mark.parametrize("piped", [False, True])
def test_sizes_without_options(server, put, tmp_path, size, piped):
    (tmp_path / "f").write_bytes(CONTENT[:size])
    client = put("--no-options", "-" if piped else "f", server.url(),
                 stdin=subprocess.PIPE if piped else subprocess.DEVNULL)
    if piped:
        client.stdin.write(CONTENT[:size])
        client.close_input()
    request = server.request(WRQ)
    assert request.options == {}
    with server.answer(request, ack(0)) as peer:
        assert receive(peer) == CONTENT[:size]
        client.end()


@pytest.mark.parametrize("code", [0, 4, 8])
@pytest.mark.parametrize("piped", [False, True])
def test_a_server_that_refuses_options(server, put, code, piped):
    client = put("-" if piped else "f", server.url(),
                 stdin=subprocess.PIPE if piped else subprocess.DEVNULL)
    if piped:
        client.stdin.write(CONTENT)
        client.close_input()
    with server.answer(server.request(WRQ), error(code, "no options")):
        second = server.request(WRQ)
    assert second.options == {}
    with server.answer(second, ack(0)) as peer:
        assert receive(peer) == CONTENT
        assert b"without options" in client.end()


@pytest.mark.parametrize("code", [1, 2, 3, 6])
def test_other_errors_end_it(server, put, code):
    client = put("f", server.url())
    with server.answer(server.request(WRQ), error(code, "because")) as peer:
        assert b"error %d, " % code in client.end(8)
        peer.expect_silence()
    server.expect_silence()


@pytest.mark.parametrize("code, text, hint", [
    (1, "File not found", "the directory does not exist, or the server does not accept new files"),
    (2, "Access violation", "the server does not accept uploads, or not to this directory or file"),
    (2, "Uploads are not allowed", ""), (6, "", "the server does not replace files"),
    (4, "unsupported request from 127.0.0.1", "the server probably does not accept uploads")])
def test_hints_after_an_error(server, put, code, text, hint):
    client = put("--no-options", "f", server.url("d/f"))
    with server.answer(server.request(WRQ), error(code, text)):
        said = client.end(8).decode()
    assert said.count("; ") == bool(hint) and hint in said


@pytest.mark.parametrize("code, text", [(3, "Disk full"), (4, "Illegal operation")])
def test_error_in_the_middle(server, put, code, text):
    client = put("f", server.url())
    with server.answer(server.request(WRQ), ack(0)) as peer:
        peer.expect(data(1, CONTENT[:512]))
        peer.say(error(code, text))
        assert f'(error {code}: "{text}")' in client.end(8).decode()
        peer.expect_silence(data(1, CONTENT[:512]))


def test_a_pipe_is_split_into_full_blocks(server, put):
    """The client fills each block from several small writes, and sends no request before the
    first byte."""
    client = put("-", server.url(), stdin=subprocess.PIPE)
    server.expect_silence()
    client.stdin.write(CONTENT[:100])
    request = server.request(WRQ)
    assert "tsize" not in request.options
    with server.answer(request, ack(0)) as peer:
        for at in range(100, 700, 100):
            client.stdin.write(CONTENT[at:at + 100])
        peer.expect(data(1, CONTENT[:512]))
        peer.say(ack(1))
        peer.expect_silence(data(1, CONTENT[:512]))
        client.close_input()
        peer.expect(data(2, CONTENT[512:700]))
        peer.say(ack(2))
        client.end()


def test_more_than_a_window_from_a_pipe(server, put):
    content = os.urandom(300000)
    client = put("--blksize", "1000", "--window", "7", "-", server.url(), stdin=subprocess.PIPE)

    def feed():
        for at in range(0, len(content), 3333):
            client.stdin.write(content[at:at + 3333])
        client.close_input()

    feeder = threading.Thread(target=feed)
    feeder.start()
    with server.answer(server.request(WRQ), oack(blksize=1000, windowsize=7)) as peer:
        assert receive(peer, 1000, 7) == content
        client.end()
    feeder.join()


def test_a_fifo(server, put, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    client = put("--no-options", "fifo", server.url())
    server.expect_silence()  # no process writes to it yet
    with open(tmp_path / "fifo", "wb") as fifo:
        fifo.write(b"through a fifo")
    with server.answer(server.request(WRQ), ack(0)) as peer:
        assert receive(peer) == b"through a fifo"
        client.end()


def test_standard_input_that_is_a_file(server, put, tmp_path):
    with open(tmp_path / "f", "rb") as file:
        file.seek(1000)
        client = put("-", server.url(), stdin=file)
        request = server.request(WRQ)
        assert request.options["tsize"] == len(CONTENT) - 1000
        with server.answer(request, ack(0)) as peer:
            assert receive(peer) == CONTENT[1000:]
            client.end()


@pytest.mark.parametrize("url", ["x;mode=netascii", "x"])
def test_netascii(server, put, tmp_path, url):
    """Also CRLF pairs that straddle two blocks."""
    text = b"a\n" + b"x" * 508 + b"\nb\rc\r\n" + b"\n" * 600
    (tmp_path / "f").write_bytes(text)
    client = put(*[] if "mode" in url else ["--netascii"], "f", server.url(url))
    request = server.request(WRQ)
    assert request.mode == "netascii" and "tsize" not in request.options
    with server.answer(request, ack(0)) as peer:
        assert receive(peer) == text.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
        client.end()


def test_names(server, put, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "g").write_bytes(b"g")
    for args, there in ((["d/g", "x"], ["x"]), (["d/g", "x/"], ["x/g"]), (["d/g", ""], ["g"]),
                        (["f", "d/g", "to"], ["to/f", "to/g"]), (["f", "d/g", ""], ["f", "g"])):
        client = put("-q", *args[:-1], server.url(args[-1]))
        for name in there:
            request = server.request(WRQ)
            assert request.name == name
            with server.answer(request, ack(0)) as peer:
                receive(peer)
        assert client.end() == b""


@pytest.mark.parametrize("args, why", [
    (["f"], "no address"), (["-", "tftp://h/"], "no name"), (["-", "-", "tftp://h/x/"], "only once"),
    (["f", "udp://h:69"], "tftp://HOST/FILE"), (["name", "tftp://h/" + 251 * "x" + "/"], "255"),
    (["f", "tftp://h/x;mode=mail"], "mode")])
def test_usage_errors(run, tmp_path, args, why):
    done = run("put", *args, cwd=tmp_path)
    assert done.returncode == 2 and why in done.stderr.decode()


@pytest.mark.parametrize("path, why", [
    ("none", b"open none: No such file"), (".", b"Is a directory"), ("/dev/zero", b"(only regular files and FIFOs can be sent)"),
    ("none/x", b"No such file")])
def test_files_that_cannot_be_sent(server, put, path, why):
    assert why in put(path, server.url()).end(9)
    server.expect_silence()


def test_a_file_that_shrinks(server, put, tmp_path):
    client = put("--no-options", "f", server.url())
    request = server.request(WRQ)
    os.truncate(tmp_path / "f", 600)
    with server.answer(request, ack(0)) as peer:
        peer.expect(data(1, CONTENT[:512]))
        peer.say(ack(1))
        assert code_of(peer.hear()) == 0
        assert b"read f: Input/output error (the file has become shorter)" in client.end(9)


def test_the_first_failure_counts(server, put):
    client = put("none", "f", server.url("d/"))
    request = server.request(WRQ)
    assert request.name == "d/f"
    with server.answer(request, ack(0)) as peer:
        assert receive(peer) == CONTENT
    assert client.end(9).count(b"\n") == 2


def test_strangers(server, put):
    client = put("--no-options", "f", server.url())
    request = server.request(WRQ)
    with server.answer(request, ack(0)) as peer, Peer(request.client) as stranger:
        peer.expect(data(1, CONTENT[:512]))
        stranger.say(ack(1), error(0, "die"))
        assert code_of(stranger.hear()) == 5
        stranger.expect_silence()
        peer.say(ack(1))
        until(lambda: peer.hear() == data(2, CONTENT[512:1024]), "the second block")
        peer.say(ack(2))
        peer.expect(data(3, CONTENT[1024:]))
        peer.say(ack(3))
        client.end()


def test_no_server_listens(put):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    assert b"Connection refused" in put("--no-wait", "f", f"tftp://127.0.0.1:{port}/x").end(4)


def test_the_end_is_not_acknowledged(server, put):
    client = put("--timeout", "50ms", "--retries", "2", "f", server.url())
    with server.answer(server.request(WRQ), ack(0)) as peer:
        for number in (1, 2):
            peer.expect(data(number, CONTENT[512 * number - 512:512 * number]))
            peer.say(ack(number))
        assert b"the last block was not acknowledged" in client.end(5)


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(os.getuid() != 0, reason="raw sockets want root")
def test_last_ack_before_the_port_closes(server, put):
    """ICMP arrived after the last ACK, but the kernel reports it first."""
    client = put("--no-options", "f", server.url())
    with server.answer(server.request(WRQ), ack(0)) as peer:
        for number in (1, 2, 3):
            peer.expect(data(number, CONTENT[512 * (number - 1):512 * number]))
            if number == 3:
                client.send_signal(signal.SIGSTOP)
                until(lambda: state_of(client.pid) == "T", "stopped")
            peer.say(ack(number))
        unreachable(peer)
        client.send_signal(signal.SIGCONT)
        client.end()


@pytest.mark.skipif(os.getuid() != 0, reason="raw sockets want root")
def test_a_server_that_closes_its_port(server, put):
    client = put("--no-options", "f", server.url())
    with server.answer(server.request(WRQ), ack(0)) as peer:
        peer.expect(data(1, CONTENT[:512]))
        unreachable(peer)
        assert b"Connection refused" in client.end(4)


def test_interrupted(server, put):
    client = put("f", server.url())
    with server.answer(server.request(WRQ), ack(0)) as peer:
        peer.expect(data(1, CONTENT[:512]))
        client.send_signal(signal.SIGINT)
        until(lambda: peer.hear()[1] == 5, "ERROR")
        assert client.end(130) == b""


def test_interrupted_while_the_input_is_quiet(server, put):
    client = put("-v", "-", server.url(), stdin=subprocess.PIPE)
    client.stdin.write(b"x")
    server.request(WRQ)
    client.send_signal(signal.SIGTERM)
    client.end(130)


def test_json(server, put):
    client = put("--json", "f", server.url("x"))
    with server.answer(server.request(WRQ), ack(0)) as peer:
        receive(peer)
        client.end()
    [event] = events(read_all(client.stdout))
    assert (event["event"], event["op"], event["file"], event["bytes"], event["blocks"]) == (
        "transfer", "put", "f", len(CONTENT), 3)
