"""sockeye get: files from servers that are good, old, wrong, or gone."""
import concurrent.futures
import errno
import fcntl
import hashlib
import json
import os
import pty
import re
import resource
import signal
import socket
import struct
import termios
import time

import pytest

from conftest import QUIET_S, WAIT_S, events, read_all, read_exactly, readable, until
from tftp import (ACK, ERROR, Peer, Server, ack, code_of, data, error, oack, send)

CONTENT = bytes(range(256)) * 5


@pytest.fixture
def server():
    with Server() as made:
        yield made


@pytest.fixture
def get(program, tmp_path):
    """sockeye get in an empty folder."""
    def start(*args, **kw):
        return program("get", *args, cwd=tmp_path, **kw)
    return start


def names(folder):
    return sorted(os.listdir(folder))


def granted(request, **wanted):
    """The OACK of a server that lowers some."""
    return oack(**{name: min(value, wanted.get(name, value)) if name != "tsize" else
                   wanted.get(name, value) for name, value in request.options.items()})


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
    assert re.fullmatch(r"sockeye: pxelinux.0: 1.2 KiB in 0.\d{3} s, [\d.]+ [kM]?B/s, "
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
    """RFC 2347: it may be asked again without; once, and from another port."""
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
def test_only_once_again(server, get, code):
    client = get(server.url())
    for _ in range(2):
        with server.answer(server.request(), error(code, "no")):
            pass
    assert b'"no"' in client.end(8)
    server.expect_silence()


@pytest.mark.parametrize("code", [1, 2, 3, 6, 7, 99])
def test_other_errors_are_the_end(server, get, tmp_path, code):
    client = get(server.url())
    with server.answer(server.request(), error(code, "because")) as peer:
        said = client.end(8)
        assert said.startswith(b"sockeye: get tftp://127.0.0.1:") and said.count(b"\n") == 1
        assert b'error %d, ' % code in said and b'"because"' in said
        peer.expect_silence()  # an ERROR is never answered
    server.expect_silence()
    assert names(tmp_path) == []


@pytest.mark.parametrize("code, text, said", [
    (1, "File not found", b'(error 1: "File not found"; names are case-sensitive and relative to the server\'s root)'),
    (1, "", b"(error 1, file not found; names are case-sensitive and relative to the server's root)"),
    (1, "no x in /srv", b'(error 1, file not found: "no x in /srv")'),
    (2, "Access violation", b"; many servers send only files that all users may read)"),
    (2, "Permission denied", b"; many servers send only files that all users may read)"),
    (0, "Is a directory", b'(error 0: "Is a directory")'), (0, "", b"(error 0, not defined)")])
def test_what_to_do_about_an_error(server, get, code, text, said):
    """Where the server's words say no more than the number."""
    client = get("--no-options", server.url())
    with server.answer(server.request(), error(code, text)):
        assert client.end(8).endswith(said + b"\n")


def test_words_of_the_server_are_escaped(server, get):
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
def test_a_server_that_grants_wrongly(server, get, tmp_path, packet):
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
def test_size_that_was_promised(server, get, tmp_path, promised):
    client = get(server.url())
    with server.answer(server.request(), oack(tsize=promised)) as peer:
        peer.expect(ack(0))
        peer.say(data(1, b"1234"))
        assert peer.hear()[1] == ERROR
        assert b"received 4 bytes, but the server announced %d" % promised in client.end(8)
    assert names(tmp_path) == []


def test_a_size_of_zero_is_no_promise(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request(), oack(tsize=0)) as peer:
        peer.expect(ack(0))
        send(peer, b"1234")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"1234"


# --- what is told ---

def test_what_verbose_tells(server, get):
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
                 f'{host}:{port} answers with error 8 "no\\e"',
                 f'RRQ "d/x\\e" octet to {host}:{at}',
                 f"{host}:{peer.getsockname()[1]} grants no options",
                 f"{host}:{stranger.getsockname()[1]} has no part in this, and is told so"]
    heard = [line for line in said.splitlines() if "nothing came after" not in line]  # when slow
    assert heard[:5] == [f"sockeye: f: {line}" for line in lines]
    assert re.match(r"sockeye: f: blocks=2 resent=\d+ timeouts=\d+ gaps=0 ignored=0$", heard[-2])
    assert "without options" in heard[-1]


