"""Each call of the relay fails once, with each error it can return: a fault costs some packets,
or the relay reports it and exits."""
import contextlib
import errno
import os
import re
import socket
import struct
import subprocess

import pytest

from serving import SANITIZER, SOCKEYE, WAIT_S, preload, sanitized
from test_injected import CALLS, SOURCE

FAULTS = {
    "bind": "EADDRINUSE ENOMEM",
    "calloc": "ENOMEM",
    "epoll_create1": "EMFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC",
    "eventfd": "EMFILE",
    "getsockname": "ENOBUFS",
    "malloc": "ENOMEM",
    "recvmmsg": "EINTR EAGAIN ENOMEM ECONNREFUSED",
    "sendmmsg": "EINTR EAGAIN ENOBUFS ECONNREFUSED EPERM EINVAL",
    "setsockopt": "ENOBUFS ENOPROTOOPT EPERM",
    "socket": "EMFILE ENFILE ENOBUFS EAFNOSUPPORT",
}
ROUNDS, PATIENCE_S = 4, 0.2


@pytest.fixture(scope="module")
def inject(tmp_path_factory):
    """Runs the scenario with a fault. Returns the exit code, the messages, and the number of
    calls of each function."""
    folder = tmp_path_factory.mktemp("inject")
    library, counts = folder / "inject.so", folder / "counts"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-g", "-o", library, SOURCE],
                   check=True)
    counts.write_bytes(bytes(8 * len(CALLS)))
    env = preload(library)
    env["INJECT_COUNTS"] = str(counts)

    def run(fault):
        code, words = scenario({**env, "INJECT": fault})
        return code, words, dict(zip(CALLS, struct.unpack(f"{len(CALLS)}Q", counts.read_bytes())))

    return run


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE_S)
    sock.bind(("127.0.0.1", 0))
    return sock


def got(sock, expected):
    """Waits for that packet and skips others. Returns its source."""
    while True:
        data, peer = sock.recvfrom(100)
        if data == expected:
            return peer


def asked_and_answered(number, client, relay, target, tid):
    """Sends a request to the relay's port, a reply from another port of the target, and two
    more packets the same way. Returns whether they arrived."""
    request, answer, ack = (f"{what} {number}".encode() for what in ("request", "answer", "ack"))
    with contextlib.suppress(TimeoutError, ConnectionRefusedError):
        client.sendto(request, relay)
        peer = got(target, request)
        tid.sendto(answer, peer)
        tid.sendto(answer, peer)
        mapping = got(client, answer)
        assert got(client, answer) == mapping != relay
        client.sendto(ack, mapping)
        assert got(tid, ack) == peer
        return True
    return False


def scenario(env):
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        client, target, tid = (stack.enter_context(udp()) for _ in range(3))
        relay = stack.enter_context(subprocess.Popen(
            [SOCKEYE, "relay", "-v", "--ready-fd", str(writing), "--delay-up", "2ms",
             "--drop-block", "7", "udp://127.0.0.1:0",
             f"udp://127.0.0.1:{target.getsockname()[1]}"],
            pass_fds=[writing], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE))
        stack.callback(relay.kill)
        os.close(writing)
        with open(reading, encoding="ascii") as ready:
            url = ready.read()
        if url:
            own = ("127.0.0.1", int(url.rpartition(":")[2]))
            served = 0
            for number in range(3 * ROUNDS):
                served += asked_and_answered(number, client, own, target, tid)
                if served == ROUNDS:
                    break
            assert served == ROUNDS, env["INJECT"]
            relay.terminate()
        words = relay.stderr.read().decode()
        return relay.wait(WAIT_S), words


def test_scenario_without_a_fault(inject):
    code, words, _ = inject("none 0 0")
    assert code == 0 and "0 dropped, 0 duplicated, 0 reordered, 0 corrupted, 0 lost" in words


@pytest.mark.parametrize("call", FAULTS)
def test_every_call_fails_once(inject, call):
    if call in ("calloc", "malloc") and sanitized():
        pytest.skip("a sanitizer has its own memory")
    count = inject("none 0 0")[2][call]
    assert count > 0, "nothing has been tested"
    for name in FAULTS[call].split():
        for k in range(1, min(count, 12) + 1):
            code, words, _ = inject(f"{call} {k} {getattr(errno, name)}")
            told = f"{call} number {k} of {count}: {name}: exit code {code}\n{words}"
            assert not SANITIZER.search(words.encode()) and code >= 0, told
            assert code == 0 or re.search(r"^sockeye: \S.*: \S.*$", words, re.M), told
