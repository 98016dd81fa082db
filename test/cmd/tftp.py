"""A TFTP server in a few lines, for behaviour that a good server never shows.

    server = Server()
    request = server.request()            # Request(op, name, mode, options, client)
    peer = server.answer(request, oack(blksize=1024))
    peer.expect(ack(0))
"""
import collections
import socket
import struct

from conftest import QUIET_S, WAIT_S

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)

Request = collections.namedtuple("Request", "op name mode options client")


def data(number, payload=b""):
    return DATA.to_bytes(2, "big") + (number % 65536).to_bytes(2, "big") + payload


def ack(number):
    return ACK.to_bytes(2, "big") + (number % 65536).to_bytes(2, "big")


def error(code, text=""):
    return ERROR.to_bytes(2, "big") + code.to_bytes(2, "big") + text.encode() + b"\0"


def oack(**options):
    pairs = "".join(f"{name}\0{value}\0" for name, value in options.items())
    return OACK.to_bytes(2, "big") + pairs.encode()


def code_of(packet):
    assert packet[:2] == ERROR.to_bytes(2, "big"), packet
    return int.from_bytes(packet[2:4], "big")


def read_request(packet, client):
    assert packet.endswith(b"\0"), packet
    name, mode, *rest = packet[2:-1].split(b"\0")
    assert len(rest) % 2 == 0, packet
    options = {rest[i].decode(): int(rest[i + 1]) for i in range(0, len(rest), 2)}
    return Request(packet[1], name.decode(), mode.decode(), options, client)


class Peer(socket.socket):
    """One end of a transfer: the server's port, or a stranger."""

    def __init__(self, client=None, host="127.0.0.1", port=0):
        super().__init__(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.settimeout(WAIT_S)
        self.bind((host, port))
        self.client = client

    def say(self, *packets):
        for packet in packets:
            self.sendto(packet, self.client)

    def hear(self):
        packet, source = self.recvfrom(65536)
        assert self.client in (None, source)
        return packet

    def expect(self, *packets):
        for packet in packets:
            heard = self.hear()
            assert heard == packet, heard[:100]

    def expect_silence(self, *but):
        """Expects no packet, but perhaps repeats of `but`: a busy machine may run this test
        after the client's timeout."""
        self.settimeout(QUIET_S)
        try:
            while (heard := self.recv(65536)) in but:
                pass
        except TimeoutError:
            heard = None
        self.settimeout(WAIT_S)
        assert heard is None, heard[:100]


class Server(Peer):
    def url(self, file="f"):
        name = self.getsockname()
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"tftp://{host}:{name[1]}/{file}"

    def request(self, op=RRQ):
        request = read_request(*self.recvfrom(65536))
        assert request.op == op
        return request

    def answer(self, request, *packets, host=None):
        """Sends packets from a new port, like the first packets of a transfer. Returns that
        port."""
        peer = Peer(request.client, host or self.getsockname()[0])
        peer.say(*packets)
        return peer


def unreachable(peer):
    """Sends the client the ICMP error of a closed port."""
    udp = struct.pack("!HHHH", peer.client[1], peer.getsockname()[1], 8, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0,
                     socket.inet_aton(peer.client[0]), socket.inet_aton(peer.getsockname()[0]))
    packet = struct.pack("!BBHI", 3, 3, 0, 0) + ip + udp
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~(total + (total >> 16)) & 0xFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(packet[:2] + total.to_bytes(2, "big") + packet[4:], peer.client)


def send(peer, content, blksize=512, window=1):
    """Sends the whole content to a client whose transfer has started, and checks its ACKs."""
    blocks = [content[at:at + blksize] for at in range(0, len(content) + 1, blksize)]
    for first in range(0, len(blocks), window):
        burst = blocks[first:first + window]
        peer.say(*(data(first + i + 1, block) for i, block in enumerate(burst)))
        peer.expect(ack(first + len(burst)))


def receive(peer, blksize=512, window=1):
    """Receives a file from a client whose transfer has started. On a busy machine a block may
    arrive twice, because the ACK was too late."""
    content, number = b"", 0
    while True:
        packet = peer.hear()
        if packet[:4] in [data(n) for n in range(max(1, number - window + 1), number + 1)]:
            if packet[:4] == data(number) and number % window == 0:
                peer.say(ack(number))
            continue
        number += 1
        assert packet[:4] == data(number), packet[:4]
        content += packet[4:]
        if len(packet) < blksize + 4 or number % window == 0:
            peer.say(ack(number))
        if len(packet) < blksize + 4:
            return content
