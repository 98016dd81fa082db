"""Resources that really run out: descriptors, processes, threads; and what a
machine may forbid."""
import contextlib
import errno
import os
import pathlib
import re
import resource
import subprocess
import time

import pytest

from serving import (CONCURRENT, LOOPS, MODELS, SOCKEYE, at_once, closed, preload, processes,
                     read_n, sanitized, until)

SOURCE = pathlib.Path(__file__).with_name("inject.c")
ECHO = ("echo", "tcp://127.0.0.1:0")
WATCH_S = 1
as_nobody = pytest.mark.skipif(os.getuid() != 0 or bool(sanitized()),
                               reason="needs a user of its own; sanitizers have own threads")
NOBODY_ELSE = 50000 + os.getpid() % 10000  # a user who has no other processes to count


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
    """Insists that for a second it neither spins, nor floods its log, nor gives
    up its listener. What is tested is time itself, hence the sleep."""
    spent, told = cpu_s(server), warnings(server)
    time.sleep(WATCH_S)
    assert cpu_s(server) - spent < 0.2
    assert warnings(server) - told <= 2 * len(server.children())
    assert warnings(server) >= 1
    assert server.counters()["accept_failures"] >= 1


# --- descriptors ---

@pytest.mark.parametrize("model", ["thread", *LOOPS])
def test_no_descriptor_for_the_next_client(serve, model):
    """As many clients as there are descriptors; the next waits in the backlog
    and is served when one leaves."""
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
    """The limit sinks below what is open, and rises again."""
    server = serve(*ECHO, "--workers", "2", model=model)
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
    said = subprocess.run([SOCKEYE, "serve", *ECHO], capture_output=True, text=True, check=False,
                          timeout=15, preexec_fn=lambda: resource.setrlimit(
                              resource.RLIMIT_NOFILE, (4, 4)))
    assert said.returncode == 9
    assert re.fullmatch("sockeye: .*: Too many open files.*\n", said.stderr)


@pytest.mark.parametrize("limit", [10 ** 9, 1073741816])
@pytest.mark.parametrize("model", MODELS)
def test_very_many_descriptors_allowed(serve, inject, model, limit):
    """Docker once gave every container 10^9: no loop over them, no table."""
    started = time.monotonic()
    server = serve(*ECHO, model=model, env={**preload(inject), "INJECT_NOFILE": str(limit)})
    assert server.ask(b"quick") == b"quick"
    assert time.monotonic() - started < (5 if sanitized() else 1)
    assert sum(p.rss_kib() for p in server.children()) < 100_000 or sanitized()


# --- processes and threads ---

def limited(serve, processes, *args, **kw):
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    return serve(*ECHO, *args, user=NOBODY_ELSE, cwd="/", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NPROC, (processes, hard)), **kw)


@as_nobody
@pytest.mark.parametrize("model", ["fork", "thread"])
def test_no_process_or_thread_for_a_client(serve, model):
    """It is turned away with a word in the log, the others stay, and the next
    is served once there is room again."""
    server = limited(serve, 5, model=model)  # supervisor and worker, so room for three
    inside = [server.connect() for _ in range(3)]
    for client in inside:
        greet(client)
    assert closed(server.connect())
    server.wait_log(f"no {'process' if model == 'fork' else 'thread'} for a connection; it was"
                    " closed: Resource temporarily unavailable")
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
    """It goes on trying, and says so; clients wait meanwhile."""
    server = limited(serve, 1, "--workers", "1", model=model)
    waiting = server.connect()
    waiting.sendall(b"patience")
    server.wait_log("a worker could not be started; trying again: Resource temporarily unavailable")
    assert cpu_s(server) < 0.5
    subprocess.run(["prlimit", "--pid", str(server.pid), "--nproc=100:"], check=True,
                   user=NOBODY_ELSE, cwd="/")
    assert read_n(waiting, 8) == b"patience"


# --- io_uring ---

@pytest.mark.parametrize("why", ["EPERM", "ENOSYS", "EACCES", "ENOMEM"])
def test_io_uring_that_is_not_allowed(serve, inject, why):
    """A container's seccomp rules, kernel.io_uring_disabled, an old kernel."""
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
    """Clients are turned away when memory is short, the server stays."""
    server = serve(*ECHO, "--workers", "1", model=model)
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
            assert client.recv(1) in (b"x", b"")  # served or turned away, never forgotten
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (hard, hard))
    assert server.ask(b"after") == b"after"
    assert server.workers(1)[0].pid == worker.pid
