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
    """Starts `sockeye serve` with sockets at 3 and above, and the variables for them."""
    with contextlib.ExitStack() as stack:
        def start(line, kinds, names="", pid="$$", count=None):
            sockets = [listening(kind) for kind in kinds]
            moved = [fcntl.fcntl(sock, fcntl.F_DUPFD, 100) for sock in sockets]
            moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(moved))
            variables = f"LISTEN_PID={pid} LISTEN_FDS={len(kinds) if count is None else count}"
            process = stack.enter_context(subprocess.Popen(
                ["bash", "-c", f"export {variables} LISTEN_FDNAMES='{names}'; "
                 f"exec {SOCKEYE} serve {line} {moves}"],
                pass_fds=moved, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, bufsize=0))
            stack.callback(process.kill)
            for fd in moved:
                os.close(fd)
            return process, [sock.url for sock in sockets]
        yield start


def ask(url, text=b"hello.\n"):
    with connect_to(url) as conn:
        conn.send(text)
        if url.startswith("udp"):
            return conn.recv(100)
        conn.shutdown(socket.SHUT_WR)
        return read_all(conn)


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
    ("tftp --root /", [TCP], "", "fd:3"),
])
def test_sockets_that_fit_nothing(activated, line, kinds, names, said):
    process, _ = activated(line, kinds, names)
    assert process.wait(WAIT_S) in (2, 9, 10)
    assert said in read_all(process.stderr).decode()


def test_addresses_on_the_command_line_come_first(activated):
    process, [url] = activated("upper fd:3", [TCP], "echo")
    assert lines(process, 1) == [f"upper {url}"]
    assert ask(url) == b"HELLO.\n"
