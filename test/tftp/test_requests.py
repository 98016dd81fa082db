"""Requests: which are served, refused or dropped."""
import pytest

from cases import case
from shared import until
from wire import (ACCESS, ILLEGAL, NOT_FOUND, REFUSED, ack, data, error, oack, request, rrq,
                  strings, wrq)

TEXT = bytes(range(256)) * 8


@case(1, 2, 3, 4)
@pytest.mark.parametrize("size, blocks", [(0, [0]), (511, [511]), (512, [512, 0]), (513, [512, 1])])
def test_sizes(serve, size, blocks):
    server = serve()
    server.put_file("f", TEXT[:size])
    peer, at = server.peer(), 0
    peer.asks(rrq("f"))
    for number, length in enumerate(blocks, 1):
        peer.gets(data(number, TEXT[at:at + length]))
        peer.says(ack(number))
        at += length
    peer.quiet()
    assert server.transfer()["bytes"] == size


@case(5)
@pytest.mark.parametrize("single", [False, True])
def test_missing(serve, single):
    server = serve(*["--single-port"] * single)
    peer = server.peer()
    peer.asks(rrq("nothing"))
    assert peer.gets_error(NOT_FOUND) != b""
    assert (peer.tid[1] == server.port) == single
    peer.silent()


@case(6)
@pytest.mark.parametrize("mode", ["octet", "OCTET", "OcTeT", "netascii", "NETASCII", "NetAscii"])
def test_modes(serve, mode):
    server = serve()
    server.put_file("f", b"contents")
    assert server.get("f", mode=mode).content == b"contents"


@case(7, 8)
@pytest.mark.parametrize("mode", ["mail", "MAIL", "binary", "", "octets", "octe"])
@pytest.mark.parametrize("ask", [rrq, wrq])
def test_unknown_modes(serve, ask, mode):
    """Servers need not know mode mail (RFC 1123, section 4.2.2.1)."""
    server = serve("--upload")
    server.put_file("f", b"contents")
    peer = server.peer()
    peer.asks(ask("f", mode=mode))
    peer.gets_error(ILLEGAL)
    peer.silent()


@case(9, 10)
def test_cut(serve):
    """A request that ends before the end of its mode is not a request. The receive buffer after
    it still holds the previous packet."""
    server = serve("--upload", "--workers", "1")
    server.put_file("file", b"contents")
    whole = rrq("file")
    for cut in range(4, len(whole)):
        filler, peer = server.peer(), server.peer()
        filler.asks(whole)
        filler.gets(data(1, b"contents"))
        peer.asks(whole[:cut])
        peer.gets_error(ILLEGAL)
        filler.says(ack(1))


@case(10, 11)
@pytest.mark.parametrize("rest", [
    b"file\0", b"file", b"\0octet\0", b"\0\0", b"\0", strings("", "octet", "blksize", "8"),
], ids=["no mode", "no NUL", "no name", "neither", "NUL only", "no name but options"])
@pytest.mark.parametrize("opcode", [b"\0\1", b"\0\2"])
def test_incomplete(serve, opcode, rest):
    server = serve("--upload")
    server.put_file("file", b"contents")
    peer = server.peer()
    peer.asks(opcode + rest)
    if len(opcode + rest) < 4:
        peer.silent()
    else:
        peer.gets_error(ILLEGAL)
    assert server.answers()


@case(12)
@pytest.mark.parametrize("single", [False, True])
def test_tiny(serve, single):
    server = serve(*["--single-port"] * single)
    peer = server.peer()
    for packet in (b"", b"\0", b"\0\1", b"\0\1f", b"\0\4\0", b"\0\5\0", b"\0\6", b"\0\3\0", b"\xff"):
        peer.asks(packet)
    peer.silent()
    assert server.answers()


@case(13)
@pytest.mark.parametrize("opcode", [0, 7, 99, 0x0100, 0xffff])
def test_unknown_opcodes(serve, opcode):
    """The reply is at most one ERROR 4."""
    server = serve()
    peer = server.peer()
    peer.asks(request(opcode, "file"))
    packet = peer.hears(0.3)
    assert packet is None or packet[:4] == b"\0\5\0\4"
    peer.silent()
    assert server.answers()


@case(14)
@pytest.mark.parametrize("single", [False, True])
def test_packets_of_no_transfer(serve, single):
    server = serve("--upload", *["--single-port"] * single)
    peer = server.peer()
    for packet in (ack(1), ack(0), data(1, b"0123456789"), oack("blksize=8"), oack(""),
                   error(0, "oops"), error(4), error(5), error(REFUSED)):
        peer.asks(packet)
    peer.silent()
    assert server.answers()


SIX = "blksize=1000 tsize=0 timeout=3 windowsize=4 rollover=0"


@case(15)
@pytest.mark.parametrize("size", [512, 513, 1000, 1472])
def test_long_requests(serve, size):
    """RFC 2347 allows 512 bytes; the server also serves longer requests."""
    server = serve()
    name = "d" * 200 + "/" + "e" * 150 + "/f"
    server.put_file(name, TEXT)
    bare = rrq(name, SIX + " x=")
    packet = rrq(name, SIX + " x=" + "y" * (size - len(bare)))
    assert len(packet) == size
    peer = server.peer()
    peer.asks(packet)
    peer.gets(oack("blksize=1000 timeout=3 tsize=2048 windowsize=4 rollover=0"))


