"""The rights of workers: those of user nobody, of --user, or what a container leaves. The tests of
--user are in test_processes.py."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import tempfile

import pytest

from serving import SOCKEYE, Server, processes, until

NOBODY = "65534"
PR_SET_KEEPCAPS = 8
CAPS = ("CapInh", "CapPrm", "CapEff", "CapAmb")
ECHO = ("echo", "tcp://127.0.0.1:0")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
libc = ctypes.CDLL(None, use_errno=True)


def without_rights(process):
    """Waits until the process holds no capability and can gain none."""
    def done():
        return (all(int(process.status(name), 16) == 0 for name in CAPS)
                and process.status("NoNewPrivs") == "1")
    until(done, "no capabilities")
    assert subprocess.run(["stat", "-c", "%u", f"/proc/{process.pid}/fd"], check=True,
                          capture_output=True, text=True).stdout == "0\n"  # it is not dumpable


@as_root
def test_workers_of_root_become_nobody(serve, model):
    server = serve(*ECHO, "echo", "udp://127.0.0.1:0", "--workers", "2", model=model,
                   extra_groups=[0, 4, 27])
    assert server.ask(b"hello") == b"hello"
    assert server.status("Uid").split() == ["0"] * 4
    workers = server.children()
    for worker in workers:
        without_rights(worker)
        assert worker.status("Uid").split() == [NOBODY] * 4
        assert worker.status("Gid").split() == [NOBODY] * 4
        assert worker.status("Groups").split() == [NOBODY]
        assert int(worker.status("CapBnd"), 16) == 0
    workers[0].kill()  # the replacement is no different
    server.wait_counters(workers_died=1)
    for worker in server.workers(len(workers)):
        until(lambda worker=worker: worker.status("Uid").split() == [NOBODY] * 4, "nobody")
    assert server.ask(b"again") == b"again"


def filters(process):
    return int(process.status("Seccomp_filters"))


def test_sandbox(serve, model):
    """Every worker, and every child of a worker of fork, has a filter of system calls."""
    server = serve(*ECHO, "echo", "udp://127.0.0.1:0", "--workers", "2", model=model)
    client = server.connect()
    client.sendall(b"hello")
    assert client.recv(9) == b"hello"
    for process in server.descendants():
        until(lambda process=process: filters(process) == filters(server) + 1, "a filter")
        assert process.status("NoNewPrivs") == "1"


def test_no_sandbox(serve, model):
    server = serve(*ECHO, "--sandbox", "off", model=model)
    assert server.ask(b"hello") == b"hello"
    assert {filters(process) for process in server.descendants()} == {filters(server)}


@as_root
def test_user_root_stays_root(serve, model):
    server = serve(*ECHO, "--user", "root", "--workers", "1", model=model)
    assert server.ask(b"hello") == b"hello"
    worker, = server.workers(1)
    assert worker.status("Uid").split() == ["0"] * 4
    assert worker.status("CapEff") == server.status("CapEff")


@as_root
def test_socket_file_is_removed_at_the_end(serve, tmp_path):
    """The supervisor stays root; its workers could not remove the file."""
    path = tmp_path / "socket"
    server = serve("echo", f"unix:{path}")
    assert server.ask(b"hello") == b"hello"
    server.stop()
    assert not path.exists()


@as_root
def test_groups_of_a_process_that_is_the_user_already(serve):
    """It has root's groups and may change them."""
    def become_nobody():
        os.setresgid(0, 0, 0)
        os.setgroups([0, 4, 27])
        assert libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
        os.setresuid(65534, 65534, 65534)
        raise_effective()

    server = serve(*ECHO, "--user", "nobody", cwd="/", preexec_fn=become_nobody)
    assert server.ask(b"hello") == b"hello"
    for process in (server, *server.workers()):
        without_rights(process)


