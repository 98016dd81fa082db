"""On loopback almost no block is sent twice: not beside busy processes, which delay both ends,
and not if a slow reader of the client's output makes it pause.

SOAK=1 in the environment runs the long forms (make soak)."""
import os
import subprocess
import sys

import pytest

from shared import SOCKEYE

LONG = bool(os.environ.get("SOAK"))
MIB = 1 << 20
BUSY = [sys.executable, "-c", "while True: pass"]


def sparse(serve, size):
    server = serve()
    server.put_file("f")
    os.truncate(server.root / "f", size)
    return server


def counts(server, transfers):
    ended = server.transfers(file="f")
    assert [e["result"] for e in ended] == ["done"] * transfers
    return {key: sum(e[key] for e in ended) for key in ("blocks", "resent", "timeouts")}


def test_beside_busy_processes(serve, run):
    """At most 0.5 % of the blocks."""
    transfers = 20 if LONG else 4
    server = sparse(serve, 64 * MIB)
    busy = [subprocess.Popen(BUSY) for _ in range(2)]
    try:
        for _ in range(transfers):
            assert run("get", "-o", "/dev/null", server.url("f"), timeout=100).returncode == 0
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert server.stop() == 0
    total = counts(server, transfers)
    assert total["resent"] <= total["blocks"] * 0.005, total


SLOW = """
import os, time
while os.read(0, {piece}):
    time.sleep({pause_s})
"""


@pytest.mark.parametrize("reader", [
    ["tail", "-c", "30"],
    [sys.executable, "-c", SLOW.format(piece=65536, pause_s=0.001)],
    [sys.executable, "-c", SLOW.format(piece=MIB, pause_s=0.01)]],
    ids=["tail", "steady", "in steps"])
def test_slow_reader_of_a_pipe(serve, reader):
    """The first pauses may cost a few windows, the whole file at most 2 %."""
    size = (5 << 30) if LONG and reader[0] == "tail" else 128 * MIB
    server = sparse(serve, size)
    with subprocess.Popen([SOCKEYE, "get", "-o", "-", server.url("f")], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as client:
        subprocess.run(reader, stdin=client.stdout, stdout=subprocess.DEVNULL, check=True,
                       timeout=1000)
        client.stdout.close()
        assert client.wait(100) == 0
    assert server.stop() == 0
    total = counts(server, 1)
    assert total["resent"] <= total["blocks"] * 0.02 + 64, total
    assert total["timeouts"] <= 20, total
