"""sockeye serve tftp with unreadable or changing files, forged ICMP errors, and at its end."""
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import KEEP_ROOT, QUIET_S, WAIT_S, until
from tftp import ERROR, Peer, ack, code_of, data, oack

RRQ, WRQ = 1, 2


def request(opcode, name, mode="octet", **options):
    pairs = "".join(f"{key}\0{value}\0" for key, value in options.items())
    return opcode.to_bytes(2, "big") + f"{name}\0{mode}\0{pairs}".encode()


class Server:
    def __init__(self, process, name, root, log):
        self.process, self.name, self.root, self.log = process, name, root, log

    def events(self, **wanted):
        found = [json.loads(line) for line in self.log.read_bytes().splitlines()]
        return [e for e in found if wanted.items() <= e.items()]

    def workers(self):
        pid = self.process.pid
        return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def worker(self):
        return until(self.workers, "a worker")[0]

    def ask(self, *args, **options):
        """Sends a request from a new peer. Returns the peer, which then talks to the port that
        replied, and the reply."""
        peer = Peer()
        peer.sendto(request(*args, **options), self.name)
        packet, peer.client = peer.recvfrom(65536)
        return peer, packet


@pytest.fixture
def serve(ready, tmp_path):
    """Starts one worker that serves the folder root."""
    root, log = tmp_path / "root", tmp_path / "log"
    root.mkdir()
    root.chmod(0o755)

    def start(*args, user=KEEP_ROOT):
        with open(log, "wb") as file:
            process, urls = ready("serve", "--workers", 1, "tftp", "udp://127.0.0.1:0", "--root",
                                  root, "--log", "json", *args,
                                  *([] if "--user" in args else user), stdout=subprocess.DEVNULL,
                                  stderr=file)
        return Server(process, ("127.0.0.1", int(urls[0].rpartition(":")[2])), root, log)
    return start


def test_replacement_workers_have_the_current_rules(serve, tmp_path):
    """A replacement worker starts with the current rules."""
    rules = tmp_path / "rules"
    rules.write_text("")
    server = serve("--map", rules)
    (server.root / "secret").write_bytes(b"s")
    assert server.ask(RRQ, "secret")[1] == data(1, b"s")
    rules.write_text("a ^secret\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.ask(RRQ, "secret")[1][1] == ERROR, "the new rules")
    first = server.worker()
    os.kill(first, signal.SIGKILL)
    until(lambda: server.workers() not in ([], [first]), "another worker")
    assert code_of(server.ask(RRQ, "secret")[1]) == 2


@pytest.mark.parametrize("option", ["--map", "--policy"])
@pytest.mark.parametrize("user", [[], ["--user", "root"]], ids=["nobody", "root"])
def test_rules_from_a_file_that_only_root_reads(serve, tmp_path, option, user):
    """The supervisor opens the file, also after it was replaced, and every worker has the rules."""
    if os.geteuid() != 0:
        pytest.skip("becomes another user")
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o700)
    rules = folder / "rules"

    def write(text):
        (folder / "new").write_text(text)
        (folder / "new").chmod(0o600)
        (folder / "new").rename(rules)

    deny, allow = {"--map": ("a ^f\n", ""), "--policy": ("* deny\n", "* window=1\n")}[option]
    write(allow)
    server = serve("--workers", 4, option, rules, user=user)
    (server.root / "f").write_bytes(b"f")
    until(lambda: len(server.workers()) == 4, "workers")
    for text, code in ((deny, 5), (allow, 3), (deny, 5)):
        write(text)
        before = len(server.events(event="notice"))
        server.process.send_signal(signal.SIGHUP)
        until(lambda before=before: len(server.events(event="notice")) > before, "the notice")
        # each socket belongs to a worker; peers are spread over all of them
        until(lambda code=code: all(server.ask(RRQ, "f")[1][1] == code for _ in range(20)),
              "the new rules in every worker")
    assert not server.events(event="warning")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_rule_files_are_closed_to_workers(serve, tmp_path):
    """A link to the file of rules, and one to another file in its folder."""
    rules, secret = tmp_path / "rules", tmp_path / "secret"
    rules.write_text("")
    secret.write_text("secret")
    server = serve("--map", rules)
    for file in rules, secret:
        (server.root / "link").unlink(missing_ok=True)
        (server.root / "link").symlink_to(file)
        assert code_of(server.ask(RRQ, "link")[1]) == 2


