"""Shared by the tests of sockeye bench: the program, and servers made of Python sockets."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import threading
import time

import pytest

PROGRAM = os.environ.get("SOCKEYE") or str(pathlib.Path(__file__).parents[2] / "build/sockeye")
RST = struct.pack("ii", 1, 0)


class Server:
    """Listens on a free port. handle(server, conn) runs in a thread for each connection; read
    its notes after the bench has ended."""

    def __init__(self, handle, family=socket.AF_INET, kind=socket.SOCK_STREAM, name=("127.0.0.1", 0)):
        self.handle, self.notes, self.barrier = handle, [], threading.Barrier(2)
        self.socket = socket.socket(family, kind)
        self.socket.bind(name)
        self.threads = []
        self.datagram = kind == socket.SOCK_DGRAM
        if self.datagram:
            self.socket.settimeout(30)
            self.spawn(self.handle, self, self.socket)
        else:
            self.socket.listen(128)
            self.spawn(self.accept)

    def spawn(self, target, *args):
        thread = threading.Thread(target=self.quietly, args=(target, *args), daemon=True)
        thread.start()
        self.threads.append(thread)

    @staticmethod
    def quietly(target, *args):
        try:
            target(*args)
        except OSError:
            pass

    def accept(self):
        while True:
            conn, peer = self.socket.accept()
            self.notes.append(("open", peer))
            self.spawn(self.served, conn)

    def served(self, conn):
        with conn:
            self.handle(self, conn)

    @property
    def url(self):
        name = self.socket.getsockname()
        if isinstance(name, str):
            kind = {socket.SOCK_STREAM: "unix", socket.SOCK_DGRAM: "unix-dgram",
                    socket.SOCK_SEQPACKET: "unix-seqpacket"}[self.socket.type]
            return f"{kind}:{name}"
        return f"{'udp' if self.datagram else 'tcp'}://127.0.0.1:{name[1]}"

    def wait_for_notes(self, count):
        """Waits: the bench may exit before the server sees its last connection end."""
        deadline = time.monotonic() + 10
        while len(self.notes) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def opened(self):
        return sum(note[0] == "open" for note in self.notes)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept and recv
        except OSError:
            pass
        self.socket.close()


@pytest.fixture
def serve():
    servers = []

    def start(handle, **kw):
        servers.append(Server(handle, **kw))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def echo(server, conn, change=lambda data: data):
    while True:
        try:
            data = conn.recv(1 << 18)
        except ConnectionResetError:
            server.notes.append(("reset",))
            return
        if not data:
            server.notes.append(("end",))
            return
        conn.sendall(change(data))


def echo_datagrams(server, sock):
    while True:
        data, peer = sock.recvfrom(1 << 17)
        sock.sendto(data, peer)


def bench(*args, **kw):
    return subprocess.run([PROGRAM, "bench", *map(str, args)], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, **kw)


def bench_json(*args, **kw):
    """Returns the exit code and the JSON document, of which there is one for every outcome."""
    done = bench("--json", *args, **kw)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done
    assert done.stderr == ""
    document = json.loads(lines[0])
    assert document["exit"] == done.returncode
    return done.returncode, document
