"""A `sockeye serve` for a test, and clients for it.

    with Server("echo", "tcp://127.0.0.1:0", model="event") as server:
        with server.connect() as client:
            ...

No test sleeps to wait for an event: the addresses come from --ready-fd, the log is read
while it is written, and every wait ends after WAIT_S.
"""
import contextlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOCKEYE = os.environ.get("SOCKEYE", str(ROOT / "build" / "sockeye"))
BUILD = pathlib.Path(os.environ.get("SOCKEYE_BUILD", ROOT / "build"))
WAIT_S = 15
LISTED = [json.loads(line) for line in subprocess.run(
    [SOCKEYE, "serve", "--list", "--json"], capture_output=True, text=True,
    check=True).stdout.splitlines()]
SERVICES = [row["name"] for row in LISTED if row["event"] == "service"]
MODEL_FACTS = {row["name"]: row for row in LISTED if row["event"] == "model"}
MODELS = list(MODEL_FACTS)
LOOPS = [model for model in MODELS if MODEL_FACTS[model]["own_sockets"]]
# Otherwise the workers become nobody, who may not use the folders of tests.
KEEP_ROOT = ["--user", "root"] if os.geteuid() == 0 else []
SANITIZER = re.compile(rb"(Address|Thread|Leak)Sanitizer|runtime error: |Assertion `.*' failed")


def sanitized():
    """The paths of the sanitizer runtimes that the program is linked with."""
    listed = subprocess.run(["ldd", SOCKEYE], capture_output=True, text=True, check=False).stdout
    return re.findall(r"=> (\S*/lib[atu][a-z]*san\.so\S*)", listed)


def preload(*libraries):
    """The environment that preloads libraries. A sanitizer's runtime has to be the first one."""
    env = dict(os.environ, LD_PRELOAD=" ".join([*sanitized(), *map(str, libraries)]))
    # A process that a test kills does not free its memory: do not look for leaks.
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return env


def processes(model, workers):
    """The number of workers that a model starts for --workers `number`."""
    return 1 if MODEL_FACTS[model]["workers"] == 1 else workers


def at_once(model, workers, many):
    """The number of clients that the workers can serve at the same time."""
    return min(processes(model, workers), many) if MODEL_FACTS[model]["one_session"] else many


CONCURRENT = [model for model in MODELS if at_once(model, 2, 2) == 2]


def until(condition, what, timeout=WAIT_S):
    """Polls until condition() is true and returns its value, for states that cannot be waited
    for: /proc, a file, another process."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.005)
    return found


def parse(url):
    """Parses an address that sockeye printed. Returns the scheme and Python's socket name."""
    scheme, rest = re.fullmatch(r"([a-z-]+):(.*)", url).groups()
    if scheme.startswith("unix"):
        return scheme, ("\0" + rest[1:] if rest.startswith("@") else rest)
    host, port = re.fullmatch(r"//(.*):(\d+)", rest).groups()
    return scheme, (host.strip("[]"), int(port))


def new_socket(url):
    scheme, name = parse(url)
    family = (socket.AF_UNIX if scheme.startswith("unix")
              else socket.AF_INET6 if ":" in name[0] else socket.AF_INET)
    kind = {"tcp": socket.SOCK_STREAM, "unix": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM,
            "unix-dgram": socket.SOCK_DGRAM, "unix-seqpacket": socket.SOCK_SEQPACKET}[scheme]
    s = socket.socket(family, kind)
    s.settimeout(WAIT_S)
    return s


def connect(url, source=None):
    """A client's socket. Datagram sockets are connected, too."""
    s = new_socket(url)
    try:
        scheme, name = parse(url)
        if source:
            s.bind((source, 0))
        elif scheme == "unix-dgram":
            s.bind("")  # the kernel picks an abstract name, so that the server can reply
        s.connect(name)
    except BaseException:
        s.close()
        raise
    return s


