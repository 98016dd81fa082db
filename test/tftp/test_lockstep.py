"""Block by block: duplicate, lost and strange packets, silence, and block numbers that
wrap around (RFC 1350; RFC 1123, section 4.2.3).
"""
import time

import pytest

from cases import case
from lockstep_fixtures import TEXT, block, file
from shared import until
from wire import ILLEGAL, ack, data, decode, error, oack, pattern, request, rrq, wrq

NUMBERED = b"".join(b"%07d\n" % i for i in range(70_000))  # no two blocks of eight bytes are equal


@case(61)
@pytest.mark.parametrize("copies", [2, 3])
def test_every_ack_twice(serve, copies):
    """The sorcerer's apprentice bug would duplicate every later block."""
    server = serve()
    server.put_file("f", NUMBERED[:8001])
    peer, count = server.peer(), 0
    peer.asks(rrq("f", "blksize=8"))
    peer.gets(oack("blksize=8"))
    peer.says(ack(0))
    for number in range(1, 1002):
        peer.gets(data(number, NUMBERED[:8001][number * 8 - 8:number * 8]))
        peer.says(*[ack(number)] * copies)
        count += 1
    peer.quiet()
    assert count == 1001
    # Some duplicate ACKs look like a request, and Python may be too slow.
    event = server.transfer()
    assert peer.again <= 100 + event["timeouts"], event


@case(62)
def test_lost_block_is_requested_again(file):
    """Block 2 was lost: a second ACK 1 asks for it, and the server sends it again, not block 3."""
    server = file("--timeout", "5s")
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(block(1))
    time.sleep(0.05)  # a long round trip, so that our timer does not repeat the block
    peer.says(ack(1))
    peer.gets(block(2))
    time.sleep(0.08)
    peer.says(ack(1))
    peer.gets_again(block(2))
    peer.says(ack(1), ack(1))  # one repeat, not one for each of them
    peer.says(ack(2))
    peer.gets(block(3))
    assert peer.again <= 4


@case(63, 106)
@pytest.mark.parametrize("options", ["", "windowsize=4"])
def test_acks_of_other_blocks(file, options):
    server = file()
    peer = server.peer()
    peer.asks(rrq("f", options))
    if options:
        peer.gets(oack(options))
        peer.says(ack(0))
    window = 4 if options else 1
    peer.gets(*[block(i) for i in range(1, window + 1)])
    for number in (window + 1, window + 2, 100, 32768, 65535):
        peer.says(ack(number))
    peer.says(ack(window))
    peer.gets(*[block(i) for i in range(window + 1, 2 * window + 1)])
    for number in (2 * window + 1, window - 1 if window > 1 else 60000, 65535):
        peer.says(ack(number))
    peer.says(ack(2 * window))
    peer.gets(block(2 * window + 1))


@case(65)
@pytest.mark.parametrize("options", ["", "blksize=1024"])
def test_no_ack_at_all(file, options):
    """The address may be forged: the server sends a few packets with growing gaps and stops."""
    server = file("--timeout", "50ms", "--workers", "1")
    before = server.at_rest()
    peer, times = server.peer(), []
    peer.asks(rrq("f", options))
    first = peer.next()
    times.append(time.monotonic())
    while (packet := peer.next(2.5)) is not None:
        assert packet == first
        times.append(time.monotonic())
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert len(times) == 5, times
    # 50 ms, then twice as long each time, minus a random part of up to an eighth.
    assert sum(gaps) > 0.65, gaps
    assert server.transfer(file="f")["text"] == "the client stopped answering"
    until(lambda: server.descriptors() <= before, "closed descriptors")


@case(66)
def test_strays_do_not_push_the_timer_back(file):
    server = file("--timeout", "400ms")
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(block(1))
    begun = time.monotonic()
    while peer.again == 0:
        assert time.monotonic() - begun < 5, "not again while strays come"
        peer.says(ack(7), error(7)[:3], data(1, b"x"), oack("blksize=8"), b"")
        peer.quiet(0.02)
    peer.says(ack(1))
    peer.gets(block(2))


@case(67, 68)
def test_upload_with_duplicates_and_gaps(file):
    server = file("--upload")
    peer = server.peer()
    peer.asks(wrq("new"))
    peer.gets(ack(0))
    peer.says(block(1))
    peer.gets(ack(1))
    peer.says(block(1))
    peer.gets_again(ack(1))
    before = peer.again
    peer.says(*[block(3), block(4), block(9)] * 30)
    peer.quiet()
    assert peer.again - before <= 8  # repeats by timer: after 8 ms, 16, 32 and so on
    for number in (2, 3, 4):
        peer.says(block(number))
        peer.gets(ack(number))
    peer.says(data(5, b"end"))
    peer.gets(ack(5))
    assert (server.root / "new").read_bytes() == TEXT[:2048] + b"end"


