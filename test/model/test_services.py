"""Every service returns the same bytes in every model and over every kind of socket."""
import calendar
import contextlib
import os
import re
import select
import socket
import string
import struct
import time

import pytest

from serving import SERVICES, read_all, read_n, reset, same, send_and_end, until

SPEAKING = ["chargen", "daytime", "echo", "reply", "upper", "time"]
STREAMS = ["tcp", "unix", "unix-seqpacket"]
DATAGRAMS = ["udp", "unix-dgram"]
FROM_1900_S = 2208988800  # from 1900 to 1970, RFC 868
EVERY_BYTE = bytes(range(256))
UPPERED = bytes(c - 32 if ord("a") <= c <= ord("z") else c for c in range(256))
RING = bytes(range(32, 127))
DAYTIMES = {"smtp": "%a, %d %b %Y %H:%M:%S +0000", "ctime": "%a %b %d %H:%M:%S %Y"}

stream = pytest.mark.parametrize("scheme", STREAMS)
datagram = pytest.mark.parametrize("scheme", DATAGRAMS)
either = pytest.mark.parametrize("scheme", STREAMS + DATAGRAMS)


def place(scheme, folder):
    return f"{scheme}:{folder}/s" if scheme.startswith("unix") else f"{scheme}://127.0.0.1:0"


@pytest.fixture
def start(serve, tmp_path):
    return lambda scheme, service, *options, **kw: serve(
        service, place(scheme, tmp_path), *options, **kw)


def chargen_lines(count):
    return b"".join((RING * 2)[i % 95:i % 95 + 72] + b"\r\n" for i in range(count))


def test_record_that_is_too_long_ends_its_connection(start, model):
    """It is not truncated: records before it were served, and other clients go on."""
    server = start("unix-seqpacket", "discard", model=model)
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 350_000:
            pytest.skip("no larger SO_SNDBUF here")
        client.send(bytes(256 * 1024))
        server.wait_counters(bytes_in=256 * 1024)
        client.send(bytes(256 * 1024 + 1))
        assert client.recv(1) == b""
    server.wait_counters(bytes_in=256 * 1024, closed_error=1, open=0)
    server.wait_log("its record is longer than 256 KiB")
    with server.connect() as client:
        client.send(b"x")
        server.wait_counters(bytes_in=256 * 1024 + 1)


def one_answer(server, question=b"?"):
    """The reply of a service to a message: the first datagram, or all bytes of a stream."""
    with server.connect() as client:
        if client.type == socket.SOCK_DGRAM:
            client.send(question)
            return client.recv(65536)
        return read_all(client)


# --- echo, RFC 862 ---

@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_echo_of_a_mebibyte(start, scheme, model):
    data = os.urandom(1 << 20)
    same(start(scheme, "echo", model=model).ask(data), data)


@stream
def test_echo_of_nothing_ends(start, scheme, model):
    assert start(scheme, "echo", model=model).ask(b"") == b""


def test_echo_of_records(start, model):
    """Each record comes back complete, whatever its length."""
    server = start("unix-seqpacket", "echo", model=model)
    with server.connect() as client:
        for size in (1, 7, 1500, 32768, 32769, 65536, 100_000, 150_000):
            record = os.urandom(size)
            client.send(record)
            same(client.recv(1 << 20), record)
        records = [os.urandom(n) for n in range(1, 9)]  # several before the first reply
        for record in records:
            client.send(record)
        assert [client.recv(1 << 20) for _ in records] == records
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_an_empty_record_is_not_the_end(start, model):
    """recv(2) returns 0 for both."""
    server = start("unix-seqpacket", "echo", model=model)
    with server.connect() as client:
        for _ in range(3):
            client.send(b"")
            client.send(b"x")
            assert client.recv(10) == b"x"
        for record in (b"", b"", b"y", b"", b"z"):
            client.send(record)
        client.shutdown(socket.SHUT_WR)  # the server sees the end after those records
        assert [client.recv(10) for _ in range(3)] == [b"y", b"z", b""]
    with server.connect() as client:  # it waits for more
        client.send(b"")
        assert not select.select([client], [], [], 0.1)[0]
        client.send(b"x")
        assert client.recv(10) == b"x"


@datagram
def test_echo_of_datagrams(start, scheme, model):
    server = start(scheme, "echo", model=model)
    with server.connect() as client:
        for size in (0, 1, 512, 2048, 2049, 9000, 65507):
            data = os.urandom(size)
            client.send(data)
            same(client.recv(1 << 17), data)


