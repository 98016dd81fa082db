"""The processes of a server: the cost of a death, what they leave behind, the spread of the
load, and their rights."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from serving import (CONCURRENT, COUNTERS, LOOPS, MODEL_FACTS, SOCKEYE, at_once, closed, connect,
                     numbers, processes, read_n, reset, sanitized, until)

ECHO = ("echo", "tcp://127.0.0.1:0")
concurrent = pytest.mark.parametrize("model", CONCURRENT)
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def greet(client):
    client.sendall(b"hello")
    assert read_n(client, 5) == b"hello"


def holders(server, clients):
    """The processes that have the other ends of the clients' connections."""
    ports = {client.getsockname()[1]: client for client in clients}
    port = clients[0].getpeername()[1]
    inodes = {}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(name.split(":")[1], 16) for name in fields[1:3])
        if local == port and remote in ports:
            inodes[f"socket:[{fields[9]}]"] = ports[remote]
    held = [(p, d) for p in server.descendants() for d in p.descriptors() if d in inodes]
    return {inodes[d]: p for p, d in held}


# --- deaths ---

def test_death_is_noticed_although_the_parent_ignored_sigchld(serve, model):
    """Otherwise waitpid(2) never reports it, and the server never stops."""
    server = serve(*ECHO, "--workers", "2", model=model,
                   preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    server.workers(processes(model, 2))[0].kill()
    server.wait_counters(workers_died=1)
    server.workers(processes(model, 2))
    assert server.ask(b"hello") == b"hello"


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSEGV])
def test_death_of_a_worker_costs_only_its_sessions(serve, sig, model):
    if sig == signal.SIGSEGV and sanitized():
        pytest.skip("a sanitizer takes it for its own")
    workers = processes(model, 2)
    server = serve(*ECHO, "-v", "--workers", "2", model=model)
    clients = [server.connect() for _ in range(at_once(model, 2, 16))]
    for client in clients:
        greet(client)
    held = holders(server, clients)
    victim = held[clients[0]] if model != "fork" else server.workers(1)[0]
    mine = [c for c in clients if model == "fork" or held[c].pid == victim.pid]
    victim.kill(sig)
    for client in clients:
        if client in mine:
            assert closed(client)
        else:
            greet(client)
    server.wait_log("warning: a worker was killed by a signal and is being replaced")
    assert server.ask(b"the next one") == b"the next one" or model == "iterative"
    counted = server.wait_counters(workers_died=1)
    assert counted["closed_stop"] == len(mine)
    assert len(server.workers(workers)) == workers


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGABRT])
def test_death_during_a_stop_is_reported(serve, sig, model):
    """And its sessions are counted as closed by the stop, the others as ended."""
    if sig == signal.SIGABRT and sanitized():
        pytest.skip("a sanitizer takes it for its own")
    server = serve(*ECHO, "-v", "--workers", "2", "--grace", "60s", model=model)
    clients = [server.connect() for _ in range(at_once(model, 2, 12))]
    for client in clients:
        greet(client)
    held = holders(server, clients)
    victim = held[clients[-1]] if model != "fork" else server.workers(1)[0]
    mine = [c for c in clients if model == "fork" or held[c].pid == victim.pid]
    server.popen.terminate()
    until(lambda: not int(server.status("ShdPnd"), 16), "the stop")
    victim.kill(sig)
    server.wait_log("a worker was killed by a signal during the stop; its sessions ended")
    for client in clients:
        if client not in mine:
            greet(client)
        client.close()
    assert server.wait() == 0
    counted = numbers(server.wait_log(COUNTERS)[-1][0])
    assert counted["closed_stop"] == len(mine)
    assert counted["closed_end"] == len(clients) - len(mine)
    assert (counted["open"], counted["workers_died"]) == (0, 1)


def test_workers_that_the_server_kills_are_no_crashes(serve, model):
    server = serve(*ECHO, "-v", "--grace", "100ms", model=model)
    with server.connect() as client:
        greet(client)
        server.popen.terminate()
        assert server.wait() == 0
    assert "worker" not in re.sub(r"workers_died=0", "", server.log())


def test_crash_loop_is_slowed_down(serve, model):
    server = serve(*ECHO, "--workers", "1", model=model)
    for died in range(1, 5):
        server.workers(1)[0].kill()
        server.wait_counters(workers_died=died)
    started = time.monotonic()
    server.workers(1)
    assert time.monotonic() - started > 0.3  # 100, 200, 400, 800 ms
    assert server.ask(b"in the end") == b"in the end"