def test_verbose_tells_of_losses(server, get):
    client = get("-v", "--timeout", "50ms", "--blksize", "100", "--window", "4", server.url())
    server.request()  # lost
    request = server.request()
    with server.answer(request, oack(blksize=100, windowsize=4)) as peer:
        peer.expect(ack(0))
        peer.say(*(data(i, CONTENT[100 * i - 100:100 * i]) for i in (1, 3)), data(4, b"x" * 50))
        until(lambda: peer.hear() == ack(1), "what is missing")
        peer.say(data(2, CONTENT[100:200]))
        until(lambda: peer.hear() == ack(4), "the end")
        said = client.end().decode()
    assert "sockeye: f: nothing came after 0 bytes, sent again\n" in said
    assert "sockeye: f: a block was lost after 100 bytes, asked for again\n" in said
    assert re.search(r"timeouts=[1-9]\d* gaps=[1-9]", said)


@pytest.mark.parametrize("args", [["-q"], ["--json"], []])
def test_nothing_more_is_told(server, get, args):
    client = get(*["-v"] * bool(args), *args, server.url())
    with server.answer(server.request()) as peer:
        send(peer, b"x")
        said = client.end()
    assert said == b"" if args else said.count(b"\n") == 1


def test_verbose_probe(server, get):
    client = get("-v", "--probe", server.url())
    with server.answer(server.request(), oack(blksize=1428)) as peer:
        assert code_of(peer.hear()) == 8
        said = client.end().decode()
    assert 'sockeye: f: RRQ "f" octet blksize=65464 timeout=1' in said and "grants blksize=1428\n" in said


# --- where it goes ---

def test_names(server, get, tmp_path):
    (tmp_path / "d").mkdir()
    for args, at in ((["x/y"], "y"), (["y", "-o", "other"], "other"), (["x/y", "-o", "d"], "d/y"),
                     (["x/y", "-o", "d/"], "d/y"), (["a%20b"], "a b"), (["/y"], "y")):
        client = get("-q", *args[1:], server.url(args[0]))
        with server.answer(server.request()) as peer:
            send(peer, at.encode())
            assert client.end() == b""
        assert (tmp_path / at).read_bytes() == at.encode()
        (tmp_path / at).unlink()


def test_names_on_the_wire(server, get):
    """RFC 3617 2: the slash behind the host is not part of the name."""
    for url, name, mode in (("x", "x", "octet"), ("/x", "/x", "octet"),
                            ("a%20b%2Fc", "a b/c", "octet"), ("x;mode=netascii", "x", "netascii"),
                            ("x;mode=octet", "x", "octet")):
        client = get("-q", "-o", "out", server.url(url))
        request = server.request()
        assert (request.name, request.mode) == (name, mode)
        with server.answer(request, error(1, "no")):
            client.end(8)


@pytest.mark.parametrize("args, why", [
    (["tftp://h/"], "names no file"), (["tftp://h"], "names no file"), (["tftp://h/x/"], "use -o"),
    (["tftp://h/.."], "use -o"), (["tftp://h/a%00b"], "NUL"), (["tcp://h:1"], "tftp://HOST/FILE"),
    (["tftp://h/a", "tftp://h/b", "-o", "x"], "-o DIR/"), (["tftp://h/a", "tftp://g/a"], "two files"),
    (["tftp://h/a;mode=mail"], "mode"), (["tftp://h/a", "--blksize", "7"], "8 to 65464"),
    (["tftp://h/a", "--blksize", "65465"], "8 to 65464"), (["tftp://h/a", "-46"], "-4 and -6"),
    (["tftp://h/a", "--port-range", "9-5"], "--port-range"),
    (["tftp://h/a", "--port-range", "0-5"], "--port-range"),
    (["tftp://h/a", "--port-range", "5"], "--port-range"),
    (["tftp://h/a", "--no-options", "--window", "2"], "--no-options"),
    (["tftp://h/a", "-o", "-", "--json"], "standard output"),
    (["tftp://h/a", "-o", ""], "-o needs"), (["tftp://h/a", "--probe", "-o", "x"], "--probe")])
