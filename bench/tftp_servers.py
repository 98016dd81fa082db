"""Starts and stops the measured TFTP servers, and names the clients' commands."""
import os
import shutil
import signal
import socket
import subprocess
import time

import measure
from contenders import CFLAGS, HERE, KEEP_ROOT, free_port

NICE = [0]
RUNNING = set()
PROBE = b"\0\1probe\0octet\0"


def build(out):
    """Compiles the measuring client and the yardstick."""
    out.mkdir(parents=True, exist_ok=True)
    for program, *sources in (("tftp_get", "tftp_download"), ("tftp_send",)):
        paths = [HERE / "limit" / f"{name}.c" for name in (program, *sources)]
        subprocess.run(["gcc", *CFLAGS, *paths, "-o", out / program], check=True)


def pinned(cpu):
    """Returns the command prefix that runs a program on CPU `cpu`, with
    --nice's niceness. A low niceness keeps other processes from disturbing it."""
    nice = NICE[0]
    return ["taskset", "-c", str(cpu), *(["nice", "-n", str(nice)] if nice else [])]


class Server:
    """A server pinned to one CPU, in a control group that counts the
    CPU time of the server and all its children."""

    def __init__(self, name, command, port=None):
        self.name, self.command, self.fixed = name, [str(word) for word in command], port
        self.process = self.port = self.group = None

    def available(self):
        return shutil.which(self.command[0]) is not None

    def start(self, cpu=0):
        """Starts the server; returns whether it answers a read request."""
        self.port = self.fixed or free_port(socket.SOCK_DGRAM)
        command = [word.replace("PORT", str(self.port)) for word in self.command]
        self.process = subprocess.Popen(
            [*pinned(cpu), *command], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        RUNNING.add(self)
        ready = self.answers()
        self.group = measure.Group(self.process.pid)
        return ready

    def answers(self, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.settimeout(0.3)
                try:
                    probe.sendto(PROBE, ("127.0.0.1", self.port))
                    packet, sender = probe.recvfrom(1024)
                except OSError:
                    continue
                if packet[:4] == b"\0\3\0\1":  # a file of one block
                    probe.sendto(b"\0\4\0\1", sender)
                    return True
        return False

    @property
    def pid(self):
        return self.process.pid

    def cpu(self):
        return self.group.cpu()

    def move(self, cpu):
        for member in measure.tree(self.pid):
            subprocess.run(["taskset", "-a", "-p", "-c", str(cpu), str(member)],
                           capture_output=True)

    def stop(self):
        if self.process is None:
            return
        children = [pid for pid in measure.tree(self.pid) if pid != self.pid]
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in children:  # unfinished transfers of servers that fork
            measure.kill(pid)
        if self.group:
            self.group.remove()
        self.process = None
        RUNNING.discard(self)


def stop_all():
    for server in list(RUNNING):
        server.stop()


def limit(out, root):
    return Server("limit", [out / "tftp_send", "PORT", root])


def sockeye(program, root, *options, name="sockeye"):
    return Server(name, [program, "serve", "tftp", "udp://127.0.0.1:PORT", "--root", root, *KEEP_ROOT,
                         "--max-transfers", "4000", *options])


def relay(program, server, rules):
    """Returns a sockeye relay in front of a server; clients use it like a server."""
    return Server("relay", [program, "relay", "udp://127.0.0.1:PORT",
                            f"udp://127.0.0.1:{server.port}", *rules])


def peers(build_folder, root):
    """Returns the other TFTP servers. Their limits allow a thousand clients, and
    they log no transfers."""
    unpacked = build_folder / "peers"
    return [
        Server("atftpd", [unpacked / "atftpd/usr/sbin/atftpd", "--daemon", "--no-fork",
                          "--port", "PORT", "--bind-address", "127.0.0.1", "--maxthread", "4000",
                          "--user", "root.root", "--logfile", "/dev/null", "--verbose=0", root]),
        Server("tftpd-hpa", [unpacked / "tftpd-hpa/usr/sbin/in.tftpd", "-L", "-a",
                             "127.0.0.1:PORT", "-u", "root", "-s", root]),
        Server("dnsmasq", ["dnsmasq", "-k", "--conf-file=/dev/null", "--port=0", "--enable-tftp",
                           f"--tftp-root={root}", "--tftp-max=4000", "--user=root", "--group=",
                           "--pid-file=", "--quiet-tftp", "--listen-address=127.0.0.1",
                           "--bind-interfaces"], port=69),
    ]


def client(kind, program, server, blksize, window, remote, local):
    """Returns the client command that gets a file."""
    if kind == "sockeye":
        return [program, "get", "--blksize", str(blksize), "--window", str(window), "-o", local,
                f"tftp://127.0.0.1:{server.port}/{remote}"]
    return ["atftp", "--option", f"blksize {blksize}", "--option", f"windowsize {window}",
            "--get", "--remote-file", remote, "--local-file", local, "127.0.0.1",
            str(server.port)]
