"""sockeye get and put with our own server, also over a network that loses packets."""
import concurrent.futures
import hashlib
import os
import re
import subprocess

import pytest

from conftest import KEEP_ROOT, ROOT, SOCKEYE, WAIT_S, events, read_events

SIZES = [0, 1, 511, 512, 513, 16383, 16384, 16385, 1 << 20]


def content(count):
    return hashlib.shake_256(b"bytes").digest(count)


@pytest.fixture
def serve(ready, tmp_path):
    """Starts a server of the folder root. Returns its address for a client."""
    (tmp_path / "root").mkdir()

    def start(*args):
        urls = ready("serve", "tftp", "udp://127.0.0.1:0", "--root", tmp_path / "root",
                     "--create", "--overwrite", *KEEP_ROOT, *args, stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL)[1]
        return urls[0].replace("udp:", "tftp:")
    return start


@pytest.mark.parametrize("args", [[], ["--no-options"], ["--blksize", "mtu"], ["--window", "1"],
                                  ["--blksize", "1428", "--window", "64"],
                                  ["--blksize", "65464", "--window", "8"]], ids=str)
@pytest.mark.parametrize("single", [False, True])
def test_there_and_back(serve, run, tmp_path, args, single):
    url = serve(*["--single-port"] * single)
    for size in SIZES:
        (tmp_path / "f").write_bytes(content(size))
        assert run("put", "-q", *args, "f", f"{url}/in/{size}", cwd=tmp_path).returncode == 0
        assert (tmp_path / "root" / "in" / f"{size}").read_bytes() == content(size)
        assert run("get", "-q", *args, f"{url}/in/{size}", cwd=tmp_path).returncode == 0
        assert (tmp_path / f"{size}").read_bytes() == content(size)


def members(heading):
    """The members of the JSON documents that the manual lists below a sentence."""
    page = (ROOT / "man" / "sockeye-tftp.7").read_text()
    return set(re.findall(r"^\.It Sq (\w+)", page.partition(heading)[2].partition(".El")[0], re.M))


@pytest.mark.parametrize("op, name, code", [("get", "there", 0), ("get", "none", 8), ("put", "in", 0),
                                            ("put", "no/in", 8)])
def test_both_ends_say_the_same_in_the_same_words(ready, run, tmp_path, op, name, code):
    (tmp_path / "there").write_bytes(content(1000))
    server, [url] = ready("serve", "tftp", "udp://127.0.0.1:0", "--root", tmp_path, "--upload", *KEEP_ROOT,
                          "--log", "json", stdout=subprocess.DEVNULL)
    url = f"{url.replace('udp:', 'tftp:')}/{name};mode=netascii"
    done = run(op, "--json", *["there"] * (op == "put"), url, *["-o", "here"] * (op == "get"),
               cwd=tmp_path)
    assert done.returncode == code
    [ours], theirs = events(done.stdout), read_events(server.stderr, "transfer")[-1]
    common, of_failures = members("at both ends"), members("A transfer that failed")
    assert set(ours) <= common | of_failures | members("Only a client has")
    assert set(theirs) <= common | members("Only the server has")
    both = set(ours) & set(theirs)
    assert both <= common | of_failures and both >= ({"code"} if code else common - {"code", "peer_text", "text",
                                                                      "error"})
    for key in both & {"op", "mode", "bytes", "options", "blksize", "windowsize", "blocks", "code"}:
        assert ours[key] == theirs[key], key


def test_pipes(serve, run):
    url = serve()
    for size in SIZES:
        assert run("put", "-q", "-", f"{url}/x", input=content(size)).returncode == 0
        assert run("get", "-qo", "-", f"{url}/x").stdout == content(size)


def test_netascii(serve, run, tmp_path):
    url = serve()
    text = b"a\nb\rc\r\n" + b"\n" * 700 + b"\r"
    assert run("put", "-q", "-", f"{url}/x;mode=netascii", input=text).returncode == 0
    assert (tmp_path / "root" / "x").read_bytes() == text
    assert run("get", "-qo", "-", "--netascii", f"{url}/x").stdout == text