@pytest.mark.parametrize("form", ["json", "text"])
def test_rules_read_again(serve, tmp_path, form):
    """One process reports the reload and the number of rules; the workers do not repeat it."""
    (tmp_path / "map").write_text("# none\n")
    (tmp_path / "policy").write_text("")
    server = serve("--workers", 3, "--map", tmp_path / "map", "--policy", tmp_path / "policy",
                   "--log", form)
    until(lambda: len(server.workers()) == 3, "workers")
    (tmp_path / "map").write_text("e a\n\nr b c\n")
    (tmp_path / "policy").write_text("* deny\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: b"reloaded 2 map rules and 1 policy rule" in server.log.read_bytes(),
          "the notice")
    (tmp_path / "policy").write_text("* window=1\n* deny all\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: b"keeping the old rules: read rules " in server.log.read_bytes(), "the warning")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(WAIT_S) == 0
    lines = server.log.read_text().splitlines()
    assert len(lines) == 2
    if form == "json":
        first, second = server.events()
        assert first["event"] == "notice" and first["service"] == "tftp"
        assert second["event"] == "warning" and f"{tmp_path}/policy:2: " in second["text"]
    else:
        assert " notice tftp: reloaded 2 map rules" in lines[0] and " warning tftp: keeping the old rules" in lines[1]


def confined(server):
    """The NoNewPrivs flag of the worker: 1 if Landlock is in force, 0 if the kernel has none."""
    status = pathlib.Path(f"/proc/{server.worker()}/status").read_text()
    return re.search(r"^NoNewPrivs:\s+(\d)", status, re.M)[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_rules_that_the_user_may_not_read(serve, tmp_path):
    """The rules stay as they were at the start, with a warning, and Landlock is in force as
    usual."""
    (tmp_path / "secret").mkdir(mode=0o700)
    rules = tmp_path / "secret" / "map"
    rules.write_text("r a b\n")
    server = serve("--user", "nobody")
    server.ask(RRQ, "none")  # Landlock is in force before the first reply
    usual = confined(server)
    server.process.kill()
    server.process.wait(WAIT_S)
    server = serve("--user", "nobody", "--map", rules)
    (server.root / "b").write_bytes(b"b")
    assert server.ask(RRQ, "a")[1] == data(1, b"b")
    assert confined(server) == usual
    assert not server.events(event="warning")
    server.process.send_signal(signal.SIGHUP)
    (warning,) = until(lambda: server.events(event="warning"), "a warning")
    assert "keeping the old rules" in warning["text"] and str(rules) in warning["text"]
    assert server.ask(RRQ, "a")[1] == data(1, b"b")


def test_text_that_shrinks(serve):
    """The size does not show the end of netascii text, whose size on the wire differs."""
    server = serve()
    text = server.root / "text"
    text.write_bytes(b"a\n" * 100_000)
    peer, packet = server.ask(RRQ, "text", "netascii")
    text.write_bytes(b"a\n" * 1000)
    for number in range(1, 200):  # the server has read some of the text before
        assert packet[:4] == data(number)
        peer.say(ack(number))
        while (packet := peer.hear())[:4] == data(number):  # repeated on a busy machine
            pass
        if packet[1] == ERROR:
            break
    assert code_of(packet) == 0


def test_text_of_unconfirmed_peers(serve):
    """The server reads and converts no text for an unconfirmed peer, so that many of them
    cannot fill its memory."""
    def memory():
        lines = pathlib.Path(f"/proc/{server.worker()}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

    server = serve()
    (server.root / "text").write_bytes(random.Random(1).randbytes(1 << 20))
    server.ask(RRQ, "text", "netascii", blksize=4096, windowsize=64)
    before = memory()
    peers = [server.ask(RRQ, "text", "netascii", blksize=4096, windowsize=64)
             for _ in range(100)]
    assert all(packet == oack(blksize=4096, windowsize=64) for _, packet in peers)
    assert memory() - before < 100 * 64


def answers(server):
    with Peer() as peer:
        peer.settimeout(QUIET_S)
        peer.sendto(request(RRQ, "none"), server.name)
        try:
            return peer.recv(100)
        except TimeoutError:
            return None


def test_an_upload_at_the_end(serve):
    """The server takes the upload and repeats its last ACK, but exits before the grace period
    ends."""
    server = serve("--upload")
    peer, packet = server.ask(WRQ, "up")
    assert packet == ack(0)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: not answers(server), "no new requests")
    started = time.monotonic()
    peer.say(data(1, b"whole"))
    peer.expect(ack(1))
    assert server.process.wait(WAIT_S) == 0
    assert time.monotonic() - started < 5
    assert (server.root / "up").read_bytes() == b"whole"


def checksum(bytes):
    total = sum(struct.unpack(f"!{len(bytes) // 2}H", bytes))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def unreachable(code, port, to=9):
    """An ICMP message of type 3 about a datagram from `port` to another one."""
    host = socket.inet_aton("127.0.0.1")
    lost = struct.pack("!BBHHHBBH4s4sHHHHQ", 0x45, 0, 36, 1, 0, 64, 17, 0, host, host, port, to, 16,
                       0, 0)
    body = lost[:10] + struct.pack("!H", checksum(lost[:20])) + lost[12:]
    packet = struct.pack("!BBHHH", 3, code, 0, 0, 1400 if code == 4 else 0) + body
    return packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]


@pytest.mark.parametrize("code", [4, 5, 7, 8])  # too large, no route, no such host
def test_icmp_in_single_port_mode(netns, serve, code):  # pylint: disable=unused-argument
    """In single-port mode the shared socket receives the error, which ends no transfer."""
    server = serve("--single-port")
    (server.root / "f").write_bytes(bytes(8 << 20))
    over = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        def flood():
            packet = unreachable(code, server.name[1])
            while not over.is_set():
                raw.sendto(packet, ("127.0.0.1", 0))
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            for _ in range(3):
                peer, packet = server.ask(RRQ, "f", blksize=1400)
                peer.say(ack(0))
                for _ in range(1000):
                    packet = peer.hear()
                    assert packet[1] != ERROR
                    peer.say(ack(struct.unpack("!H", packet[2:4])[0]))
        finally:
            over.set()
            thread.join()
    assert not server.events(event="transfer", text="sending failed")


@pytest.mark.parametrize("blocks", [3, 50])  # the socket of a long transfer is connected
def test_icmp_too_large(netns, serve, blocks):  # pylint: disable=unused-argument
    """After the path MTU shrinks, the transfer goes on in fragments."""
    server = serve()
    (server.root / "f").write_bytes(bytes(1 << 20))
    peer, packet = server.ask(RRQ, "f", blksize=1400)
    peer.say(ack(0))
    for number in range(1, blocks):
        packet = peer.hear()
        assert packet[:4] == data(number)
        peer.say(ack(number))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(unreachable(4, peer.client[1], peer.getsockname()[1]), ("127.0.0.1", 0))
    while packet[:4] != data(blocks):  # or one from the receive queue
        packet = peer.hear()
        assert packet[1] != ERROR
    peer.say(ack(blocks))
    while packet[:4] != data(blocks + 1):
        packet = peer.hear()
        assert packet[1] != ERROR