def test_waiting_clients_are_served_by_the_replacement(serve, model):
    server = serve(*ECHO, "--workers", "1", model=model)
    worker, = server.workers(1)
    worker.freeze()
    clients = [server.connect() for _ in range(10)]
    for client in clients:
        client.sendall(b"patience")
        client.shutdown(socket.SHUT_WR)
    worker.kill()
    for client in clients:
        assert read_n(client, 8) == b"patience"


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_killed_session_of_fork_frees_its_place(serve, sig):
    if sig == signal.SIGSEGV and sanitized():
        pytest.skip("a sanitizer takes it for its own")
    server = serve(*ECHO, "--max-connections", "2", model="fork")
    for _ in range(4):
        clients = [server.connect() for _ in range(2)]
        for client in clients:
            greet(client)
        worker, = server.workers(1)
        for child in worker.children():
            child.kill(sig)
        assert all(closed(client) for client in clients)
        server.wait_counters(open=0)
    server.wait_log("a session was killed by a signal")
    assert server.counters()["closed_stop"] == 8


def test_datagram_worker_is_replaced_too(serve, model):
    server = serve("echo", "udp://127.0.0.1:0", "--workers", "1", model=model)
    with server.connect() as client:
        for died in range(1, 3):
            server.workers(1)[0].kill()
            client.send(b"x")  # waits for the replacement
            assert client.recv(9) == b"x"
            server.wait_counters(workers_died=died)


# --- nothing is left behind ---

SHORT = 10_000


