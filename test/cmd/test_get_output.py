"""sockeye get: standard output, messages, JSON and the progress line."""
import concurrent.futures
import errno
import fcntl
import hashlib
import os
import pty
import re
import struct
import termios
import time

import pytest

from conftest import QUIET_S, events, read_all, read_exactly, readable, until
from get_fixtures import CONTENT, get, granted, names, server
from tftp import ACK, ERROR, Peer, ack, code_of, data, error, oack, send


# --- messages ---

def test_verbose(server, get):
    client = get("-v", "--blksize", "100", "--window", "2", server.url("d/x%1b"), "-o", "f")
    first = server.request()
    with server.answer(first, error(8, "no\x1b")) as refusing:
        second = server.request()
        host, port = refusing.getsockname()
    with server.answer(second) as peer, Peer(second.client) as stranger:
        peer.say(data(1, CONTENT[:512]))
        peer.expect(ack(1))
        stranger.say(data(2, b"wrong"))
        assert code_of(stranger.hear()) == 5
        peer.say(data(2, b"end"))
        said = client.end().decode()
        at = server.getsockname()[1]
        lines = [f'RRQ "d/x\\e" octet blksize=100 tsize=0 windowsize=2 to {host}:{at}',
                 f'{host}:{port} replies with error 8 "no\\e"',
                 f'RRQ "d/x\\e" octet to {host}:{at}',
                 f"{host}:{peer.getsockname()[1]} grants no options",
                 f"{host}:{stranger.getsockname()[1]} is not the server; sent it error 5"]
    heard = [line for line in said.splitlines() if "timeout after" not in line]  # on a slow machine
    assert heard[:5] == [f"sockeye: f: {line}" for line in lines]
    assert re.match(r"sockeye: f: blocks=2 resent=\d+ timeouts=\d+ gaps=0 ignored=0$", heard[-2])
    assert "without options" in heard[-1]


def test_verbose_reports_losses(server, get):
    client = get("-v", "--timeout", "50ms", "--blksize", "100", "--window", "4", server.url())
    server.request()  # treated as lost
    request = server.request()
    with server.answer(request, oack(blksize=100, windowsize=4)) as peer:
        peer.expect(ack(0))
        peer.say(*(data(i, CONTENT[100 * i - 100:100 * i]) for i in (1, 3)), data(4, b"x" * 50))
        until(lambda: peer.hear() == ack(1), "what is missing")
        peer.say(data(2, CONTENT[100:200]))
        until(lambda: peer.hear() == ack(4), "the end")
        said = client.end().decode()
    assert "sockeye: f: timeout after 0 bytes; retransmitting\n" in said
    assert "sockeye: f: block lost after 100 bytes; requesting it again\n" in said
    assert re.search(r"timeouts=[1-9]\d* gaps=[1-9]", said)


@pytest.mark.parametrize("args", [["-q"], ["--json"], []])
def test_no_other_messages(server, get, args):
    client = get(*["-v"] * bool(args), *args, server.url())
    with server.answer(server.request()) as peer:
        send(peer, b"x")
        said = client.end()
    assert said == b"" if args else said.count(b"\n") == 1


# --- standard output ---

def test_standard_output(server, get, tmp_path):
    client = get("-o", "-", server.url())
    with server.answer(server.request()) as peer:
        send(peer, CONTENT)
        assert read_all(client.stdout) == CONTENT
        client.end()
    assert names(tmp_path) == []


def test_several_files_on_standard_output(server, get):
    client = get("-j", "8", "-o", "-", server.url("a"), server.url("b"))
    for _ in range(2):
        request = server.request()
        with server.answer(request) as peer:
            send(peer, request.name.encode())
    assert read_all(client.stdout) == b"ab"
    client.end()


def test_a_reader_that_closes(server, get):
    client = get("-v", "-o", "-", server.url())
    with server.answer(server.request()) as peer:
        client.stdout.close()
        peer.say(data(1, CONTENT[:512]))
        until(lambda: peer.hear()[1] == ERROR, "ERROR")
        assert b"the reader closed standard output" in client.end(0)