@case(67)
def test_first_block_again(file):
    server = file("--upload")
    peer = server.peer()
    peer.asks(wrq("new", "blksize=512"))
    peer.gets(oack("blksize=512"))
    peer.says(data(0, TEXT[:512]))  # no such block
    peer.says(block(1), block(1))
    peer.gets(ack(1))
    peer.says(data(2, b"."))
    peer.gets(ack(2))
    assert (server.root / "new").read_bytes() == TEXT[:512] + b"."


@case(69)
def test_last_ack_lost(file):
    server = file("--upload")
    peer = server.peer()
    peer.asks(wrq("new"))
    peer.gets(ack(0))
    peer.says(data(1, b"all"))
    peer.gets(ack(1))
    assert (server.root / "new").read_bytes() == b"all"  # the file is there before the last ACK
    for _ in range(3):
        time.sleep(0.1)
        peer.says(data(1, b"all"))
        peer.gets_again(ack(1))
    assert (server.root / "new").read_bytes() == b"all"
    assert server.transfer(file="new")["bytes"] == 3


@case(70)
@pytest.mark.parametrize("size", [100, 0])
def test_last_ack_never_comes(serve, size):
    """Some clients send no last ACK (see the comment in dnsmasq): the transfer does not count
    as failed."""
    server = serve("--timeout", "50ms")
    server.put_file("f", TEXT[:size])
    peer = server.peer()
    peer.asks(rrq("f"))
    peer.gets(data(1, TEXT[:size]))
    peer.gets_again(data(1, TEXT[:size]))
    event = server.transfer()
    assert (event["result"], event["bytes"]) == ("done", size)
    assert event["text"] != "done"


