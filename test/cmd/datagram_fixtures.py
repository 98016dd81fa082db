"""What the tests of datagrams share: a bound UDP socket, and one that replies."""
import socket
import threading

import pytest


@pytest.fixture
def udp(listening):
    """A bound UDP socket."""
    return listening(socket.SOCK_DGRAM)


class Answering:
    """Answers each datagram with what answer(data) yields, in a thread."""

    def __init__(self, sock, answer=lambda data: [data], reply_from=None):
        self.sock, self.answer, self.reply_from, self.got = sock, answer, reply_from or sock, []
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        try:
            while True:
                data, peer = self.sock.recvfrom(70_000)
                self.got.append(data)
                for piece in self.answer(data):
                    self.reply_from.sendto(piece, peer)
        except OSError:
            pass
