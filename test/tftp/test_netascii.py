"""netascii (RFC 1350, section 1; RFC 764): on the wire, a line ends in CR LF, and a CR that ends
no line is CR NUL; a file comes back as it was."""
import pytest

from cases import case
from wire import ack, data, decode, receive, rrq

# The content of a file, and its bytes on the wire.
PAIRS = [(b"a\nb", b"a\r\nb"), (b"a\rb", b"a\r\0b"), (b"\r\n", b"\r\0\r\n"), (b"", b""),
         (b"\n", b"\r\n"), (b"\r", b"\r\0"), (b"\n\n\r\r", b"\r\n\r\n\r\0\r\0"),
         (b"\0\xff\n\0", b"\0\xff\r\n\0"), (b"no end of line", b"no end of line")]


@case(110, 111, 112)
@pytest.mark.parametrize("file, wire", PAIRS)
def test_down(serve, file, wire):
    server = serve()
    server.put_file("f", file)
    assert server.get("f", mode="netascii").content == wire
    assert server.get("f").content == file  # mode octet sends the bytes unchanged


@case(112, 113)
@pytest.mark.parametrize("file, wire", PAIRS + [
    (b"\rX", b"\rX"), (b"a\nb", b"a\nb"), (b"\r\r", b"\r\r"), (b"\r", b"\r"), (b"\r\n", b"\r\r\n"),
    (b"x" * 511 + b"\r", b"x" * 511 + b"\r")])
def test_up(serve, file, wire):
    """Also input that no encoder produces: a CR before another byte stays."""
    server = serve("--upload")
    server.put("new", wire, mode="netascii")
    assert (server.root / "new").read_bytes() == file


MIXED = b"".join(bytes([i % 251]) * (i % 5) + b"\n\r"[i % 2:i % 2 + 1] for i in range(8000))


def encoded(file):
    return file.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


def plain():
    """MIXED has LF and CR inside lines too, so encode it in one pass."""
    return b"".join({10: b"\r\n", 13: b"\r\0"}.get(c, bytes([c])) for c in MIXED)


@case(112)
@pytest.mark.parametrize("options", ["", "blksize=8", "blksize=9 windowsize=4", "blksize=1428",
                                     "blksize=100 windowsize=16", "blksize=65464 windowsize=3"])
def test_pairs_across_blocks_and_windows(serve, options):
    server = serve("--upload")
    server.put_file("f", MIXED)
    assert server.get("f", options, mode="netascii").content == plain()
    server.put("new", plain(), options, mode="netascii")
    assert (server.root / "new").read_bytes() == MIXED


@case(112)
@pytest.mark.parametrize("lost", [3, 4, 5, 6, 8])
def test_repeated_blocks_are_equal(serve, lost):
    """A repeated block has the same bytes."""
    server = serve("--upload")
    server.put_file("f", MIXED)
    options = "blksize=101 windowsize=4"
    assert server.get("f", options, mode="netascii", lose={lost}).content == plain()
    server.put("new", plain(), options, mode="netascii", lose={lost})
    assert (server.root / "new").read_bytes() == MIXED


@case(112)
def test_the_same_block_again(serve):
    server = serve("--timeout", "50ms")
    server.put_file("f", b"\n" * 2000)
    peer = server.peer()
    peer.asks(rrq("f", mode="netascii"))
    peer.gets(data(1, b"\r\n" * 256))
    peer.gets_again(data(1, b"\r\n" * 256))
    peer.says(ack(1))
    # Each block ends in the middle of a pair.
    server.put_file("g", b"x" + b"\n" * 2000)
    peer = server.peer()
    peer.asks(rrq("g", mode="netascii"))
    peer.gets(data(1, b"x" + b"\r\n" * 255 + b"\r"))
    peer.says(ack(1))
    peer.gets(data(2, b"\n" + b"\r\n" * 255 + b"\r"))
    peer.gets_again(data(2, b"\n" + b"\r\n" * 255 + b"\r"))


@case(115)
def test_lines_fill_blocks(serve):
    server = serve()
    server.put_file("f", b"\n" * 512)
    peer = server.peer()
    peer.asks(rrq("f", mode="netascii"))
    for number in (1, 2):
        peer.gets(data(number, b"\r\n" * 256))
        peer.says(ack(number))
    peer.gets(data(3))
    peer.says(ack(3))
    assert server.transfer()["result"] == "done"


def test_large_text(serve):
    """Longer than the buffer of any window."""
    server = serve()
    content = b"a line of text that ends here\n" * 40_000
    server.put_file("f", content)
    peer = server.peer()
    peer.asks(rrq("f", "blksize=8192 windowsize=64", mode="netascii"))
    window = int(peer.hears()[2:].split(b"\0")[3])  # the part of it that the server buffers
    heard = receive(peer, 8192, window, first=ack(0), lose={2, window, window + 1})
    assert heard.content == encoded(content)


def test_memory_for_texts_is_bounded(serve):
    """The server buffers a window of text while it sends; when many transfers do, later ones
    get single blocks."""
    server, granted = serve("--workers", "1"), []
    server.put_file("f", b"text\n" * 1000)
    for _ in range(300):
        peer = server.peer()
        peer.asks(rrq("f", "blksize=4096 windowsize=64", "netascii"))
        granted.append(decode(peer.hears()).options[b"windowsize"])
    assert granted[0] == b"64" and granted[-1] == b"1", granted
