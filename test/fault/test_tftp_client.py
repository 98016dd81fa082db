"""Each system call of get and put fails once, with each error it can return: no crash, no hang,
a message, and never a partial file."""
import collections
import errno
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from serving import SANITIZER, SOCKEYE, Server, preload, sanitized

BLKSIZE, BLOCKS = 1024, 11
CONTENT = bytes(i % 251 for i in range(BLKSIZE * (BLOCKS - 1) + 5))
LIMIT_S = 20
HURRY = ["--timeout", "50ms", "--retries", "3", "--blksize", str(BLKSIZE), "--window", "4"]

ERRORS = {
    "eventfd2": "EMFILE", "fcntl": "EMFILE", "getrandom": "ENOSYS", "getsockopt": "ENOBUFS",
    "socket": "EMFILE ENFILE ENOBUFS EAFNOSUPPORT", "setsockopt": "ENOBUFS ENOPROTOOPT",
    "bind": "EADDRINUSE EACCES", "connect": "ENETUNREACH", "ppoll": "EINTR ENOMEM",
    "sendmsg": "EINTR EAGAIN ENOBUFS EPERM ENETUNREACH ECONNREFUSED",
    "recvmsg": "EINTR EAGAIN ENOMEM ECONNREFUSED",
    "openat": "EMFILE EACCES ENOENT", "newfstatat": "EACCES ENOENT", "pwritev": "EINTR ENOSPC EIO",
    "linkat": "EACCES ENOSPC", "renameat": "EACCES", "close": "EIO", "flock": "EAGAIN ENOLCK",
    "preadv": "EINTR EIO", "fchmod": "EPERM", "fchown": "EPERM", "faccessat2": "EACCES ENOENT",
    "write": "EINTR ENOSPC EPIPE EAGAIN", "read": "EINTR EIO EAGAIN",
}
# Calls of the dynamic loader before main do not count.
STARTED = 'rt_sigaction(SIGPIPE, {sa_handler=SIG_IGN'

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")


class Scenario:
    """A command, and the outcomes that are allowed."""

    def __init__(self, folder, *args, given=b""):
        self.folder, self.args, self.given = folder, args, given

    def run(self, *strace, env=None):
        # LeakSanitizer does not work under ptrace(2).
        env = env or {**os.environ, "ASAN_OPTIONS":
                      os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        return subprocess.run([*strace, SOCKEYE, *self.args, *HURRY], cwd=self.folder, check=False,
                              input=self.given, capture_output=True, timeout=LIMIT_S, env=env)

    def calls(self):
        """The number of calls of each function before and after the start of main."""
        self.run("strace", "-f", "-o", "trace")
        text = (self.folder / "trace").read_text().partition(STARTED)
        assert text[1], "main's first call has changed"
        return [collections.Counter(re.findall(r"^\d+ +(\w+)\(", part, re.M))
                for part in (text[0], text[2])]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "f").write_bytes(CONTENT)
    with Server("tftp", "udp://127.0.0.1:0", "--root", str(root), "--overwrite") as made:
        made.url, made.root = made.address.replace("udp:", "tftp:"), root
        yield made


def check(done, what):
    told = f"{what}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}"
    assert not SANITIZER.search(done.stderr), told
    assert 0 <= done.returncode < 128, told
    if done.returncode != 0:
        assert re.search(rb"^sockeye: \S.*: \S.*$", done.stderr, re.M), told


@pytest.fixture(params=["new", "old", "stdout", "put", "pipe"])
def scenario(request, server, tmp_path):
    """get to a new file, over an existing one, and to standard output; put of a file and of a
    pipe."""
    way = request.param
    (tmp_path / "said").write_bytes(CONTENT)
    made = {
        "new": lambda: Scenario(tmp_path, "get", "-o", "got", server.url + "/f"),
        "old": lambda: Scenario(tmp_path, "get", "-o", "got", server.url + "/f"),
        "stdout": lambda: Scenario(tmp_path, "get", "-o", "-", server.url + "/f"),
        "put": lambda: Scenario(tmp_path, "put", "said", server.url + "/there"),
        "pipe": lambda: Scenario(tmp_path, "put", "-", server.url + "/there", given=CONTENT),
    }[way]()
    made.way = way
    return made


def prepare(scenario, server):
    (server.root / "there").unlink(missing_ok=True)
    for name in set(os.listdir(scenario.folder)) - {"said", "trace"}:
        os.unlink(scenario.folder / name)
    if scenario.way == "old":
        (scenario.folder / "got").write_bytes(b"old")


def result_check(scenario, server, done, what):
    """The file is complete, or it is not there."""
    got, there = scenario.folder / "got", server.root / "there"
    left = set(os.listdir(scenario.folder)) - {"said", "trace", "got"}
    assert left == set(), what
    if scenario.way in ("new", "old"):
        whole = got.exists() and got.read_bytes() == CONTENT
        before = got.read_bytes() == b"old" if scenario.way == "old" else not got.exists()
        assert whole or (done.returncode != 0 and (before or whole)), what
    elif scenario.way == "stdout":
        assert CONTENT.startswith(done.stdout), what
        assert done.returncode != 0 or done.stdout == CONTENT or "EPIPE" in what, what
    else:
        assert not there.exists() or there.read_bytes() == CONTENT, what
        assert done.returncode != 0 or there.exists(), what


def chosen(first, count):
    """The first few, and some of the others."""
    return sorted({first + i for i in [*range(min(count, 5)), count // 2, count - 1] if i < count}
                  - {first - 1})


@needs_strace
def test_every_call_fails_once(scenario, server):
    prepare(scenario, server)
    before, behind = scenario.calls()
    tried = 0
    for call, errors in ERRORS.items():
        for error in errors.split():
            for k in chosen(before[call] + 1, behind[call]):
                prepare(scenario, server)
                what = f"{scenario.way}: {call} number {k}: {error}"
                done = scenario.run("strace", "-f", "-o", "trace", "-e", f"trace={call}",
                                    "-e", f"inject={call}:error={error}:when={k}")
                check(done, what)
                result_check(scenario, server, done, what)
                tried += 1
    assert tried > 50


@pytest.fixture(scope="module")
def no_memory(tmp_path_factory):
    """The environment in which the k-th allocation of a kind fails."""
    library = tmp_path_factory.mktemp("inject") / "inject.so"
    source = pathlib.Path(__file__).with_name("inject.c")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, source],
                   check=True)
    return lambda call, k: {**preload(library), "INJECT": f"{call} {k} {errno.ENOMEM}"}


@pytest.mark.skipif(bool(sanitized()), reason="a sanitizer has its own memory")
@pytest.mark.parametrize("call", ["malloc", "calloc", "realloc"])
def test_no_memory(scenario, server, no_memory, call):
    for k in range(1, 10):
        prepare(scenario, server)
        done = scenario.run(env=no_memory(call, k))
        check(done, f"{call} {k}")
        result_check(scenario, server, done, f"{scenario.way}: {call} {k}")
