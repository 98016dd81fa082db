"""Windows (RFC 7440): the packets sent and acknowledged, the repair of losses, and its cost."""
import time

import pytest

from cases import case
from wire import ack, data, decode, number_of, oack, receive, rrq, send, wrq

TEXT = bytes(i * 31 % 251 for i in range(1 << 20))


@pytest.fixture
def down(serve):
    """A server that sends the first bytes of TEXT as "f", and a peer that has received its
    OACK."""
    def start(size, options, *more):
        server = serve(*more)
        server.put_file("f", TEXT[:size])
        peer = server.peer()
        peer.asks(rrq("f", options))
        peer.gets(oack(options))
        return server, peer
    return start


@pytest.fixture
def up(serve):
    """A server that receives "new", and a peer that has received its OACK."""
    def start(options, *more):
        server = serve("--upload", *more)
        peer = server.peer()
        peer.asks(wrq("new", options))
        peer.gets(oack(options))
        return server, peer
    return start


def block(number, size=512, total=len(TEXT)):
    return data(number, TEXT[:total][(number - 1) * size:number * size])


@case(93)
def test_three_acks(down):
    server, peer = down(9 * 512 + 100, "windowsize=4")
    peer.says(ack(0))
    for first, last in ((1, 4), (5, 8)):
        peer.gets(*[block(i) for i in range(first, last + 1)])
        peer.quiet(0.003)
        peer.says(ack(last))
    peer.gets(block(9), block(10, total=9 * 512 + 100))
    peer.says(ack(10))
    peer.quiet()
    assert server.transfer()["bytes"] == 9 * 512 + 100


@case(94)
@pytest.mark.parametrize("windows", [1, 2])
def test_whole_windows(down, windows):
    size = windows * 4 * 512
    server, peer = down(size, "windowsize=4")
    heard = receive(peer, 512, 4, first=ack(0))
    assert heard.content == TEXT[:size]
    assert heard.acks == windows + 1
    assert server.transfer()["result"] == "done"


@case(94)
def test_whole_windows_up(up):
    server, peer = up("windowsize=4")
    assert send(peer, TEXT[:4096], 512, 4).acks == [4, 8, 9]
    assert (server.root / "new").read_bytes() == TEXT[:4096]


@case(95)
@pytest.mark.parametrize("lost", [1, 2, 3, 5, 6])
def test_one_lost(down, lost):
    """The receiver discards blocks after the gap and asks once. Neither its timeout of 3 s nor
    the server's of 5 s repairs the loss in time."""
    server, peer = down(20 * 512, "timeout=5 windowsize=4")
    begun = time.monotonic()
    heard = receive(peer, 512, 4, first=ack(0), lose={lost}, wait=3)
    assert heard.content == TEXT[:20 * 512]
    assert heard.waits == 0 and time.monotonic() - begun < 2.5
    assert heard.packets <= 21 + 12
    assert server.transfer()["result"] == "done"


@case(95)
@pytest.mark.parametrize("lost", [1, 2, 3, 5, 6])
def test_one_lost_up(up, lost):
    """The server reports the gap at once, and only once."""
    server, peer = up("windowsize=4")
    said = send(peer, TEXT[:20 * 512], 512, 4, lose={lost}, wait=3)
    assert said.waits == 0
    assert (server.root / "new").read_bytes() == TEXT[:20 * 512]
    assert len(said.acks) <= 6 + 3 and said.acks.count((lost - 1) % 65536) <= 2


@case(95)
def test_gap_is_asked_for_once(up):
    server, peer = up("windowsize=8")
    peer.says(block(1), block(3), block(4), block(5), block(6), block(7))
    peer.gets(ack(1))
    peer.says(block(2), block(3), block(4), block(5), block(6), block(7), block(8), block(9))
    peer.gets(ack(9))
    peer.says(data(10, b"end"))
    peer.gets(ack(10))
    assert peer.again <= 1
    assert (server.root / "new").read_bytes() == TEXT[:9 * 512] + b"end"


