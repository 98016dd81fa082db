"""A network namespace with a loopback interface, and shell commands inside it."""
import contextlib
import os
import pathlib
import signal
import subprocess
import time

import pytest

WAIT_S = 20
# With 127.0.0.1 and ::1 alone, getaddrinfo(3) with AI_ADDRCONFIG finds no address at all.
LOOPBACK = ("ip link set lo up && ip addr add 192.0.2.1/32 dev lo && "
            "ip addr add 2001:db8::1/128 dev lo")
UNSHARE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def can_unshare():
    return subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the servers change their user")
needs_namespace = pytest.mark.skipif(not can_unshare(), reason="cannot create network namespaces")


def until(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.02)


class Network:
    """Runs commands in a folder, in a namespace that a sleeping process keeps."""

    def __init__(self, folder, program):
        self.folder = folder
        self.env = dict(os.environ, PATH=f"{program.parent}:{os.environ['PATH']}:/usr/sbin:/sbin")
        self.keeper = subprocess.Popen(
            [*UNSHARE, "sh", "-c", f"{LOOPBACK} && echo up && exec sleep 600"],
            stdout=subprocess.PIPE, text=True, env=self.env)
        assert self.keeper.stdout.readline() == "up\n"
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.enter = ["nsenter", f"--target={self.keeper.pid}", "--net", *user]

    def close(self):
        self.keeper.kill()
        self.keeper.communicate()

    def start(self, command, stdin=subprocess.DEVNULL):
        """A shell command in the background, as the leader of a process group."""
        return subprocess.Popen([*self.enter, "bash", "-c", command], cwd=self.folder, env=self.env,
                                stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True)

    def run(self, command, data=b""):
        """Runs a shell command to its end: its status, output and standard error."""
        process = self.start(command, subprocess.PIPE)
        try:
            output, errors = process.communicate(data, timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"never ends: {command}: {process.communicate()}")
        return process.returncode, output, errors

    def bound(self, protocol, port):
        """Whether a socket is bound to a port: one that listens, if it is TCP."""
        for version in ("", "6"):
            table = pathlib.Path(f"/proc/{self.keeper.pid}/net/{protocol}{version}")
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].split(":")[1], 16) == port and fields[3] in ("0A", "07"):
                    return True
        return False

    def listens_at(self, path):
        """Whether a UNIX socket listens at a path, as the server wrote it."""
        rows = pathlib.Path(f"/proc/{self.keeper.pid}/net/unix").read_text().splitlines()
        return any(row.split()[3] == "00010000" and row.endswith(f" {path}") for row in rows[1:])

    def written(self, name):
        """Whether a file in the folder exists and is not empty."""
        path = self.folder / name
        return path.exists() and path.stat().st_size > 0

    @contextlib.contextmanager
    def serving(self, command, ready, data=b""):
        """A server once ready() is true. Its output is in `said` afterwards."""
        process = self.start(command, subprocess.PIPE)
        process.said = b""
        try:
            process.stdin.write(data)
            process.stdin.flush()
            until(lambda: ready() or process.poll() is not None, command)
            assert process.poll() is None, (command, process.stderr.read())
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.said, process.errors = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.said, process.errors = process.communicate()


@contextlib.contextmanager
def network(folder, program):
    made = Network(folder, program)
    try:
        yield made
    finally:
        made.close()
