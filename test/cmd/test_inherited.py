"""Sockets that a service manager passes (LISTEN_FDS), without fd:3 on the command line."""
import contextlib
import fcntl
import os
import pathlib
import socket
import subprocess

import pytest

from conftest import SOCKEYE, WAIT_S, connect_to, read_all

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture(name="activated")
def started_like_systemd(listening):
    """Starts a command with sockets at 3 and above, and the variables for them."""
    with contextlib.ExitStack() as stack:
        def start(line, kinds, names="", pid="$$", count=None, command="serve", sockets=False):
            mine = [listening(kind) for kind in kinds]
            for sock in mine:
                sock.setblocking(True)
            moved = [fcntl.fcntl(sock, fcntl.F_DUPFD, 100) for sock in mine]
            moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(moved))
            variables = f"LISTEN_PID={pid} LISTEN_FDS={len(kinds) if count is None else count}"
            process = stack.enter_context(subprocess.Popen(
                ["bash", "-c", f"export {variables} LISTEN_FDNAMES='{names}'; "
                 f"exec {SOCKEYE} {command} {line} {moves}"],
                pass_fds=moved, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, bufsize=0))
            stack.callback(process.kill)
            for fd in moved:
                os.close(fd)
            return process, mine if sockets else [sock.url for sock in mine]
        yield start


def ask(url, text=b"hello.\n"):
    with connect_to(url) as conn:
        conn.send(text)
        if url.startswith("udp"):
            return conn.recv(100)
        conn.shutdown(socket.SHUT_WR)
        return read_all(conn)


def descriptors(pid):
    """What the file descriptors of a process refer to."""
    targets = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(link))
    return targets


def lines(process, count):
    """The first lines of standard output, which name the services and addresses."""
    return sorted(" ".join(process.stdout.readline().decode().split()[:2]) for _ in range(count))


@pytest.mark.parametrize("line, kinds, names, served", [
    ("echo", [TCP], "", ["echo"]),
    ("echo", [TCP, UDP], "", ["echo", "echo"]),
    ("echo", [TCP], "unknown", ["echo"]),  # systemd's name for a socket without one
    ("echo upper", [TCP, TCP], "", ["echo", "upper"]),
    ("echo upper", [TCP, TCP], "upper:echo", ["upper", "echo"]),
    ("echo upper", [TCP, UDP, TCP, UDP], "upper:upper:echo:echo",
     ["upper", "upper", "echo", "echo"]),
    ("echo upper", [TCP, TCP], "web:echo", ["upper", "echo"]),
    ("", [TCP, UDP], "upper:echo", ["upper", "echo"]),
    ("upper tcp://127.0.0.1:0 echo", [TCP], "", ["echo"]),
])
def test_sockets_are_shared_out(activated, line, kinds, names, served):
    process, urls = activated(line, kinds, names)
    said = lines(process, len(kinds) + line.count("tcp:"))
    assert {f"{service} {url}" for service, url in zip(served, urls)} <= set(said)
    for service, url in zip(served, urls):
        assert ask(url) == (b"hello.\n" if service == "echo" else b"HELLO.\n")


@pytest.mark.parametrize("pid, count", [("1", 1), ("", 1), ("$$x", 1), ("$$", 0), ("$$", "x"),
                                        ("$$", -1)])
def test_sockets_of_another_process_are_left_alone(activated, netns, pid, count):
    process, _ = activated("echo", [], pid=pid, count=count)
    assert "echo tcp://127.0.0.1:7007" in lines(process, 2)


def test_the_variables_are_removed(activated):
    process, _ = activated("echo", [TCP], "echo")
    lines(process, 1)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in [process.pid, *children]:
        assert b"LISTEN_" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("line, kinds, names, said", [
    ("echo upper", [TCP], "", "LISTEN_FDS has no socket for upper"),
    ("echo", [TCP], "upper", "no service is given for the socket fd:3, upper"),
    ("", [TCP], "", "no service is given for the socket fd:3"),
    ("tftp --root /", [TCP], "", "tftp is served over UDP, not on fd:3, tcp://127.0.0.1:"),
    ("tftp fd:4 --root /", [UDP, TCP], "", "tftp is served over UDP, not on fd:4, tcp://127.0.0."),
])
def test_sockets_that_fit_nothing(activated, line, kinds, names, said):
    process, _ = activated(line, kinds, names)
    assert process.wait(WAIT_S) in (2, 9, 10)
    assert said in read_all(process.stderr).decode()


def test_addresses_on_the_command_line_come_first(activated):
    process, [url] = activated("upper fd:3", [TCP], "echo")
    assert lines(process, 1) == [f"upper {url}"]
    assert ask(url) == b"HELLO.\n"


# --- listen and relay ---

