"""Starts and stops the measured servers: sockeye, the yardsticks and the peers."""
import atexit
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LIMITS = {"epoll": "epoll_echo", "uring": "uring_echo", "thread": "thread_echo",
          "recvmmsg": "recvmmsg_echo"}
CFLAGS = ["-O2", "-g", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wshadow",
          "-Wconversion"]

# The other servers also stay root, and the directories are not for anyone else.
KEEP_ROOT = ["--user", "root"] if os.geteuid() == 0 else []


def build(out, want_peers=True):
    """Compiles the yardsticks, and the peers whose libraries are installed."""
    out.mkdir(parents=True, exist_ok=True)
    for name in [*LIMITS.values(), "calibrate"]:
        libs = ["-luring"] if name == "uring_echo" else ["-pthread"]
        subprocess.run(["gcc", *CFLAGS, HERE / "limit" / f"{name}.c", "-o", out / name, *libs],
                       check=True)
    if not want_peers:
        return
    for name, lib in (("libuv_echo", "-luv"), ("libevent_echo", "-levent")):
        subprocess.run(["gcc", *CFLAGS, HERE / "peers" / f"{name}.c", "-o", out / name, lib],
                       stderr=subprocess.DEVNULL, check=False)
    if shutil.which("go"):
        subprocess.run(["go", "build", "-o", out / "go_echo", HERE / "peers" / "go_echo.go"],
                       env={**os.environ, "GOCACHE": str(out.resolve() / "go-cache")}, check=False)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port, kind, seconds=10):
    """Returns whether the port echoes a byte within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.settimeout(0.5)
            try:
                probe.connect(("127.0.0.1", port))
                probe.send(b"?")
                if probe.recv(1) == b"?":
                    return True
            except OSError:
                time.sleep(0.02)
    return False


class Contender:
    """A server pinned to one CPU. `yardstick` names the program in
    bench/limit that it is compared with."""

    def __init__(self, name, command, yardstick, kind=socket.SOCK_STREAM, ready="probe"):
        self.name, self.command, self.yardstick = name, command, yardstick
        self.kind, self.ready = kind, ready
        self.process = self.port = self.model = None

    @property
    def url(self):
        scheme = "tcp" if self.kind == socket.SOCK_STREAM else "udp"
        return f"{scheme}://127.0.0.1:{self.port}"

    def available(self):
        return shutil.which(str(self.command[0])) is not None

    def start(self, cpu=0):
        """Starts the server; returns whether it answers an echo request."""
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        self.port = 0
        command = [str(word) for word in self.command]
        if self.ready == "probe":
            self.port = free_port(self.kind)
            command = [word.replace("PORT", str(self.port)) for word in command]
        stdout, fds = subprocess.DEVNULL, ()
        if self.ready != "probe":
            stdout = subprocess.PIPE
        if self.ready == "fd":
            reader, writer = os.pipe()
            command += ["--ready-fd", str(writer)]
            fds = (writer,)
        self.process = subprocess.Popen(pin + command, stdin=subprocess.DEVNULL, stdout=stdout,
                                        stderr=subprocess.DEVNULL, pass_fds=fds)
        atexit.register(self.stop)  # also after an interrupt
        if self.ready == "stdout":
            self.port = int(self.process.stdout.readline() or 0)
        if self.ready == "fd":
            os.close(writer)
            with os.fdopen(reader) as lines:
                self.port = int(lines.readline().strip().rpartition(":")[2] or 0)
            self.model = self.process.stdout.readline().decode().rpartition(" ")[2].strip()
        return self.port != 0 and answers(self.port, self.kind)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


def limit(out, kind):
    sort = socket.SOCK_DGRAM if kind == "recvmmsg" else socket.SOCK_STREAM
    return Contender(f"limit {kind}", [out / LIMITS[kind], "0"], kind, sort, "stdout")


YARDSTICKS = {"event": "epoll", "uring": "uring"}


def sockeye(program, model, scheme="tcp", workers=1):
    sort = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
    yardstick = "recvmmsg" if scheme == "udp" else YARDSTICKS.get(model, "thread")
    command = [program, "serve", "echo", f"{scheme}://127.0.0.1:0", "--model", model, *KEEP_ROOT]
    if model in ("event", "uring", "prefork"):
        command += ["--workers", str(workers)]
    return Contender(f"sockeye {model}", command, yardstick, sort, "fd")


def serves(program, model):
    """Returns whether this kernel supports the model: sockeye falls back to event otherwise."""
    server = sockeye(program, model)
    try:
        return server.start(cpu=None) and server.model == model
    finally:
        server.stop()


XINETD = """defaults
{{
	instances = UNLIMITED
	per_source = UNLIMITED
	cps = 1000000 1
}}
service echo
{{
	type = INTERNAL UNLISTED
	id = echo-{kind}
	port = {port}
	bind = 127.0.0.1
	socket_type = {kind}
	protocol = {protocol}
	wait = {wait}
	user = root
}}
"""


class Xinetd(Contender):
    """xinetd's built-in echo. It forks for each connection and answers datagrams itself."""

    def __init__(self, kind):
        super().__init__("xinetd", [shutil.which("xinetd") or "/usr/sbin/xinetd", "-dontfork", "-f",
                                    "CONFIG"],
                         "thread" if kind == socket.SOCK_STREAM else "recvmmsg", kind)

    def start(self, cpu=0):
        stream = self.kind == socket.SOCK_STREAM
        port = free_port(self.kind)
        text = XINETD.format(kind="stream" if stream else "dgram", port=port,
                             protocol="tcp" if stream else "udp", wait="no" if stream else "yes")
        with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as config:
            config.write(text)
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        self.port = port
        self.process = subprocess.Popen(
            [*pin, *self.command[:-1], config.name], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ready = answers(port, self.kind)
        os.unlink(config.name)
        return ready


def peers(out):
    """Returns the installed TCP peers, the fastest first."""
    found = [
        Contender("libuv try_write", [out / "libuv_echo", "try", "PORT"], "epoll"),
        Contender("libuv guide", [out / "libuv_echo", "guide", "PORT"], "epoll"),
        Contender("libevent", [out / "libevent_echo", "PORT"], "epoll"),
        Contender("Go net", [out / "go_echo", "PORT"], "epoll"),
        Contender("node", ["node", HERE / "peers" / "node_echo.js", "PORT"], "epoll"),
        Xinetd(socket.SOCK_STREAM),
        Contender("socat fork", ["socat", "TCP-LISTEN:PORT,bind=127.0.0.1,fork,reuseaddr,"
                                 "nodelay,backlog=4096", "PIPE"], "thread"),
        Contender("ncat -k -e", ["ncat", "-l", "-k", "-m", "1100", "-e", "/bin/cat", "127.0.0.1",
                                 "PORT"], "thread"),
    ]
    return [peer for peer in found if peer.available()]
