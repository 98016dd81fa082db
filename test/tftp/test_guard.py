"""Guards of the server against forged addresses and clients that hold slots, and the innocent
clients that they must not hit."""
import contextlib
import os
import resource
import select
import socket
import subprocess
import time

import pytest

from shared import SOCKEYE, WAIT_S, until
from wire import ack, data, error, free_range, oack, readable, rrq, wrq

TEXT = bytes(i * 11 % 253 for i in range(1 << 20))


@pytest.fixture
def hosts(netns):  # pylint: disable=unused-argument
    """A namespace in which every address of 10.77.0.0/16 is local but none is loopback: the
    server takes them for other hosts. Returns the i-th address."""
    subprocess.run(["ip", "route", "add", "local", "10.77.0.0/16", "dev", "lo"], check=True)
    return lambda i: f"10.77.{1 + i // 250}.{1 + i % 250}"


def heard_until(peer, over):
    """The datagrams that arrive until over() is true."""
    packets, deadline = [], time.monotonic() + 60
    while not over():
        assert time.monotonic() < deadline
        while readable(peer.sock, 0.05):
            packets.append(peer.sock.recv(1 << 17))
    return packets


# --- what a forged address receives: sockeye-tftp(7) states both limits ---

@pytest.mark.parametrize("options", [
    "blksize=65464 windowsize=64", "blksize=1428 windowsize=8 timeout=1 tsize=0 rollover=0",
    "blksize2=32768 windowsize=65535 utimeout=50000 tsize=0", "windowsize=9", "blksize=1500"])
def test_forged_ack_with_a_single_port(serve, options):
    """A request and ACK 0, then silence: at most 16 KiB."""
    server = serve("--single-port", "--give-up", "6s", "--workers", "1")
    server.put_file("f", TEXT)
    peer = server.peer()
    peer.asks(rrq("f", options))
    assert peer.hears()[1] == 6
    peer.says(ack(0))
    packets = heard_until(peer, server.transfers)
    assert sum(map(len, packets)) <= 16 * 1024 - 100
    assert {len(packet) for packet in packets if packet[1] == 3} <= {1432, 1028, 516}
    blocks = [packet for packet in packets if packet[1] == 3]
    assert len(set(blocks)) <= 8 and len(blocks) <= len(set(blocks)) + 3
    done = server.transfer(result="failed")
    assert done["blksize"] <= 1428 and done["windowsize"] <= 8


@pytest.mark.parametrize("options", ["", "blksize=65464 windowsize=64 timeout=255 tsize=0"])
@pytest.mark.parametrize("single", [False, True])
def test_forged_request(serve, options, single):
    """A request alone: at most 3 KiB."""
    server = serve("--timeout", "50ms", "--give-up", "5s", *["--single-port"] * single)
    server.put_file("f", TEXT)
    peer = server.peer()
    peer.asks(rrq("f", options))
    assert sum(map(len, heard_until(peer, server.transfers))) <= 3 * 1024


@pytest.mark.parametrize("ask", [rrq, wrq])
def test_single_port_grants_little(serve, ask):
    server = serve("--single-port", "--overwrite", "--window-max", "64")
    server.put_file("f", TEXT)
    peer = server.peer()
    peer.asks(ask("f", "blksize=8192 windowsize=32"))
    peer.gets(oack("blksize=1428 windowsize=8"))


def test_trusted_networks(serve, tmp_path):
    """A policy lifts the limits of --single-port, and the rate, for one network."""
    (tmp_path / "policy").write_text("127.0.0.8/29 trusted\n")
    server = serve("--single-port", "--policy", tmp_path / "policy", "--request-rate", "1",
                   url="udp://0.0.0.0:0")
    server.put_file("f", TEXT[:30_000])
    for _ in range(20):
        peer = server.peer(("127.0.0.1", server.port), source=("127.0.0.9", 0))
        got = server.get("f", "blksize=8192 windowsize=32", peer=peer)
        assert got.content == TEXT[:30_000]
    other = server.peer(("127.0.0.1", server.port))
    other.asks(rrq("f", "blksize=8192 windowsize=32"))
    other.gets(oack("blksize=1428 windowsize=8"))


def test_throughput_with_a_single_port(serve):
    """Losses are repaired, also of whole windows and of the last block of a window."""
    server = serve("--single-port")
    server.put_file("f", TEXT)
    lose = {3, *range(17, 25), 40, *range(96, 104), 200, 735}
    got = server.get("f", "blksize=1428 windowsize=8", lose=lose, wait=0.5)
    assert got.content == TEXT
    assert got.packets < 735 + 12 * len(lose)


