"""HOST PORT as two operands of connect, listen and bench, and operands that are not HOST PORT."""
import json
import socket

import pytest

from conftest import events, read_all

HOSTS = ["127.0.0.1", "localhost", "::1", "[::1]"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


each_host = pytest.mark.parametrize("host", [
    pytest.param(host, marks=pytest.mark.skipif(":" in host and not has_ipv6(), reason="no IPv6"))
    for host in HOSTS])


def port_of(url):
    return url.rpartition(":")[2]


@each_host
def test_connect(run, echo, host):
    port = port_of(echo(f"tcp://{'[::1]' if ':' in host else '127.0.0.1'}:0"))
    result = run("connect", "-m", "hello", host, port)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"hello\n", b"")


@each_host
def test_listen(ready, host):
    started, [url, *_] = ready("listen", host, "0")
    assert url.startswith("tcp://[::1]:" if ":" in host else "tcp://127.0.0.1:")
    with socket.create_connection((host.strip("[]"), int(port_of(url)))) as sock:
        sock.sendall(b"hello")
    started.close_input()
    assert read_all(started.stdout) == b"hello"
    started.end()


def test_listen_on_every_address(ready):
    _, [url] = ready("listen", "*", "0")
    assert url.startswith(("tcp://[::]:", "tcp://0.0.0.0:"))


@each_host
def test_bench(run, echo, host):
    port = port_of(echo(f"tcp://{'[::1]' if ':' in host else '127.0.0.1'}:0"))
    result = run("bench", "--json", "--count", "5", host, port)
    [event] = events(result.stdout)
    assert (result.returncode, event["messages"]) == (0, 5)
    assert event["address"] == f"tcp://{'[::1]' if ':' in host else host}:{port}"


def test_options_stand_anywhere(run, echo):
    port = port_of(echo("tcp://127.0.0.1:0"))
    for args in (["-4", "127.0.0.1", port, "-m", "x"], ["127.0.0.1", "-m", "x", port],
                 ["-m", "x", "--", "127.0.0.1", port]):
        result = run("connect", *args)
        assert (result.returncode, result.stdout) == (0, b"x\n")


@pytest.mark.parametrize("args, address, code, error", [
    (["127.0.0.1", "discard"], "tcp://127.0.0.1:discard", 4, "ECONNREFUSED"),  # a service name
    (["127.0.0.1", "1"], "tcp://127.0.0.1:1", 4, "ECONNREFUSED"),
    (["fe80::1%lo", "1"], None, None, None),  # a zone
    (["[fe80::1%lo]", "1"], None, None, None),
    (["localhost", "nosuchservice"], "tcp://localhost:nosuchservice", 3, "SERVICE"),
    (["nosuch.invalid", "7"], "tcp://nosuch.invalid:7", 3, "NONAME"),
    (["localhost", "otherhost"], "tcp://localhost:otherhost", 3, "SERVICE"),  # two hosts
    (["tcp", "7"], "tcp://tcp:7", None, None),  # a host with the name of a scheme
])
def test_which_address_it_is(run, args, address, code, error):
    result = run("connect", "--json", *args)
    found = events(result.stdout)[-1]
    if code is None:  # depends on the interfaces and the name server of the machine
        assert found["error"] not in ("USAGE", "SYNTAX", "HOST", "PORT")
        return
    assert (found["address"], found["exit"]) == (address, code)
    assert found["error"] in {"NONAME": ["NONAME", "NAME_TRY_AGAIN"]}.get(error, [error])


@pytest.mark.parametrize("command", ["connect", "listen", "bench"])
@pytest.mark.parametrize("operands, why, instead", [
    (["host:7", "8"], "'host:7' is an address", ["host:7"]),
    (["tcp://host:7", "8"], "'tcp://host:7' is an address", ["tcp://host:7"]),
    (["unix:/run/x", "7"], "'unix:/run/x' is an address", ["unix:/run/x"]),
    (["tcp://host", "7"], "'tcp://host' is not a HOST", ["tcp://host:7"]),
    (["udp://host", "echo"], "'udp://host' is not a HOST", ["udp://host:echo"]),
    (["host?ttl=3", "7"], "'host?ttl=3' is not a HOST", ["'host:7?ttl=3'"]),
    (["/run/x", "7"], "'/run/x' is not a HOST", ["unix:/run/x"]),
    (["@x", "7"], "'@x' is not a HOST", ["unix:@x"]),
    (["7", "host"], "the port follows the host", ["host", "7"]),
    (["10.0.0.1", "10.0.0.2"], "'10.0.0.2' is not a PORT", ["10.0.0.1", "7007"]),
    (["host", "20-25"], "'20-25' is not a PORT", ["host", "20"]),
    (["host", "other.example.com"], "'other.example.com' is not a PORT", ["host", "7007"]),
    (["host", ""], "'' is not a PORT", ["host", "7007"]),
    (["udp", "host:7"], "'udp' and 'host:7' belong to one address", ["udp://host:7"]),
    (["unix", "/run/x"], "'unix' and '/run/x' belong to one address", ["unix:/run/x"]),
    (["udp", "host", "7"], "3 operands", ["udp://host:7"]),
    (["udp", "::1", "7"], "3 operands", ["'udp://[::1]:7'"]),
    (["a", "7", "b"], "3 operands, but", None),
    (["a", "b", "c", "d"], "4 operands, but", None),
])
def test_what_is_not_host_port(run, command, operands, why, instead):
    result = run(command, *operands)
    said = result.stderr.decode()
    assert (result.returncode, result.stdout) == (2, b"")
    assert said.startswith(f"sockeye: {command}: {why}") and said.count("\n") == 1
    assert said.partition("; try: ")[2].split()[2:] == (instead or []), said