@case(97)
def test_last_of_a_window_lost(down):
    """Only the timer can repair it: once, and soon."""
    server, peer = down(20 * 512, "timeout=5 windowsize=4")
    begun = time.monotonic()
    heard = receive(peer, 512, 4, first=ack(0), lose={8}, wait=3)
    assert heard.content == TEXT[:20 * 512]
    assert heard.waits == 0 and time.monotonic() - begun < 2.5
    assert server.transfer()["result"] == "done"


@case(97)
def test_last_of_a_window_lost_up(up):
    server, peer = up("timeout=5 windowsize=4")
    begun = time.monotonic()
    said = send(peer, TEXT[:20 * 512], 512, 4, lose={8}, wait=3)
    assert said.waits == 0 and time.monotonic() - begun < 2.5
    assert (server.root / "new").read_bytes() == TEXT[:20 * 512]


@case(99)
@pytest.mark.parametrize("storm", [False, True])
def test_one_loss_in_a_large_window(down, storm):
    """Also if the receiver acknowledges every block after the gap (like tftp-hpa)."""
    blocks = 512
    server, peer = down(blocks * 512 - 1, "windowsize=64")
    heard = receive(peer, 512, 64, first=ack(0), lose={70}, storm=storm)
    assert heard.content == TEXT[:blocks * 512 - 1]
    assert heard.packets <= blocks + 3 * 64
    assert heard.waits == 0
    assert server.transfer()["result"] == "done"


@case(99)
def test_one_loss_in_a_large_window_up(up):
    blocks = 512
    server, peer = up("windowsize=64")
    said = send(peer, TEXT[:blocks * 512 - 1], 512, 64, lose={70}, wait=2)
    assert (server.root / "new").read_bytes() == TEXT[:blocks * 512 - 1]
    assert len(said.acks) <= 8 + 3
    assert said.packets <= blocks + 64


@case(99)
def test_many_losses(down):
    server, peer = down(len(TEXT), "windowsize=16")
    heard = receive(peer, 512, 16, first=ack(0), lose=set(range(7, 2048, 37)), storm=True)
    assert heard.content == TEXT
    assert heard.packets < 2048 + 56 * 3 * 16
    server.transfer()


@case(100)
def test_reordered_blocks(up):
    """1, 3, 2, 4: the server keeps the blocks and requests none of them again."""
    server, peer = up("windowsize=4")
    peer.says(block(1), block(3), block(2), block(4))
    peer.gets(ack(4))
    peer.says(block(8), block(7), block(6), block(5))
    peer.gets(ack(8))
    peer.says(data(9))
    peer.gets(ack(9))
    assert peer.again == 0
    assert (server.root / "new").read_bytes() == TEXT[:8 * 512]


@case(101)
def test_doubles_in_a_window(up):
    server, peer = up("windowsize=4")
    peer.says(block(1), block(2), block(2), block(1), block(3), block(3), block(4), block(4))
    peer.gets(ack(4))
    peer.says(block(5), block(7), block(7), block(6), block(8))
    peer.gets(ack(8))
    peer.says(data(9, b"x"), data(9, b"x"))
    peer.gets(ack(9))
    assert (server.root / "new").read_bytes() == TEXT[:8 * 512] + b"x"
    assert server.transfer()["bytes"] == 8 * 512 + 1


@case(102)
@pytest.mark.parametrize("lost", [65534, 65535, 65536, 65537, 65540])
@pytest.mark.parametrize("rollover", [0, 1])
def test_across_the_end_of_the_numbers(serve, lost, rollover):
    content = b"".join(b"%07d\n" % i for i in range(65560))
    server = serve("--upload")
    server.put_file("f", content)
    options = f"blksize=8 windowsize=16 rollover={rollover}"
    assert server.get("f", options, lose={lost}).content == content
    server.put("new", content, options, lose={lost}, rollover=rollover)
    assert (server.root / "new").read_bytes() == content