def test_an_answer_returns_a_token(serve):
    """An answer proves an address only if it was sent to a port that only the client
    sees: otherwise the request still counts."""
    def served(server):
        server.put_file("f", TEXT[:600])
        for i in range(30):
            peer = server.peer()
            peer.asks(rrq("f"))
            if peer.hears(0.3) is None:
                return i
            peer.says(ack(1))
            peer.gets(data(2, TEXT[512:600]))
            peer.says(ack(2))
        return 30
    assert served(serve("--request-rate", "4")) == 30
    assert 8 <= served(serve("--request-rate", "4", "--single-port")) < 30


# --- slots ---

def served(peer, packet, wanted):
    """Repeats a request, like a client does, until it is answered."""
    for _ in range(40):
        peer.asks(packet)
        if peer.hears(0.5) == wanted:
            return True
    return False


@pytest.mark.parametrize("limit", [["--max-transfers", "4"], ["--max-per-source", "4"],
                                   ["--port-range"]], ids=lambda limit: limit[0])
def test_stalled_transfers_give_way(serve, limit, free_ports):
    """Clients that negotiate a timeout of 255 s, answer once and are silent hold no slot that
    another one needs. One that moves keeps its slot."""
    if limit == ["--port-range"]:
        limit = ["--port-range", free_ports(4)]
    server = serve("--workers", "1", *limit)
    server.put_file("f", TEXT[:50_000])
    silent = [server.peer() for _ in range(3)]
    for peer in silent:
        peer.asks(rrq("f", "timeout=255"))
        peer.gets(oack("timeout=255"))
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:512]))
    moving = server.peer()
    moving.asks(rrq("f", "timeout=255"))
    moving.gets(oack("timeout=255"))
    block, deadline, honest = 0, time.monotonic() + WAIT_S, server.peer()
    while time.monotonic() < deadline:
        moving.says(ack(block))
        block += 1
        moving.gets(data(block, TEXT[block * 512 - 512:block * 512]))
        honest.asks(rrq("f", "blksize=1024"))
        if honest.hears(0.3) == oack("blksize=1024"):
            break
        time.sleep(0.3)
    dropped = server.transfer(text="dropped to make room for another transfer")
    assert dropped["peer"] in {f"udp://127.0.0.1:{peer.port}" for peer in silent}
    honest.says(ack(0))
    honest.gets(data(1, TEXT[:1024]))
    moving.says(ack(block))
    moving.gets(data(block + 1, TEXT[block * 512:block * 512 + 512]))


@pytest.fixture
def free_ports():
    def find(count):
        first = free_range(count)
        return f"{first}-{first + count - 1}"
    return find


def test_unconfirmed_requests_leave_ports(serve, free_ports):
    """Requests without an answer do not fill a range of ports."""
    server = serve("--workers", "1", "--port-range", free_ports(5))
    server.put_file("f", TEXT[:3000])
    forged = [server.peer() for _ in range(40)]
    for peer in forged:
        peer.asks(rrq("f", "timeout=255"))
    assert served(server.peer(), rrq("f", "blksize=1024"), oack("blksize=1024"))
    assert server.answers()


@pytest.mark.parametrize("single", [False, True])
def test_descriptors_run_out(serve, single):
    """With few descriptors, unconfirmed requests give way, and refused requests get an ERROR."""
    limit = (64, 64)
    server = serve("--workers", "1", *["--single-port"] * single,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))
    for i in range(100):
        server.put_file(f"f{i}", TEXT[:3000])
    forged = [server.peer() for _ in range(100)]
    for i, peer in enumerate(forged):
        peer.asks(rrq(f"f{i}", "timeout=255"))
    honest = server.peer()
    assert served(honest, rrq("f7", "blksize=1024"), oack("blksize=1024"))
    honest.says(ack(0))
    honest.gets(data(1, TEXT[:1024]))
    asking = server.peer()
    asking.asks(rrq("nothing"))
    asking.gets_error(1)


