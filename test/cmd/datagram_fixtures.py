"""Shared by the tests of datagrams: a bound UDP socket, and a server that replies."""
import socket
import threading

import pytest


@pytest.fixture
def udp(listening):
    """A bound UDP socket."""
    return listening(socket.SOCK_DGRAM)


class Answering:
    """Replies to each datagram with the packets of answer(data), in a thread."""

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
