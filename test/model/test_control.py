"""How a server starts, reports, stops and logs."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from serving import (COUNTERS, LISTED, MODELS, MODEL_FACTS, SOCKEYE, Server, at_once, closed,
                     connect, new_socket, numbers, parse, read_all, read_n, reset, until)

ECHO = ("echo", "tcp://127.0.0.1:0")


def greet(client):
    client.sendall(b"hello")
    assert read_n(client, 5) == b"hello"


def parent_of(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def gone(address):
    """Whether the server no longer listens."""
    try:
        connect(address).close()
        return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except ConnectionResetError:  # it closes the listener now
        return False


# --- stopping ---

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_sessions_may_finish(serve, sig, model):
    server = serve(*ECHO, "-v", model=model)
    with server.connect() as client:
        greet(client)
        server.popen.send_signal(sig)
        if not MODEL_FACTS[model]["one_session"]:  # the others are busy with this session
            until(lambda: gone(server.address), "new clients refused")
        greet(client)
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"last words"
    assert server.wait() == 0
    assert gone(server.address)
    last = numbers(server.wait_log(COUNTERS)[0][0])
    assert (last["open"], last["closed_stop"], last["bytes_out"]) == (0, 0, 20)


def test_clients_in_the_backlog_are_served(serve, model):
    """They connected before the stop. The workers are stopped meanwhile, so that they see the
    signal and all clients at the same time."""
    server = serve(*ECHO, "--workers", "1", "-v", model=model)
    with server.connect() as client:
        greet(client)
    server.wait_counters(open=0)
    workers = server.workers(1)
    workers[0].freeze()
    clients = [server.connect() for _ in range(40)]
    for client in clients:
        client.sendall(b"in time")
        client.shutdown(socket.SHUT_WR)
    server.popen.terminate()
    workers[0].thaw()
    served = [read_all(client) if not closed_at_once(client) else b"" for client in clients]
    assert server.wait() == 0
    assert served.count(b"in time") == 40


def closed_at_once(client):
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True


def test_grace_ends(serve, model):
    server = serve(*ECHO, "--grace", "200ms", "-v", model=model)
    with server.connect() as client:
        greet(client)
        started = time.monotonic()
        server.popen.terminate()
        assert server.wait() == 0
        assert 0.15 < time.monotonic() - started < 5
        assert closed(client)
    assert "closed_stop=1" in server.log()


@pytest.mark.parametrize("first, second", [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")])
def test_second_signal_ends_at_once(serve, first, second, model):
    """But not before half a second has passed: until then, it may be sent by another process
    for the same stop."""
    server = serve(*ECHO, "--grace", "60s", model=model)
    with server.connect() as client:
        greet(client)
        started = time.monotonic()
        server.popen.send_signal(signal.Signals[f"SIG{first}"])
        while server.popen.poll() is None:
            server.popen.send_signal(signal.Signals[f"SIG{second}"])
            time.sleep(0.05)
        assert server.wait() == 0
        assert closed(client)
    assert 0.45 < time.monotonic() - started < 15


@pytest.mark.parametrize("names", [("TERM", "INT"), ("INT", "TERM"), ("TERM", "INT", "TERM")])
def test_signals_that_arrive_together_count_as_one(serve, names, model):
    server = serve(*ECHO, "--grace", "60s", "-v", model=model)
    with server.connect() as client:
        greet(client)
        server.freeze()
        for name in names:
            server.popen.send_signal(signal.Signals[f"SIG{name}"])
        server.thaw()
        until(lambda: gone(server.address) or at_once(model, 1, 9) == 1, "the stop")
        until(lambda: not int(server.status("ShdPnd"), 16), "the signals were taken")
        for _ in range(3):
            greet(client)
    assert server.wait() == 0
    assert "closed_stop=0" in server.log()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_signals_until_the_end_do_not_change_the_exit_code(serve, sig):
    for _ in range(5):
        server = serve(*ECHO, "-q", "--workers", "1", stderr=subprocess.DEVNULL)
        server.popen.terminate()
        while server.popen.poll() is None:
            server.popen.send_signal(sig)
        assert server.popen.returncode == 0


def test_stop_of_an_idle_server_is_quick(serve, model):
    server = serve(*ECHO, "echo", "udp://127.0.0.1:0", model=model)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 2


def test_datagrams_queued_before_the_stop_are_answered(serve, model):
    server = serve("upper", "udp://127.0.0.1:0", "--workers", "1", model=model)
    with server.connect() as client:
        client.send(b"warm")
        assert client.recv(9) == b"WARM"
        for process in server.descendants():
            process.freeze()
        for _ in range(50):
            client.send(b"in time")
        server.popen.terminate()
        for process in server.descendants():
            process.thaw()
        assert [client.recv(9) for _ in range(50)] == [b"IN TIME"] * 50
    assert server.wait() == 0


def test_killed_supervisor_leaves_nobody(serve, model):
    server = serve(*ECHO, "echo", "udp://127.0.0.1:0", model=model)
    with server.connect() as client:
        greet(client)
        family = server.descendants()
        server.popen.kill()
        server.popen.wait()
        until(lambda: not any(process.alive() for process in family), "all gone")
        assert closed(client)
    # With io_uring the kernel holds sockets until it has released the ring, which happens after
    # the process has exited.
    until(lambda: bindable(server.address), "the port free")
    with serve("echo", server.address, model=model) as successor:
        assert successor.ask(b"the port is free") == b"the port is free"


def bindable(address):
    with new_socket(address) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(parse(address)[1])
            return True
        except OSError:
            return False


# --- counters ---

def scenario(server):
    """One session of each kind: an end, a reset, one still open, and two datagrams."""
    tcp, udp = server.find("tcp"), server.find("udp")
    assert server.ask(b"x" * 1000, tcp) == b"x" * 1000
    broken = server.connect(tcp)
    greet(broken)
    reset(broken)
    server.wait_counters(closed_reset=1, open=0)
    with server.connect(udp) as client:
        for size in (10, 20):
            client.send(b"y" * size)
            client.recv(99)
    still = server.connect(tcp)
    greet(still)
    return still


EXPECTED = {"accepted": 3, "open": 1, "closed_end": 1, "closed_reset": 1, "closed_idle": 0,
            "closed_time": 0, "closed_error": 0, "closed_stop": 0, "refused_source": 0,
            "refused_resource": 0, "bytes_in": 1040, "bytes_out": 1040, "datagrams_in": 2,
            "datagrams_out": 2, "dropped_loop": 0, "dropped_repeat": 0, "dropped_rate": 0,
            "dropped_send": 0, "dropped_queue": 0, "accept_failures": 0, "workers_died": 0}


@pytest.mark.parametrize("form", ["text", "json"])
def test_counters_are_exact(serve, form, model):
    server = serve(*ECHO, "echo", "udp://127.0.0.1:0", "--log", form, "-v", model=model)
    still = scenario(server)
    assert server.wait_counters(**EXPECTED) == EXPECTED
    still.close()
    server.stop()
    last = [line for line in server.log().splitlines() if "counters" in line][-1]
    if form == "json":
        last = json.loads(last)
        assert (last["open"], last["closed_end"], last["accepted"]) == (0, 2, 3)
    else:
        assert " accepted=3 open=0 closed_end=2 " in last


# --- the log ---

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.mark.parametrize("scheme", ["tcp", "unix", "unix-seqpacket"])
def test_open_and_close_are_told(serve, tmp_path, scheme, model):
    server = serve("echo", "tcp://127.0.0.1:0" if scheme == "tcp" else f"{scheme}:{tmp_path}/s",
                   "-v", model=model)
    with server.connect() as client:
        peer = (r"tcp://127\.0\.0\.1:%d" % client.getsockname()[1] if scheme == "tcp"
                else f"{scheme}:unnamed")
        client.send(b"12345")
        client.recv(5)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    by = server.wait_log(rf"^{STAMP} open echo {peer} (pid=\d+(?: thread=\d+)?)$")[0][1]
    server.wait_log(rf"^{STAMP} close echo {peer} {by} in=5 out=5: done$")


def test_the_log_names_who_serves_a_connection(serve, model):
    server = serve(*ECHO, "-v", model=model)
    with server.connect() as first, server.connect() as second:
        both = [first] if model in ("iterative", "prefork") else [first, second]
        for client in both:
            client.send(b"x")
            assert client.recv(1) == b"x"
        found = [line.groups() for line in
                 server.wait_log(r" open echo \S+ pid=(\d+)(?: thread=(\d+))?$", len(both))]
        for pid, thread in found:
            assert os.path.exists(f"/proc/{pid}/task/{thread or pid}")
            assert (thread is not None) == (model == "thread")
        if model in ("fork", "thread"):
            assert len({thread or pid for pid, thread in found}) == 2
        if model == "fork":  # a child of the worker, which is a child of the server
            parents = {parent_of(int(pid)) for pid, _ in found}
            assert [parent_of(pid) for pid in parents] == [server.popen.pid]


def test_json_log(serve, model):
    server = serve(*ECHO, "-v", "-s", "--log", "json", model=model)
    assert server.ask(b"na\xc3\xafve \x1b[31m\xff\n") == b"na\xc3\xafve \x1b[31m\xff\n"
    server.wait_log('"close"')
    assert server.ask(b"plain") == b"plain"
    server.stop()
    events = [json.loads(line) for line in server.log().splitlines()]
    assert [e["event"] for e in events] == ["open", "message", "close"] * 2 + ["counters"]
    assert {e["service"] for e in events[:6]} == {"echo"}
    assert all(e["peer"].startswith("tcp://127.0.0.1:") for e in events[:6])
    assert events[1]["data_base64"] and events[4]["data"] == "plain"
    assert (events[5]["bytes_in"], events[5]["text"]) == (5, "done")


@pytest.mark.parametrize("scheme", ["tcp", "udp", "unix-seqpacket", "unix-dgram"])
def test_messages_are_shown_escaped(serve, tmp_path, scheme, model):
    server = serve("discard", f"{scheme}://127.0.0.1:0" if scheme in ("tcp", "udp")
                   else f"{scheme}:{tmp_path}/s", "--show-messages", model=model)
    with server.connect() as client:
        client.send(b"\x1b]0;owned\x07\x1b[2J\r\nline\tand \"quoted\" \\ \x00 \xff \xc3\xa9")
        line = server.wait_log(r"^.* message .*$")[0][0]
    assert re.fullmatch(STAMP + r' message discard \S+ ".*"', line)
    assert line.endswith(r'"\e]0;owned\x07\e[2J\r\nline\tand \"quoted\" \\ \0 \xff é"')
    assert all(c.isprintable() for c in line)


def test_messages_of_many_clients_do_not_mix(serve, model):
    server = serve("discard", "tcp://127.0.0.1:0", "-s", model=model)
    clients = [server.connect() for _ in range(at_once(model, 8, 8))]
    for i, client in enumerate(clients):
        client.sendall(bytes([65 + i]) * 3000)
    for i in range(len(clients)):
        until(lambda i=i: server.log().count(chr(65 + i)) == 3000, "all logged")
    for line in server.log().splitlines():
        assert re.fullmatch(STAMP + r' message discard \S+ "(.)\1*"', line)


def test_log_that_cannot_be_written_does_not_stop_the_server(serve, model):
    """A full disk, and a reader of stderr that has closed it."""
    with open("/dev/full", "wb") as full:
        server = Server(*ECHO, "-v", "-s", model=model, stderr=full)
        try:
            for _ in range(3):
                assert server.ask(b"anyway") == b"anyway"
        finally:
            server.popen.terminate()
            code = server.wait()
            server.end()
    assert code == 0


# --- output ---

def test_ready_lines(serve, tmp_path, model):
    server = serve("echo", "tcp://127.0.0.1:0", "udp://127.0.0.1:0", "upper",
                   f"unix:{tmp_path}/s", "unix-seqpacket:@sockeye-%d" % os.getpid(), model=model)
    served = zip(["echo", "echo", "upper", "upper"], server.addresses)
    assert server.ready == [f"{service} {address} pid {server.pid} model {model}"
                            for service, address in served]
    assert not any(address.endswith(":0") for address in server.addresses)
    for address in server.addresses:
        with server.connect(address) as client:
            client.send(b"HELLO")
            assert client.recv(9) == b"HELLO"


def test_ready_lines_as_json(serve):
    server = serve(*ECHO, "--json")
    told = json.loads(server.ready[0])
    assert told == {"event": "ready", "service": "echo", "address": server.address,
                    "pid": server.pid, "model": "event"}


def test_quiet_says_nothing(serve):
    server = serve(*ECHO, "-q")
    assert server.ask(b"x") == b"x"
    server.popen.terminate()
    assert (server.popen.stdout.read(), server.wait(), server.log()) == (b"", 0, "")


def test_list():
    """The text of --list matches its JSON, from which the tests take services and models."""
    said = subprocess.run([SOCKEYE, "serve", "--list"], capture_output=True, text=True,
                          check=True).stdout.splitlines()
    assert len(said) == len(LISTED)
    for line, row in zip(said, LISTED):
        words = [row["event"], row["name"], *([str(row["port"])] if "port" in row else [])]
        assert line.split()[:len(words)] == words and line.endswith("  " + row["summary"])
    assert {("echo", 7), ("discard", 9), ("chargen", 19), ("daytime", 13), ("time", 37),
            ("upper", 1), ("reply", 2), ("tftp", 69)} <= set(PORTS.items())
    assert {"iterative", "fork", "prefork", "thread", "event", "uring"} <= set(MODELS)


PORTS = {row["name"]: row["port"] for row in LISTED if row["event"] == "service"}


def test_the_default_set(serve, netns):
    """Every built-in service; tftp needs a folder."""
    server = serve()
    ports = {service: 7000 + port for service, port in PORTS.items() if service != "tftp"}
    assert len(server.addresses) == 4 * len(ports)
    wanted = {f"{service} {scheme}://{host}:{port} pid {server.pid} model event"
              for service, port in ports.items() for scheme in ("tcp", "udp")
              for host in ("127.0.0.1", "[::1]")}
    assert set(server.ready) == wanted
    for host in ("127.0.0.1", "[::1]"):
        assert server.ask(b"hi\n", f"tcp://{host}:7001") == b"HI\n"
        assert len(server.ask(b"", f"tcp://{host}:7037")) == 4


def test_the_default_set_without_ipv6(serve, netns):
    with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w", encoding="ascii") as f:
        f.write("1")
    server = serve()
    assert len(server.addresses) == 2 * (len(PORTS) - 1)
    assert server.ask(b"x", "tcp://127.0.0.1:7007") == b"x"
