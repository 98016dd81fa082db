"""The options that a server grants, byte for byte, and those it leaves out (RFC 2347, 2348,
2349, 7440, and those of tftp-hpa)."""
import subprocess
import time

import pytest

from cases import case
from shared import until
from wire import (ACCESS, DISK_FULL, NOT_FOUND, REFUSED, ack, data, error, oack, rrq, wrq)

GIB = 1 << 30


def granted(server, asked, name="f", mode="octet"):
    """The options that the server grants to a read request; "" if it sends DATA at once."""
    peer = server.peer()
    peer.asks(rrq(name, asked, mode))
    packet = peer.hears()
    peer.says(error(REFUSED))  # ends the transfer
    if packet.startswith(b"\0\3\0\1"):
        return ""
    texts = packet[2:-1].split(b"\0")
    assert packet[:2] == b"\0\6" and packet[-1:] == b"\0" and len(texts) % 2 == 0, packet
    return " ".join(f"{texts[i].decode()}={texts[i + 1].decode()}"
                    for i in range(0, len(texts), 2))


@pytest.fixture
def file(serve):
    """Starts a server with options, whose file "f" has 2048 bytes."""
    def start(*options, **kw):
        server = serve(*options, **kw)
        server.put_file("f", bytes(range(256)) * 8)
        return server
    return start


@case(26)
def test_unknown_options_only(file):
    server = file("--upload")
    peer = server.peer()
    peer.asks(rrq("f", "color=red multicast= x=1"))
    assert peer.hears()[:4] == b"\0\3\0\1"
    peer = server.peer()
    peer.asks(wrq("new", "color=red x=1"))
    peer.gets(ack(0))


@case(27, 29, 30, 31, 32, 44, 46, 48, 60)
@pytest.mark.parametrize("asked, answer", [
    ("BLKSIZE=1024", "blksize=1024"), ("BlkSize=1432 TSIZE=0", "blksize=1432 tsize=2048"),
    ("blksize=1432", "blksize=1432"),
    ("blksize=8", "blksize=8"), ("blksize=7", ""), ("blksize=0", ""), ("blksize=-1", ""),
    ("blksize=8x", ""), ("blksize=0x10", ""), ("blksize=+16", ""), ("blksize=\u0661\u0666", ""),
    ("blksize=65464", "blksize=65464"), ("blksize=65465", "blksize=65464"),
    ("blksize=70000", "blksize=65464"), ("blksize=4294967304", "blksize=65464"),
    ("blksize=18446744073709551624", "blksize=65464"),
    ("timeout=0", ""), ("timeout=256", ""), ("timeout=abc", ""), ("timeout=-1", ""),
    ("timeout=4294967297", ""),
    ("timeout=1", "timeout=1"), ("timeout=255", "timeout=255"),
    ("utimeout=9999", ""), ("utimeout=20000", "utimeout=20000"), ("utimeout=255000001", ""),
    ("windowsize=0", ""), ("windowsize=65536", ""), ("windowsize=-1", ""), ("windowsize=x", ""),
    ("windowsize=65537", ""), ("windowsize=64", "windowsize=64"),
    ("blksize2=1000", "blksize2=512"), ("blksize2=1024", "blksize2=1024"),
    ("blksize2=1000 blksize=900", "blksize=900"), ("blksize2=7", ""),
    ("rollover=0", "rollover=0"), ("rollover=1", "rollover=1"), ("rollover=2", ""),
    ("tsize=0", "tsize=2048"), ("multicast=", ""), ("multicast= blksize=100", "blksize=100"),
    ("windowsize=0 blksize=100", "blksize=100"),
])
def test_granted(file, asked, answer):
    assert granted(file(), asked) == answer


@case(28)
def test_oack_to_the_byte(file):
    """No bytes follow the options: Cisco's switches and U-Boot reject them (uftpd#43)."""
    peer = file().peer()
    peer.asks(rrq("f", "blksize=1432"))
    assert peer.next() == b"\0\6blksize\x001432\0"


@case(34)
def test_largest_blksize_of_the_server(file):
    server = file("--blksize-max", "1024")
    for asked, answer in (("1468", "1024"), ("65464", "1024"), ("1024", "1024"), ("512", "512")):
        assert granted(server, f"blksize={asked}") == f"blksize={answer}"
    assert granted(server, "blksize2=4096") == "blksize2=1024"
    assert granted(file("--blksize-max", "1000"), "blksize2=4096") == "blksize2=512"


@case(35)
def test_blksize_of_the_mtu(file, netns):
    """No fragments: 20 or 40 bytes of IP, 8 of UDP, 4 of TFTP."""
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500"], check=True)
    for url, most in (("udp://127.0.0.1:0", 1468), ("udp://[::1]:0", 1448)):
        server = file("--blksize-max", "mtu", url=url)
        for asked in (65464, 1500, most + 1, most, most - 1, 512):
            assert granted(server, f"blksize={asked}") == f"blksize={min(asked, most)}"
        assert server.get("f", f"blksize={most}").content == bytes(range(256)) * 8


