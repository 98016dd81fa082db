"""Each call of each function fails once, with each error it can return, while clients are
served: no crash, no hang, no wrong byte. A fault costs at most one client, or the server
reports it and exits."""
import errno
import os
import pathlib
import re
import struct
import subprocess

import pytest

from serving import (MODELS, SANITIZER, NotServing, Server, preload, read_all, sanitized,
                     send_and_end)

SOURCE = pathlib.Path(__file__).with_name("inject.c")
CALLS = re.findall(r"\bX\((\w+)\)", re.search(r"#define CALLS\(X\)(.*?)\n\n", SOURCE.read_text(),
                                              re.S)[1])
SHORT = "0"

# No client may notice the fault.
UNSEEN = {
    "accept4": "EINTR EAGAIN ECONNABORTED EPROTO EMFILE ENFILE ENOBUFS ENOMEM",
    "epoll_wait": "EINTR",
    "io_uring_submit_and_get_events": "EINTR EAGAIN EBUSY",
    "io_uring_submit_and_wait": "EINTR EAGAIN EBUSY",
    "io_uring_submit_and_wait_timeout": "EINTR EAGAIN EBUSY ETIME",
    "poll": "EINTR",
    "recv": f"EINTR {SHORT}",
    "recvmmsg": "EINTR EAGAIN ENOMEM",
    "send": f"EINTR {SHORT}",
    "sendmmsg": "EINTR EAGAIN",
    "waitid": "EINTR",
}
# One client may be lost, or the server reports what failed and exits.
SEEN = {
    "aligned_alloc": "ENOMEM",
    "bind": "EADDRINUSE EACCES ENOMEM",
    "calloc": "ENOMEM",
    "epoll_create1": "EMFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC",
    "eventfd": "EMFILE ENODEV",
    "fork": "EAGAIN ENOMEM",
    "getsockname": "ENOBUFS",
    "io_uring_queue_init_params": "EPERM ENOMEM ENOSYS",
    "io_uring_register_buf_ring": "EINVAL ENOMEM",
    "listen": "EADDRINUSE",
    "malloc": "ENOMEM",
    "mmap64": "ENOMEM",
    "open64": "EMFILE EACCES",
    "pidfd_open": "EMFILE ENOMEM EPERM",
    "pipe2": "EMFILE ENFILE",
    "poll": "ENOMEM",
    "posix_memalign": "ENOMEM",
    "pthread_create": "EAGAIN",
    "read": "EINTR",
    "realloc": "ENOMEM",
    "recv": "ECONNRESET ETIMEDOUT ENOMEM EAGAIN",
    "send": "EPIPE ECONNRESET ENOBUFS ENOMEM EAGAIN",
    "sendmmsg": "ENOBUFS ECONNREFUSED",
    "setsockopt": "ENOBUFS ENOPROTOOPT",
    "signalfd": "EMFILE ENOMEM",
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM EAFNOSUPPORT",
    "write": "EINTR ENOSPC",
}
ONLY = {  # the models that call it, if not all do
    **{call: [m for m in MODELS if m != "uring"] for call in ["epoll_create1", "epoll_ctl", "epoll_wait", "recv"]},
    **{call: ["thread"] for call in ["eventfd", "pthread_create"]},
    **{call: ["uring"] for call in CALLS if call.startswith("io_uring_") or
       call == "posix_memalign"},
    "realloc": ["event", "fork"],
}
MEMORY = {"aligned_alloc", "calloc", "malloc", "posix_memalign", "realloc"}
ROOT = os.geteuid() == 0
# As root, the first ones are in getpwnam(3), for the user of the workers, and the GNU library
# crashes.
FIRST_MALLOC = 12 if ROOT else 1
# The call that a worker makes comes after those of the probes; as root, the user is probed too.
WORKER = 3 if ROOT else 2
CASES = [(model, call, seen) for seen, table in enumerate((UNSEEN, SEEN)) for call in table
         for model in ONLY.get(call, MODELS)]


@pytest.fixture(scope="module")
def inject(tmp_path_factory):
    """Compiles the library that makes calls fail. Returns a function that runs the scenario with
    a fault."""
    folder = tmp_path_factory.mktemp("inject")
    library, counts = folder / "inject.so", folder / "counts"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-g", "-o", library, SOURCE],
                   check=True)
    counts.write_bytes(bytes(8 * len(CALLS)))
    env = preload(library)
    env["INJECT_COUNTS"] = str(counts)

    def run(model, fault):
        outcome = scenario(model, {**env, "INJECT": fault})
        outcome.calls = dict(zip(CALLS, struct.unpack(f"{len(CALLS)}Q", counts.read_bytes())))
        return outcome

    return run