def test_descriptors_held_by_moving_clients(serve):
    """If no transfer may be dropped, the request gets an ERROR, from the port it was sent
    to."""
    server = serve("--workers", "1", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (48, 48)))
    for i in range(60):
        server.put_file(f"f{i}", TEXT[:3000])
    moving = []
    for i in range(60):
        peer = server.peer()
        peer.asks(rrq(f"f{i}", "timeout=255"))
        packet = peer.hears()
        if packet[1] == 5:
            assert peer.tid == server.name
            break
        peer.says(ack(0))
        peer.gets(data(1, TEXT[:512]))
        moving.append(peer)
    assert 5 < len(moving) < 60
    for peer in moving:
        peer.says(ack(1))
        peer.gets(data(2, TEXT[512:1024]))


@pytest.mark.parametrize("options", ["", "timeout=255", "timeout=1"])
def test_give_up(serve, options):
    """--give-up limits the silence, also with a long negotiated timeout."""
    server = serve("--give-up", "2s")
    server.put_file("f", TEXT)
    peer = server.peer()
    peer.asks(rrq("f", options))
    if options:
        peer.gets(oack(options))
        peer.says(ack(0))
    peer.gets(data(1, TEXT[:512]))
    peer.says(ack(1))
    peer.gets(data(2, TEXT[512:1024]))
    event = server.transfer(result="failed", text="the client stopped answering")
    assert 1.9 < event["seconds"] < 8


# --- what cannot amplify is free, and every drop is logged ---

def dropped(server):
    """The number of dropped requests in the log."""
    return sum(int(event["text"].split()[0]) for event in server.events(event="refuse"))


@pytest.mark.parametrize("single", [False, True])
def test_errors_are_free(serve, hosts, single):
    """300 PXE clients behind one NAT: each tries ten names that are missing, and no ERROR is
    dropped."""
    server = serve("--workers", "2", *["--single-port"] * single, url="udp://10.77.0.1:0")
    server.put_file("pxelinux.0", TEXT[:20_000])
    clients = [server.peer(source=(hosts(7), 0)) for _ in range(300)]
    for i in range(10):
        for peer in clients:
            peer.asks(rrq(f"pxelinux.cfg/01-52-54-00-12-34-{i:02x}", "tsize=0 blksize=1408"))
        for peer in clients:
            packet = peer.hears(2)
            while packet is None:  # a full queue of the kernel may drop a datagram
                peer.asks(rrq(f"pxelinux.cfg/01-52-54-00-12-34-{i:02x}"))
                packet = peer.hears(2)
            assert packet[:4] == b"\0\5\0\1"
    assert not server.events(event="refuse")
    for peer in clients:
        peer.asks(rrq("pxelinux.0", "tsize=0 blksize=1408"))
    if single:  # those above the rate are dropped, and the log reports it
        answered = set()

        def all_accounted_for():
            answered.update(peer for peer in clients if peer.hears(0))
            return len(answered) + dropped(server) >= 0.9 * len(clients) and dropped(server) > 0
        until(all_accounted_for, "a reply or a line about each")
        assert len(answered) >= 150
        for event in server.events(event="refuse"):
            assert "--request-rate" in event["text"] and event["client"] == hosts(7)
    else:
        assert sum(peer.hears(2) is not None for peer in clients) >= 0.9 * len(clients)
        assert not server.events(event="refuse")
        assert server.counters()["dropped_rate"] == 0


def test_error_above_the_rate_is_cut(serve):
    """An ERROR that would be longer than its request."""
    server = serve("--request-rate", "1")
    texts = []
    for _ in range(8):
        peer = server.peer()
        peer.asks(rrq("x"))
        texts.append(peer.gets_error(1))
    assert texts[0] == b"File not found" and texts[-1] == b"File not found"[:len(rrq("x")) - 5]


def test_oack_above_the_rate_is_sent_once(serve):
    """A request whose reply is no longer is served, but its reply is not repeated."""
    server = serve("--request-rate", "1", "--timeout", "50ms", "--workers", "1")
    server.put_file("file", TEXT[:5000])
    asking = rrq("file", "blksize=1024 tsize=0")
    for _ in range(8):
        server.peer().asks(asking)
    peer = server.peer()
    peer.asks(asking)
    peer.gets(oack("blksize=1024 tsize=5000"))
    peer.silent(0.5)
    peer.asks(asking)
    peer.gets(oack("blksize=1024 tsize=5000"))
    peer.says(ack(0))
    peer.gets(data(1, TEXT[:1024]))