def read_all(s):
    """The bytes received until the end of the stream."""
    parts = []
    while part := s.recv(1 << 18):
        parts.append(part)
    return b"".join(parts)


def read_n(s, n):
    got = bytearray()
    while len(got) < n:
        part = s.recv(min(n - len(got), 1 << 18))
        assert part, f"the end after {len(got)} of {n} bytes"
        got += part
    return bytes(got)


def ask(s, data):
    """Sends everything, half-closes, and returns all bytes received. Reads while it sends,
    because the server stops reading if its output is not read."""
    sender = threading.Thread(target=send_and_end, args=(s, data), daemon=True)
    sender.start()
    got = read_all(s)
    sender.join(WAIT_S)
    return got


def send_and_end(s, data):
    """Sends data and half-closes, even if the server has answered and closed already, like
    daytime."""
    with contextlib.suppress(OSError):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)


def same(got, wanted):
    """Checks that the bytes are equal; on failure, prints where they differ, not the bytes."""
    if got != wanted:
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b),
                  min(len(got), len(wanted)))
        raise AssertionError(f"{len(got)} bytes, not {len(wanted)}, and they differ at {at}: "
                             f"{bytes(got[at:at + 16])} instead of {bytes(wanted[at:at + 16])}")


def reset(s):
    """Closes with a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def closed(s):
    """Whether the server closed the connection, with or without a reset."""
    try:
        return s.recv(1) == b""
    except ConnectionError:
        return True


class Process:
    """The state of a process in /proc."""

    def __init__(self, pid):
        self.pid = pid

    def status(self, key):
        """A field of its status; an exiting process does not have all fields."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{key}:\s*(.*)$", text, re.M)
        return found[1] if found else "0"

    def rss_kib(self):
        return int(self.status("VmRSS").split()[0])

    def pss_kib(self):
        """Its memory, including its share of shared pages."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s*(\d+)", text, re.M)[1])

    def cpu_s(self):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
            fields = text.rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0

    def descriptors(self):
        """Its open files as /proc names them: "socket:[12345]"."""
        found = []
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/{self.pid}/fd/{name}"))
        return found

    def children(self):
        """Its child processes; a zombie counts until it is reaped."""
        with contextlib.suppress(FileNotFoundError):
            text = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            return [Process(int(pid)) for pid in text.split()]
        return []

    def descendants(self):
        return [p for child in self.children() for p in (child, *child.descendants())]

    def alive(self):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return self.status("State")[0] not in "ZX"
        return False

    def kill(self, sig=signal.SIGKILL):
        os.kill(self.pid, sig)

    def freeze(self):
        self.kill(signal.SIGSTOP)
        until(lambda: self.status("State")[0] == "T", f"{self.pid} stopped")

    def thaw(self):
        self.kill(signal.SIGCONT)


class Server(Process):
    """Runs `sockeye serve` with the given arguments and inherited descriptors. Other keywords
    are those of Popen."""

    def __init__(self, *args, model=None, inherit=(), **popen):
        ready, ready_child = os.pipe()
        options = ["--model", model] if model else []
        if "tftp" in args and "--user" not in args:
            options += KEEP_ROOT
        popen.setdefault("stderr", subprocess.PIPE)
        try:
            self.popen = subprocess.Popen(
                [SOCKEYE, "serve", *options, "--ready-fd", str(ready_child), *map(str, args)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                pass_fds=[ready_child, *inherit], **popen)
        finally:
            os.close(ready_child)
        super().__init__(self.popen.pid)
        self.clients = []
        self.words = bytearray()  # stderr so far
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        try:
            self.addresses = _read_end(ready).decode().splitlines()
            if not self.addresses:
                raise NotServing(self.wait(), bytes(self.words).decode(errors="replace"))
            # one line for each, written just before
            self.ready = [self.popen.stdout.readline().decode().strip()
                          for _ in self.addresses if "-q" not in args]
        except BaseException:
            self.end()
            raise
        finally:
            os.close(ready)

    def _read_stderr(self):
        while self.popen.stderr and (part := os.read(self.popen.stderr.fileno(), 1 << 16)):
            with self._told:
                self.words += part
                self._told.notify_all()
        with self._told:
            self._told.notify_all()

    # --- clients ---

    @property
    def address(self):
        return self.addresses[0]

    def find(self, scheme):
        return next(a for a in self.addresses if a.startswith(scheme + ":"))

    def connect(self, address=None, source=None):
        """A client, closed at the latest when the server is stopped."""
        client = connect(address or self.address, source)
        self.clients.append(client)
        return client

    def ask(self, data, address=None):
        with self.connect(address) as client:
            return ask(client, data)

    # --- the log ---

    def log(self):
        with self._told:
            return bytes(self.words).decode(errors="replace")

    def wait_log(self, pattern, count=1, timeout=WAIT_S):
        """Waits for `count` matches in the log and returns them."""
        deadline = time.monotonic() + timeout
        with self._told:
            while True:
                text = bytes(self.words).decode(errors="replace")
                found = list(re.finditer(pattern, text, re.M))
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                assert left > 0 and self._told.wait(left), \
                    f"{len(found)} of {count} {pattern!r} in the log:\n{text}"

    def counters(self):
        """The counters that the server reports on SIGUSR1."""
        before = len(re.findall(COUNTERS, self.log(), re.M))
        self.popen.send_signal(signal.SIGUSR1)
        return numbers(self.wait_log(COUNTERS, before + 1)[before][0])

    def wait_counters(self, **wanted):
        """Polls the counters until they have these values, which may be a moment after the
        client's last event."""
        last = {}

        def there():
            last.update(self.counters())
            return all(last[name] == value for name, value in wanted.items())

        try:
            until(there, wanted)
        except AssertionError:
            raise AssertionError(f"wanted {wanted}, counted {last}") from None
        return last

    # --- processes ---

    def workers(self, count=None):
        """Waits until there are `count` worker processes, and returns them."""
        if count is None:
            return self.children()
        return until(lambda: len(found := self.children()) == count and found,
                     f"{count} workers of {self.pid}: {self.log()}")

    # --- the end ---

    def wait(self, timeout=WAIT_S):
        """Waits until the server has exited, and returns its exit code."""
        code = self.popen.wait(timeout)
        self._reader.join(timeout)
        return code

    def stop(self, timeout=WAIT_S):
        """Stops the server and checks that it exits properly."""
        for client in self.clients:
            client.close()
        try:
            if self.popen.poll() is None:
                self.popen.terminate()
            code = self.wait(timeout)
            assert not SANITIZER.search(self.words), self.log()
            assert b"the sandbox denied" not in self.words, self.log()
            assert code == 0, f"exit code {code}:\n{self.log()}"
        finally:
            self.end()

    def end(self):
        """Kills every process that is left, however the test ended."""
        for client in self.clients:
            client.close()
        left = self.descendants()
        self.popen.kill()
        self.popen.wait()
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        self.popen.stdout.close()
        self._reader.join(WAIT_S)
        if self.popen.stderr:
            self.popen.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.end()
            print(self.log())


class NotServing(Exception):
    """The server exited instead of serving."""

    def __init__(self, code, words):
        super().__init__(f"exit code {code}: {words}")
        self.code, self.words = code, words


COUNTERS = r"^.*\bcounters\b.*\n"


def numbers(line):
    """The counters in a line of the log."""
    if line.startswith("{"):
        return {k: v for k, v in json.loads(line).items() if isinstance(v, int)}
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line)}


def _read_end(fd):
    """Reads until the end of file, with a time limit."""
    got, deadline = b"", time.monotonic() + WAIT_S
    while True:
        left = max(0, deadline - time.monotonic())
        assert select.select([fd], [], [], left)[0], f"--ready-fd stays open after {got!r}"
        part = os.read(fd, 4096)
        if not part:
            return got
        got += part
