"""Programs of other projects, as clients and as servers."""
import contextlib
import os
import pathlib
import select
import shutil
import socket
import subprocess
import threading

import pytest

from serving import SOCKEYE, WAIT_S, parse, until

HAVE = {name for name in ("nc", "ncat", "socat", "curl", "xinetd")
        if shutil.which(name) or shutil.which(name, path="/usr/sbin")}
DATAGRAM = [SOCKEYE, "connect", "--wait-after-eof", "300ms", "--per", "all"]


def need(name):
    return pytest.mark.skipif(name not in HAVE, reason=f"no {name} here")


def client(name, url):
    """The command line with which a client sends its input to an address,
    half-closes, and prints the reply until its end."""
    scheme, where = parse(url)
    if scheme == "tcp":
        host, port = where[0], str(where[1])
        bracketed = f"[{host}]" if ":" in host else host
        return {"nc": ["nc", "-N", host, port], "ncat": ["ncat", host, port],
                "socat": ["socat", "-t10", "-", f"TCP:{bracketed}:{port}"],
                "sockeye": [SOCKEYE, "connect", url]}[name]
    if scheme == "udp":
        host, port = where[0], str(where[1])
        return {"nc": ["nc", "-u", "-w1", host, port],
                "ncat": ["ncat", "-u", host, port],
                "socat": ["socat", "-t0.3", "-", f"UDP:{host}:{port}"],
                "sockeye": [*DATAGRAM, url]}[name]
    if scheme == "unix":
        return {"nc": ["nc", "-N", "-U", where], "ncat": ["ncat", "-U", where],
                "socat": ["socat", "-t10", "-", f"UNIX-CONNECT:{where}"],
                "sockeye": [SOCKEYE, "connect", url]}[name]
    if scheme == "unix-seqpacket":
        return {"socat": ["socat", "-t10", "-", f"UNIX-CONNECT:{where},type=5"],
                "sockeye": [SOCKEYE, "connect", "--per", "all", url]}[name]
    return {"nc": ["nc", "-u", "-U", "-w1", where],
            "socat": ["socat", "-t0.3", "-", f"UNIX-SENDTO:{where},bind={where}.client"],
            "sockeye": [*DATAGRAM, url]}[name]


def output_of(command, data):
    """The output of a client whose input is data."""
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False, timeout=WAIT_S).stdout


def answer_of(command, data, length):
    """The first bytes of a client's output. Its input stays open until then: some
    clients print nothing after their input has ended, or never exit."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        process.stdin.write(data)
        process.stdin.flush()
        said = b""
        while len(said) < length and select.select([process.stdout], [], [], WAIT_S)[0]:
            part = os.read(process.stdout.fileno(), length - len(said))
            if not part:
                break
            said += part
        process.kill()
    return said


def free_port(kind=socket.SOCK_STREAM):
    """A free port, for programs that do not print the port that they bind."""
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(protocol, port):
    """Whether a server listens. Does not connect: some servers accept one client only."""
    for line in pathlib.Path(f"/proc/thread-self/net/{protocol}").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == port and fields[3] in ("0A", "07"):
            return True
    return False


@contextlib.contextmanager
def running(command, ready, **popen):
    """Runs their server; yields it once ready() is true, and ends it."""
    popen.setdefault("stdin", subprocess.DEVNULL)
    popen.setdefault("stdout", subprocess.PIPE)
    server = subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL, **popen)
    try:
        until(lambda: ready() or server.poll() is not None, f"{command[0]} ready")
        assert server.poll() is None, f"{command} left with {server.returncode}"
        yield server
    finally:
        server.terminate()
        try:
            server.communicate(timeout=2)
        except (subprocess.TimeoutExpired, ValueError):
            server.kill()
            server.wait()


@contextlib.contextmanager
def listening(*options):
    """Runs `sockeye listen` on a free port: (process, address)."""
    ready, ready_child = os.pipe()
    process = subprocess.Popen([SOCKEYE, "listen", "--ready-fd", str(ready_child), *options],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               pass_fds=[ready_child])
    os.close(ready_child)
    try:
        with os.fdopen(ready) as lines:
            address = lines.readline().strip()
        yield process, address
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def both_ways(client_command, server, to_server, to_client):
    """Runs a client with a listening process, both sending data; returns what
    (server, client) have printed."""
    heard = {}
    thread = threading.Thread(
        target=lambda: heard.update(server=server.communicate(to_client, timeout=WAIT_S)[0]))
    thread.start()
    heard["client"] = output_of(client_command, to_server)
    thread.join(WAIT_S)
    return heard["server"], heard["client"]


XINETD_SERVICE = """
service {name}
{{
    type = INTERNAL UNLISTED
    id = {name}-{kind}
    socket_type = {kind}
    protocol = {protocol}
    port = {port}
    bind = 127.0.0.1
    user = root
    wait = {wait}
    disable = no
}}
"""


@contextlib.contextmanager
def xinetd(folder, services):
    """Runs xinetd with built-in services, given as (name, "tcp" or "udp"); yields their ports."""
    ports, text = {}, "defaults\n{\n    log_type = FILE /dev/null\n}\n"
    for name, protocol in services:
        kind = "stream" if protocol == "tcp" else "dgram"
        port = ports[name, protocol] = free_port(
            socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        text += XINETD_SERVICE.format(name=name, protocol=protocol, port=port, kind=kind,
                                      wait="yes" if protocol == "udp" else "no")
    conf = folder / "xinetd.conf"
    conf.write_text(text)
    command = ["xinetd", "-dontfork", "-f", conf, "-pidfile", folder / "pid"]
    with running(command, lambda: all(listens(key[1], port) for key, port in ports.items())):
        yield ports
