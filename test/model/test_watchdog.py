"""Workers that are stopped by a signal: the supervisor continues or replaces them."""
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from serving import LOOPS, MODEL_FACTS, ROOT, at_once, closed, preload, processes, read_n, until

PLACES = ("echo", "tcp://127.0.0.1:0", "echo", "udp://127.0.0.1:0")
CONTINUING = r"warning: worker \d+ is stopped by SIGSTOP; continuing it"
REPLACING = r"warning: worker \d+ is stopped again by SIGSTOP; replacing it"
LOOKS_S = 3.5  # the supervisor has looked at its workers at least twice


def all_workers(server, model, workers=2):
    """The workers of both addresses: blocking models have another one for datagrams."""
    answerers = 0 if MODEL_FACTS[model]["own_sockets"] or model == "iterative" else 1
    return server.workers(processes(model, workers) + answerers)


def greet(client):
    client.sendall(b"hello")
    assert read_n(client, 5) == b"hello"


def ask_all(server, count=24):
    """Each of many new clients is served, on TCP and UDP."""
    failed = []

    def one(address):
        try:
            with server.connect(address) as client:
                client.settimeout(2)
                for _ in range(8):  # a datagram may be lost with a worker that is replaced
                    client.send(b"hello")
                    try:
                        assert client.recv(5) == b"hello"
                        return
                    except TimeoutError:
                        if client.type == socket.SOCK_STREAM:
                            client.settimeout(15)
                            assert client.recv(5) == b"hello"
                            return
                raise AssertionError("no reply")
        except (OSError, AssertionError) as err:
            failed.append((address, repr(err)))

    threads = [threading.Thread(target=one, args=(server.addresses[i % 2],)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_stopped_workers_continue(serve, model):
    server = serve(*PLACES, "--workers", "2", model=model)
    workers = all_workers(server, model)
    idle = server.connect(server.find("tcp"))
    if at_once(model, 2, 2) == 2:
        greet(idle)
    else:
        idle.close()
    stopped = workers[:1] if model in ("event", "prefork") else workers
    for worker in stopped:
        worker.freeze()
    ask_all(server)
    found = server.wait_log(CONTINUING, len(stopped))
    assert {int(re.search(r"\d+", m[0])[0]) for m in found} == {w.pid for w in stopped}
    if at_once(model, 2, 2) == 2:
        greet(idle)  # its session has survived
    assert [w.pid for w in all_workers(server, model)] == [w.pid for w in workers]
    assert server.counters()["workers_died"] == 0


def test_worker_that_is_stopped_again_is_replaced(serve, model):
    server = serve(*PLACES, "--workers", "2", model=model)
    workers = all_workers(server, model)
    for worker in workers:
        worker.freeze()
    server.wait_log(CONTINUING, len(workers))
    with server.connect(server.find("tcp")) as client:
        greet(client)
        for worker in workers:
            until(lambda worker=worker: worker.status("State")[0] not in "Tt", "it runs")
            worker.freeze()
        server.wait_log(REPLACING, len(workers))
        assert closed(client) or model == "fork"
    server.wait_log("a worker was killed by a signal and is being replaced", len(workers))
    ask_all(server)
    counted = server.wait_counters(workers_died=len(workers), open=0)
    assert counted["closed_stop"] == 1
    assert not {w.pid for w in all_workers(server, model)} & {w.pid for w in workers}


def test_worker_without_a_descriptor_for_it(serve, tmp_path):
    """Where there are no pidfds, the supervisor knows its workers by process ID."""
    library = tmp_path / "inject.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library,
                    ROOT / "test/fault/inject.c"], check=True)
    server = serve(*PLACES, "--workers", "1",
                   env={**preload(library), "INJECT": f"pidfd_open 0 {errno.ENOSYS}"})
    worker, = server.workers(1)
    worker.freeze()
    ask_all(server, 4)
    server.wait_log(CONTINUING)


def test_stopped_workers_do_not_delay_the_end(serve, model):
    """SIGTERM ends a server whose workers are stopped without waiting for the grace period."""
    server = serve(*PLACES, "--workers", "2", "--grace", "300s", model=model)
    workers = all_workers(server, model)
    for worker in workers:
        worker.freeze()
    server.popen.terminate()
    assert server.wait(30) == 0
    server.wait_log(CONTINUING, len(workers))


def test_stopped_while_the_server_drains(serve, model):
    server = serve(*PLACES, "--workers", "2", "--grace", "300s", model=model)
    client = server.connect(server.find("tcp"))
    greet(client)
    server.popen.terminate()
    server.workers(1)[0].freeze()  # the one that has the session
    client.close()
    assert server.wait(30) == 0


@pytest.mark.parametrize("model", ["event", "prefork"])
def test_stop_of_the_whole_job(serve, model):
    """Ctrl-Z stops the supervisor, too. After fg, everything is as before."""
    server = serve(*PLACES, "--workers", "2", model=model, preexec_fn=os.setpgrp)
    workers = all_workers(server, model)
    os.killpg(server.pid, signal.SIGTSTP)
    for process in (server, *workers):
        until(lambda process=process: process.status("State")[0] == "T", "it stops")
    time.sleep(LOOKS_S)
    os.killpg(server.pid, signal.SIGCONT)
    ask_all(server, 8)
    time.sleep(LOOKS_S)
    assert "stopped" not in server.log()
    assert [w.pid for w in all_workers(server, model)] == [w.pid for w in workers]


def test_event_loops_that_wait_do_not_hang(serve, tmp_path):
    """They have no events for longer than the supervisor tolerates in a loop that handles some.
    test/lib/test_watchdog.c has the loops that hang."""
    tmp_path.chmod(0o755)
    servers = [serve(*PLACES, "--workers", "2", model=model) for model in LOOPS]
    servers.append(serve("tftp", "udp://127.0.0.1:0", "--root", tmp_path, "--workers", "2"))
    clients = [server.connect() for server in servers]
    for client in clients[:-1]:
        greet(client)
    time.sleep(12)
    assert not [server.log() for server in servers if "same events" in server.log()]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_traced_worker_may_be_stopped(serve, tmp_path):
    """A developer's debugger stops a worker for as long as it likes."""
    server = serve(*PLACES, "--workers", "1")
    worker, = server.workers(1)
    with subprocess.Popen(["strace", "-o", tmp_path / "trace", "-p", str(worker.pid)],
                          stderr=subprocess.DEVNULL) as tracer:
        try:
            until(lambda: worker.status("TracerPid") != "0" or tracer.poll() is not None, "traced")
            if tracer.poll() is not None:
                pytest.skip("strace may not trace it")
            worker.kill(signal.SIGSTOP)
            until(lambda: worker.status("State")[0] in "Tt", "it stops")
            time.sleep(LOOKS_S)
            assert "stopped" not in server.log()
        finally:
            tracer.terminate()
    ask_all(server, 4)
    server.wait_log(CONTINUING)
