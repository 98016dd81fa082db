"""The manuals describe every event and key of the JSON that the program writes.

test/cmd/test_transfers.py has the keys of a TFTP transfer.
"""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

import mdoc

SOCKEYE = os.environ.get("SOCKEYE", str(mdoc.ROOT / "build" / "sockeye"))
# Otherwise the workers become nobody, who may not use the folders of tests.
KEEP_ROOT = ["--user", "root"] if os.geteuid() == 0 else []


def described(*pages):
    """The words that the pages mark as keys, and those that they mark as values."""
    text = " ".join((mdoc.MAN / page).read_text() for page in pages)
    keys = {word for words in re.findall(r"^\.(?:It )?S[qo] ([^\n]*)", text, re.M)
            for word in re.findall(r"[\w.]+", words)}
    keys |= set(re.findall(r"^\.It Va (\w+)", text, re.M))
    keys |= {word for line in re.findall(r"^\.It Va (.*)", text, re.M) for word in line.split(" , ")}
    values = {word for words in re.findall(r"^\.(?:It )?(?:Cm|Fl \w+ Cm) ([^\n]*)", text, re.M)
              for word in re.findall(r"[\w-]+", words)}
    values |= set(re.findall(r"^\.It ([a-z]+)$", text, re.M))
    return keys | {"event"}, values


def keys_of(document):
    for key, value in document.items():
        if key != "options":  # the names of TFTP's own
            yield key
            yield from keys_of(value) if isinstance(value, dict) else ()


def check(lines, *pages):
    """Returns the events of the documents after comparing them with the pages."""
    keys, values = described(*pages, "sockeye.1")
    documents = [json.loads(line) for line in lines]
    for document in documents:
        assert set(keys_of(document)) - keys == set(), document
        assert document["event"] in values, document
    return {document["event"] for document in documents}


@pytest.fixture(name="start")
def started():
    """Starts a server: (process, addresses)."""
    processes = []

    def start(*args, **kind):
        ready, child = os.pipe()
        process = subprocess.Popen([SOCKEYE, *args, "--ready-fd", str(child)], pass_fds=[child],
                                   text=True, stdin=subprocess.DEVNULL,
                                   **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kind})
        processes.append(process)
        os.close(child)
        with open(ready, encoding="utf-8") as lines:
            return process, lines.read().split()
    yield start
    for process in processes:
        process.kill()
        process.communicate()


def run(*args):
    return subprocess.run([SOCKEYE, *args], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=30).stdout.splitlines()


def silent():
    """The address of a UDP port at which nothing listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"udp://127.0.0.1:{probe.getsockname()[1]}"


def test_connect(start):
    _, [tcp, udp, seqpacket] = start("serve", "echo", "tcp://127.0.0.1:0", "udp://127.0.0.1:0",
                                     "unix-seqpacket:@sockeye-json", stdout=subprocess.DEVNULL)
    lines = [*run("connect", "--json", "--peek", "1", "-m", "a", tcp),
             *run("connect", "--json", "-m", "a", "-m", "\x80", "--reconnect", f"{udp}@1", udp),
             *run("connect", "--json", "-m", "a", seqpacket),
             *run("connect", "--json", "-m", "a", silent()),
             *run("connect", "--json", silent().replace("udp", "tcp"))]
    assert check(lines, "sockeye-connect.1") == {
        "attempt", "connected", "data", "datagram", "record", "peek", "eof", "undelivered",
        "reconnected", "error", "end"}


def test_listen(start):
    server, [address] = start("listen", "--json", "tcp://127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as client:
        client.send(b"a", socket.MSG_OOB)
        client.send(b"b")
    lines = server.communicate(timeout=30)[0].splitlines()
    assert check(lines, "sockeye-listen.1", "sockeye-connect.1") >= {
        "listening", "accepted", "urgent", "end"}


def test_bench(start):
    _, [address] = start("serve", "echo", "tcp://127.0.0.1:0", stdout=subprocess.DEVNULL)
    assert check(run("bench", "--json", "-n", "10", address), "sockeye-bench.1") == {"bench"}


def test_check_of_configurations(tmp_path):
    (tmp_path / "conf").write_text("service ftp\n{\ncolour = red\n}\n")
    lines = run("check", "--json", str(tmp_path / "conf"))
    assert check(lines, "sockeye-check.1") == {"note", "configuration"}


def test_relay(start):
    target, relay = silent(), None
    relay, [address] = start("relay", "--json", "-vv", "udp://127.0.0.1:0", target)
    run("connect", "-m", "a", "-w", "100ms", address)
    relay.terminate()
    lines = relay.communicate(timeout=30)[0].splitlines()
    assert check(lines, "sockeye-relay.1") == {
        "listening", "flow", "packet", "refused", "flow-end", "counters"}


def test_relay_of_tftp(start, tmp_path):
    (tmp_path / "a").write_text("a")
    _, [target] = start("serve", "tftp", "udp://127.0.0.1:0", "--root", tmp_path, *KEEP_ROOT)
    relay, [address] = start("relay", "--json", "-v", "udp://127.0.0.1:0", target)
    run("get", "-o", "/dev/null", address.replace("udp", "tftp") + "/a")
    relay.terminate()
    lines = relay.communicate(timeout=30)[0].splitlines()
    assert "port" in check(lines, "sockeye-relay.1")


def test_probe(start, tmp_path):
    (tmp_path / "a").write_text("a")
    _, [address] = start("serve", "tftp", "udp://127.0.0.1:0", "--root", tmp_path, *KEEP_ROOT)
    lines = run("get", "--json", "--probe", address.replace("udp", "tftp") + "/a")
    assert check(lines, "sockeye-get.1") == {"probe"}


def test_serve(start, tmp_path):
    server, addresses = start("serve", "--json", "-v", "-s", "--max-per-source", "1", "echo",
                              "tcp://127.0.0.1:0", "tftp", "udp://127.0.0.1:0", "--root", tmp_path, *KEEP_ROOT)
    run("connect", "-m", "a", addresses[0])
    run("get", addresses[1].replace("udp", "tftp") + "/none")
    port = int(addresses[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as first:
        first.send(b"a")
        if first.recv(1):  # refused if the server still counts the connection before
            with socket.create_connection(("127.0.0.1", port), timeout=30) as second:
                assert not second.recv(1)
    server.send_signal(signal.SIGHUP)
    server.send_signal(signal.SIGUSR1)
    server.terminate()
    output, log = (text.splitlines() for text in server.communicate(timeout=30))
    pages = ["sockeye-serve.1", "sockeye-tftp.7"]
    assert check(output, *pages) == {"ready"}
    assert check(log, *pages) >= {"open", "close", "message", "refuse", "transfer", "counters"}
    assert check(run("serve", "--json", "--list"), *pages) == {"service", "model"}
