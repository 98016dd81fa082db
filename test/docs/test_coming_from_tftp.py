"""docs/coming-from/tftp.md: the commands of each row have the same result."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile

import pytest

import coming_from
import mdoc
from network import needs_namespace, needs_root, network

SOCKEYE = pathlib.Path(os.environ.get("SOCKEYE", mdoc.ROOT / "build" / "sockeye")).resolve()
PEERS = pathlib.Path(os.environ.get("SOCKEYE_PEERS",
                                    pathlib.Path(os.environ["SOCKEYE_BUILD"]) / "peers")).resolve()
PATH = ":".join(str(PEERS / folder) for folder in (
    "tftpd-hpa/usr/sbin", "atftpd/usr/sbin", "busybox-static/bin")) + ":/usr/sbin"
PAGE = "tftp.md"
SERVER = """sockeye serve tftp udp://127.0.0.1:7069 'udp://[::1]:7069' --root pub --overwrite \
    --ready-fd 3 3>ready"""
pytestmark = needs_namespace


def program_path(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:{PATH}")


def parameters(heading, page=PAGE):
    for task, theirs, ours in coming_from.pairs(page, heading):
        program = theirs.split()[0]
        there = program_path(program)
        yield pytest.param(task, theirs, ours, id=f"{program}-{task}",
                           marks=pytest.mark.skipif(not there, reason=f"no {program} here"))


@contextlib.contextmanager
def served_folder():
    """A namespace, and a folder that the servers' users may enter."""
    with tempfile.TemporaryDirectory(prefix="sockeye-coming-from-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        pub = folder / "pub"
        for path, text in (("hello.txt", "hello\nworld\n"), ("8KiB", "12345678" * 1024),
                           ("old", "old"), ("sub/hello.txt", "below\n"),
                           ("127.0.0.1/hello.txt", "for 127.0.0.1\n")):
            (pub / path).parent.mkdir(exist_ok=True, parents=True)
            (pub / path).write_text(text)
            (pub / path).chmod(0o666)
        pub.chmod(0o777)
        (folder / "mine").write_text("mine\n" * 1000)
        (folder / "map").write_text("r ^boot/ sub/\n")
        with network(folder, SOCKEYE) as made:
            made.env["PATH"] += f":{PATH}"
            yield made


@pytest.fixture(name="net")
def _net():
    with served_folder() as made:
        yield made


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file() and path.name != "ready"}


def reset(net, before):
    for name in files(net.folder):
        if name not in before:
            (net.folder / name).unlink()
    for name, content in before.items():
        (net.folder / name).write_bytes(content)


# --- servers: what a client sees ---

def fetch(name):
    return lambda net, url: net.run(f"sockeye get -qo - {url}/{name}")[:2]


def upload(net, url):
    results = [net.run(f"sockeye put -q mine {url}/{name}")[0] for name in ("new", "old")]
    return results, (net.folder / "pub/new").read_bytes(), (net.folder / "pub/old").read_bytes()


def mode(net, url):
    status = net.run(f"sockeye put -q mine {url}/new")[0]
    return status, oct((net.folder / "pub/new").stat().st_mode & 0o777)


def granted(option):
    """The value that the server grants for an option, None when it refuses it."""
    def result(net, url):
        status, output, _ = net.run(f"sockeye get --json --probe {url}/8KiB")
        return status, json.loads(output)["options"].get(option)
    return result


def port(net, url):
    """The port of the server's reply: 69, one from the range, or another."""
    status, output, _ = net.run(f"sockeye get --probe {url}/hello.txt")
    number = int(re.search(rb"answers from 127\.0\.0\.1:(\d+)", output)[1])
    return status, number if number == 69 else 50000 <= number <= 50010


PROBES = {
    "accept uploads, new files and old ones": upload,
    "with a umask": mode,
    "rewrite names by the rules in `map`": fetch("boot/hello.txt"),
    "grant blocks of at most 1024 bytes": granted("blksize"),
    "refuse the option blksize": granted("blksize"),
    "refuse windows": granted("windowsize"),
    "send from some ports only, for a firewall": port,
    "send from port 69, for NAT and containers": port,
    "look up names in lower case": fetch("HELLO.TXT"),
    "accept backslashes in names": fetch("'sub%5Chello.txt'"),
}


def compare(net, theirs, ours, probe):
    address = re.search(r"udp4?://([\d.]*:\d+)", ours)[1]
    number = int(address.rpartition(":")[2])
    url = f"tftp://127.0.0.1:{number}"
    before, results = files(net.folder), []
    for command in (theirs, ours):
        with net.serving(command, lambda: net.bound("udp", number)):
            results.append(probe(net, url))
        reset(net, before)
    assert results[0] == results[1]
    assert results[0][0] in (0, [0, 0])


@needs_root
@pytest.mark.parametrize("task, theirs, ours", parameters("Servers"))
def test_server(net, task, theirs, ours):
    compare(net, theirs, ours, PROBES.get(task, fetch("hello.txt")))


# --- clients: which files there are afterwards ---

@pytest.mark.parametrize("task, theirs, ours", parameters("Clients"))
def test_client(net, task, theirs, ours):
    before, results = files(net.folder), []
    for command in (theirs, ours):
        with net.serving(SERVER, lambda: net.written("ready")):
            status, output, errors = net.run(command)
            assert status == 0, errors
            results.append((files(net.folder), output if "to standard output" in task else b""))
        (net.folder / "ready").unlink()
        reset(net, before)
    assert results[0] == results[1]
    assert results[0] != (before, b"")


def test_rows():
    servers = coming_from.rows(PAGE, "Servers")
    assert len(servers) >= 12 and len(coming_from.rows(PAGE, "Clients")) >= 12
    assert set(PROBES) <= {task for task, _, _ in servers}