def test_every_drop_is_logged(serve, netns):  # pylint: disable=unused-argument
    """One line a second and reason, with the option that changes it and the number."""
    server = serve("--request-rate", "1", "--workers", "1", url="udp://0.0.0.0:0")
    server.put_file("f", TEXT)
    there, begun = ("127.0.0.1", server.port), time.monotonic()
    for _ in range(300):
        server.peer(there).asks(rrq("f"))
    until(lambda: dropped(server) >= 200, "most drops counted")
    lines = server.events(event="refuse")
    assert len(lines) <= 2 + time.monotonic() - begun
    assert all("--request-rate" in line["text"] for line in lines)
    sender = server.peer(("127.255.255.255", server.port))
    sender.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.asks(rrq("f"))
    until(lambda: any("--broadcast" in e["text"] for e in server.events(event="refuse")),
          "a line about the broadcast")


# --- crowds in a namespace ---

LATE_S = 0.25  # a turn of the loop that serves 300 machines takes much less


class Machine:
    """A PXE client: asks for the size, tries a name that is missing, and fetches the file. It
    repeats a request or an ACK after a second of silence, like a ROM."""

    def __init__(self, to, source, size):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        self.sock.bind((source, 0))
        self.sock.setblocking(False)
        self.to, self.size, self.parts, self.following = to, size, 0, 1
        self.packets = self.repeats = 0
        self.right = True
        self.steps = [rrq("boot/image", "tsize=0 blksize=1408"),
                      rrq("boot/image.sig", "tsize=0 blksize=1408"),
                      rrq("boot/image", "blksize=1408 windowsize=4")]
        self.ask()

    def ask(self):
        self.asked = time.monotonic()
        self.sock.sendto(self.steps[0], self.to)

    def next_step(self):
        self.steps.pop(0)
        if self.steps:
            self.ask()

    def take(self, packet, source, late):
        """Handles a packet. Returns whether the machine has booted. `late`: this process was
        late, so the packet may be a repetition that this process has caused."""
        if len(self.steps) > 1:
            if packet[1] == 6 and len(self.steps) == 3:
                self.sock.sendto(error(8, "User aborted the transfer"), source)
                self.next_step()
            elif packet[1] == 5 and len(self.steps) == 2:
                self.next_step()
            return False
        self.tid, self.heard = source, time.monotonic()
        if packet[1] == 6:
            self.asked = None
            self.sock.sendto(ack(0), source)
        if packet[1] != 3:
            return False
        self.asked = None
        self.packets += 1
        number = packet[2] << 8 | packet[3]
        if number != self.following:
            self.repeats += not late
            if (number - self.following) & 0xffff < 0x8000:
                self.sock.sendto(ack(self.following - 1), source)
            return False
        at = (number - 1) * 1408
        self.right = self.right and packet[4:] == TEXT[at:at + 1408]
        self.following += 1
        last = len(packet) < 1412
        if last or number % 4 == 0:
            self.sock.sendto(ack(number), source)
        return last


def boot(machines):
    """Runs all machines until they have booted."""
    poll, left, deadline = select.epoll(), {}, time.monotonic() + 120
    late, now = 0, time.monotonic()
    for machine in machines:
        left[machine.sock.fileno()] = machine
        poll.register(machine.sock, select.EPOLLIN)
    while left:
        assert time.monotonic() < deadline, f"{len(left)} machines have not booted"
        for fd, _ in poll.poll(0.2):
            machine = left[fd]
            with contextlib.suppress(BlockingIOError):
                for _ in range(16):
                    if machine.take(*machine.sock.recvfrom(2048), late > 0):
                        poll.unregister(fd)
                        del left[fd]
                        break
        # On a busy machine this process may not run for a while. What the server repeats
        # meanwhile arrives in this turn and, if the queues were full, in the next one.
        late = 2 if time.monotonic() - now > LATE_S else late - 1
        now = time.monotonic()
        for machine in left.values():
            if machine.asked is not None and now - machine.asked > 1:
                machine.ask()
            elif machine.asked is None and now - machine.heard > 1:
                machine.heard = now
                machine.sock.sendto(ack(machine.following - 1), machine.tid)


