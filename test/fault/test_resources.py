"""Resources that run out in fact: descriptors, processes, threads; and system calls that a
machine forbids."""
import contextlib
import errno
import os
import pathlib
import re
import resource
import subprocess
import time

import pytest

from serving import (CONCURRENT, KEEP_ROOT, LOOPS, MODELS, SOCKEYE, at_once, closed, preload,
                     processes, read_n, sanitized, until)

SOURCE = pathlib.Path(__file__).with_name("inject.c")
ECHO = ("echo", "tcp://127.0.0.1:0")
WATCH_S = 1
as_nobody = pytest.mark.skipif(os.getuid() != 0 or bool(sanitized()),
                               reason="needs a user of its own; sanitizers have own threads")
UNUSED_USER = 50000 + os.getpid() % 10000  # a user without other processes, which would count too


@pytest.fixture(scope="module")
def inject(tmp_path_factory):
    library = tmp_path_factory.mktemp("inject") / "inject.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, SOURCE],
                   check=True)
    library.parent.chmod(0o755)
    return library


def greet(client):
    client.sendall(b"hello")
    assert read_n(client, 5) == b"hello"


def cpu_s(server):
    return sum(p.cpu_s() for p in (server, *server.descendants()))


def warnings(server):
    return len(re.findall("warning: cannot accept; clients wait in the backlog: ", server.log()))


def watch_while_short(server):
    """Checks that for one second the server neither spins, nor floods its log, nor closes its
    listener. This tests time itself, hence the sleep."""
    spent, told = cpu_s(server), warnings(server)
    time.sleep(WATCH_S)
    assert cpu_s(server) - spent < 0.2
    assert warnings(server) - told <= 2 * len(server.children())
    assert warnings(server) >= 1
    assert server.counters()["accept_failures"] >= 1


# --- descriptors ---

@pytest.mark.parametrize("model", ["thread", *LOOPS])
def test_no_descriptor_for_the_next_client(serve, model):
    """Clients use up all descriptors; the next one waits in the backlog and is served when one
    leaves."""
    limit = 40
    server = serve(*ECHO, "--workers", "1", model=model, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (limit, limit)))
    clients = [server.connect() for _ in range(limit)]
    for client in clients:
        client.sendall(b"x")
    until(lambda: server.counters()["accept_failures"] > 0, "nothing left")
    accepted = server.counters()["accepted"]
    inside, waiting = clients[:accepted], clients[accepted]
    watch_while_short(server)
    for client in inside:
        assert read_n(client, 1) == b"x"
        greet(client)
    inside.pop().close()
    assert read_n(waiting, 1) == b"x"
    greet(waiting)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "uring"])
def test_descriptors_run_out_while_it_serves(serve, model):
    """The limit drops below the number of open descriptors, and rises again."""
    server = serve(*ECHO, "--workers", "2", *KEEP_ROOT, model=model)  # for prlimit(2)
    assert server.ask(b"before") == b"before"
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    workers = server.workers(processes(model, 2))
    until(lambda: all("anon_inode:[eventpoll]" in w.descriptors() for w in workers), "workers")
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (3, hard))
    waiting = server.connect()
    waiting.sendall(b"patience")
    server.wait_log("cannot accept; clients wait in the backlog: Too many open files")
    watch_while_short(server)
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert read_n(waiting, 8) == b"patience"


def test_no_descriptor_to_start_with():
    # The search for leaks needs a descriptor, and spins without one.
    asan = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    said = subprocess.run([SOCKEYE, "serve", *ECHO], capture_output=True, text=True, check=False,
                          timeout=15, env={**os.environ, "ASAN_OPTIONS": asan},
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4)))
    assert said.returncode == 9
    assert re.fullmatch("sockeye: .*: Too many open files.*\n", said.stderr)


@pytest.mark.parametrize("limit", [10 ** 9, 1073741816])
@pytest.mark.parametrize("model", MODELS)
def test_very_many_descriptors_allowed(serve, inject, model, limit):
    """Docker once allowed every container 10^9 descriptors: no loop and no table may depend on
    the limit."""
    started = time.monotonic()
    server = serve(*ECHO, model=model, env={**preload(inject), "INJECT_NOFILE": str(limit)})
    assert server.ask(b"quick") == b"quick"
    assert time.monotonic() - started < (5 if sanitized() else 1)
    assert sum(p.rss_kib() for p in server.children()) < 100_000 or sanitized()


