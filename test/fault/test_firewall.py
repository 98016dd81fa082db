"""Packets that this machine cannot send: the message and the log name the error, the address and,
if it matters, the size of the packets."""
import errno
import json
import os
import pathlib
import socket
import subprocess

import pytest

from serving import SOCKEYE, Server, preload

CONTENT = bytes(i % 253 for i in range(2900))
BLKSIZE = 700


@pytest.fixture(scope="module", name="firewall")
def firewall_made(tmp_path_factory):
    """The environment in which sending more than `size` bytes fails with an error."""
    library = tmp_path_factory.mktemp("firewall") / "firewall.so"
    source = pathlib.Path(__file__).with_name("firewall.c")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, source],
                   check=True)
    return lambda error, size: {**preload(library), "FIREWALL_BYTES": str(size),
                                "FIREWALL_ERRNO": str(getattr(errno, error, 0))}


@pytest.fixture(name="root")
def root_made(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "f").write_bytes(CONTENT)
    return root


def serve(root, *options, **kw):
    made = Server("tftp", "udp://127.0.0.1:0", "--root", str(root), "--workers", "1", "--overwrite",
                  *options, **kw)
    made.url = made.address.replace("udp:", "tftp:")
    return made


def client(folder, env, *args):
    return subprocess.run([SOCKEYE, *args], cwd=folder, env=env, check=False, input=CONTENT,
                          capture_output=True, timeout=30)


REQUESTS = [
    ("EPERM", 9, "Operation not permitted", "a firewall on this machine drops them"),
    ("EACCES", 9, "Permission denied", "it is a broadcast address, or a route prohibits sending"),
    ("ENETUNREACH", 6, "Network is unreachable", "no route leads there"),
    ("EHOSTUNREACH", 6, "No route to host", "no route leads there"),
    ("ENETDOWN", 6, "Network is down", "the network interface is down"),
    ("EADDRNOTAVAIL", 6, "Cannot assign requested address", "the local address was removed"),
    ("EINVAL", 1, "Invalid argument", "a blackhole route discards them"),
    ("EMSGSIZE", 6, "Message too long", "they exceed the MTU"),
    ("ENOBUFS", 9, "No buffer space available", "the queue of the network interface is full"),
]


@pytest.mark.parametrize("error, code, text, cause", REQUESTS, ids=[row[0] for row in REQUESTS])
@pytest.mark.parametrize("way", ["get", "put"])
def test_request_cannot_be_sent(firewall, tmp_path, way, error, code, text, cause):
    url = "tftp://127.0.0.1:7/f"
    args = ["get", "-o", "-", url] if way == "get" else ["put", "-", url]
    done = client(tmp_path, firewall(error, 0), *args, "--wait", "300ms", "--retries", "0")
    last = done.stderr.decode().splitlines()[-1]
    assert done.returncode == code, last
    assert last.startswith(f"sockeye: {way} {url}: {text} (sending packets to 127.0.0.1:7: {cause}")
    assert done.stdout == b""


@pytest.mark.parametrize("error, code", [("EPERM", 9), ("ENOBUFS", 9), ("EHOSTUNREACH", 6)])
def test_blocks_cannot_be_sent(firewall, root, tmp_path, error, code):
    """put: the request passes, the blocks do not."""
    with serve(root) as server:
        url = f"{server.url}/new"
        done = client(tmp_path, firewall(error, 300), "put", "-", url, "--json", "--blksize",
                      str(BLKSIZE), "--retries", "1")
    event = json.loads(done.stdout)
    assert (done.returncode, event["error"], event["exit"]) == (code, error, code)
    assert (event["step"], event["packet_bytes"]) == ("send", BLKSIZE + 4)
    assert f"sending packets of {BLKSIZE + 4} bytes to 127.0.0.1:" in event["detail"]
    assert not (root / "new").exists()


def test_error_that_passes_is_no_cause(firewall, tmp_path):
    """A server that never answers is not blamed on an error that did not prevent sending."""
    done = client(tmp_path, firewall("EPERM", 600), "get", "-o", "-", "tftp://127.0.0.1:7/f",
                  "--no-wait", "--retries", "0")
    assert done.returncode == 4, done.stderr


