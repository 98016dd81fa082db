"""Where a server listens: ports in use, UNIX paths, families, and what remains after it exits."""
import errno
import os
import re
import socket
import stat
import subprocess

import pytest

from serving import LOOPS, SOCKEYE, NotServing, Server, parse, until

UNIX = ["unix", "unix-dgram", "unix-seqpacket"]
either = pytest.mark.parametrize("scheme", UNIX)


def refusal(*args):
    """Returns the exit code and the one line of a server that does not start."""
    said = subprocess.run([SOCKEYE, "serve", *map(str, args)], capture_output=True, text=True,
                          check=False, timeout=15)
    assert said.stdout == ""
    assert re.fullmatch(r"sockeye: .*\n", said.stderr), said.stderr
    return said.returncode, said.stderr


def answers(server, address):
    with server.connect(address) as client:
        client.send(b"x")
        return client.recv(9) == b"x"


# --- ports ---

@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_port_of_another_server_is_refused(serve, scheme, model):
    """Even though the workers share the port among themselves (SO_REUSEPORT) and both servers
    belong to the same user."""
    server = serve("echo", f"{scheme}://127.0.0.1:0", "--workers", "2", model=model)
    code, words = refusal("echo", server.address, "--model", model, "--workers", "2")
    assert code == 9
    assert f"bind {server.address}: Address already in use" in words
    assert answers(server, server.address)


def test_port_can_be_shared_on_request(serve):
    server = serve("echo", "tcp://127.0.0.1:0?reuseport")
    second = serve("echo", server.address + "?reuseport")
    assert second.address == server.address


def test_port_is_free_again_at_once(serve, model):
    """Also while connections of the previous server are in TIME-WAIT."""
    server = serve("reply", "tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--once", model=model)
    for address in server.addresses * 3:
        with server.connect(address) as client:
            client.send(b"?\n")
            assert client.recv(99).rstrip() == b"Server got message"
            if client.type == socket.SOCK_STREAM:
                assert client.recv(99) == b""  # the server closes first
    server.stop()
    successor = serve("echo", *server.addresses, model=model)
    for address in server.addresses:
        assert answers(successor, address)


def test_nothing_is_left_of_a_start_that_failed(serve, tmp_path):
    server = serve("echo", "tcp://127.0.0.1:0")
    path = tmp_path / "s"
    code, _ = refusal("echo", f"unix:{path}", server.address)
    assert (code, path.exists()) == (9, False)


@pytest.mark.parametrize("address, code, words", [
    ("tcp://192.0.2.1:0", 6, "Cannot assign requested address"),
    ("tcp://127.0.0.1:99999", 2, "99999"), ("tcp://127.0.0.1:898989", 2, "898989"),
    ("tcp://127.0.0.1:no-such-service", 3, "no-such-service"),
    ("nonsense://x:1", 2, "known schemes"), ("tcp://127.0.0.1:0?nonsense", 2, "it has nodelay"),
    ("tcp://no-such-host.invalid:0", 3, "no-such"),
    ("unix:/no/such/folder/s", 9, "No such file or directory"), ("sctp://127.0.0.1:0", 10, "sctp"),
    ("fd:99", 9, "fd:99")])
def test_addresses_that_cannot_be_served(address, code, words):
    got, line = refusal("echo", address)
    assert (got, words in line) == (code, True), line


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_privileged_port_without_privilege(netns):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
        assert int(f.read()) == 1024
    said = subprocess.run([SOCKEYE, "serve", "echo", "tcp://127.0.0.1:7"], capture_output=True,
                          text=True, check=False, timeout=15, user="nobody", cwd="/")
    assert said.returncode == 9
    assert "bind tcp://127.0.0.1:7: Permission denied" in said.stderr


# --- families ---

@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_star_is_both_families(serve, scheme, model):
    server = serve("echo", f"{scheme}://*:0", model=model)
    port = parse(server.address)[1][1]
    for host in ("127.0.0.1", "127.0.0.2", "[::1]"):
        assert answers(server, f"{scheme}://{host}:{port}")


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_localhost_is_both_families_on_one_port(serve, scheme, model):
    server = serve("echo", f"{scheme}://localhost:0", model=model)
    ports = {parse(address)[1][1] for address in server.addresses}
    assert len(ports) == 1
    for address in server.addresses:
        assert answers(server, address)


@pytest.mark.parametrize("text, told", [
    ("tcp4://*:0", "0.0.0.0"), ("tcp6://*:0", "::"), ("tcp://127.0.0.2:0", "127.0.0.2"),
    ("tcp://[::1]:0", "::1")])
def test_one_family_or_address(serve, text, told):
    server = serve("echo", text)
    assert parse(server.address)[1][0] in (told, "*")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(told, told)
    assert answers(server, f"tcp://{host}:{parse(server.address)[1][1]}")