def test_listen_takes_the_sockets(activated):
    """Clients of both sockets are served, and the addresses are reported as usual."""
    process, urls = activated("-k --count 2", [TCP, TCP], command="listen")
    for url in urls:
        assert f"listening on {url}" in process.stderr.readline().decode()
    for url in urls[::-1]:
        with connect_to(url) as client:
            client.sendall(b"to " + url.encode())
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
    assert process.wait(WAIT_S) == 0
    assert read_all(process.stdout) == b"".join(b"to " + url.encode() for url in urls[::-1])


def test_listen_takes_datagram_sockets(activated):
    process, urls = activated("--count 2", [UDP, UDP], "any:names", command="listen")
    for url in urls:
        with connect_to(url) as client:
            client.send(url.encode())
            assert process.stdout.read(len(url)) == url.encode()
    assert process.wait(WAIT_S) == 0


def test_relay_takes_the_sockets(activated, listening):
    """The only operand is the target."""
    target = listening(UDP)
    process, urls = activated(target.url, [UDP, UDP], command="relay")
    for url in urls:
        with connect_to(url) as client:
            client.send(url.encode())
            text, peer = target.recvfrom(100)
            target.sendto(b"reply to " + text, peer)
            assert client.recv(100) == b"reply to " + url.encode()
    process.terminate()
    assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize("command, line, kind", [
    ("listen", "tcp://127.0.0.1:0", TCP), ("relay", "udp://127.0.0.1:0 udp://127.0.0.1:9", UDP)])
def test_an_address_on_the_command_line_comes_first(activated, command, line, kind):
    process, [url] = activated(line, [kind], command=command)
    assert url in process.stderr.readline().decode()  # a warning
    said = process.stderr.readline().decode()
    assert "127.0.0.1:" in said and url not in said
    process.terminate()
    process.wait(WAIT_S)


@pytest.mark.parametrize("command, line, kinds, instead", [
    ("serve", "echo tcp://127.0.0.1:0", [TCP, UDP], "a service without an address takes it"),
    ("serve", "tftp udp://127.0.0.1:0 --root /var", [UDP], "a service without an address takes"),
    ("serve", "echo fd:4", [UDP, TCP], "a service without an address takes it"),
    ("listen", "tcp://127.0.0.1:0", [UDP, TCP], "listen takes it if no address is given"),
    ("relay", "udp://127.0.0.1:0 udp://127.0.0.1:9", [UDP], "relay takes it if TARGET is"),
])
def test_a_socket_that_an_address_leaves_out(activated, command, line, kinds, instead):
    """It is closed, so that its clients do not wait."""
    process, mine = activated(line, kinds, command=command, sockets=True)
    for number, sock in enumerate(mine, 3):
        if f"fd:{number}" not in line:
            said = process.stderr.readline().decode()
            assert f"is not used: fd:{number}, {sock.url}; {instead}" in said
            assert f"socket:[{os.fstat(sock.fileno()).st_ino}]" not in descriptors(process.pid)


@pytest.mark.parametrize("command, line", [("listen", "-k"), ("relay", "udp://127.0.0.1:9")])
def test_the_variables_are_removed_everywhere(activated, command, line):
    process, _ = activated(line, [TCP if command == "listen" else UDP], "name", command=command)
    process.stderr.readline()
    assert b"LISTEN_" not in pathlib.Path(f"/proc/{process.pid}/environ").read_bytes()


@pytest.mark.parametrize("command, line, kinds, pid, said", [
    ("listen", "", [TCP], "1", "no operand"),
    ("listen", "", [TCP, UDP], "$$", "sockets of different kinds"),
    ("listen", "", [TCP] * 9, "$$", "LISTEN_FDS has 9 sockets; listen takes at most 8"),
    ("relay", "", [UDP], "$$", "no operand"),
    ("relay", "udp://127.0.0.1:9", [UDP], "1", "no target address"),
    ("relay", "udp://127.0.0.1:9", [TCP], "$$", "only UDP sockets can be relayed"),
    ("relay", "tcp://127.0.0.1:9", [UDP], "$$", "is not a UDP address"),
    ("relay", "udp://127.0.0.1:9", [UDP] * 11, "$$", "LISTEN_FDS has 11 sockets"),
])
def test_sockets_that_a_command_cannot_use(activated, command, line, kinds, pid, said):
    process, _ = activated(line, kinds, pid=pid, command=command)
    assert process.wait(WAIT_S) == 2
    assert said in read_all(process.stderr).decode()


@pytest.mark.parametrize("command, line, kind", [
    ("listen", "-k", TCP), ("relay", "udp://127.0.0.1:9", UDP)])
def test_the_owner_keeps_its_socket(activated, command, line, kind):
    """It is as it was before the command: open, listening and blocking."""
    process, [mine] = activated(line, [kind], command=command, sockets=True)
    process.stderr.readline()
    process.terminate()
    process.wait(WAIT_S)
    assert fcntl.fcntl(mine, fcntl.F_GETFL) & os.O_NONBLOCK == 0
    with connect_to(mine.url) as client:
        client.send(b"again")
        with mine.accept()[0] if kind == TCP else contextlib.nullcontext(mine) as accepted:
            assert accepted.recv(9) == b"again"