@pytest.mark.parametrize("options", [[], ["--single-port"]], ids=["own ports", "one port"])
def test_rack_that_boots(serve, hosts, options):
    """300 PXE clients with separate addresses fetch 1 MiB each: no failure, and few
    packets are superfluous."""
    size = len(TEXT)
    server = serve(*options, url="udp://10.77.0.1:0")
    server.put_file("boot/image", TEXT)
    machines = [Machine(server.name, hosts(i), size) for i in range(300)]
    boot(machines)
    assert all(machine.right for machine in machines)
    assert {machine.following for machine in machines} == {size // 1408 + 2}
    packets = sum(machine.packets for machine in machines)
    assert sum(machine.repeats for machine in machines) <= packets / 100
    until(lambda: len(server.transfers(result="done")) == 300, "a line for each")
    assert not [e for e in server.transfers(result="failed") if e["bytes"] > 0]
    for machine in machines:
        machine.sock.close()


# --- rules for names ---

def test_expensive_names(serve, tmp_path):
    """Names that make rules expensive do not delay other clients for long, and ordinary names
    are served meanwhile."""
    (tmp_path / "rules").write_text("a ([a-z]*[a-z]*[0-9]){1}$ no\n" * 7)
    server = serve("--workers", "1", "--map", tmp_path / "rules")
    server.put_file("f", b"yes")
    costly = rrq("/".join(["q" * 121] * 3) + "-")
    attacker, honest = server.peer(), server.peer()
    begun = time.monotonic()
    for _ in range(150):
        attacker.sock.sendto(costly, server.name)
    assert served(honest, rrq("f"), data(1, b"yes"))
    assert time.monotonic() - begun < 6
    until(lambda: [e for e in server.transfers(result="refused")
                   if "--map, line" in e["text"] and "too long" in e["text"]], "a refusal")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("rules, name", [
    ("a ([a-z]*[a-z]*[0-9]){1}$ no\n" * 5, "/".join(["w" * 100] * 4) + "-"),
    ("r ^((x+x+)+y|b)$ c\n" * 3, "x" * 240 + "z"),
    ("rg (.*.*.*)[=;]$ c\n" * 2, "e" * 300)], ids=["parts", "nested", "global"])
def test_expensive_names_have_a_budget_per_second(serve, tmp_path, rules, name):
    """Each of 2,000 requests may use 10 ms, but all together 100 ms per second. The budget counts
    the time of the server, so this test does, too."""
    (tmp_path / "rules").write_text(rules)
    server = serve("--workers", "1", "--map", tmp_path / "rules")
    server.put_file("f", b"yes")
    assert server.answers("f")
    worker, attacker, sent = server.pids()[1], server.peer(), 0
    begun, before = time.monotonic(), cpu_s(worker)
    while sent < 2000:
        for _ in range(50):
            attacker.sock.sendto(rrq(name), server.name)
            sent += 1
        assert served(server.peer(), rrq("f"), data(1, b"yes"))
    took, used = time.monotonic() - begun, cpu_s(worker) - before
    assert used < 4 + took / 10, (used, took)
    until(lambda: [e for e in server.transfers(result="refused")
                   if e["text"].startswith("--map, line") and "too long" in e["text"]], "a refusal")


def test_no_jit():
    """PCRE2's JIT needs memory that is writable and executable, which a sandbox forbids."""
    said = subprocess.run(["nm", "-D", "--undefined-only", SOCKEYE], capture_output=True,
                          text=True, check=True).stdout
    assert "pcre2_match_8" in said and "jit" not in said


# --- the log ---

def test_client_and_port_in_json(serve):
    server = serve(url="udp://*:0")
    server.put_file("f", b"x")
    peer = server.peer(("127.0.0.1", server.port))
    assert server.get("f", peer=peer).content == b"x"
    event = server.transfer(result="done")
    assert (event["client"], event["client_port"]) == ("127.0.0.1", peer.port)
    six = server.peer(("::1", server.port))
    six.asks(rrq("nothing"))
    six.gets_error(1)
    event = server.transfer(result="refused")
    assert (event["client"], event["client_port"]) == ("::1", six.port)


def test_quotes_in_the_text_log(serve):
    """A name cannot end its quotation and add fields to the line."""
    server = serve("--upload", log="text")
    peer = server.peer()
    peer.asks(rrq('f" done bytes=1 "\\'))
    peer.gets_error(1)
    server.put_file("f", TEXT)
    peer.asks(rrq("f", "blksize=1024"))
    peer.gets(oack("blksize=1024"))
    peer.says(error(0, 'no" "thanks'))
    until(lambda: b"thanks" in server.log.read_bytes(), "both lines")
    text = server.log.read_text()
    assert r'get "f\" done bytes=1 \"\\" refused' in text
    assert r'"no\" \"thanks"' in text
