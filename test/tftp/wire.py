"""TFTP packet by packet, from outside: the bytes sent to the program and received from it,
without any of the program's code.

    peer = Peer(("127.0.0.1", 6969))
    peer.asks(rrq("f", "blksize=8"))
    peer.gets(oack("blksize=8"))
    peer.says(ack(0))
    peer.gets(data(1, b"contents"))

A Peer is strict: every packet has to be complete, without trailing bytes, and from the
address and port of the first one. It skips packets that it has already received and
counts them in `again`: on a busy machine, the server's timeout of 4 ms passes before
Python has replied.
"""
import collections
import contextlib
import random
import select
import socket
import struct
import time
from typing import NamedTuple

from shared import QUIET_S, WAIT_S

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)
SOL_UDP, UDP_SEGMENT, SO_RCVBUFFORCE = 17, 103, 33
NOT_DEFINED, NOT_FOUND, ACCESS, DISK_FULL, ILLEGAL, UNKNOWN_TID, EXISTS, NO_USER, REFUSED = range(9)


# --- packets as bytes ---

def pattern(text):
    return text.encode() if isinstance(text, str) else text


def strings(*texts):
    """Strings with a NUL after each."""
    return b"".join(pattern(text) + b"\0" for text in texts)


def pairs(options):
    """Options as a list of pairs, from "blksize=8 tsize=0" or from such a list."""
    if not isinstance(options, str):
        return list(options)
    return [part.partition("=")[::2] for part in options.split()]


def request(opcode, name, options="", mode="octet"):
    return struct.pack("!H", opcode) + strings(name, mode, *sum(map(tuple, pairs(options)), ()))


def rrq(name, options="", mode="octet"):
    return request(RRQ, name, options, mode)


def wrq(name, options="", mode="octet"):
    return request(WRQ, name, options, mode)


def data(number, payload=b""):
    return struct.pack("!HH", DATA, number & 0xffff) + payload


def ack(number):
    return struct.pack("!HH", ACK, number & 0xffff)


def error(code, text=""):
    return struct.pack("!HH", ERROR, code) + strings(text)


def oack(options):
    return struct.pack("!H", OACK) + strings(*sum(map(tuple, pairs(options)), ()))


class Packet(NamedTuple):
    opcode: int
    number: int = 0  # DATA, ACK: block; ERROR: code
    payload: bytes = b""  # DATA: bytes; ERROR: text
    name: bytes = b""
    mode: bytes = b""
    options: dict = {}


def decode(packet):
    """Decodes a packet, which must have exactly the form that RFC 1350 and RFC 2347 specify."""
    opcode, rest = struct.unpack("!H", packet[:2])[0], packet[2:]
    if opcode in (RRQ, WRQ, OACK):
        texts = rest.split(b"\0")
        assert texts.pop() == b"", f"no NUL at the end of {packet}"
        name, mode = (texts.pop(0), texts.pop(0)) if opcode != OACK else (b"", b"")
        assert len(texts) % 2 == 0 and b"" not in texts[::2], packet
        options = dict(zip(texts[::2], texts[1::2]))
        assert len(options) == len(texts) // 2, f"an option twice in {packet}"
        return Packet(opcode, name=name, mode=mode, options=options)
    assert len(packet) >= 4, packet
    number, rest = struct.unpack("!H", rest[:2])[0], rest[2:]
    if opcode == ERROR:
        assert rest.endswith(b"\0") and rest.count(b"\0") == 1, packet
        return Packet(opcode, number, rest[:-1])
    assert opcode == DATA or (opcode == ACK and rest == b""), packet
    return Packet(opcode, number, rest)


# --- sockets ---

def readable(sock, wait):
    poll = select.poll()  # select() fails for descriptors above 1023
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(max(wait, 0) * 1000))