@case(17)
def test_high_bytes_after_the_name(serve):
    """Some PXE ROMs send them (netbootxyz/netboot.xyz#1198)."""
    server = serve()
    server.put_file("pxe.0", b"boot")
    for tail in (b"\xff", b"\xff\xff\xfe\x80"):
        peer = server.peer()
        peer.asks(rrq(b"pxe.0" + tail))
        peer.gets_error(NOT_FOUND)
    until(lambda: len(server.transfers()) == 2, "two lines")
    assert b"\xff" not in server.log.read_bytes()
    server = serve("--strip-high-bytes")
    for tail in (b"", b"\xff", b"\xff\xff\xfe\x80"):
        assert server.get(b"pxe.0" + tail).content == b"boot"


@case(18)
@pytest.mark.parametrize("log", ["text", "json"])
def test_names_are_escaped_in_the_log(serve, log):
    server = serve(log=log)
    for name in (b"a\nb", b"%n%s%x", b"\x1b[2J\x1b]0;title\x07", b"x\r\x7f\x85", b"\xc3\x28\xff",
                 b'"quoted" \\'):
        peer = server.peer()
        peer.asks(rrq(name))
        peer.gets_error(NOT_FOUND, ACCESS)
    server.stop()
    written = server.log.read_bytes()
    assert all(c == 0x0a or 0x20 <= c < 0x7f for c in written), written
    assert written.count(b"\n") >= 6 and b"%n%s%x" in written
    if log == "json":
        assert len(server.transfers()) == 6


@case(19)
def test_windows_names(serve):
    server = serve("--backslash")
    server.put_file("Boot/x64/wdsnbp.com", b"boot")
    for name in ("Boot\\x64\\wdsnbp.com", "\\Boot\\x64\\wdsnbp.com", "Boot/x64\\wdsnbp.com"):
        assert server.get(name).content == b"boot"
    peer = server.peer()
    peer.asks(rrq("boot\\X64\\WDSNBP.com"))
    peer.gets_error(NOT_FOUND)
    server = serve("--backslash", "--fold-case")
    server.put_file("boot/bcd", b"bcd")
    for name in ("\\Boot\\BCD", "BOOT/bcd", "boot\\bcd"):
        assert server.get(name).content == b"bcd"
    server.put_file("Boot/BCD", b"exact")
    assert server.get("\\Boot\\BCD").content == b"exact"
    assert server.get("BOOT/BCD").content == b"bcd"
    server = serve()
    peer = server.peer()
    peer.asks(rrq("Boot\\x64\\wdsnbp.com"))
    peer.gets_error(NOT_FOUND)


@case(20)
@pytest.mark.parametrize("name", ["/a/b", "//a/b", "a//b", "./a/b", "a/./b", "///a///.//b"])
def test_slashes_and_dots(serve, name):
    server = serve()
    server.put_file("a/b", b"b")
    assert server.get(name).content == b"b"


@case(21, 22)
@pytest.mark.parametrize("tail", [
    b"garbage", b"\0garbage\0", b"\0\0\0\0\0", b"\xff\xff\xff", b"tsize\0", b"tsize",
    b"tsize\0" + b"0", b"\0blksize\0" + b"16\0"], ids=repr)
def test_garbage_after_the_options(serve, tail):
    """Apple's Open Firmware sends some (see the comment in OpenBSD's parse_options)."""
    server = serve()
    server.put_file("f", b"contents")
    peer = server.peer()
    peer.asks(rrq("f", "blksize=8") + tail)
    peer.gets(oack("blksize=8"))
    peer.says(ack(0))
    peer.gets(data(1, b"contents"))
    peer.says(ack(1))
    peer.gets(data(2))
    peer = server.peer()
    peer.asks(rrq("f") + b"garbage")
    peer.gets(data(1, b"contents"))


@case(23)
def test_empty_value(serve):
    server = serve()
    server.put_file("f", b"contents")
    peer = server.peer()
    peer.asks(rrq("f", [("blksize", ""), ("tsize", "0"), ("windowsize", "")]))
    peer.gets(oack("tsize=8"))
    peer = server.peer()
    peer.asks(rrq("f", [("blksize", "")]))
    peer.gets(data(1, b"contents"))


@case(25)
def test_a_hundred_unknown_options(serve):
    server = serve()
    server.put_file("f", b"contents")
    unknown = [(f"option{i}", "x" * (i % 20)) for i in range(100)]
    peer = server.peer()
    peer.asks(rrq("f", unknown))
    peer.gets(data(1, b"contents"))
    peer = server.peer()
    peer.asks(rrq("f", unknown + [("blksize", "8")]))
    peer.gets(oack("blksize=8"))


def test_option_twice(serve):
    """An option may appear once (RFC 2347): the first value counts, and the OACK has it once."""
    server = serve()
    server.put_file("f", b"contents")
    peer = server.peer()
    peer.asks(rrq("f", "blksize=8 blksize=16"))
    peer.gets(oack("blksize=8"))


def test_long_names_are_refused(serve):
    """A component longer than any file system allows, and a name longer than any path."""
    server = serve("--upload")
    for name in ("x" * 256, "x" * 5000, "/".join(["d" * 100] * 50), "../" * 2000 + "etc/passwd"):
        for ask in (rrq, wrq):
            peer = server.peer()
            peer.asks(ask(name))
            peer.gets_error(NOT_FOUND, ACCESS, ILLEGAL, 0)
    assert server.answers()