def wrapped(size):
    """A file of `size` bytes in which blocks of eight bytes near each other differ."""
    return (NUMBERED * (size // len(NUMBERED) + 1))[:size]


@case(71, 73)
@pytest.mark.parametrize("size, blksize", [(65541 * 32 + 5, 32), (65535 * 8, 8), (65536 * 8, 8)])
def test_many_blocks_down(serve, size, blksize):
    server = serve()
    server.put_file("f", wrapped(size))
    heard = server.get("f", f"blksize={blksize}")
    assert heard.content == wrapped(size)
    assert heard.packets >= size // blksize + 1


@case(72, 73)
@pytest.mark.parametrize("size, blksize", [(65541 * 32 + 5, 32), (65535 * 8, 8), (65536 * 8, 8)])
def test_many_blocks_up(serve, size, blksize):
    server = serve("--upload")
    said = server.put("new", wrapped(size), f"blksize={blksize}")
    assert (server.root / "new").read_bytes() == wrapped(size)
    last = size // blksize + 1
    assert [said.acks[-1]] == [last % 65536]


@case(47, 71, 72, 73, 102)
@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize("size", [70_000 * 8 + 1, 65535 * 8, 65536 * 8])
def test_where_numbers_wrap_around(serve, rollover, size):
    server = serve("--upload")
    server.put_file("f", wrapped(size))
    options = f"blksize=8 windowsize=32 rollover={rollover}"
    assert server.get("f", options).content == wrapped(size)
    server.put("new", wrapped(size), options, rollover=rollover)
    assert (server.root / "new").read_bytes() == wrapped(size)


@case(75)
def test_file_past_4_gib(serve):
    """Offsets and sizes: the bytes are where they belong."""
    server, blocks = serve(), (4 << 30) // 65464 + 5
    marks = {block: b"block %d" % block
             for block in (0, (2 << 30) // 65464 + 1, (4 << 30) // 65464 + 1, blocks - 1)}
    with open(server.root / "large", "wb") as large:
        for number, text in marks.items():
            large.seek(number * 65464)
            large.write(text)
        size = large.tell()
    found, at = {}, 0

    def sink(payload, length):
        nonlocal at
        if at % 65464 == 0 and at // 65464 in marks:
            found[at // 65464] = bytes(payload).rstrip(b"\0")
        at += length
    server.get("large", "blksize=65464 windowsize=32", sink=sink, head=16)
    assert (at, found) == (size, marks)


@case(77, 78)
@pytest.mark.parametrize("packet, code, text", [
    (error(0, "enough"), 0, b"enough"), (error(3, "disk full"), 3, b"disk full"),
    (b"\0\5\0\0", 0, b""), (b"\0\5\0\4no NUL", 4, b"no NUL"), (b"\0\5\xff\xfex\0y", 65534, b"x"),
    (error(0, "x" * 1400), 0, b"x"), (error(1, b"\x1b[2J%n\n"), 1, b"e[2J%n"),
], ids=["0", "3", "without text", "without NUL", "unknown code", "long", "escapes"])
@pytest.mark.parametrize("upload", [False, True])
def test_error_in_the_middle(file, upload, packet, code, text):
    server = file("--upload", "--timeout", "50ms")
    peer = server.peer()
    if upload:
        peer.asks(wrq("new"))
        peer.gets(ack(0))
        peer.says(block(1))
        peer.gets(ack(1))
    else:
        peer.asks(rrq("f"))
        peer.gets(block(1))
        peer.says(ack(1))
        peer.gets(block(2))
    peer.says(packet)
    event = server.transfer()
    assert event["result"] == "failed" and event["code"] == code
    written = server.log.read_bytes()
    assert text in written and b"\x1b" not in written and written.count(b"\n") == 1
    peer.over(0.3)
    assert not (server.root / "new").exists()


@case(79)
@pytest.mark.parametrize("stray", [
    rrq("f"), wrq("f"), rrq("other"), request(7, "f"), request(0, "f"), b"\0\4", b"", b"\xff" * 600,
    oack("blksize=8"), data(2, b"x" * 512)],
    ids=["RRQ", "WRQ", "RRQ of another", "7", "0", "cut ACK", "empty", "0xff", "OACK", "DATA"])
def test_strays_inside_a_transfer(file, stray):
    """They must not disturb the transfer: the server ignores them, where ERROR 4 would also be
    allowed."""
    server = file()
    peer = server.peer()
    peer.asks(rrq("f", "blksize=1024"))
    peer.gets(oack("blksize=1024"))
    peer.says(ack(0))
    peer.gets(block(1, 1024))
    for number in range(1, 8):
        peer.says(stray, ack(number))
        peer.gets(block(number + 1, 1024))
    peer.says(ack(8))
    peer.gets(data(9))
    peer.says(ack(9))
    assert server.transfer()["bytes"] == 8192


def test_slow_writer(file):
    """The server waits for gateways that write to flash while they receive, and does not flood
    them meanwhile (trap 18)."""
    server = file()
    peer = server.peer()
    peer.asks(rrq("f", "blksize=2048"))
    peer.gets(oack("blksize=2048"))
    peer.says(ack(0))
    for number in range(1, 5):
        peer.gets(block(number, 2048))
        before = peer.again
        peer.quiet(0.7)  # after 4, 8, 16 ms and so on: seven in half a second
        assert peer.again - before <= 9
        peer.says(ack(number))
    peer.gets(data(5))
    peer.says(ack(5))
    assert server.transfer()["result"] == "done"


def test_data_longer_than_agreed(file):
    """The server ignores a block with more bytes than agreed."""
    server = file("--upload")
    peer = server.peer()
    peer.asks(wrq("new", "blksize=8"))
    peer.gets(oack("blksize=8"))
    peer.says(data(1, b"123456789"), data(1, b"x" * 60000))
    peer.quiet()
    peer.says(data(1, b"12345678"))
    peer.gets(ack(1))
    peer.says(data(2, b"9"))
    peer.gets(ack(2))
    assert (server.root / "new").read_bytes() == b"123456789"


def test_default_blksize_when_none_is_agreed_on(serve):
    """512 bytes, also if an option that requests another size is not granted (trap 24)."""
    server = serve("--upload", "--refuse", "blksize")
    peer = server.peer()
    peer.asks(wrq("new", "blksize=1024 windowsize=2"))
    peer.gets(oack("windowsize=2"))
    peer.says(block(1), block(2))
    peer.gets(ack(2))
    peer.says(data(3, b"x" * 511))
    peer.gets(ack(3))
    assert (server.root / "new").stat().st_size == 1535


def test_errors_are_short(file):
    """No bytes follow the text of an ERROR (dnsmasq once sent memory contents). The ERROR is
    not much longer than the request."""
    server = file()
    for name in ("x", "nosuch/" * 20, "y" * 200):
        peer = server.peer()
        peer.asks(rrq(name))
        packet = peer.hears()
        got = decode(packet)
        assert got.opcode == 5 and got.payload.isascii() and len(packet) < 100
        assert pattern(name[:100]) not in packet or len(name) < 3


@case(13)
def test_illegal_is_sent_once(file):
    server = file()
    peer = server.peer()
    peer.asks(b"\0\1f\0octet")
    peer.gets_error(ILLEGAL)
    peer.silent(0.3)