def raise_effective():
    """Makes the permitted capabilities ambient, so that they survive exec."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    for word in (0, 3):
        data[word] = data[word + 2] = data[word + 1]
    assert libc.capset(header, data) == 0
    for cap in (6, 7):  # CAP_SETGID, CAP_SETUID
        assert libc.prctl(47, 2, cap, 0, 0) == 0  # PR_CAP_AMBIENT_RAISE


@as_root
def test_other_users_change_nothing(serve):
    server = serve(*ECHO, user="nobody", group="nogroup", extra_groups=[4], cwd="/")
    assert server.ask(b"hello") == b"hello"
    assert server.workers()[0].status("Groups").split() == ["4"]
    assert server.log() == ""


def test_container_with_one_user(model):
    """The workers stay user 0 of the namespace, give up their capabilities, and the server logs it."""
    unshare = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("cannot create user namespaces")
    with tempfile.TemporaryDirectory() as folder, \
            open(f"{folder}/log", "wb") as log, \
            subprocess.Popen([*unshare, SOCKEYE, "serve", *ECHO, "echo", f"unix:{folder}/s",
                              "--workers", "2", "--model", model], stderr=log,
                             stdout=subprocess.PIPE) as server:
        try:
            server.stdout.readline()
            server.stdout.readline()
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(15)
                client.connect(f"{folder}/s")
                client.sendall(b"hello")
                assert client.recv(9) == b"hello"
            family = Family(server.pid)
            for worker in family.workers(processes(model, 2)):
                until(lambda worker=worker: int(worker.status("CapEff"), 16) == 0, "no rights")
                assert worker.status("NoNewPrivs") == "1"
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(15) == 0
        with open(f"{folder}/log", encoding="utf-8") as log:
            said = log.read()
    assert re.fullmatch(r"\S+ warning: cannot become user nobody; workers stay user 0, without "
                        r"capabilities: .*\n", said)


class Family(Server):
    """The workers of a server that another process has started."""

    def __init__(self, pid):  # pylint: disable=super-init-not-called
        self.pid = pid

    def log(self):
        return ""


# --- the folder of TFTP ---

def refused(*args):
    said = subprocess.run([SOCKEYE, "serve", "tftp", "udp://127.0.0.1:0", *map(str, args)],
                          capture_output=True, text=True, check=False, timeout=15)
    assert (said.returncode, said.stdout) == (9, "")
    return said.stderr


@as_root
@pytest.mark.parametrize("user", [[], ["--user", "nobody"], ["--user", "daemon"]])
def test_root_folder_that_the_user_cannot_read(user, tmp_path):
    """The command that the message proposes mends it."""
    name, root = (user or [0, "nobody"])[1], tmp_path / "a b"
    root.mkdir(mode=0o700)
    said = refused("--root", root, *user)
    assert said == (f"sockeye: use root directory {root}: Permission denied (user {name} cannot read "
                    f"it; run: chmod o+rx '{root}')\n")
    mend_and_start(said, root, user)


@as_root
@pytest.mark.parametrize("option", ["--upload", "--overwrite", "--create"])
def test_root_folder_that_the_user_cannot_write(option, tmp_path):
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    (root / "file").write_bytes(b"f")
    said = refused("--root", root, option)
    assert f"Permission denied (user nobody cannot write to it; run: chown nobody {root})" in said
    mend_and_start(said, root, [option])


def mend_and_start(said, root, options):
    command = re.search(r"run: (.*)\)\n$", said)[1]
    subprocess.run(["sh", "-c", command], check=True)
    ready, child = os.pipe()
    with subprocess.Popen([SOCKEYE, "serve", "tftp", "udp://127.0.0.1:0", "--root", root, *options,
                           "--ready-fd", str(child)], pass_fds=[child], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as server:
        os.close(child)
        assert os.read(ready, 999)
        server.terminate()
    os.close(ready)


@as_root
def test_separate_folder_for_uploads(tmp_path):
    """Root cannot be written, but a folder in it can."""
    root = tmp_path / "root"
    (root / "incoming").mkdir(parents=True)
    os.chown(root / "incoming", 65534, 65534)
    (tmp_path / "file").write_bytes(b"content")
    with Server("tftp", "udp://127.0.0.1:0", "--root", root, "--upload", "--user",
                "nobody") as server:
        url = server.address.replace("udp:", "tftp:")
        for name, code in (("incoming/file", 0), ("file", 8)):
            assert subprocess.run([SOCKEYE, "put", "-q", tmp_path / "file", f"{url}/{name}"],
                                  check=False, timeout=30).returncode == code
