"""--unique-root mac: the directory of a client is named after its MAC address."""
import contextlib
import os
import pathlib
import subprocess
import tempfile

import pytest

from files_fixtures import needs_root
from shared import SOCKEYE, WAIT_S, until

MAC, FOLDER = "02:00:5e:7a:0b:c9", "02-00-5e-7a-0b-c9"
pytestmark = needs_root


@pytest.fixture
def root():
    """Below a directory that user nobody may enter and write to."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield pathlib.Path(folder)


def ip(*words, net=()):
    return subprocess.run([*net, "ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def client(netns):
    """A second network namespace, connected to this one: returns a function that runs the
    program there."""
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(subprocess.Popen(["unshare", "-n", "sleep", "1000"]))
        stack.callback(other.kill)
        path = f"/proc/{other.pid}/ns/net"
        net = ["nsenter", f"--net={path}"]
        own = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(path) not in (own, os.readlink("/proc/thread-self/ns/net")),
              "the namespace")
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "address", MAC)
        ip("link", "set", "there", "netns", str(other.pid))
        ip("addr", "add", "192.0.2.1/24", "dev", "here")
        ip("link", "set", "here", "up")
        for words in ("addr add 192.0.2.7/24 dev there", "addr add 198.51.100.9/32 dev there",
                      "link set lo up", "link set there up"):
            ip(*words.split(), net=net)
        ip("route", "add", "198.51.100.0/24", "via", "192.0.2.7")

        def link_local():
            lines = ip("-6", "-o", "addr", "show", "dev", "here", "scope", "link").split()
            return "tentative" not in lines and lines and lines[3].partition("/")[0]

        def start(*words):
            done = subprocess.run([*net, SOCKEYE, *words], capture_output=True, check=False,
                                  timeout=WAIT_S)
            return done.returncode, done.stdout
        start.link_local = until(link_local, "a link-local address")
        until(lambda: "tentative" not in ip("-6", "addr", "show", net=net), "the client's")
        yield start


def served(serve, root, *options, user="nobody"):
    for name, content in ((f"{FOLDER}/f", b"mine"), ("f", b"for all"),
                          ("02-00-5e-7a-0b-ca/f", b"of another")):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    os.chown(root / FOLDER, 65534, 65534)
    return serve("--unique-root", "mac", *options, "--user", user, url="udp://*:0")


def test_downloads(serve, root, client):
    server = served(serve, root)
    for host in ("192.0.2.1", f"[{client.link_local}%there]"):
        for _ in range(2):
            assert client("get", "-qo", "-", f"tftp://{host}:{server.port}/f") == (0, b"mine")
    # A client behind a router, and one on this machine, have no MAC address here.
    url = f"tftp://192.0.2.1:{server.port}/f"
    assert client("get", "-qo", "-", "-b", "198.51.100.9", url) == (0, b"for all")
    peer = server.peer(("127.0.0.1", server.port))
    assert server.get("f", peer=peer).content == b"for all"
    (root / FOLDER / "f").unlink()
    (root / FOLDER).rmdir()
    assert client("get", "-qo", "-", url) == (0, b"for all")


def test_uploads(serve, root, client, tmp_path):
    """An upload never goes to the root; with --create it makes the directory."""
    server = served(serve, root, "--create")
    file = tmp_path / "new"
    file.write_bytes(b"new")
    (root / FOLDER / "f").unlink()
    (root / FOLDER).rmdir()
    url = f"tftp://192.0.2.1:{server.port}/a/new"
    assert client("put", "-q", str(file), url)[0] == 0
    assert (root / FOLDER / "a" / "new").read_bytes() == b"new"
    assert client("put", "-q", "-b", "198.51.100.9", str(file), url)[0] == 8
    refused = server.transfer(result="refused")
    assert refused["text"] == "Your MAC address is not known here"
    assert not (root / "a").exists()


def test_map_test(root, client):
    served(lambda *options, **kw: None, root)
    client("get", "--no-wait", "tftp://192.0.2.1:9/f")  # the neighbor becomes known

    def name(address):
        return subprocess.run([SOCKEYE, "serve", "tftp", "udp://127.0.0.1:0", "--root", root,
                               "--unique-root", "mac", "--map-test", "f", "--map-client", address],
                              capture_output=True, check=True, text=True).stdout
    assert name("192.0.2.7") == f"{FOLDER}/f\n"
    assert name("198.51.100.9") == "f\n"