@case(36)
def test_refused_options(file):
    server = file("--refuse", "blksize")
    peer = server.peer()
    peer.asks(rrq("f", "blksize=1432"))
    assert len(peer.hears()) == 516
    assert granted(server, "blksize=1432 tsize=0 windowsize=4") == "tsize=2048 windowsize=4"
    server = file("--refuse", "windowsize", "--refuse", "tsize")
    assert granted(server, "tsize=0 windowsize=4 timeout=2") == "timeout=2"


@case(36)
@pytest.mark.parametrize("denied", ["get", "put"])
def test_policy_of_a_direction(serve, tmp_path, denied):
    (tmp_path / "policy").write_text(f"127.0.0.2 deny={denied}\n")
    server = serve("--upload", "--policy", tmp_path / "policy", url="udp://0.0.0.0:0")
    server.put_file("f", b"f")
    for source in ("127.0.0.1", "127.0.0.2"):
        for ask, direction in ((rrq("f"), "get"), (wrq(f"new-{source}"), "put")):
            peer = server.peer(("127.0.0.1", server.port), source=(source, 0))
            peer.asks(ask)
            if source == "127.0.0.2" and direction == denied:
                peer.gets_error(ACCESS)
            else:
                peer.gets(data(1, b"f") if direction == "get" else ack(0))


def test_policy_of_an_address(file, tmp_path):
    """For clients that request options they cannot handle (trap 14)."""
    (tmp_path / "policy").write_text("127.0.0.2 refuse=blksize\n127.0.0.3 blksize=1024\n")
    server = file("--policy", tmp_path / "policy", url="udp://0.0.0.0:0")
    for source, answer in (("127.0.0.1", "blksize=1432"), ("127.0.0.2", None),
                           ("127.0.0.3", "blksize=1024")):
        peer = server.peer(("127.0.0.1", server.port), source=(source, 0))
        peer.asks(rrq("f", "blksize=1432"))
        if answer:
            peer.gets(oack(answer))
        else:
            assert len(peer.hears()) == 516


@case(37)
def test_tsize_past_4_gib(file):
    server = file()
    for size in (5 * GIB, 4 * GIB, 4 * GIB - 1, 2 * GIB):
        with open(server.root / "large", "wb") as large:
            large.truncate(size)
        assert granted(server, "tsize=0", "large") == f"tsize={size}"


def test_tsize_of_a_file_without_a_size(file):
    """tsize=0 makes curl fail (lib/tftp.c), so the server leaves tsize out."""
    server = file()
    server.put_file("empty")
    assert granted(server, "tsize=0", "empty") == ""
    assert granted(server, "tsize=0 blksize=100", "empty") == "blksize=100"


@case(38)
def test_tsize_in_netascii(file):
    """The size of the file is not the number of bytes on the wire."""
    server = file()
    server.put_file("lines", b"a\n" * 100)
    assert granted(server, "tsize=0", "lines", "netascii") in ("", "tsize=300")
    assert granted(server, "tsize=0 blksize=100", "lines", "netascii") in (
        "blksize=100", "blksize=100 tsize=300")


@case(39, 58)
def test_tsize_of_an_upload(file):
    server = file("--upload")
    peer = server.peer()
    peer.asks(wrq("new", "tsize=3 blksize=8"))
    peer.gets(oack("blksize=8 tsize=3"))
    peer.quiet()
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    assert (server.root / "new").read_bytes() == b"abc"


@case(40, 133)
@pytest.mark.parametrize("tsize", [1025, 1 << 20, 10 ** 18, (1 << 63) - 1])
def test_upload_that_is_too_large(file, tsize):
    server = file("--upload", "--max-upload", "1024")
    peer = server.peer()
    peer.asks(wrq("new", f"tsize={tsize}"))
    peer.gets_error(DISK_FULL)
    peer.silent()
    assert not (server.root / "new").exists()
    assert server.put("new", b"x" * 1024, "tsize=1024").waits == 0


@case(40, 133)
def test_upload_without_room(file):
    """A tsize larger than any disk is refused, and the server reserves no room for it."""
    server = file("--upload")
    before = server.private_kib()
    for tsize in (10 ** 18, (1 << 63) - 1):
        peer = server.peer()
        peer.asks(wrq("new", f"tsize={tsize}"))
        peer.gets_error(DISK_FULL)
    assert server.grown_by(before) < 1024
    assert sorted(path.name for path in server.root.iterdir()) == ["f"]


@case(43)
def test_timeout_counts(file):
    """The client's timeout is one second, the server's own is much shorter."""
    server = file("--timeout", "50ms")
    peer = server.peer()
    peer.asks(rrq("f", "timeout=1"))
    peer.gets(oack("timeout=1"))
    begun = time.monotonic()
    peer.gets_again(oack("timeout=1"))
    assert 0.9 < time.monotonic() - begun < 1.8