@pytest.mark.parametrize("operands, error, instead", [
    (["localhost", "99999"], "PORT", "tcp://localhost:9999"),
    (["localhost", "65536"], "PORT", "tcp://localhost:6553"),
    (["1.2.3", "7"], "HOST", None),
    (["[::1", "7"], "usage", None),
])
def test_host_port_that_is_wrong(run, operands, error, instead):
    result = run("connect", "--json", *operands)
    [found] = events(result.stdout)
    assert (result.returncode, found["exit"]) == (2, 2)
    assert error in (found["error"], found["op"])
    assert found.get("try") == (f"sockeye connect --json {instead}" if instead else None)


@pytest.mark.parametrize("operands, instead", [
    (["fe80::1", "7"], "fe80::1%{} 7"), (["[fe80::1]", "7"], "'[fe80::1%{}]' 7"),
    (["[fe80::1]:7"], "'[fe80::1%{}]:7'"), (["udp://[fe80::1]:7"], "'udp://[fe80::1%{}]:7'"),
])
@pytest.mark.parametrize("command", ["connect", "listen", "bench"])
def test_missing_zone(run, command, operands, instead):
    result = run(command, *operands)
    said = result.stderr.decode()
    assert (result.returncode, "link-local" in said) == (2, True)
    before, after = instead.split("{}")
    assert f"; try: sockeye {command} {before}" in said and said.endswith(after + "\n")


def test_port_zero_is_only_for_listening(run):
    for command in ("connect", "bench"):
        result = run(command, "localhost", "0")
        assert result.returncode == 2
        assert b"try: sockeye %s tcp://localhost:7007\n" % command.encode() in result.stderr


def test_unconnected_is_udp(run, echo):
    """An address without a scheme means udp: only datagrams can be unconnected."""
    port = port_of(echo("udp://127.0.0.1:0"))
    for operands in (["127.0.0.1", port], [f"127.0.0.1:{port}"]):
        result = run("connect", "--unconnected", "-m", "hello", *operands)
        assert (result.returncode, result.stdout) == (0, b"hello")


@pytest.mark.parametrize("args, said", [
    (["-u"], "-u is --unconnected here; for nc's -u: sockeye connect udp://127.0.0.1:{0}"),
    (["-w", "3"], "-w is --wait-after-eof here; for nc's -w: sockeye connect --connect-timeout 3 "
                  "--timeout 3 127.0.0.1 {0}"),
    (["--wait-after-eof", "3"], None), (["-x"], None), (["-m", "x"], None), (["-4"], None),
    (["-C"], None), (["-v"], None), (["-q", "-w", "3"], None),
])
def test_letters_of_nc(run, args, said):
    """The letter keeps the meaning it has here, and a message says that nc's is different."""
    result = run("connect", *args, "127.0.0.1", "1")
    lines = [line for line in result.stderr.decode().splitlines() if "nc's" in line]
    assert lines == ([f"sockeye: connect: {said.format(1)}"] if said else [])


def test_json_has_the_command_line_too(run):
    result = run("connect", "--json", "7", "localhost")
    found = json.loads(result.stdout)
    assert (found["op"], found["exit"]) == ("usage", 2)
    assert found["try"] == "sockeye connect --json localhost 7"


@pytest.mark.parametrize("command, instead", [
    ("connect", "localhost:7"), ("listen", ":7"), ("bench", "localhost:7"),
])
def test_two_ports(run, command, instead):
    """The correction is not the same line again."""
    result = run(command, "7", "7")
    said = result.stderr.decode()
    assert (result.returncode, result.stdout) == (2, b"")
    assert said.startswith(f"sockeye: {command}: '7' is not a HOST")
    assert said.partition("; try: ")[2].split() == ["sockeye", command, instead]


def test_socat_address_is_escaped(run):
    result = run("connect", "TCP-LISTEN:\x1b[31m7")
    assert result.returncode == 2 and b"'TCP-LISTEN:\\e[31m7'" in result.stderr
    assert b"\x1b" not in result.stderr