# --- upper ---

@either
def test_upper_touches_ascii_letters_alone(start, scheme, model):
    server = start(scheme, "upper", model=model, env={**os.environ, "LC_ALL": "tr_TR.UTF-8"})
    with server.connect() as client:
        client.send(EVERY_BYTE)
        assert client.recv(1024) == UPPERED
        client.send("straße ıi é".encode())
        assert client.recv(1024) == "STRAßE ıI é".encode()


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_upper_of_a_mebibyte(start, scheme, model):
    data = EVERY_BYTE * 4096
    same(start(scheme, "upper", model=model).ask(data), UPPERED * 4096)


# --- discard, RFC 863 ---

@stream
def test_discard_says_nothing_and_ends(start, scheme, model):
    server = start(scheme, "discard", model=model)
    assert server.ask(b"x" * 60_000) == b""
    assert server.wait_counters(open=0, closed_end=1)["bytes_in"] == 60_000


@datagram
def test_discard_counts_datagrams(start, scheme, model):
    server = start(scheme, "discard", model=model)
    with server.connect() as client:
        for _ in range(3):
            client.send(b"four")
        counted = server.wait_counters(datagrams_in=3)
        assert (counted["bytes_in"], counted["datagrams_out"]) == (12, 0)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)


# --- chargen, RFC 864 ---