@case(45)
def test_utimeout_counts(file):
    """The client's timeout is 20 ms, the server's own is much longer."""
    server = file("--timeout", "10s")
    peer = server.peer()
    peer.asks(rrq("f", "utimeout=20000"))
    peer.gets(oack("utimeout=20000"))
    begun = time.monotonic()
    peer.gets_again(oack("utimeout=20000"))
    assert 0.005 < time.monotonic() - begun < 5


@case(50)
@pytest.mark.parametrize("options", ["windowsize=1", "windowsize=1 blksize=512"])
def test_window_of_one(file, options):
    server = file()
    peer = server.peer()
    peer.asks(rrq("f", options))
    peer.hears()
    peer.says(ack(0))
    for number in range(1, 5):
        assert peer.hears()[:4] == data(number)
        peer.quiet(0.02)
        peer.says(ack(number))
    peer.gets(data(5))


@case(51)
def test_nothing_before_ack_0(file):
    """Earlier DATA confuses U-Boot (uftpd's lockstep.sh)."""
    server = file("--timeout", "100ms")
    peer = server.peer()
    peer.asks(rrq("f", "blksize=100 windowsize=8"))
    peer.gets(oack("blksize=100 windowsize=8"))
    peer.quiet(1)
    assert peer.again >= 2  # the OACK, and no other packet


@case(52)
def test_lost_oack(file):
    server = file("--timeout", "100ms")
    peer = server.peer()
    peer.asks(rrq("f", "blksize=1024"))
    peer.gets(oack("blksize=1024"))
    peer.gets_again(oack("blksize=1024"))
    peer.says(ack(0))
    first = peer.hears()
    assert first[:4] == data(1)
    peer.says(ack(0))  # the ACK of the second OACK
    peer.says(ack(1))
    assert peer.hears()[:4] == data(2)
    peer.says(ack(2))
    peer.gets(data(3))
    peer.says(ack(3))
    assert server.transfer()["bytes"] == 2048


@case(54)
def test_probe(file):
    """UEFI requests the size and aborts: the transfer does not count as failed, and the server
    sends nothing more (pin/tftp#125)."""
    server = file("--timeout", "50ms", "--workers", "1")
    before = server.at_rest()
    peer = server.peer()
    peer.asks(rrq("f", "tsize=0"))
    peer.gets(oack("tsize=2048"))
    peer.says(error(REFUSED, "User aborted the transfer"))
    assert server.transfer(file="f")["result"] == "probe"
    peer.over(0.3)
    until(lambda: server.descriptors() <= before, "closed descriptors")
    for _ in range(20):  # from the same port, and at once
        peer.asks(rrq("f", "tsize=0"))
        peer.gets(oack("tsize=2048"))
        peer.says(error(REFUSED))
    peer.asks(rrq("f", "blksize=1468"))
    peer.gets(oack("blksize=1468"))
    until(lambda: len(server.transfers(result="probe")) == 21, "21 probes")


@case(56)
@pytest.mark.parametrize("options", ["", "blksize=1432", "tsize=0 blksize=1432 windowsize=8"])
def test_missing_with_options(serve, options):
    """An ERROR after an OACK makes PXELINUX hang."""
    peer = serve().peer()
    peer.asks(rrq("nothing", options))
    peer.gets_error(NOT_FOUND)
    peer.silent()


@case(57)
@pytest.mark.parametrize("options", ["", "blksize=1024"])
@pytest.mark.parametrize("single", [False, True])
def test_request_again(file, options, single):
    """The same reply from the same port, and one transfer (raspberrypi/firmware#1041)."""
    server = file(*["--single-port"] * single)
    peer, packet = server.peer(), rrq("f", options)
    peer.asks(packet)
    answer = peer.hears()
    for _ in range(10):
        peer.asks_again(packet)
    peer.quiet()
    assert peer.again <= 1  # a duplicate of the network is not answered
    time.sleep(0.6)  # by now the reply is probably lost
    peer.asks_again(packet)
    peer.gets_again(answer)
    assert peer.again <= 3
    if options:
        peer.says(ack(0))
        assert peer.hears()[:4] == data(1)
    blocks = 3 if options else 5
    for number in range(1, blocks):
        peer.says(ack(number))
        assert peer.hears()[:4] == data(number + 1)
    peer.says(ack(blocks))
    assert server.transfer()["bytes"] == 2048
    peer.quiet(0.3)
    assert len(server.transfers()) == 1


@case(59)
def test_upload_request_again(file):
    """The OACK, not ACK 0 (OpenNMS#8483)."""
    server = file("--upload", "--timeout", "200ms")
    peer, packet = server.peer(), wrq("new", "blksize=8 tsize=3")
    peer.asks(packet)
    peer.gets(oack("blksize=8 tsize=3"))
    time.sleep(0.05)
    peer.asks_again(packet)
    peer.gets_again(oack("blksize=8 tsize=3"))
    peer.quiet(0.5)
    peer.says(data(1, b"abc"))
    peer.gets(ack(1))
    assert server.transfer()["bytes"] == 3
