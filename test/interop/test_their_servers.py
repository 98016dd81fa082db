"""Our clients with servers of nc, ncat, socat, Python and xinetd."""
import os
import socket
import socketserver
import struct
import subprocess
import threading
import time

import pytest

from serving import SOCKEYE, WAIT_S, same
from theirs import answer_of, client, free_port, listens, need, running, output_of, xinetd

FROM_1900_S = 2208988800


def echo_server(name, scheme, folder):
    """Their echo server: the command line, the address, and whether it is ready."""
    path = folder / "s"
    port = free_port(socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM)
    url = f"{scheme}:{path}" if scheme.startswith("unix") else f"{scheme}://127.0.0.1:{port}"
    command = {
        ("ncat", "tcp"): ["ncat", "-l", "-k", "127.0.0.1", port, "--exec", "/bin/cat"],
        ("ncat", "unix"): ["ncat", "-l", "-k", "-U", path, "--exec", "/bin/cat"],
        ("ncat", "udp"): ["ncat", "-l", "-u", "127.0.0.1", port, "--exec", "/bin/cat"],
        ("socat", "tcp"): ["socat", "-t10", f"TCP-LISTEN:{port},bind=127.0.0.1,fork", "EXEC:cat"],
        ("socat", "unix"): ["socat", "-t10", f"UNIX-LISTEN:{path},fork", "EXEC:cat"],
        ("socat", "udp"): ["socat", f"UDP-RECVFROM:{port},bind=127.0.0.1,fork", "PIPE"],
        ("socat", "unix-dgram"): ["socat", f"UNIX-RECVFROM:{path},fork", "PIPE"],
        ("socat", "unix-seqpacket"): ["socat", "-t10", f"UNIX-LISTEN:{path},type=5,fork", "EXEC:cat"],
    }[name, scheme]
    if scheme.startswith("unix"):
        return command, url, path.exists
    return command, url, lambda: listens(scheme, port)


STREAM = [pytest.param(name, scheme, marks=need(name))
          for name, scheme in (("ncat", "tcp"), ("ncat", "unix"), ("socat", "tcp"),
                               ("socat", "unix"), ("socat", "unix-seqpacket"))]
DATAGRAM = [pytest.param(name, scheme, marks=need(name))
            for name, scheme in (("ncat", "udp"), ("socat", "udp"), ("socat", "unix-dgram"))]


@pytest.mark.parametrize("name, scheme", STREAM)
def test_echo_to_the_end(tmp_path, name, scheme):
    command, url, ready = echo_server(name, scheme, tmp_path)
    data = os.urandom(300_000 if name == "socat" and scheme != "unix-seqpacket" else 5000)
    with running(command, ready):
        if name == "ncat":  # its --exec drops bytes in flight when the input ends
            same(answer_of(client("sockeye", url), data, len(data)), data)
        else:
            same(output_of(client("sockeye", url), data), data)


@pytest.mark.parametrize("name, scheme", DATAGRAM)
def test_echo_of_a_datagram(tmp_path, name, scheme):
    command, url, ready = echo_server(name, scheme, tmp_path)
    with running(command, ready):
        said = subprocess.run([SOCKEYE, "connect", "-m", "hello", url], capture_output=True,
                              check=True, timeout=WAIT_S)
    assert said.stdout.rstrip(b"\n") == b"hello"


@pytest.mark.parametrize("name", [pytest.param("nc", marks=need("nc")),
                                  pytest.param("ncat", marks=need("ncat"))])
def test_both_ways_with_a_listener(name):
    """`nc -l` sends its input and prints what it receives. It exits when its client
    has ended, even if it has input left to send: the client must not end first."""
    port = free_port()
    to_server, to_client = os.urandom(200_000), os.urandom(150_000)
    command = {"nc": ["nc", "-l", "-N", "127.0.0.1", port],
               "ncat": ["ncat", "-l", "127.0.0.1", port]}[name]
    with running(command, lambda: listens("tcp", port), stdin=subprocess.PIPE) as server:
        heard = {}
        thread = threading.Thread(target=lambda: heard.update(
            server=server.communicate(to_client, timeout=WAIT_S)[0]))
        thread.start()
        ours = client("sockeye", f"tcp://127.0.0.1:{port}")
        if name == "nc":
            ours.append("--no-shutdown")
        same(output_of(ours, to_server), to_client)
        thread.join(WAIT_S)
        same(heard["server"], to_server)


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class UpperDatagram(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data.upper(), self.client_address)


@pytest.mark.parametrize("kind, handler", [(socketserver.ThreadingTCPServer, Upper),
                                           (socketserver.ThreadingUDPServer, UpperDatagram)])
def test_python_servers(kind, handler):
    with kind(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scheme = "tcp" if handler is Upper else "udp"
        url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        assert output_of(client("sockeye", url), b"one\ntwo\n") == b"ONE\nTWO\n"
        server.shutdown()


@need("xinetd")
@pytest.mark.skipif(os.getuid() != 0, reason="xinetd wants root")
def test_xinetd(tmp_path):
    wanted = [(name, protocol) for name in ("echo", "daytime", "time", "discard")
              for protocol in ("tcp", "udp") if (name, protocol) != ("discard", "udp")]
    with xinetd(tmp_path, wanted) as ports:
        def ask(name, protocol, data):
            url = f"{protocol}://127.0.0.1:{ports[name, protocol]}"
            return output_of(client("sockeye", url), data)

        data = os.urandom(100_000)
        same(ask("echo", "tcp", data), data)
        assert ask("echo", "udp", b"datagram") == b"datagram"
        assert ask("discard", "tcp", b"nothing") == b""
        for protocol in ("tcp", "udp"):
            assert b" %d " % time.gmtime().tm_year in ask("daytime", protocol, b"?")
            said = ask("time", protocol, b"?")[:4]
            assert abs(struct.unpack("!I", said)[0] - FROM_1900_S - time.time()) < 2