@pytest.mark.parametrize("error", ["EPERM", "ENOBUFS", "EHOSTUNREACH"])
@pytest.mark.parametrize("log", ["text", "json"])
def test_server_cannot_send(firewall, root, tmp_path, error, log):
    number = getattr(errno, error)
    with serve(root, "--give-up", "1s", "--log", log, env=firewall(error, 300)) as server:
        client(tmp_path, os.environ, "get", "-o", "-", f"{server.url}/f", "--blksize", str(BLKSIZE),
               "--retries", "1")
        line = server.wait_log(r'^.*(?:failed: |"result":"failed").*$')[0][0]
    if log == "text":
        assert f": {os.strerror(number)} (sending packets of {BLKSIZE + 4} bytes to " in line
        assert f" blksize={BLKSIZE} " in line
        return
    event = json.loads(line)
    assert (event["error"], event["step"]) == (error, "send")
    assert (event["packet_bytes"], event["blksize"]) == (BLKSIZE + 4, BLKSIZE)
    assert event["detail"].startswith(f"sending packets of {BLKSIZE + 4} bytes to 127.0.0.1:")


def test_block_larger_than_the_mtu(firewall, root, tmp_path):
    """put repeats the request immediately, for blocks of 512 bytes."""
    with serve(root) as server:
        url = f"{server.url}/new"
        done = client(tmp_path, firewall("EMSGSIZE", 600), "put", "-", url, "--json", "--blksize",
                      str(BLKSIZE), "--retries", "0")
    event = json.loads(done.stdout)
    assert (event["lost_blksize"], event["blksize"], event["exit"]) == (BLKSIZE, 512, 0)
    assert (root / "new").read_bytes() == CONTENT


@pytest.mark.parametrize("error", ["EMSGSIZE", "EPERM"])
def test_server_cannot_send_large_blocks(firewall, root, tmp_path, error):
    """get repeats the request for blocks that the server can send."""
    with serve(root, env=firewall(error, 600)) as server:
        done = client(tmp_path, os.environ, "get", "-o", "-", f"{server.url}/f", "--blksize",
                      str(BLKSIZE))
    assert (done.returncode, done.stdout) == (0, CONTENT), done.stderr


@pytest.mark.parametrize("model", ["event", "thread"])
@pytest.mark.parametrize("error", ["EPERM", "ENETUNREACH", "EMSGSIZE"])
def test_datagram_service_cannot_answer(firewall, model, error):
    """The log names the error, at most once a second."""
    with Server("echo", "udp://127.0.0.1:0", "--workers", "1", model=model,
                env=firewall(error, 40)) as server, server.connect() as one:
        for _ in range(20):
            one.send(b"x" * 41)
        one.send(b"y" * 40)
        assert one.recv(100) == b"y" * 40
        text = os.strerror(getattr(errno, error))
        server.wait_log(f"the reply could not be sent: {text}")
        assert server.log().count("could not be sent") < 5


@pytest.mark.parametrize("direction, words", [("up", "target"), ("down", "client")])
@pytest.mark.parametrize("error", ["EPERM", "ENETUNREACH"])
@pytest.mark.parametrize("json_log", [False, True])
def test_relay_cannot_send(firewall, direction, words, error, json_log):
    """The relay names the error once, and counts the packets as lost."""
    ready, child = os.pipe()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target, \
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        target.bind(("127.0.0.1", 0))
        target.settimeout(20)
        process = subprocess.Popen(
            [SOCKEYE, "relay", *["--json"] * json_log, "--ready-fd", str(child),
             "udp://127.0.0.1:0", f"udp://127.0.0.1:{target.getsockname()[1]}"], pass_fds=[child],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=firewall(error, 30))
        os.close(child)
        with os.fdopen(ready) as lines:
            one.connect(("127.0.0.1", int(lines.readline().rpartition(":")[2])))
        one.send(b"x" * (20 if direction == "down" else 31))
        if direction == "down":
            target.sendto(b"y" * 31, target.recvfrom(100)[1])
        stream = process.stdout if json_log else process.stderr
        while b"lost" not in (line := stream.readline()) and b"cannot send" not in line:
            assert line
        process.terminate()
        process.communicate(timeout=20)
    if json_log:
        event = json.loads(line)
        assert event == {"event": "lost", "flow": 1, "direction": direction, "error": error,
                         "text": os.strerror(getattr(errno, error))}
    else:
        text = os.strerror(getattr(errno, error))
        assert line.decode() == f"sockeye: flow 1: cannot send packets to the {words}: {text}\n"
