"""State that a process inherits from its parent: ignored and blocked signals, a limit of the size
of files, and a log that does not accept a line."""
import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

from serving import SOCKEYE, Server, connect, processes, read_n, until

ECHO = ("echo", "tcp://127.0.0.1:0")
EVERY = set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
BLOCKED = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD}
IGNORED = {signal.SIGPIPE, signal.SIGXFSZ}
LINES_LOST = rb"warning: (\d+) log lines were lost"


def ignore_and_block_all():
    for sig in EVERY - {signal.SIGINT}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(sig, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, EVERY)


def signals(process, key):
    bits = int(process.status(key), 16)
    return {sig for sig in EVERY if bits >> (sig - 1) & 1}


# --- signals ---

def test_workers_set_their_signals(serve, model):
    server = serve(*ECHO, "--workers", "2", model=model, preexec_fn=ignore_and_block_all)
    assert server.ask(b"hello") == b"hello"
    for worker in server.workers(processes(model, 2)):
        until(lambda worker=worker: signals(worker, "SigBlk") == BLOCKED, "blocked signals")
        assert signals(worker, "SigIgn") == IGNORED
    server.workers()[0].kill()
    server.wait_counters(workers_died=1)
    assert server.ask(b"again") == b"again"  # the fixture stops it by SIGTERM


def test_end_of_the_grace_period(serve, model):
    """The supervisor kills what is left, and sees that it ends."""
    server = serve(*ECHO, "--workers", "2", "--grace", "200ms", model=model,
                   preexec_fn=ignore_and_block_all)
    for worker in server.workers(processes(model, 2)):
        worker.freeze()
    server.popen.terminate()
    assert server.wait() == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_client_can_be_stopped(tmp_path, sig):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.settimeout(15)
        silent.bind(("127.0.0.1", 0))
        with subprocess.Popen([SOCKEYE, "get", "-o", "f",
                               f"tftp://127.0.0.1:{silent.getsockname()[1]}/f"],
                              cwd=tmp_path, preexec_fn=ignore_and_block_all) as client:
            silent.recv(9999)
            client.send_signal(sig)
            assert client.wait(15) == 130


# --- a limit of the size of files ---

def limit(size):
    """With the default action of SIGXFSZ, which Python changes."""
    def change():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return change


def test_upload_beyond_the_limit(serve, tmp_path):
    root, file = tmp_path / "root", tmp_path / "file"
    root.mkdir()
    file.write_bytes(bytes(20000))
    server = serve("tftp", "udp://127.0.0.1:0", "--root", root, "--upload", "--workers", "1",
                   preexec_fn=limit(7000))
    workers = [worker.pid for worker in server.workers(1)]
    url = server.address.replace("udp:", "tftp:")
    said = subprocess.run([SOCKEYE, "put", file, f"{url}/file"], capture_output=True, text=True,
                          check=False, timeout=30)
    assert said.returncode == 8 and "File too large" in said.stderr
    server.wait_log("File too large")
    assert [worker.pid for worker in server.workers(1)] == workers
    assert os.listdir(root) == []


def test_output_beyond_the_limit(tmp_path):
    with open(tmp_path / "help", "wb") as file:
        said = subprocess.run([SOCKEYE, "serve", "--help"], stdout=file, stderr=subprocess.PIPE,
                              check=False, timeout=15, preexec_fn=limit(100))
    assert said.returncode == 9
    assert re.fullmatch(rb"sockeye: write standard output: .*\n", said.stderr)


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_beyond_the_limit(tmp_path, form, model):
    """Neither the supervisor nor a worker ends, and once there is room again, the log reports
    what is missing."""
    path = tmp_path / "log"
    with open(path, "ab") as log:
        server = Server(*ECHO, "--workers", "1", "-v", "--log", form, model=model, stderr=log,
                        preexec_fn=limit(1000))
    try:
        workers = [worker.pid for worker in server.workers(1)]
        for _ in range(15):
            assert server.ask(b"x") == b"x"
            server.popen.send_signal(signal.SIGUSR1)
        until(lambda: path.stat().st_size == 1000, "a full log")
        lost = LINES_LOST + b": File too large" if form == "text" else rb'"lines_lost":\d+'

        def noted():
            """Each process reports its own lines; new ones may fill the file before that."""
            os.truncate(path, 0)
            server.popen.send_signal(signal.SIGUSR1)
            assert server.ask(b"y") == b"y"
            time.sleep(0.02)
            return re.search(lost, path.read_bytes())

        until(noted, "the note")
        assert [worker.pid for worker in server.workers(1)] == workers
        server.popen.terminate()
        assert server.wait() == 0
    finally:
        server.end()


# --- a log that is not read ---

@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_log_that_is_not_read(scheme, model):
    """Long messages in a full pipe do not block a worker."""
    reading, writing = os.pipe()
    try:
        server = Server("echo", f"{scheme}://127.0.0.1:0", "-s", model=model, stderr=writing)
    finally:
        os.close(writing)
    try:
        for i in range(20):
            with connect(server.address) as client:
                message = bytes([i]) * 30000
                client.sendall(message)
                assert read_n(client, len(message)) == message
        server.popen.terminate()
        assert server.wait() == 0
        os.set_blocking(reading, False)
        log = os.read(reading, 1 << 20)
    finally:
        server.end()
        os.close(reading)
    assert all(len(line) < 4096 for line in log.splitlines())
    assert re.search(r': bytes 1 to \d+ of 30000$'.encode(), log, re.M) or scheme == "tcp"


def test_lost_lines_are_counted():
    """Once the pipe is read, the next line reports how many are missing."""
    reading, writing = os.pipe()
    try:
        server = Server(*ECHO, "--workers", "1", "-s", stderr=writing)
    finally:
        os.close(writing)
    try:
        with server.connect() as client:
            for _ in range(40):
                client.sendall(bytes(4000))
                read_n(client, 4000)
            os.read(reading, 1 << 20)
            client.sendall(b"now")
            read_n(client, 3)
        log = os.read(reading, 1 << 20)
        assert re.match(LINES_LOST + rb"\n.* message echo .* \"now\"\n$", log)
    finally:
        server.end()
        os.close(reading)
