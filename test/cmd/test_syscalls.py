"""The system calls of a message and the memory of an idle connection, as counts that do
not depend on the speed or the load of the machine.

strace counts the calls. The difference between two numbers of messages cancels out the
start, the connections and the end. strace slows the server down, so that an event loop
finds more messages at a time than usual: the limits with 50 connections are those of a
loaded server.
"""
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import contenders  # noqa: E402
import idle  # noqa: E402
import measure  # noqa: E402

PROGRAM = os.environ.get("SOCKEYE") or str(ROOT / "build/sockeye")
BLOCKING = 2.02  # recv and send
SESSIONS = ["fork", "thread"]  # a process or thread for each connection


@pytest.fixture(autouse=True, scope="module")
def plain_build():
    """Skips the test under sanitizers, which make system calls and use memory themselves."""
    program = pathlib.Path(PROGRAM).read_bytes()
    if b"__asan_init" in program or b"__tsan_init" in program:
        pytest.skip("built with a sanitizer")


def strace_works():
    return shutil.which("strace") is not None and subprocess.run(
        ["strace", "-f", "-c", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


def load(url, connections, messages):
    done = subprocess.run([PROGRAM, "bench", "--json", url, "-c", str(connections), "-n",
                           str(messages)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done


def strace_calls(model, connections, messages, path):
    """The system calls of a server that answered `messages` messages."""
    server = contenders.sockeye(PROGRAM, model)
    how = ["-ff"] if model in SESSIONS else ["-f", "-c"]
    server.command = ["strace", *how, "-o", path, *server.command]
    try:
        assert server.start(cpu=None)
        load(server.url, connections, messages)
        os.kill(measure.tree(server.pid)[1], 15)  # the server; strace ends with it
        server.process.wait(30)
    finally:
        server.stop()
    if model in SESSIONS:
        return sum(session_calls(one.read_text()) for one in path.parent.glob(path.name + ".*"))
    return int(re.search(r"(\d+)\s+(?:\d+\s+)?total", path.read_text())[1])


def session_calls(trace):
    """The calls of a process or thread from its first message to its last. Calls that start a
    session and see it end do not belong to messages and vary between runs: one call may report
    several ends, and a new thread may reuse memory of an old one."""
    calls = re.findall(r"^(\w+)\(", trace, re.M)
    moving = [i for i, name in enumerate(calls) if name in ("recvfrom", "sendto")]
    return moving[-1] - moving[0] + 1 if moving else 0


def perf_calls(model, connections, messages):
    server = contenders.sockeye(PROGRAM, model)
    try:
        assert server.start(cpu=None)
        counter = measure.Calls(server.pid)
        load(server.url, connections, messages)
        return counter.stop()
    finally:
        server.stop()


def calls_per_message(model, connections, tmp_path):
    few, many = 300, 1500
    if strace_works():
        points = [strace_calls(model, connections, n, tmp_path / f"calls-{n}")
                  for n in (few, many)]
    elif connections > 1:
        pytest.skip("strace does not work here, and batches depend on the machine's load")
    elif measure.Calls.perf_works():
        points = [perf_calls(model, connections, n) for n in (few, many)]
    else:
        pytest.skip("neither strace nor perf works here")
    return (points[1] - points[0]) / (many - few)


@pytest.mark.parametrize("model, connections, bound", [
    ("iterative", 1, BLOCKING),
    ("fork", 1, BLOCKING), ("fork", 50, BLOCKING),
    ("prefork", 1, BLOCKING),
    ("thread", 1, BLOCKING), ("thread", 50, BLOCKING),
    ("event", 1, 3.02), ("event", 50, 2.1),
    ("uring", 1, 1.02), ("uring", 50, 0.10),
])
def test_calls_per_message(model, connections, bound, tmp_path):
    if model == "uring" and not contenders.serves(PROGRAM, "uring"):
        pytest.skip("no io_uring here")
    # How many messages wait at a time is up to the scheduler; the fewest calls of a few runs
    # are the server's. One that needs more calls never has a run below the bound.
    for _ in range(8):
        calls = calls_per_message(model, connections, tmp_path)
        print(f"{model}, {connections} connections: {calls:.4f} calls a message")
        if calls <= bound:
            return
    assert calls <= bound


@pytest.mark.parametrize("model", ["event", "uring"])
def test_memory_of_an_idle_connection(model):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(6000, hard - 200)
    if many < 2000:
        pytest.skip(f"at most {hard} descriptors here")
    if model == "uring" and not contenders.serves(PROGRAM, "uring"):
        pytest.skip("no io_uring here")
    server = contenders.sockeye(PROGRAM, model)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        assert server.start(cpu=None)
        each = idle.slope(server.pid, server.port, many // 4, many)
        print(f"{model}: {each:.0f} bytes of an idle connection")
        assert 0 <= each <= 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.stop()