@stream
def test_chargen_is_the_ring(start, scheme, model):
    server = start(scheme, "chargen", model=model)
    with server.connect() as client:
        lines = chargen_lines(3)
        first = read_n(client, len(lines)) if scheme != "unix-seqpacket" else client.recv(1 << 17)
        assert first[:len(lines)] == lines


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_chargen_wraps_and_ends_when_the_client_does(start, scheme, model):
    server = start(scheme, "chargen", model=model)
    with server.connect() as client:
        head = read_n(client, 95 * 74 * 40)
        client.sendall(b"thrown away")
        client.shutdown(socket.SHUT_WR)
        said = head + read_all(client)
    same(said, chargen_lines(len(said) // 74 + 1)[:len(said)])


@datagram
def test_chargen_datagrams(start, scheme, model):
    server = start(scheme, "chargen", model=model)
    lengths = set()
    with server.connect() as client:
        for _ in range(30):
            client.send(b"")
            answer = client.recv(65536)
            assert answer == chargen_lines(7)[:len(answer)] and len(answer) <= 512
            lengths.add(len(answer))
    assert len(lengths) > 10  # 0 to 512, at random


@datagram
def test_chargen_datagrams_of_one_length(start, scheme):
    server = start(scheme, "chargen", "--length", "100")
    assert one_answer(server) == chargen_lines(2)[:100]


# --- daytime and time, RFC 867 and RFC 868 ---

@either
@pytest.mark.parametrize("form", DAYTIMES)
def test_daytime(start, scheme, form, model):
    server = start(scheme, "daytime", "--format", form, model=model)
    said = one_answer(server).decode("ascii")
    assert said.endswith("\r\n")
    said = re.sub(r"(?<= ) (?=\d )", "0", said[:-2])  # ctime pads the day with a blank
    assert abs(calendar.timegm(time.strptime(said, DAYTIMES[form])) - time.time()) < 2


@either
def test_time(start, scheme, model):
    said = one_answer(start(scheme, "time", model=model))
    assert len(said) == 4
    assert abs(struct.unpack("!I", said)[0] - FROM_1900_S - time.time()) < 2


@stream
@pytest.mark.parametrize("service", ["daytime", "time"])
def test_a_client_that_sends_still_gets_its_reply(start, scheme, service, model):
    """Unread input must not turn the server's close into a reset that overtakes the reply (RFC
    1122 section 4.2.2.13)."""
    server = start(scheme, service, model=model)
    for _ in range(10):
        with server.connect() as client:
            with contextlib.suppress(BrokenPipeError):  # the server has replied and closed already
                client.send(b"what time is it?" * 64)
            assert len(read_all(client)) >= 4


# --- reply ---

@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_reply_to_each_line(start, scheme, model):
    server = start(scheme, "reply", "--pause", "0", model=model)
    with server.connect() as client:
        for piece, answers in ((b"one\n", 1), (b"two\nthree\n", 2), (b"\n\n\n", 3)):
            client.sendall(piece)
            assert read_n(client, 19 * answers) == b"Server got message\n" * answers
        client.sendall(b"an")
        client.sendall(b" end without a newline")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"Server got message\n"


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_reply_to_text_without_a_newline(start, scheme, model):
    """The clients of textbooks send text, and wait."""
    answer = b"Server got message\n"
    server = start(scheme, "reply", model=model)
    with server.connect() as client:
        for text in (b"hello server", b"hello again"):
            client.sendall(text)
            assert read_n(client, len(answer)) == answer
        client.sendall(b"\nnext\n")  # the first newline ends a line that has its reply
        assert read_n(client, len(answer)) == answer
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""


@pytest.mark.parametrize("pause, answers", [("0", 0), ("20ms", 1), ("1.5", 0)])
def test_reply_after_the_pause(start, pause, answers, model):
    server = start("tcp", "reply", "--text", "ok", "--pause", pause, model=model)
    with server.connect() as client:
        client.sendall(b"unfinished")
        if answers:
            assert read_n(client, 3) == b"ok\n"
        else:
            client.settimeout(0.4)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(20)
        client.sendall(b"\n")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"ok\n" * (1 - answers)


def test_reply_to_very_many_lines(start, model):
    server = start("tcp", "reply", "--text", "ok", model=model)
    same(server.ask(b"\n" * 100_000), b"ok\n" * 100_000)


@pytest.mark.parametrize("scheme", ["unix-seqpacket", *DATAGRAMS])
def test_reply_to_each_message(start, scheme, model):
    server = start(scheme, "reply", "--text", "back to ya client", model=model)
    with server.connect() as client:
        for message in (b"x", b"two\nlines\n", b"y" * 3000):
            client.send(message)
            assert client.recv(1024) == b"back to ya client"


@datagram
def test_reply_to_an_empty_datagram(start, scheme, model):
    assert one_answer(start(scheme, "reply", model=model), b"") == b"Server got message"


@pytest.mark.parametrize("scheme, text, said", [
    ("tcp", "own newline\n", b"own newline\n"), ("tcp", "", b"\n"), ("udp", "", b""),
    ("tcp", "x" * 1022, b"x" * 1022 + b"\n"), ("udp", "é", "é".encode())])
def test_reply_text(start, scheme, text, said):
    server = start(scheme, "reply", "--text", text)
    with server.connect() as client:
        client.send(b"?\n")
        assert client.recv(4096) == said


@stream
def test_reply_once(start, scheme, model):
    server = start(scheme, "reply", "--once", "--text", "bye", model=model)
    for _ in range(3):
        with server.connect() as client:
            client.send(b"hello\nand more\n")
            assert read_all(client) == (b"bye" if scheme == "unix-seqpacket" else b"bye\n")
    assert server.wait_counters(open=0)["closed_end"] == 3


# --- clients that misbehave ---

@stream
@pytest.mark.parametrize("service", [name for name in SERVICES if name != "tftp"])
def test_clients_that_send_and_close(start, scheme, service, model):
    """The server survives clients that close without reading, and serves the next one. A
    service that sends first may have closed before the client sends (EPIPE)."""
    server = start(scheme, service, model=model)
    for leave in (socket.socket.close, reset) * 5:
        client = server.connect()
        with contextlib.suppress(BrokenPipeError):
            client.send(b"hello\n" * 100)
        leave(client)
    with server.connect() as client:
        send_and_end(client, b"hello\n")
        assert client.recv(65536) or service not in SPEAKING
    until(lambda: server.counters()["open"] == 0, "all connections closed")


@pytest.mark.parametrize("scheme", STREAMS)
def test_all_services_at_once(serve, tmp_path, scheme, model):
    """One server, every service: none receives the input of another."""
    names = ["echo", "discard", "upper", "reply", "daytime", "time"]
    words = [word for name in names
             for word in (name, f"{scheme}:{tmp_path}/{name}" if scheme.startswith("unix")
                          else "tcp://127.0.0.1:0")]
    server = serve(*words, model=model)
    for _ in range(3):
        for name, address in zip(names, server.addresses):
            said = server.ask(b"Hello\n", address)
            if name in ("daytime", "time"):
                assert len(said) == {"time": 4}.get(name, 33)
            elif scheme == "unix-seqpacket" and name == "reply":
                assert said == b"Server got message"
            else:
                assert said == {"echo": b"Hello\n", "discard": b"", "upper": b"HELLO\n",
                                "reply": b"Server got message\n"}[name]


def test_ring_has_every_printing_character():
    assert RING.decode().strip() == "".join(sorted(
        string.digits + string.ascii_letters + string.punctuation))
