"""Sockets that belong to another process (fd:N): a server uses them and leaves them as they
were. A service manager needs them for the next start."""
import contextlib
import fcntl
import signal
import socket

import pytest

from serving import MODEL_FACTS, NotServing, Server, at_once, connect, read_n, until

STREAMS = ["tcp", "tcp6", "unix", "unix-seqpacket"]
DATAGRAMS = ["udp", "unix-dgram"]
KINDS = {"tcp": socket.SOCK_STREAM, "unix": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM,
         "unix-dgram": socket.SOCK_DGRAM, "unix-seqpacket": socket.SOCK_SEQPACKET}


class Owned:
    """A socket of the test, which lends it to servers."""

    def __init__(self, kind, folder, nonblocking):
        unix = kind.startswith("unix")
        family = (socket.AF_UNIX if unix else
                  socket.AF_INET6 if kind.endswith("6") else socket.AF_INET)
        self.sock = socket.socket(family, KINDS[kind.rstrip("6")])
        self.sock.bind(str(folder / "s") if unix else ("::1" if kind == "tcp6" else "127.0.0.1", 0))
        if kind in STREAMS:
            self.sock.listen(200)
        self.sock.setblocking(not nonblocking)
        self.mode = self.flags()
        self.fd = self.sock.fileno()

    def flags(self):
        return fcntl.fcntl(self.sock, fcntl.F_GETFL)

    def serves(self, address):
        """Whether the owner itself can serve a client, in the mode that the socket had."""
        assert self.flags() == self.mode
        with connect(address) as client:
            client.send(b"again")
            if self.sock.type == socket.SOCK_DGRAM:
                return self.sock.recv(9) == b"again"
            with self.sock.accept()[0] as accepted:
                accepted.settimeout(15)
                return accepted.recv(9) == b"again"


@pytest.fixture(name="owned", params=[False, True], ids=["blocking", "nonblocking"])
def owned_socket(request, tmp_path):
    with contextlib.ExitStack() as stack:
        def make(kind):
            made = Owned(kind, tmp_path, request.param)
            stack.enter_context(made.sock)
            return made
        yield make


def greet(client):
    client.send(b"hello")
    assert read_n(client, 5) == b"hello"


@pytest.mark.parametrize("kind", [*STREAMS, *DATAGRAMS])
def test_a_stop_leaves_the_socket_to_its_owner(serve, owned, kind, model):
    """Also the second server on the socket serves it, like a service that is started again."""
    mine = owned(kind)
    for _ in range(2):
        server = serve("echo", f"fd:{mine.fd}", "--workers", "3", model=model, inherit=[mine.fd])
        with server.connect() as client:
            greet(client)
        server.stop()
        assert mine.serves(server.address)


@pytest.mark.parametrize("limit", [(), ("--max-connections", "7")], ids=["unlimited", "limited"])
@pytest.mark.parametrize("kind", STREAMS)
def test_open_sessions_at_a_stop(serve, owned, kind, limit, model):
    """While sessions end, the server accepts no client: the owner does."""
    mine = owned(kind)
    server = serve("echo", f"fd:{mine.fd}", "--workers", "1", *limit, model=model,
                   inherit=[mine.fd])
    with server.connect() as client:
        greet(client)
        server.popen.send_signal(signal.SIGTERM)
        if not MODEL_FACTS[model]["one_session"]:
            until(lambda: not accepts(server, mine), "the stop")
        greet(client)
    assert server.wait() == 0
    assert mine.serves(server.address)


def accepts(server, mine):
    """Whether the server accepts another client, which the owner accepts otherwise."""
    with connect(server.address) as client:
        client.send(b"x")
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            return client.recv(1) == b"x"
        with contextlib.suppress(BlockingIOError):
            mine.sock.accept()[0].close()
            return False
        client.settimeout(15)  # a slow server
        return client.recv(1) == b"x"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_hand_over_between_two_servers(serve, owned, kind, model):
    """The first server restores the mode while the second one serves. A worker that then blocks
    in accept(2) would not serve its sessions."""
    mine = owned(kind)
    first, second = (serve("echo", f"fd:{mine.fd}", "--workers", "3", model=model,
                           inherit=[mine.fd]) for _ in range(2))
    with first.connect() as client:
        greet(client)
    first.stop()
    many = at_once(model, 3, 40)
    for _ in range(5):
        clients = [second.connect() for _ in range(many)]
        for client in clients + clients:
            greet(client)
        for client in clients:
            client.close()


@pytest.mark.parametrize("kind", ["tcp", "unix", "udp"])
def test_a_killed_worker_leaves_the_socket(serve, owned, kind, model):
    mine = owned(kind)
    server = serve("echo", f"fd:{mine.fd}", "--workers", "2", model=model, inherit=[mine.fd])
    workers = until(server.children, "workers")
    for worker in workers:
        worker.kill()
    server.wait_counters(workers_died=len(workers))
    with server.connect() as client:
        greet(client)
    server.stop()
    assert mine.serves(server.address)


@pytest.mark.parametrize("kind", ["tcp", "unix", "udp"])
def test_workers_killed_during_a_stop(serve, owned, kind, model):
    mine = owned(kind)
    server = serve("echo", f"fd:{mine.fd}", "--workers", "2", model=model, inherit=[mine.fd])
    with server.connect() as client:
        greet(client)
        for worker in until(server.children, "workers"):
            worker.freeze()
        server.popen.send_signal(signal.SIGTERM)
        for worker in server.children():
            worker.kill()
        assert server.wait() == 0
    assert mine.serves(server.address)


@pytest.mark.parametrize("kind", STREAMS)
def test_waiting_clients_are_served_at_a_stop(serve, owned, kind, model):
    """The server cannot know whether another process still has the socket."""
    mine = owned(kind)
    server = serve("echo", f"fd:{mine.fd}", "--workers", "1", model=model, inherit=[mine.fd])
    worker, = server.workers(1)
    worker.freeze()
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.send(b"hello")
        client.shutdown(socket.SHUT_WR)
    server.popen.send_signal(signal.SIGTERM)
    worker.thaw()
    for client in clients:
        assert read_n(client, 5) == b"hello"
        client.close()
    assert server.wait() == 0
    assert mine.serves(server.address)


def test_a_server_that_cannot_start_restores_the_mode(owned):
    mine = owned("tcp")
    with pytest.raises(NotServing):
        Server("echo", f"fd:{mine.fd}", "unix:/no/such/folder/s", inherit=[mine.fd])
    assert mine.flags() == mine.mode