def test_inherited_descriptors(serve, tmp_path, model):
    """Like sockets from a super-server or systemd."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        unix.bind(str(tmp_path / "s"))
        fds = [tcp.fileno(), unix.fileno()]
        server = serve("echo", *[f"fd:{fd}" for fd in fds], model=model, inherit=fds)
        assert server.addresses == ["tcp://127.0.0.1:%d" % tcp.getsockname()[1],
                                    f"unix-dgram:{tmp_path}/s"]
        for address in server.addresses:
            assert answers(server, address)
        server.stop()
    assert (tmp_path / "s").exists()  # the file belongs to the creator of the socket


# --- UNIX paths ---

@either
def test_longest_path(serve, tmp_path, scheme):
    os.chdir(tmp_path)
    path = "p" * 107
    server = serve("echo", f"{scheme}:{path}")
    assert server.address == f"{scheme}:{path}"
    assert answers(server, server.address)
    code, words = refusal("echo", f"{scheme}:{path}p")
    assert code == 2
    assert "socket path too long" in words and "108" in words and "107" in words


@either
def test_stale_file_is_replaced(serve, tmp_path, scheme, model):
    path = tmp_path / "s"
    server = serve("echo", f"{scheme}:{path}", model=model)
    server.popen.kill()
    server.wait()
    assert stat.S_ISSOCK(path.stat().st_mode)
    until(lambda: dead(path), "its workers gone")
    assert answers(serve("echo", f"{scheme}:{path}", model=model), f"{scheme}:{path}")


def dead(path):
    """Whether no socket has the path any more. With io_uring the kernel holds it for a moment
    after the process has exited."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno == errno.ECONNREFUSED  # otherwise EPROTOTYPE: another type
    return False


@either
def test_live_server_is_never_replaced(serve, tmp_path, scheme, model):
    server = serve("echo", f"{scheme}:{tmp_path}/s", model=model)
    for other in UNIX:
        code, words = refusal("echo", f"{other}:{tmp_path}/s")
        assert code == 9
        assert "another server uses this socket path" in words
    assert answers(server, server.address)
    assert server.counters()["accepted"] <= 1  # the check was not counted as a connection


@pytest.mark.parametrize("kind", ["file", "folder", "link", "fifo"])
@either
def test_what_is_no_socket_is_never_removed(serve, tmp_path, scheme, kind):
    path, target = tmp_path / "s", tmp_path / "precious"
    target.write_text("precious")
    {"file": lambda: path.write_text("precious"), "folder": path.mkdir,
     "link": lambda: path.symlink_to(target), "fifo": lambda: os.mkfifo(path)}[kind]()
    before = path.lstat()
    code, words = refusal("echo", f"{scheme}:{path}")
    assert code == 9
    assert "not a socket" in words
    assert path.lstat().st_ino == before.st_ino
    assert target.read_text() == "precious"


@either
def test_path_is_removed_at_the_end(serve, tmp_path, scheme, model):
    path = tmp_path / "s"
    server = serve("echo", f"{scheme}:{path}", model=model)
    assert path.exists()
    server.stop()
    assert not path.exists()


def test_successor_keeps_its_path(serve, tmp_path):
    """The path was removed, and another server created its socket there."""
    path = tmp_path / "s"
    first = serve("echo", f"unix:{path}")
    path.unlink()
    second = serve("upper", f"unix:{path}")
    first.stop()
    assert second.ask(b"mine") == b"MINE"


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_mode_whatever_the_umask(serve, tmp_path, mode):
    before = os.umask(0o027)
    try:
        serve("echo", f"unix:{tmp_path}/s?mode={mode}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == int(mode, 8)


@either
def test_abstract_names(serve, scheme, model):
    name = f"sockeye-test-{os.getpid()}"
    server = serve("echo", f"{scheme}:@{name}", model=model)
    assert server.address == f"{scheme}:@{name}"
    assert answers(server, server.address)
    assert not os.path.exists(f"@{name}")
    code, words = refusal("echo", f"{scheme}:@{name}")
    assert (code, os.strerror(errno.EADDRINUSE) in words) == (9, True)


# --- very many sockets ---

def test_a_hundred_addresses(serve, tmp_path):
    places = [f"unix:{tmp_path}/{i}" for i in range(100)]
    server = serve("echo", *places)
    assert server.addresses == places
    for place in places[::9]:
        assert server.ask(b"x", place) == b"x"
    code, words = refusal("echo", *[f"unix:{tmp_path}/more-{i}" for i in range(129)])
    assert (code, "more than 128 addresses" in words) == (2, True)
    assert not list(tmp_path.glob("more-*"))


@pytest.mark.parametrize("model", LOOPS)
def test_backlog_is_as_long_as_asked(serve, model):
    server = serve("echo", "tcp://127.0.0.1:0", "--backlog", "300", "--workers", "1", model=model)
    worker, = server.workers(1)
    worker.freeze()
    clients = [server.connect() for _ in range(300)]
    worker.thaw()
    for client in clients[::10]:
        client.sendall(b"x")
        assert client.recv(9) == b"x"


def test_a_failure_is_told_as_the_program_tells_all(tmp_path):
    with pytest.raises(NotServing) as failure:
        Server("echo", f"unix:{tmp_path}/no/such/s", "--json")
    assert failure.value.code == 9