@case(103)
def test_acks_of_an_upload(up):
    server, peer = up("windowsize=16")
    said = send(peer, TEXT[:100 * 512 + 7], 512, 16)
    assert said.acks == [16, 32, 48, 64, 80, 96, 101]
    assert said.packets == 101
    assert (server.root / "new").read_bytes() == TEXT[:100 * 512 + 7]


@case(104)
def test_silence_after_ack_0(down):
    """The server repeats the last block, then the window, and then the last block with growing
    gaps. That it gives up after half a minute is tested by test_give_up in
    test/unit/test_tftp_transfer.c."""
    server, peer = down(20 * 512, "windowsize=4")
    peer.says(ack(0))
    begun, numbers = time.monotonic(), []
    while (left := begun + 2 - time.monotonic()) > 0:
        packet = peer.next(left)
        if packet is None:
            break
        numbers.append(decode(packet).number)
    assert numbers[:9] == [1, 2, 3, 4, 4, 1, 2, 3, 4], numbers
    assert 11 <= len(numbers) <= 4 * 12, numbers
    assert set(numbers[9:]) <= {1, 2, 3, 4}, numbers
    server.process.terminate()


@case(106)
def test_ack_behind_the_window(down):
    server, peer = down(20 * 512, "windowsize=4")
    peer.says(ack(0))
    peer.gets(*[block(i) for i in range(1, 5)])
    peer.says(ack(5), ack(6), ack(20), ack(21), ack(22), ack(40000))
    peer.quiet(0.05)
    peer.says(ack(4))
    peer.gets(*[block(i) for i in range(5, 9)])
    assert not server.transfers()


def test_ack_in_the_window(down):
    """An ACK of a part of the window: the server continues after it (RFC 7440, section 4) and
    repeats no acknowledged block."""
    server, peer = down(20 * 512, "windowsize=8")
    peer.says(ack(0))
    peer.gets(*[block(i) for i in range(1, 9)])
    peer.quiet(0)
    peer.says(ack(5))
    numbers = [decode(peer.next()).number for _ in range(8)]
    while numbers[0] < 6:  # in flight
        numbers.pop(0)
    assert numbers[0] == 6 and set(numbers) <= set(range(6, 14)), numbers
    assert not server.transfers()


@case(97)
def test_first_of_a_window_lost(down):
    """The server repeats the ACK of the previous window, and sends no other packet (trap 23)."""
    server, peer = down(20 * 512, "timeout=5 windowsize=4")
    begun = time.monotonic()
    heard = receive(peer, 512, 4, first=ack(0), lose={5, 9, 13}, wait=3)
    assert heard.content == TEXT[:20 * 512]
    assert heard.waits == 0 and time.monotonic() - begun < 2.5
    server.transfer()


@pytest.mark.parametrize("asked, ceiling", [(65535, 64), (64, 64), (65, 64)])
def test_ceiling(serve, asked, ceiling):
    """The server does not grant a window that no client's packet ring can hold (trap 19)."""
    server = serve()
    server.put_file("f", TEXT)
    peer = server.peer()
    peer.asks(rrq("f", f"windowsize={asked}"))
    peer.gets(oack(f"windowsize={ceiling}"))
    peer.says(ack(0))
    peer.gets(*[block(i) for i in range(1, ceiling + 1)])
    server = serve("--window-max", "8")
    peer = server.peer()
    peer.asks(rrq("f", f"windowsize={asked}"))
    peer.gets(oack("windowsize=8"))


@pytest.mark.parametrize("window", [1, 2, 5, 8, 16, 32, 64])
@pytest.mark.parametrize("blksize", [8, 1428, 65464])
def test_both_ways(serve, blksize, window):
    """The received file is the one sent, at every size; block numbers wrap around at 8."""
    server = serve("--upload")
    content = (TEXT * 4)[:blksize * window * 3 + 5] if blksize > 8 else TEXT[:80_000]
    server.put_file("f", content)
    options = f"blksize={blksize} windowsize={window}"
    assert server.get("f", options).content == content
    server.put("new", content, options)
    assert (server.root / "new").read_bytes() == content
    assert number_of(65536) == 0