class Outcome:
    lost, code, words = 0, 0, ""


def scenario(model, env):
    outcome = Outcome()
    patience_s = 0.3 if "sendmmsg" in env["INJECT"] else 2  # the reply to a lost request
    try:
        server = Server("echo", "tcp://127.0.0.1:0", "udp://127.0.0.1:0",
                        "tcp://127.0.0.1:0?sndbuf=32Ki", "--workers", "1", "--grace", "1s",
                        model=model, env=env)
    except NotServing as failure:
        outcome.code, outcome.words = failure.code, failure.words
        return outcome
    try:
        tcp, udp, slow = server.addresses
        # The third client sends more than its sockets hold: the server has to keep some of it
        # until the client reads.
        for address, size in ((tcp, 300), (udp, 10), (slow, 300_000), (udp, 20), (tcp, 30)):
            data = bytes(i % 251 for i in range(size))
            outcome.lost += not (datagram_served(server, udp, data, patience_s) if address == udp
                                 else stream_served(server, address, data))
        if server.popen.poll() is None:
            server.popen.terminate()
        outcome.code = server.wait()
        outcome.words = server.log()
    finally:
        server.end()
    return outcome


def stream_served(server, address, data):
    """Whether the client received all or a part of its data, and then the end. A timeout fails
    the test."""
    try:
        with server.connect(address) as client:
            send_and_end(client, data)
            got = read_all(client)
    except ConnectionError:
        return False
    assert data.startswith(got)
    return got == data


def datagram_served(server, address, data, patience_s):
    with server.connect(address) as client:
        client.settimeout(patience_s)
        client.send(data)
        try:
            assert client.recv(99) == data
        except (TimeoutError, ConnectionRefusedError):
            return False
    return True


def check(outcome, seen, what):
    told = f"{what}: exit code {outcome.code}, {outcome.lost} lost\n{outcome.words}"
    assert not SANITIZER.search(outcome.words.encode()), told
    assert "killed by a signal" not in outcome.words, told
    assert outcome.code >= 0, told
    if outcome.code != 0:
        assert seen, told
        assert re.search(r"^sockeye: \S.*: \S.*$", outcome.words, re.M), told
    else:
        assert outcome.lost <= seen, told


def test_scenario_without_a_fault(inject):
    for model in MODELS:
        outcome = inject(model, "none 0 0")
        assert (outcome.lost, outcome.code, outcome.words) == (0, 0, ""), model


@pytest.mark.parametrize("model, call, seen", CASES, ids=str)
def test_every_call_fails_once(inject, model, call, seen):
    if call in MEMORY and sanitized():
        pytest.skip("a sanitizer has its own memory")
    count = inject(model, "none 0 0").calls[call]
    assert count > 0, "nothing has been tested"
    for name in (UNSEEN, SEEN)[seen][call].split():
        number = 0 if name == SHORT else getattr(errno, name)
        for k in range(FIRST_MALLOC if call == "malloc" else 1, count + 1):
            outcome = inject(model, f"{call} {k} {number}")
            check(outcome, seen, f"{call} number {k} of {count}: {name}")


@pytest.mark.parametrize("model, fault, told", [
    ("iterative", "epoll_create1 1 24", "Too many open files"),
    ("prefork", "epoll_create1 1 24", "Too many open files"),
    ("thread", "eventfd 1 24", "Too many open files"),
    ("fork", "epoll_create1 1 24", "Too many open files"),
    ("event", "epoll_create1 1 24", "Too many open files"),
    ("event", "epoll_ctl 1 28", "No space left on device"),
    ("uring", f"io_uring_queue_init_params {WORKER} 12", "Cannot allocate memory"),
    ("uring", f"io_uring_register_buf_ring {WORKER} 22", "Invalid argument"),
])
def test_worker_that_cannot_start_says_why(inject, model, fault, told):
    outcome = inject(model, fault)
    assert f"a worker cannot start: {told}" in outcome.words
    assert outcome.code == 0


def test_every_call_is_tried():
    assert set(CALLS) == set(UNSEEN) | set(SEEN)
