"""sockeye get: names of local files, and files it cannot write."""
import os
import resource
import signal

import pytest

from conftest import until
from get_fixtures import CONTENT, get, names, server
from tftp import ACK, ERROR, ack, code_of, data, error, send


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
    """The slash after the host is not part of the name (RFC 3617, section 2)."""
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
def test_usage_errors(run, tmp_path, args, why):
    done = run("get", *args, cwd=tmp_path)
    assert done.returncode == 2 and why in (done.stdout + done.stderr).decode()
    assert names(tmp_path) == []


def test_the_old_file_stays_until_the_new_one_is_complete(server, get, tmp_path):
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


def test_a_link_is_followed(server, get, tmp_path):
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
def test_paths_that_cannot_be_written(server, get, tmp_path, where, why):
    (tmp_path / "dir").mkdir()
    client = get("-o", where, server.url())
    assert why in client.end(9)
    server.expect_silence()  # the client finds the error before it sends a request


def test_a_fifo_without_a_reader(server, get, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert b"(no process reads this FIFO)" in get("-o", "fifo", server.url()).end(9)
    server.expect_silence()


def test_full_disk(server, get, tmp_path):
    """The file size limit stands for a full disk: EFBIG."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
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