def test_a_reader_that_is_slow(server, get):
    """Memory is bounded: the client stops acknowledging while the reader is slow. No byte is
    lost."""
    content = hashlib.shake_256(b"slow").digest(6 << 20)
    blocks = [content[at:at + 8192] for at in range(0, len(content) + 1, 8192)]
    client = get("--blksize", "8192", "--window", "8", "-o", "-", server.url())
    request = server.request()
    with (server.answer(request, granted(request)) as peer,
          concurrent.futures.ThreadPoolExecutor() as pool):
        peer.expect(ack(0))
        done, reader = 0, None
        while done < len(blocks):
            burst = blocks[done:done + 8]
            peer.say(*(data(done + i + 1, block) for i, block in enumerate(burst)))
            if not reader and not readable(peer, QUIET_S):
                assert 1 << 20 < done * 8192 < 3 << 20
                reader = pool.submit(read_all, client.stdout)
            done += len(burst)
            while (heard := peer.hear()) != ack(done):
                assert heard[1] == ACK
        assert reader.result() == content
        client.end()


def test_a_server_that_is_gone_before_a_slow_reader_has_read(server, get):
    """All blocks have arrived, but a full pipe holds them back. The acknowledgment of a repeated
    block then meets a closed port, which is not a failure."""
    content = hashlib.shake_256(b"gone").digest(300_000)
    blocks = [content[at:at + 16384] for at in range(0, len(content), 16384)]
    client = get("--blksize", "16384", "--window", "32", "-o", "-", server.url())
    request = server.request()
    with server.answer(request, granted(request, tsize=len(content))) as peer:
        peer.expect(ack(0))
        peer.say(*(data(i, block) for i, block in enumerate(blocks, 1)))
        until(lambda: peer.hear() == ack(len(blocks)), "the last acknowledgment")
        peer.say(data(len(blocks), blocks[-1]))
    time.sleep(QUIET_S)
    assert read_all(client.stdout) == content
    client.end()


def test_a_terminal_is_safe(server, get):
    ours, theirs = pty.openpty()
    client = get("-q", "-o", "-", server.url(), stdout=theirs)
    os.close(theirs)
    with server.answer(server.request()) as peer:
        send(peer, b"hello \x1b[2J world\n")
        assert read_exactly(ours, 19) == b"hello \\e[2J world\r\n"
        client.end()
    os.close(ours)


def test_json(server, get):
    client = get("--json", "--blksize", "100", server.url("x"), "-o", "here")
    request = server.request()
    with server.answer(request, oack(blksize=100, tsize=250)) as peer:
        peer.expect(ack(0))
        send(peer, CONTENT[:250], 100)
        client.end()
        [event] = events(read_all(client.stdout))
        assert event.pop("bytes_per_s") == pytest.approx(250 / event.pop("seconds"))
        assert event.pop("peer") == "127.0.0.1:%d" % peer.getsockname()[1]
    assert event == {
        "event": "transfer", "op": "get", "address": server.url("x"), "file": "here", "error": None,
        "mode": "octet", "bytes": 250, "exit": 0, "options": {"blksize": 100, "tsize": 250},
        "without_options": False, "blksize": 100, "windowsize": 1, "blocks": 3, "resent": 0,
        "wasted_bytes": 0, "timeouts": 0, "gaps": 0, "ignored": 0}


def test_json_of_failures(server, get, run):
    client = get("--json", server.url())
    with server.answer(server.request(), error(1, "gone")):
        client.end(8)
    [event] = events(read_all(client.stdout))
    assert (event["event"], event["op"], event["error"], event["exit"]) == ("error", "get", "PEER", 8)
    assert (event["code"], event["peer_text"]) == (1, "gone")
    [event] = events(run("get", "--json", "tftp://no-such-host.invalid/f").stdout)
    assert (event["event"], event["exit"]) == ("error", 3)


def test_progress_on_a_terminal(server, get):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    client = get("-o", "kernel", server.url(), stderr=theirs,
                 env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"})
    os.close(theirs)
    request = server.request()
    said = b""
    with server.answer(request, oack(blksize=512, tsize=1024)) as peer:
        peer.expect(ack(0))
        peer.say(data(1, CONTENT[:512]))
        peer.expect(ack(1))
        while b"50%" not in said:
            said += read_exactly(ours, 1)
        peer.say(data(2, CONTENT[:512]), data(3))
        client.end()
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError as gone:
            assert gone.errno == errno.EIO
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    lines = [part for part in said.split(b"\r\x1b[K") if part]
    assert re.match(rb"kernel  50% \[=+> +\] 512 B, ", lines[-2] if len(lines) > 1 else lines[0])
    assert re.match(rb"sockeye: kernel: 1.0 KiB in ", lines[-1])
    assert b"\x1b[3" not in said and b"512 B, 0 B/s" not in said