def free_range(count):
    """The first of `count` consecutive UDP ports that are free and that the kernel does not
    assign."""
    while True:
        first = random.randrange(10_000, 32_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sock.bind(("", port))
            return first


class Peer:
    """One end of a transfer, with its own port."""

    def __init__(self, to, source=None, tid=None):
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        # Make room for whole windows of large blocks, if permitted.
        for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
            with contextlib.suppress(PermissionError):
                self.sock.setsockopt(socket.SOL_SOCKET, option, 8 << 20)
        if source:
            self.sock.bind(source)
        self.to = to  # where requests are sent
        self.tid = tid  # where other packets are sent: the source of the first reply
        self.again = 0  # packets received before
        self.had = collections.deque(maxlen=16)

    def close(self):
        self.sock.close()

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def asks(self, packet):
        """Sends a request. Its reply starts a new transfer."""
        self.tid = None
        self.had.clear()
        self.sock.sendto(packet, self.to)

    def asks_again(self, packet):
        """Repeats a request whose reply may be lost."""
        self.sock.sendto(packet, self.to)

    def says(self, *packets):
        """Sends packets. Those of equal length, of which the last may be shorter, are sent in
        one call, so that there is no pause between them even on a busy machine."""
        lengths = [len(packet) for packet in packets]
        if 1 < len(packets) <= 60 and {*lengths[:-1]} == {max(lengths)} and sum(lengths) < 65_000:
            segment = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", lengths[0]))]
            with contextlib.suppress(OSError):  # the route does not support it
                self.sock.sendmsg([b"".join(packets)], segment, 0, self.tid)
                return
        for packet in packets:
            self.sock.sendto(packet, self.tid)

    def next(self, wait=WAIT_S):
        """Returns the next packet, or None after `wait`."""
        if not readable(self.sock, wait):
            return None
        packet, source = self.sock.recvfrom(1 << 17)
        if self.tid is None:
            self.tid = source
        assert source == self.tid, f"{packet[:100]} from {source}, not from {self.tid}"
        decode(packet)
        return packet

    def hears(self, wait=WAIT_S):
        """Returns the next new packet, or None after `wait`."""
        deadline = time.monotonic() + wait
        while (packet := self.next(deadline - time.monotonic())) in self.had and packet:
            self.again += 1
        if packet is not None:
            self.had.append(packet)
        return packet

    def gets(self, *packets):
        """Checks that these are the next new packets."""
        for wanted in packets:
            packet = self.hears()
            assert packet == wanted, f"{packet and packet[:100]}, not {wanted[:100]}"

    def gets_again(self, wanted, wait=WAIT_S):
        """Checks that this packet arrives again, with no new one before it."""
        deadline = time.monotonic() + wait
        while True:
            packet = self.next(deadline - time.monotonic())
            assert packet is not None, f"not again: {wanted[:100]}"
            assert packet in self.had, packet[:100]
            self.again += 1
            if packet == wanted:
                return

    def gets_error(self, *codes):
        """Checks that the next packet is an ERROR with one of these codes. Returns its text."""
        packet = self.hears()
        assert packet is not None, f"no ERROR {codes}"
        got = decode(packet)
        assert (got.opcode, got.number in codes) == (ERROR, True), got
        return got.payload

    def quiet(self, wait=QUIET_S):
        """Checks that no new packet arrives; repeats may, and are counted."""
        packet = self.hears(wait)
        assert packet is None, packet[:100]

    def over(self, wait=QUIET_S):
        """Checks that the other side, which has ended the transfer, sends nothing more. Repeats
        that it sent before its end are skipped."""
        while (packet := self.next(0)) is not None:
            assert packet in self.had, packet[:100]
            self.again += 1
        self.silent(wait)

    def silent(self, wait=QUIET_S):
        """Checks that no packet arrives."""
        packet = self.next(wait)
        assert packet is None, packet[:100]


# --- whole transfers ---

class Heard(NamedTuple):
    """The file that a receiver got, and what it took."""
    content: bytes
    packets: int  # DATA packets received, including repeats
    acks: int  # sent
    waits: int  # timeouts after which it sent an ACK


def number_of(block, rollover=0):
    """The number of a block on the wire after the wrap, which RFC 1350 does not specify: to 0,
    or to 1 with the option rollover=1."""
    return block % 65536 if rollover == 0 or block == 0 else (block - 1) % 65535 + 1


def receive(peer, blksize=512, window=1, *, first=None, lose=(), storm=False, rollover=0,
            wait=1.0, sink=None, head=None):
    """Receives a file as RFC 7440 specifies and keeps no block that is out of order.

    `first` is the packet to start with, if none was sent. The blocks in `lose` are lost the
    first time. With `storm`, every block after a gap is acknowledged. `sink` gets the bytes
    of each block, or the first `head` of them, and its length; the bytes are valid only
    during the call.
    """
    lose, parts, packets, acks, waits = set(lose), [], 0, 0, 0
    following, in_window, asked, silent = 1, 0, 0, 0
    buffer = bytearray(4 + (blksize + 1 if head is None else head))
    view = memoryview(buffer)
    sock, tid, poll = peer.sock, peer.tid, select.poll()
    sink = sink or (lambda payload, _: parts.append(bytes(payload)))
    poll.register(sock, select.POLLIN)
    if first is not None:
        sock.sendto(first, tid)
    while True:
        if not poll.poll(wait * 1000):
            silent += 1
            assert silent < 8, f"{silent} times nothing behind block {following - 1}"
            waits += 1
            acks += 1
            in_window = 0
            sock.sendto(ack(number_of(following - 1, rollover)), tid)
            continue
        size, source = sock.recvfrom_into(buffer, 0, socket.MSG_TRUNC)
        tid = peer.tid = tid or source
        assert source == tid
        if buffer[1] == OACK:  # repeated: our ACK was lost or slow
            if following == 1:
                sock.sendto(ack(0), tid)
            continue
        assert buffer[1] == DATA and 4 <= size <= blksize + 4, bytes(buffer[:100])
        packets += 1
        ahead = ((buffer[2] << 8 | buffer[3]) - number_of(following, rollover)) & 0xffff
        if ahead == 0 and following in lose:
            lose.discard(following)
        elif ahead == 0:
            sink(view[4:size], size - 4)
            silent = 0
            in_window += 1
            following += 1
            if in_window < window and size == blksize + 4:
                continue
            in_window = 0
            acks += 1
            sock.sendto(ack(number_of(following - 1, rollover)), tid)
            if size < blksize + 4:
                return Heard(b"".join(parts), packets, acks, waits)
        elif ahead < 32768 and (storm or asked != following):
            asked, in_window = following, 0
            acks += 1
            sock.sendto(ack(number_of(following - 1, rollover)), tid)


class Said(NamedTuple):
    """What a sender sent, and the ACKs it received."""
    packets: int
    acks: list  # block numbers, in order
    waits: int


def send(peer, content, blksize=512, window=1, *, lose=(), rollover=0, wait=1.0):
    """Sends a file as RFC 7440 specifies: each window starts after the last ACK."""
    blocks, lose = len(content) // blksize + 1, set(lose)
    sock, tid, poll = peer.sock, peer.tid, select.poll()
    packets, waits, acks, una, silent = 0, 0, [], 1, 0
    poll.register(sock, select.POLLIN)
    while una <= blocks:
        lost = False
        for block in range(una, min(una + window, blocks + 1)):
            if block in lose:
                lose.discard(block)
                lost = True
                continue
            packets += 1
            sock.sendto(data(number_of(block, rollover),
                             content[(block - 1) * blksize:block * blksize]), tid)
        while True:
            if not poll.poll(wait * 1000):
                waits += 1
                silent += 1
                assert silent < 8, f"{silent} times nothing behind block {una - 1}"
                break
            packet, source = sock.recvfrom(1 << 16)
            got = decode(packet)
            assert source == tid and got.opcode == ACK, (source, got)
            acks.append(got.number)
            ahead = (got.number - number_of(una - 1, rollover)) % (65536 - rollover)
            if 0 < ahead <= window:
                una += ahead
                silent = 0
                break
            if ahead == 0 and lost:
                break  # the first of the window was lost
    return Said(packets, acks, waits)


# --- a scripted server for the client's tests ---

class Desk:
    """A server's well-known port."""

    def __init__(self, name=("127.0.0.1", 0)):
        family = socket.AF_INET6 if ":" in name[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind(name)
        self.peers = contextlib.ExitStack()

    def close(self):
        self.peers.close()
        self.sock.close()

    @property
    def authority(self):
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def url(self, name="f"):
        return f"tftp://{self.authority}/{name}"

    def hears(self, wait=WAIT_S):
        """Returns the next request and its source, or None."""
        if not readable(self.sock, wait):
            return None
        packet, source = self.sock.recvfrom(1 << 16)
        return decode(packet), source

    def gets(self, opcode=RRQ, source=None):
        """Returns the next request, and a peer with a new port to reply from."""
        heard = self.hears()
        assert heard is not None, "no request"
        got, client = heard
        assert got.opcode == opcode, got
        return got, self.peer(client, source)

    def peer(self, client, source=None):
        host = self.sock.getsockname()[0]
        peer = Peer(client, source=source or (host, 0), tid=client)
        self.peers.callback(peer.close)
        return peer
