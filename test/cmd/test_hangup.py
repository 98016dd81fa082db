"""SIGHUP: a request to read the rules again, or the end of the terminal."""
import os
import signal

import pytest

from conftest import KEEP_ROOT, QUIET_S, SOCKEYE, connect_to, until
from job_shell import JobShell

SERVERS = {"serve": "serve echo tcp://127.0.0.1:0 --ready-fd 3",
           "serve tftp": " ".join(["serve tftp udp://127.0.0.1:0 --root . --ready-fd 3",
                                   *KEEP_ROOT]),
           "relay": "relay udp://127.0.0.1:0 udp://127.0.0.1:9 --ready-fd 3"}
each_server = pytest.mark.parametrize("line", SERVERS.values(), ids=SERVERS)


def begin(shell, folder, line, foreground=False):
    """Starts a server as a job of the shell. Returns its process id once it is ready."""
    script = f"sh -c 'echo $$ >pid; exec \"$@\"' sh {SOCKEYE} {line} 3>at 2>log >out"
    shell.type(f"({script}; echo $? >status){'' if foreground else ' &'}\n")
    until(lambda: (folder / "at").exists() and (folder / "at").read_text().endswith("\n"), line)
    return int((folder / "pid").read_text())


def status_of(folder):
    path = folder / "status"
    return until(lambda: path.exists() and path.read_text().strip(), "the server ends")


@each_server
@pytest.mark.parametrize("foreground", [False, True], ids=["background", "foreground"])
def test_the_terminal_is_closed(tmp_path, line, foreground):
    shell = JobShell(tmp_path, os.environ)
    pid = begin(shell, tmp_path, line, foreground)
    os.close(shell.fd)  # the terminal hangs up
    try:
        until(lambda: not os.path.exists(f"/proc/{pid}"), "the server ends")
    finally:
        shell.process.kill()
        shell.process.wait()


@each_server
def test_the_terminal_is_there(tmp_path, line):
    with JobShell(tmp_path, os.environ) as shell:
        pid = begin(shell, tmp_path, line)
        for _ in range(3):
            os.kill(pid, signal.SIGHUP)
        assert "ended" not in shell.run(f"sleep {QUIET_S}; kill -0 {pid} || echo ended")
        os.kill(pid, signal.SIGTERM)
        assert status_of(tmp_path) == "0"


@pytest.mark.parametrize("arguments", [
    ("serve", "echo", "tcp://127.0.0.1:0"), ("relay", "udp://127.0.0.1:0", "udp://127.0.0.1:9")])
def test_a_server_without_a_terminal(ready, arguments):
    """For example one that systemd has started."""
    started, [url] = ready(*arguments, start_new_session=True)
    for _ in range(3):
        started.send_signal(signal.SIGHUP)
    if arguments[0] == "serve":
        with connect_to(url) as client:
            client.send(b"still here")
            assert client.recv(100) == b"still here"
    assert started.poll() is None
    started.terminate()
    started.end()


def test_nohup(tmp_path):
    """The server was asked to outlive the terminal."""
    shell = JobShell(tmp_path, os.environ)
    shell.run("trap '' HUP")
    pid = begin(shell, tmp_path, SERVERS["serve tftp"])
    try:
        os.close(shell.fd)
        shell.process.wait(20)
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the server ends")

