"""sockeye connect: families, several addresses, --bind, freebind and --retry."""
import os
import re
import socket
import subprocess
import time

import pytest

from conftest import SOCKEYE, WAIT_S, events


@pytest.fixture
def run_twice(netns, tmp_path):
    """run() with loopback alone, where the hosts file in the program's own mount namespace
    gives twice.example an address of each family."""
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 twice.example\n127.0.0.1 twice.example\n", encoding="ascii")
    under = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
    if subprocess.run([*under, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    return lambda *args: subprocess.run([*under, SOCKEYE, *args], stdin=subprocess.DEVNULL,
                                        capture_output=True, timeout=WAIT_S, check=False)


def test_ipv6(run, listening):
    server = listening(family=socket.AF_INET6)
    result = run("connect", "--wait-after-eof", "0", f"[::1]:{server.getsockname()[1]}")
    assert result.returncode == 0, result.stderr


def test_two_addresses_the_first_refuses(run_twice, listening):
    server = listening()
    port = server.getsockname()[1]
    begun = time.monotonic()
    result = run_twice("connect", "-v", "--wait-after-eof", "0", f"tcp://twice.example:{port}")
    assert result.returncode == 0
    said = result.stderr.decode()
    assert f"tried [::1]:{port}: Connection refused" in said
    assert f"tried 127.0.0.1:{port}: connected" in said
    assert time.monotonic() - begun < WAIT_S


def test_two_addresses_both_refuse(run_twice):
    result = run_twice("connect", "--json", "tcp://twice.example:9")
    found = events(result.stdout)
    assert [(e["event"], e["error"]) for e in found] == [
        ("attempt", "ECONNREFUSED"), ("attempt", "ECONNREFUSED"), ("error", "ECONNREFUSED")]
    assert {e["address"] for e in found[:2]} == {"[::1]:9", "127.0.0.1:9"}
    assert result.returncode == 4


@pytest.mark.parametrize("flag, address", [("-4", "127.0.0.1"), ("-6", "[::1]")])
def test_one_family_on_a_machine_with_loopback_only(run_twice, flag, address):
    result = run_twice("connect", "-v", flag, "tcp://twice.example:9")
    assert result.returncode == 4
    tried = re.findall(r"tried (\S+):9:", result.stderr.decode())
    assert tried == [address]


def test_bind(program, listening):
    server = listening()
    started = program("connect", "--bind", "127.0.0.9", server.url)
    conn, peer = server.accept()
    with conn:
        assert peer[0] == "127.0.0.9"
    started.close_input()
    started.end()


def test_bound_unix_path_is_removed(program, listening, tmp_path):
    server, path = listening(family=socket.AF_UNIX), tmp_path / "client"
    started = program("connect", "--bind", path, server.url)
    conn, peer = server.accept()
    with conn:
        assert peer == str(path)
        assert path.is_socket()
        started.terminate()
        started.end(130)
    assert not path.exists()


def test_retry_until_a_server_listens(program, tmp_path):
    path = tmp_path / "late"
    started = program("connect", "--retry", "1000", "--retry-pause", "10ms", f"unix:{path}")
    assert b"trying again" in os.read(started.stderr.fileno(), 1000)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(WAIT_S)
        server.accept()[0].close()
    started.close_input()
    assert started.wait(WAIT_S) == 0


def test_retry_gives_up(run):
    result = run("connect", "--retry", "2", "--retry-pause", "1ms", "tcp://127.0.0.1:1")
    assert result.returncode == 4
    assert result.stderr.count(b"trying again") == 2


@pytest.mark.parametrize("host, bits", [("192.0.2.5", "32"), ("[2001:db8::5]", "128")])
@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_an_address_that_appears_later(netns, ready, run, scheme, host, bits):
    """With freebind, a server starts before its address exists, and a client can use it as its
    local address."""
    plain = run("serve", "echo", f"{scheme}://{host}:0")
    assert plain.returncode == 6 and b"append ?freebind" in plain.stderr
    _, (name,) = ready("serve", "echo", f"{scheme}://{host}:0?freebind")
    subprocess.run(["ip", "addr", "add", f"{host.strip('[]')}/{bits}", "dev", "lo", "nodad"]
                   if ":" in host else ["ip", "addr", "add", f"{host}/{bits}", "dev", "lo"],
                   check=True)
    done = run("connect", "-n", "1", f"{name}?freebind&bind={host}:0", input=b"hello\n")
    assert done.stdout == b"hello\n", done
