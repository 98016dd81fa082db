"""sockeye serve --check-sandbox: what a worker can do. test/lib/test_sandbox.c makes the calls
without it."""
import ctypes
import errno
import json
import os
import pathlib
import struct
import subprocess
import tempfile

import pytest

from serving import MODELS, SOCKEYE, sanitized

ECHO = ("echo", "tcp://127.0.0.1:0", "udp://127.0.0.1:0")
ALWAYS_DENIED = [
    "open a TCP socket", "open a UNIX socket", "open a netlink socket", "open a packet socket",
    "open a raw socket", "connect over TCP", "bind a TCP socket", "execute a program",
    "signal another process", "trace another process", "read the memory of another process",
    "map executable memory", "make memory executable", "open an io_uring ring", "become root",
    "change the root directory", "create a user namespace", "read /etc/shadow",
    "create a file in /tmp",
]
NEEDED = {"fork": {"start a process"}, "thread": {"start a thread"}}
UDP = {"open a UDP socket", "open a UDP socket for IPv6"}
LIST = "list the TFTP root"
CREATE = "create a file in the TFTP root"
READS = {"read /etc/passwd", "list /", "list the directory above the TFTP root"}
libc = ctypes.CDLL(None, use_errno=True)
exact = pytest.mark.skipif(bool(sanitized()), reason="a sanitizer needs more rights to report")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def check(*args, code=0, **kw):
    """The workers and tries that --check-sandbox reports."""
    done = subprocess.run([SOCKEYE, "serve", "--check-sandbox", "--json", *map(str, args)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False, **kw)
    assert done.returncode == code, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return ([e for e in events if e["event"] == "worker"],
            [e for e in events if e["event"] == "try"])


def allowed(tries):
    return {t["what"] for t in tries if t["allowed"]}


@pytest.fixture
def root():
    """A directory that any user may reach and write."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "root"
        path.mkdir()
        path.parent.chmod(0o755)
        path.chmod(0o777)
        yield path


@pytest.fixture(params=["this user", pytest.param("nobody", marks=as_root)])
def user(request):
    """Options of Popen for the user who starts the server."""
    return {} if request.param == "this user" else {
        "user": "nobody", "group": "nogroup", "extra_groups": []}


@exact
@pytest.mark.parametrize("model", MODELS)
def test_echo(model, user):
    workers, tries = check(*ECHO, "--model", model, cwd="/", **user)
    assert {w["seccomp"] for w in workers} == {2}
    assert {w["no_new_privs"] for w in workers} == {1}
    assert {int(w["capabilities"], 16) for w in workers} == {0}
    assert all("0" not in w["uids"].split() for w in workers) or os.getuid() == 0 and user
    assert allowed(tries) == NEEDED.get(model, set())
    assert all(t["needed"] for t in tries if t["allowed"])
    assert {t["what"] for t in tries} >= set(ALWAYS_DENIED)
    assert {t["error"] for t in tries if not t["allowed"]} == {"EPERM"}


@exact
@pytest.mark.parametrize("options, more", [
    ((), set()),
    (("--upload",), {CREATE, "start a thread"}),
    (("--links", "any"), READS),
    (("--unique-root", "ip"), set()),
], ids=["read", "upload", "links", "unique-root"])
def test_tftp(root, user, options, more):
    _, tries = check("tftp", "udp://127.0.0.1:0", "--root", root, *options, cwd="/", **user)
    assert allowed(tries) - {"read /proc/self/environ"} == {LIST} | UDP | more
    assert allowed(tries).isdisjoint(ALWAYS_DENIED)
    created = [t for t in tries if t["what"].startswith("create a file")]
    assert len(created) == 3


def test_several_crews(root):
    """One worker of each kind, whatever the number of workers."""
    workers, _ = check(*ECHO, "upper", "tcp://127.0.0.1:0", "tftp", "udp://127.0.0.1:0", "--root",
                       root, "--model", "fork", "--workers", "3")
    assert sorted((w["service"], w["model"]) for w in workers) == [
        ("echo", "fork"), ("echo", "fork"), ("tftp", "")]


@exact
def test_without_a_sandbox_the_check_fails():
    _, tries = check(*ECHO, "--sandbox", "off", code=10)
    assert {"read /etc/passwd", "open a TCP socket", "execute a program", "start a process"} <= \
        allowed(tries)
    assert not any(t["needed"] for t in tries)


@exact
def test_for_a_person():
    done = subprocess.run([SOCKEYE, "serve", "--check-sandbox", *ECHO], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=True)
    assert "worker of echo, model event\n" in done.stdout
    assert "  denied   read /etc/passwd: Operation not permitted\n" in done.stdout
    assert done.stderr == ""


# --- systems that lack a part ---

CALLS = {"Landlock": {"x86_64": 444, "aarch64": 444}, "seccomp": {"x86_64": 317, "aarch64": 277}}
LACKS = {"Landlock": "this system has no Landlock", "seccomp": "this system has no seccomp filters"}


def without(part):
    """A function that makes the system call of this part fail with ENOSYS, for preexec_fn."""
    number = CALLS[part].get(os.uname().machine)
    if number is None:
        pytest.skip("unknown architecture")
    code = struct.pack("HBBI" * 4, 0x20, 0, 0, 0,      # load the number of the call
                       0x15, 0, 1, number,             # skip the next one if it differs
                       0x06, 0, 0, 0x50000 | errno.ENOSYS,
                       0x06, 0, 0, 0x7fff0000)         # allow
    held = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(held)))

    def apply():
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        assert held
    return apply


@pytest.mark.parametrize("part", CALLS)
def test_missing_part_is_logged_once(serve, part):
    server = serve(*ECHO, "--workers", "3", preexec_fn=without(part))
    assert server.ask(b"hello") == b"hello"
    assert len(server.wait_log(f"warning: {LACKS[part]}: .*: Function not implemented")) == 1
    server.stop()
    assert server.log().count("this system has no") == 1


@pytest.mark.parametrize("part", CALLS)
def test_missing_part_that_is_required(part):
    done = subprocess.run([SOCKEYE, "serve", *ECHO, "--sandbox", "require"], timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          preexec_fn=without(part))
    assert done.returncode == 10
    assert done.stderr == f"sockeye: sandbox {part}: Function not implemented\n"


@exact
@pytest.mark.parametrize("part", CALLS)
def test_the_other_part_stays(part):
    """Both deny what they can without the other."""
    workers, tries = check(*ECHO, code=10 if part == "seccomp" else 0, preexec_fn=without(part))
    assert {w["seccomp"] for w in workers} == {2}  # that of this test, at least
    assert {"read /etc/passwd", "list /", "create a file in /tmp"}.isdisjoint(allowed(tries))