def test_command_lines_that_are_wrong(run, tmp_path, args, why):
    done = run("get", *args, cwd=tmp_path)
    assert done.returncode == 2 and why in (done.stdout + done.stderr).decode()
    assert names(tmp_path) == []


def test_the_old_file_stays_until_the_new_one_is_whole(server, get, tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    client = get(server.url())
    with server.answer(server.request()) as peer:
        peer.say(data(1, CONTENT[:512]))
        peer.expect(ack(1))
        assert (tmp_path / "f").read_bytes() == b"old"
        assert names(tmp_path) == ["f"]
        peer.say(error(0, "changed my mind"))
        client.end(8)
    assert (tmp_path / "f").read_bytes() == b"old"


def test_the_file_is_there_before_the_last_ack(server, get, tmp_path):
    get(server.url())
    with server.answer(server.request(), data(1, b"all")) as peer:
        peer.expect(ack(1))
        assert (tmp_path / "f").read_bytes() == b"all"


def test_a_link_stands_for_its_file(server, get, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "f").symlink_to("file")
    client = get(server.url())
    with server.answer(server.request()) as peer:
        send(peer, b"new")
        client.end()
    assert (tmp_path / "file").read_bytes() == b"new" and (tmp_path / "f").is_symlink()


def test_a_device_is_written_to(server, get):
    client = get("-o", "/dev/null", server.url())
    with server.answer(server.request()) as peer:
        send(peer, CONTENT)
        client.end()
    assert not os.path.isfile("/dev/null")


@pytest.mark.parametrize("where, why", [("none/f", b"No such file"), ("dir/../dir/sub/x/", b"No such file")])
def test_places_that_cannot_be(server, get, tmp_path, where, why):
    (tmp_path / "dir").mkdir()
    client = get("-o", where, server.url())
    assert why in client.end(9)
    server.expect_silence()  # seen before anybody was asked


def test_a_fifo_that_nobody_reads(server, get, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert b"(no process reads this FIFO)" in get("-o", "fifo", server.url()).end(9)
    server.expect_silence()


def test_full_disk(server, get, tmp_path):
    """The limit of a file's size stands for it: EFBIG."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    client = get(server.url(), preexec_fn=limit)
    with server.answer(server.request()) as peer:
        peer.say(data(1, CONTENT[:512]))
        peer.expect(ack(1))
        peer.say(data(2, CONTENT[:512]))
        heard = peer.hear()
        heard = peer.hear() if heard[1] == ACK else heard
        assert code_of(heard) == 3
        assert b"write f: File too large" in client.end(9)
    assert names(tmp_path) == []


def test_full_device(server, get):
    client = get("-o", "/dev/full", server.url())
    with server.answer(server.request()) as peer:
        peer.say(data(1, CONTENT[:512]))
        until(lambda: peer.hear()[1] == ERROR, "ERROR")
        assert b"No space left" in client.end(9)


# --- standard output ---

def test_standard_output(server, get, tmp_path):
    client = get("-o", "-", server.url())
    with server.answer(server.request()) as peer:
        send(peer, CONTENT)
        assert read_all(client.stdout) == CONTENT
        client.end()
    assert names(tmp_path) == []


def test_files_follow_each_other_on_standard_output(server, get):
    client = get("-j", "8", "-o", "-", server.url("a"), server.url("b"))
    for _ in range(2):
        request = server.request()
        with server.answer(request) as peer:
            send(peer, request.name.encode())
    assert read_all(client.stdout) == b"ab"
    client.end()


def test_a_reader_that_leaves(server, get):
    client = get("-v", "-o", "-", server.url())
    with server.answer(server.request()) as peer:
        client.stdout.close()
        peer.say(data(1, CONTENT[:512]))
        until(lambda: peer.hear()[1] == ERROR, "ERROR")
        assert b"nobody reads" in client.end(0)


def test_a_reader_that_is_slow(server, get):
    """Memory is bounded: the server is not acknowledged on and on; and nothing is lost."""
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


def test_a_terminal_is_safe(server, get):
    ours, theirs = pty.openpty()
    client = get("-q", "-o", "-", server.url(), stdout=theirs)
    os.close(theirs)
    with server.answer(server.request()) as peer:
        send(peer, b"hello \x1b[2J world\n")
        assert read_exactly(ours, 19) == b"hello \\e[2J world\r\n"
        client.end()
    os.close(ours)


# --- addresses ---

def test_strangers(server, get, tmp_path):
    """RFC 1350 4: they are told, and do no harm."""
    client = get(server.url())
    request = server.request()
    with server.answer(request) as peer, Peer(request.client) as stranger:
        peer.say(data(1, CONTENT[:512]))
        peer.expect(ack(1))
        stranger.say(data(2, b"wrong"), ack(1), error(0, "die"))
        assert [code_of(stranger.hear()) for _ in range(2)] == [5, 5]
        stranger.expect_silence()  # an ERROR is never answered
        peer.say(data(2, b"right"))
        until(lambda: peer.hear() == ack(2), "the end")  # it asked again meanwhile
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


def test_another_address_that_may(server, get, tmp_path):
    client = get("--any-source", server.url())
    with server.answer(server.request(), host="127.0.0.2") as other:
        send(other, b"wanted")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"wanted"


def test_nobody_listens(run, tmp_path):
    with Server() as gone:
        url = gone.url()
    begun = time.monotonic()
    done = run("get", url, cwd=tmp_path)
    assert done.returncode == 4 and b"Connection refused" in done.stderr
    assert time.monotonic() - begun < 5 and names(tmp_path) == []


def test_the_server_goes(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request(), data(1, CONTENT[:512])) as peer:
        peer.expect(ack(1))
    with Peer() as waker:  # the next ACK finds nobody
        waker.sendto(b"", server.getsockname())
        assert b"Connection refused (the server closed its port after 512 bytes)" in client.end(4)
    assert names(tmp_path) == []


def test_nobody_answers(server, get, tmp_path):
    begun = time.monotonic()
    client = get("--timeout", "50ms", "--retries", "2", server.url())
    assert b"(no reply; replies come from a new port, which a firewall may block)" in client.end(5)
    assert 0.1 < time.monotonic() - begun < 5
    requests = [server.request() for _ in range(3)]
    server.expect_silence()
    assert len({request.client for request in requests}) == 1
    assert names(tmp_path) == []


def test_no_repetition_at_all(server, get):
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
def test_timeouts_that_are_asked_for(server, get, given, option, value):
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
    """As connect has it."""
    done = run("get", "--bind", "::1", server.url())
    assert done.returncode == 3 and b"(bind=::1 has another family than the host)" in done.stderr
    assert run("get", "-6", server.url()).returncode == 3
    server.expect_silence()


@pytest.mark.parametrize("args, code, why", [
    (["--bind", "192.0.2.1"], 6, "bind udp://192.0.2.1:0: Cannot assign requested address "
                                 "(this machine does not have the address)"),
    (["--bind", "127.0.0.1:PORT"], 9, "bind udp://127.0.0.1:PORT: Address already in use; ss -ulnp"),
    (["--port-range", "PORT-PORT", "-b", "127.0.0.1"], 9, "Address already in use (ports PORT-PORT)")])
def test_addresses_that_cannot_be_bound(run, server, args, code, why):
    port = str(server.getsockname()[1])  # it is taken
    done = run("get", *(arg.replace("PORT", port) for arg in args), server.url())
    assert done.returncode == code and why.replace("PORT", port) in done.stderr.decode()
    [event] = events(run("get", "--json", *(arg.replace("PORT", port) for arg in args),
                         server.url()).stdout)
    assert (event["exit"], event["step"]) == (code, "bind") and "bytes" not in event


def test_broadcast(get):
    """The client could not tell the replies of several servers apart."""
    assert b"Permission denied (a broadcast address, or " in get("tftp://127.255.255.255/f").end(9)


@pytest.mark.parametrize("form", [["--bind", "127.0.0.1:{}"], ["--port-range", "{0}-{0}"]])
def test_files_that_have_to_share_a_port(server, get, form):
    """The next one begins when the last ACK of the one before need not be repeated any more."""
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
    """localhost may be ::1 first, where nobody listens."""
    port = server.getsockname()[1]
    client = get(f"tftp://localhost:{port}/f")
    with server.answer(server.request()) as peer:
        send(peer, b"found")
        client.end()
    assert (tmp_path / "f").read_bytes() == b"found"


@pytest.mark.parametrize("args", [["--timeout", "50ms", "--retries", "1"], []])
def test_an_address_that_is_silent_is_left(get, tmp_path, args):
    """After its retries or 5 seconds; :PORT is ::1 and 127.0.0.1."""
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
    """It dallies (RFC 1350 6): its ACK may have been lost."""
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


# --- several, interrupted, told ---

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


def test_interrupted_when_all_is_here(server, get, tmp_path):
    client = get(server.url())
    with server.answer(server.request(), data(1, b"all")) as peer:
        peer.expect(ack(1))
        client.send_signal(signal.SIGINT)  # while it dallies, most likely
        client.end()
    assert (tmp_path / "f").read_bytes() == b"all"


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


# --- probing ---

def test_probe(server, get, tmp_path):
    client = get("--probe", "--json", server.url())
    request = server.request()
    assert set(request.options) == {"blksize", "timeout", "utimeout", "tsize", "windowsize",
                                    "rollover"}
    with server.answer(request, oack(blksize=1428, tsize=77, windowsize=8)) as peer:
        assert code_of(peer.hear()) == 8
    client.end()
    [event] = events(read_all(client.stdout))
    assert (event["event"], event["size"], event["together"]) == ("probe", 77, True)
    assert {name: option["granted"] for name, option in event["options"].items()} == {
        "blksize": 1428, "tsize": 77, "windowsize": 8, "timeout": None, "utimeout": None,
        "rollover": None}
    assert names(tmp_path) == []


def test_probe_one_by_one(server, get):
    client = get("--probe", server.url())
    with server.answer(server.request(), error(8, "too many")):
        pass
    for _ in range(6):
        request = server.request()
        [name] = request.options
        answer = oack(blksize=1024) if name == "blksize" else error(8, "not that")
        with server.answer(request, answer) as peer:
            if name == "blksize":
                peer.hear()
    client.end()
    said = read_all(client.stdout).decode()
    assert re.search(r"^blksize +65464 +1024$", said, re.M)
    assert re.search(r"^tsize +0 +no$", said, re.M) and "one by one" in said


def test_probe_of_a_server_without_options(server, get):
    client = get("--probe", "--json", server.url())
    with server.answer(server.request(), data(1, b"none of that")) as peer:
        assert code_of(peer.hear()) == 0
        client.end()
    [event] = events(read_all(client.stdout))
    assert event["size"] is None and not any(o["granted"] for o in event["options"].values())


def test_probe_of_nothing(server, get, run):
    client = get("--probe", server.url())
    with server.answer(server.request(), error(1, "none")):
        assert b"file not found" in client.end(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    assert run("get", "--probe", f"tftp://127.0.0.1:{port}/f").returncode == 4
