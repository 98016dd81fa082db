"""sockeye relay between TFTP servers and clients of other projects."""
import contextlib
import random
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from conftest import WAIT_S
from relay_fixtures import counters, relay, udp


def get(client, own, name, folder):
    port = own.rsplit(":", 1)[1]
    line = {"atftp": ["atftp", "--get", "--remote-file", name, "--local-file", folder / "got",
                      "127.0.0.1", port],
            "tftp": ["tftp", "-m", "octet", "127.0.0.1", port, "-c", "get", name, folder / "got"],
            "curl": ["curl", "-s", "-o", folder / "got", f"tftp://127.0.0.1:{port}/{name}"]}[client]
    subprocess.run(line, check=True, timeout=2 * WAIT_S, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    return (folder / "got").read_bytes()


def tftp_server(stack, root):
    """A minimal TFTP server in Python: each transfer has its own port, sends one block at a
    time, and repeats it after a timeout."""
    sock = stack.enter_context(udp())
    stop = threading.Event()

    def transfer(name, peer):
        data, block = (root / name).read_bytes(), 1
        with udp() as tid:
            tid.settimeout(0.1)
            while not stop.is_set():
                piece = data[(block - 1) * 512:block * 512]
                tid.sendto(struct.pack("!HH", 3, block & 0xffff) + piece, peer)
                with contextlib.suppress(socket.timeout):
                    while tid.recv(600) != struct.pack("!HH", 4, block & 0xffff):
                        pass
                    block += 1
                    if len(piece) < 512:
                        return

    def serve():
        sock.settimeout(0.1)
        threads = []
        while not stop.is_set():
            with contextlib.suppress(socket.timeout):
                request, peer = sock.recvfrom(600)
                threads.append(threading.Thread(target=transfer, args=(
                    request[2:].split(b"\0")[0].decode(), peer)))
                threads[-1].start()
        for thread in threads:
            thread.join(WAIT_S)

    thread = threading.Thread(target=serve)
    thread.start()
    stack.callback(thread.join, WAIT_S)
    stack.callback(stop.set)
    return f"udp://127.0.0.1:{sock.getsockname()[1]}"


@pytest.mark.parametrize("client", ["atftp", "tftp", "curl"])
@pytest.mark.parametrize("rules", [
    [], ["--drop-block", "3", "--drop-ack", "5"], ["--delay", "1ms", "--jitter", "1ms"],
    ["--duplicate", "20%", "--seed", "3"]], ids=lambda rules: rules[0] if rules else "none")
def test_clients_of_other_projects(relay, client, rules, tmp_path):
    if not shutil.which(client):
        pytest.skip(f"no {client} here")
    data = random.Random(2).randbytes(20 * 512 + 100)
    (tmp_path / "file").write_bytes(data)
    with contextlib.ExitStack() as stack:
        started, own = relay(tftp_server(stack, tmp_path), *rules)
        if client == "tftp" and "--drop-ack" in rules:
            pytest.skip("repeats after 5 s")
        assert get(client, own, "file", tmp_path) == data
    counts = counters(started)
    assert counts["down"]["dropped"] == ("--drop-block" in rules)
    assert counts["up"]["dropped"] == ("--drop-ack" in rules)