# --- processes and threads ---

def limited(serve, processes, *args, **kw):
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    return serve(*ECHO, *args, user=UNUSED_USER, cwd="/", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NPROC, (processes, hard)), **kw)


@as_nobody
@pytest.mark.parametrize("model", ["fork", "thread"])
def test_no_process_or_thread_for_a_client(serve, model):
    """The client is disconnected and the log reports it; the others stay, and the next one is
    served once there is room again."""
    server = limited(serve, 5, model=model)  # supervisor and worker, and room for three
    inside = [server.connect() for _ in range(3)]
    for client in inside:
        greet(client)
    assert closed(server.connect())
    server.wait_log(f"cannot start a {'process' if model == 'fork' else 'thread'} for a connection; "
                    "closed it: Resource temporarily unavailable")
    for client in inside:
        greet(client)
    counted = server.wait_counters(open=3)
    assert (counted["refused_resource"], counted["closed_error"]) == (1, 1)
    inside.pop().close()
    server.wait_counters(open=2)
    again = server.connect()
    greet(again)
    spent = cpu_s(server)
    for _ in range(3):
        assert closed(server.connect())  # each after a pause
    assert cpu_s(server) - spent < 0.3


@as_nobody
@pytest.mark.parametrize("model", MODELS)
def test_no_process_for_the_workers(serve, model):
    """The supervisor retries and reports it; clients wait meanwhile."""
    server = limited(serve, 1, "--workers", "1", model=model)
    waiting = server.connect()
    waiting.sendall(b"patience")
    server.wait_log("cannot start a worker; retrying in 1 s: Resource temporarily unavailable")
    assert cpu_s(server) < 0.5
    subprocess.run(["prlimit", "--pid", str(server.pid), "--nproc=100:"], check=True,
                   user=UNUSED_USER, cwd="/")
    assert read_n(waiting, 8) == b"patience"


# --- io_uring ---

@pytest.mark.parametrize("why", ["EPERM", "ENOSYS", "EACCES", "ENOMEM"])
def test_io_uring_that_is_not_allowed(serve, inject, why):
    """Forbidden by seccomp rules of a container, by kernel.io_uring_disabled, or missing in an
    old kernel."""
    fault = f"io_uring_queue_init_params 0 {getattr(errno, why)}"
    server = serve(*ECHO, model="uring", env={**preload(inject), "INJECT": fault})
    assert server.ready[0].endswith("model event")
    server.wait_log("warning: model uring is not available here; using event: "
                    + re.escape(os.strerror(getattr(errno, why))))
    assert server.ask(b"anyway") == b"anyway"


@pytest.mark.parametrize("why", ["EINVAL", "ENOMEM"])
def test_io_uring_without_buffer_rings(serve, inject, why):
    fault = f"io_uring_register_buf_ring 0 {getattr(errno, why)}"
    server = serve(*ECHO, model="uring", env={**preload(inject), "INJECT": fault})
    assert server.ready[0].endswith("model event")
    assert server.ask(b"anyway") == b"anyway"


def test_default_model_needs_no_io_uring(serve, inject):
    server = serve(*ECHO, env={**preload(inject), "INJECT": "io_uring_queue_init_params 0 1"})
    assert server.ready[0].endswith("model event")
    assert server.ask(b"x") == b"x"
    assert server.log() == ""


# --- memory ---

@pytest.mark.skipif(bool(sanitized()), reason="a sanitizer needs the address space")
@pytest.mark.parametrize("model", CONCURRENT)
def test_little_address_space(serve, model):
    """The server disconnects clients when memory is short, and goes on."""
    server = serve(*ECHO, "--workers", "1", *KEEP_ROOT, model=model)  # for prlimit(2)
    worker, = server.workers(1)
    assert server.ask(b"before") == b"before"
    size = int(worker.status("VmSize").split()[0]) * 1024
    _, hard = resource.prlimit(worker.pid, resource.RLIMIT_AS)
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (size + (64 << 10), hard))
    clients = [server.connect() for _ in range(at_once(model, 1, 110))]
    for client in clients:
        client.sendall(b"x")
    for client in clients:
        with client, contextlib.suppress(ConnectionResetError):
            assert client.recv(1) in (b"x", b"")  # served or disconnected, never left waiting
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (hard, hard))
    assert server.ask(b"after") == b"after"
    assert server.workers(1)[0].pid == worker.pid