def test_many_at_once(serve, run, tmp_path):
    url = serve()
    names = [f"f{i}" for i in range(300)]
    for name in names:
        (tmp_path / name).write_bytes(content(len(name) * 997))
    done = run("put", "--json", "-j", "100", *names, f"{url}/d/", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run("get", "--json", "-j", "100", "-o", "back/", *(f"{url}/d/{name}" for name in names),
               cwd=tmp_path)
    assert done.returncode == 9 and len(events(done.stdout)) == 300  # the folder does not exist yet
    (tmp_path / "back").mkdir()
    done = run("get", "--json", "-j", "100", "-o", "back", *(f"{url}/d/{name}" for name in names),
               cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in names:
        assert (tmp_path / "back" / name).read_bytes() == content(len(name) * 997)


def test_a_bad_network(serve, ready, run, tmp_path):
    """Both directions at once, many times, over a relay."""
    url = serve()
    bad = ready("relay", "udp://127.0.0.1:0", url.replace("tftp:", "udp:"), "--drop", "3%",
                "--duplicate", "3%", "--reorder", "3%", "--seed", "7",
                stdout=subprocess.DEVNULL)[1][0].replace("udp:", "tftp:")
    (tmp_path / "f").write_bytes(content(1 << 20))

    def once(i):
        args = ["--blksize", "1000", "--window", str(1 + i % 16)]
        put = run("put", *args, "f", f"{bad}/f{i}", cwd=tmp_path)
        get = run("get", *args, f"{bad}/f{i}", cwd=tmp_path)
        return put.returncode, get.returncode, put.stderr + get.stderr

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for i, (put, get, said) in enumerate(pool.map(once, range(12))):
            assert (put, get) == (0, 0), said
            for folder in (tmp_path, tmp_path / "root"):
                assert (folder / f"f{i}").read_bytes() == content(1 << 20)


def test_probe(serve, run, tmp_path):
    url = serve("--window-max", "8", "--refuse", "utimeout")
    (tmp_path / "root" / "f").write_bytes(content(1000))
    [event] = events(run("get", "--probe", "--json", f"{url}/f").stdout)
    granted = {name: option["granted"] for name, option in event["options"].items()}
    assert event["size"] == 1000 and event["together"]
    assert (granted["windowsize"], granted["utimeout"], granted["timeout"]) == (8, None, 1)
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("zone", ["", "%lo", "%25lo"])
def test_link_local(netns, ready, run, tmp_path, zone):
    """With and without a zone; the address of the server's reply has one."""
    subprocess.run(["ip", "-6", "addr", "add", "fe80::7/64", "dev", "lo", "nodad"], check=True)
    (tmp_path / "f").write_bytes(b"linked")
    url = ready("serve", "tftp", "udp://[::]:0", "--root", tmp_path, *KEEP_ROOT, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)[1][0]
    port = url.rpartition(":")[2]
    done = run("get", "--timeout", "100ms", "--retries", "2", "-o", "-",
               f"tftp://[fe80::7{zone}]:{port}/f")
    assert done.stdout == b"linked", done.stderr


@pytest.mark.parametrize("command, text", [
    ('get -o - tftp://127.0.0.1:1/x >&-', b"write standard output: Bad file descriptor"),
    ('put - tftp://127.0.0.1:1/x <&-', b"read standard input: Bad file descriptor")])
def test_closed_standard_descriptors(command, text):
    """Standard input and output that are closed become /dev/null, which must not pass for a
    file."""
    done = subprocess.run(["sh", "-c", f'exec "$0" {command}', SOCKEYE], check=False,
                          capture_output=True, timeout=WAIT_S)
    assert done.returncode == 9 and text in done.stderr
