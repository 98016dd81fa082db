"""TFTP programs of other projects.

The servers need port 69 or root, or their packages conflict: they are unpacked
below PEERS and run in a network namespace of the test.
"""
import contextlib
import os
import pathlib
import random
import shutil
import subprocess

import pytest

from serving import BUILD, SOCKEYE, WAIT_S, parse, same, until
from theirs import listens, running

PEERS = pathlib.Path(os.environ.get("SOCKEYE_PEERS", BUILD / "peers"))
HOST, PORT = "127.0.0.1", 69
PROGRAMS = {
    "atftp": "atftp", "tftp-hpa": "tftp", "curl": "curl",
    "busybox": PEERS / "busybox-static/bin/busybox", "atftpd": PEERS / "atftpd/usr/sbin/atftpd",
    "tftpd-hpa": PEERS / "tftpd-hpa/usr/sbin/in.tftpd", "dnsmasq": "/usr/sbin/dnsmasq",
}
# Sizes around one block of 512 bytes, and around 65536.
SIZES = [0, 1, 511, 512, 513, 65535, 65536, 65537]
BIG = 32 << 20


def have(name):
    return shutil.which(PROGRAMS[name]) is not None


def need(name):
    return pytest.mark.skipif(not have(name), reason=f"no {name} here")


def peers(*names):
    return [pytest.param(name, marks=need(name)) for name in names]


def content(size):
    """Random bytes, the same in each run."""
    return random.Random(size).randbytes(size)


def text(size):
    """Lines with all kinds of line ends, some of them across blocks."""
    source = random.Random(size)
    return "".join(source.choices(["a", "b", "\n", "\r", "\r\n", "\n\r", "\r\0"],
                                  k=size)).encode()[:size]


def netascii(data):
    """The text as it is sent (RFC 764)."""
    return data.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


# --- clients ---

def _atftp(direction, host, port, remote, local, options):
    words = [f"{name} {value}" for name, value in options.items()]
    return ["atftp", *(word for value in words for word in ("--option", value)), direction,
            "-r", remote, "-l", local, host, port]


def _tftp_hpa(direction, host, port, remote, local, options):
    names = [remote, local] if direction == "--get" else [local, remote]
    return ["tftp", "-m", options.get("mode", "octet"), host, port, "-c", direction[2:], *names]


def _curl(direction, host, port, remote, local, options):
    url = f"tftp://{host}:{port}/{remote}"
    size = ["--tftp-blksize", options["blksize"]] if "blksize" in options else []
    plain = ["--tftp-no-options"] if options.get("plain") else []
    mode = f";mode={options['mode']}" if "mode" in options else ""
    where = ["-o", local] if direction == "--get" else ["-T", local]
    return ["curl", "-sS", "--globoff", *size, *plain, *where, url + mode]


def _busybox(direction, host, port, remote, local, options):
    size = ["-b", options["blksize"]] if "blksize" in options else []
    return [PROGRAMS["busybox"], "tftp", direction[1:3], "-r", remote, "-l", local, *size, host,
            port]


def _sockeye(direction, host, port, remote, local, options):
    url = f"tftp://{host}:{port}/{remote}"
    words = [word for name, value in options.items()
             for word in ([f"--{name}"] if value is True else [f"--{name}", value])]
    if direction == "--get":
        return [SOCKEYE, "get", *words, "-o", local, url]
    return [SOCKEYE, "put", *words, local, url]


CLIENTS = {"atftp": _atftp, "tftp-hpa": _tftp_hpa, "curl": _curl, "busybox": _busybox,
           "sockeye": _sockeye}


def command_of(client, direction, port, remote, local, host=HOST, **options):
    """The command line with which a client gets or puts a file."""
    if ":" in host and client in ("curl", "sockeye"):
        host = f"[{host}]"
    return [str(word) for word in
            CLIENTS[client](f"--{direction}", host, port, remote, local, options)]


def transfer(*args, wait_s=WAIT_S, **options):
    return subprocess.run(command_of(*args, **options), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=wait_s)


def get(client, port, remote, local, **options):
    """Fetches a file and returns it. Some clients exit with 0 after a failure, so this reads it."""
    done = transfer(client, "get", port, remote, local, **options)
    assert done.returncode == 0 and local.exists(), done
    return local.read_bytes()


def put(client, port, local, remote, **options):
    done = transfer(client, "put", port, remote, local, **options)
    assert done.returncode == 0, done


# --- servers ---

def arrives(path, data):
    """Waits for an upload: their servers acknowledge the last block before they write it,
    and atftpd writes the CR of a CR LF before it removes it."""
    until(lambda: path.stat().st_size == len(data), f"{len(data)} bytes in {path}")
    with contextlib.suppress(AssertionError):
        until(lambda: path.read_bytes() == data, "the right bytes", 5)
    same(path.read_bytes(), data)


def _command(name, root):
    program = PROGRAMS[name]
    return {
        "tftpd-hpa": [program, "-L", "-a", f"{HOST}:{PORT}", "-u", "root", "-c", "-p", "-s", root],
        "atftpd": [program, "--daemon", "--no-fork", "--bind-address", HOST, "--port", PORT,
                   "--user", "root.root", "--logfile", "/dev/null", root],
        "dnsmasq": [program, "-k", "-C", "/dev/null", "--port=0", "--enable-tftp",
                    f"--tftp-root={root}", "--user=root", f"--listen-address={HOST}",
                    "--bind-interfaces", "--pid-file", "--log-facility=-"],
    }[name]


@contextlib.contextmanager
def serving(name, root):
    """Their server on 127.0.0.1:69, in the caller's namespace."""
    with running(_command(name, root), lambda: listens("udp", PORT), stdout=subprocess.DEVNULL):
        yield PORT


@contextlib.contextmanager
def relayed(port, *rules):
    """The port of our relay to a port, with rules for packets."""
    ready, ready_child = os.pipe()
    with subprocess.Popen([SOCKEYE, "relay", "-q", "--ready-fd", str(ready_child), *rules,
                           f"udp://{HOST}:0", f"udp://{HOST}:{port}"],
                          pass_fds=[ready_child], stdout=subprocess.DEVNULL) as relay:
        os.close(ready_child)
        try:
            with os.fdopen(ready) as lines:
                yield parse(lines.readline().strip())[1][1]
        finally:
            relay.kill()