def many_short_ones(address, count, leave):
    def some():
        for _ in range(count // 2):
            with connect(address) as client:
                client.sendall(b"short")
                assert read_n(client, 5) == b"short"
                leave(client)

    threads = [threading.Thread(target=some) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.skipif(bool(sanitized()), reason="a sanitizer keeps freed memory")
@concurrent
def test_ten_thousand_short_connections_leave_nothing(serve, tmp_path, model):
    """Half of them end with a reset. UNIX sockets have no TIME-WAIT that could use up ports."""
    server = serve(*ECHO, "echo", f"unix:{tmp_path}/s", "--workers", "2", model=model)
    for address in server.addresses:  # uring has 512 buffers and touches all of them in turn
        many_short_ones(address, 3000 if model == "uring" else 300, socket.socket.close)
    server.wait_counters(open=0)
    before = [(p.pid, len(p.descriptors()), p.rss_kib()) for p in (server, *server.children())]
    many_short_ones(server.addresses[0], SHORT // 5, reset)
    many_short_ones(server.addresses[1], SHORT - SHORT // 5, socket.socket.close)
    assert server.wait_counters(open=0)["accepted"] >= SHORT
    after = [(p.pid, len(p.descriptors()), p.rss_kib()) for p in (server, *server.children())]
    assert [p.pid for child in server.children() for p in child.children()] == []  # no zombie
    for (pid, fds, kib), (pid_now, fds_now, kib_now) in zip(before, after, strict=True):
        assert (pid_now, fds_now) == (pid, fds)
        assert kib_now - kib < 512


@pytest.mark.skipif(bool(sanitized()), reason="a sanitizer has memory of its own")
@pytest.mark.parametrize("model, kib", [("fork", 250), ("thread", 120), ("event", 2), ("uring", 2)])
def test_memory_of_a_connection(serve, model, kib):
    """Memory for the worst case costs nothing before it is used. A large stack frame would:
    -fstack-clash-protection touches each of its pages."""
    server = serve(*ECHO, "--workers", "1", model=model)
    assert server.ask(b"warm") == b"warm"
    server.wait_counters(open=0)
    before = sum(p.pss_kib() for p in server.descendants())
    for _ in range(100):
        server.connect()
    server.wait_counters(open=100)
    assert (sum(p.pss_kib() for p in server.descendants()) - before) / 100 < kib


def test_children_hold_no_listener(serve):
    """A session that outlives the server must not keep its port in use."""
    server = serve(*ECHO, "echo", "udp://127.0.0.1:0", model="fork")
    with server.connect() as client:
        greet(client)
        child, = [p for worker in server.children() for p in worker.children()]
        bound = "".join(pathlib.Path(f"/proc/net/{name}").read_text() for name in ("tcp", "udp"))
        sockets = [d for d in child.descriptors() if d.startswith("socket:")]
        assert len([d for d in sockets if f" {d[8:-1]} " in bound]) == 1


# --- the load ---

@pytest.mark.parametrize("model", LOOPS)
def test_load_spreads_over_two_workers(serve, model):
    server = serve(*ECHO, "--workers", "2", model=model)
    clients = [server.connect() for _ in range(100)]
    for client in clients:
        greet(client)
    sockets = [sum(d.startswith("socket:") for d in p.descriptors()) for p in server.workers(2)]
    assert sum(sockets) >= 100
    assert min(sockets) >= 25, sockets


@pytest.mark.parametrize("model", LOOPS)
def test_datagrams_spread_over_two_workers(serve, model):
    server = serve("echo", "udp://127.0.0.1:0", "--workers", "2", model=model)
    clients = [server.connect() for _ in range(64)]

    def switches():
        # Count voluntary and involuntary context switches: a worker that is preempted while it
        # goes to sleep has an involuntary one.
        return [int(worker.status("voluntary_ctxt_switches"))
                + int(worker.status("nonvoluntary_ctxt_switches")) for worker in server.workers(2)]

    before = switches()
    for _ in range(3):
        for client in clients:
            client.send(b"x")
            assert client.recv(9) == b"x"
    more = [after - earlier for after, earlier in zip(switches(), before)]
    # an idle worker has none; a slow one handles many connections at a time
    assert min(more) > 2, more


def test_prefork_serves_as_many_as_it_has_workers(serve):
    server = serve(*ECHO, "--workers", "3", model="prefork")
    inside = [server.connect() for _ in range(3)]
    for client in inside:
        greet(client)
    fourth = server.connect()
    fourth.sendall(b"later")
    inside[1].close()
    assert read_n(fourth, 5) == b"later"


@pytest.mark.parametrize("model, count", [
    (model, facts["workers"]) for model, facts in MODEL_FACTS.items() if facts["workers"] > 0])
def test_default_number_of_workers(serve, model, count):
    assert len(serve(*ECHO, model=model).workers(count)) == count


@pytest.mark.parametrize("model", LOOPS)
def test_a_worker_for_each_processor(serve, model):
    cpus = sorted(os.sched_getaffinity(0))
    assert serve(*ECHO, model=model).workers(len(cpus))
    os.sched_setaffinity(0, cpus[:1])
    try:
        assert serve(*ECHO, model=model).workers(1)
    finally:
        os.sched_setaffinity(0, cpus)


# --- the environment ---

@pytest.mark.parametrize("missing", [(0,), (1,), (2,), (0, 1, 2)])
def test_standard_descriptors_closed_at_start(tmp_path, missing, model):
    """A socket must not get the number of a standard descriptor: messages would be sent to a
    client."""
    path = tmp_path / "s"
    shut = " ".join({0: "<&-", 1: ">&-", 2: "2>&-"}[fd] for fd in missing)
    said = tmp_path / "said"
    with open(said, "wb") as words:
        shell = subprocess.Popen(
            ["sh", "-c", f'exec "$0" serve --model {model} -v -s echo unix:{path} {shut}', SOCKEYE],
            stdin=subprocess.DEVNULL, stdout=words, stderr=words)
    try:
        until(path.exists, "the socket")
        until(lambda: not refused(path), "the listener")
        for _ in range(3):
            with connect(f"unix:{path}") as client:
                client.sendall(b"clean")
                client.shutdown(socket.SHUT_WR)
                assert client.recv(999) == b"clean"
                assert client.recv(999) == b""
        shell.terminate()
        assert shell.wait(15) == 0
    finally:
        shell.kill()
        shell.wait()


def refused(path):
    try:
        connect(f"unix:{path}").close()
        return False
    except ConnectionRefusedError:
        return True


@as_root
def test_privileges_are_dropped_for_good(serve, model):
    server = serve(*ECHO, "echo", "udp://127.0.0.1:0", "--user", "nobody", model=model)
    with server.connect() as client:
        greet(client)
        until(server.descendants, "workers")
        for process in (server, *server.descendants()):
            assert process.status("Uid").split() == ["65534"] * 4
            assert process.status("Gid").split() == ["65534"] * 4
            assert process.status("Groups").split() == ["65534"]
            for name in ("CapPrm", "CapEff"):
                assert int(process.status(name), 16) == 0
    server.children()[0].kill()  # the replacement also runs as nobody
    server.wait_counters(workers_died=1)
    for process in until(server.children, "the replacement"):
        assert process.status("Uid").split() == ["65534"] * 4
    assert server.ask(b"still") == b"still"


@as_root
def test_privileged_port_is_bound_before(serve, netns, model):
    server = serve("echo", "tcp://127.0.0.1:7", "--user", "nobody", model=model)
    assert server.address == "tcp://127.0.0.1:7"
    assert server.ask(b"seven") == b"seven"


@pytest.mark.parametrize("options, code, words", [
    (["--user", "no-such-user-here"], 3, "name not found")])
def test_unknown_user(options, code, words):
    said = subprocess.run([SOCKEYE, "serve", *ECHO, *options], capture_output=True, text=True,
                          check=False, timeout=15)
    assert (said.returncode, said.stdout) == (code, "")
    assert re.fullmatch(f"sockeye: .*no-such-user-here: .*{words}.*\n", said.stderr)


@as_root
def test_another_user_may_not_be_become():
    said = subprocess.run([SOCKEYE, "serve", *ECHO, "--user", "root"], capture_output=True,
                          text=True, check=False, timeout=15, user="nobody", cwd="/")
    assert said.returncode == 9
    assert "become user root: " in said.stderr
