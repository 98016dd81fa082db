"""What README.md shows happens: its console blocks are run, its C is built."""
import itertools
import os
import pathlib
import re
import subprocess

import pytest

import mdoc

SOCKEYE = pathlib.Path(os.environ.get("SOCKEYE", mdoc.ROOT / "build" / "sockeye"))
TEXT = (mdoc.ROOT / "README.md").read_text()
# The well-known ports of the demo, in a network nobody else is in.
NAMESPACE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


def like(line):
    """A pattern of a line in which numbers, units and names of days may differ."""
    tokens = []
    for token in line.split(" "):
        varies = re.search(r"\d", token) or re.fullmatch(
            r"(ns|us|ms|s|[kMG]?B/s|[A-Z][a-z]{2}),?", token)
        tokens.append(r"\S+" if varies else re.escape(token))
    return " ".join(tokens)


def can_unshare():
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


def terminal_output(argv, folder):
    """What a program writes to a terminal."""
    ours, theirs = os.openpty()
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs,
                          stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 4096):
                said += piece
        except OSError:  # EIO: nobody has the other end any more
            pass
        os.close(ours)
        process.wait(timeout=30)
    return said.decode().replace("\r\n", "\n")


@pytest.mark.skipif(not can_unshare(), reason="no network namespaces here")
@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.split()[2])
def test_console_block(block, tmp_path):
    commands, expected = [], []
    for line in block.splitlines():
        (commands if line.startswith("$ ") else expected).append(line.removeprefix("$ "))
    script = f"""
        ip link set lo up
        PATH={SOCKEYE.parent}:$PATH
        sockeye serve --ready-fd 9 9>ready >served 2>&1 & served=$!
        while ! [ -s ready ]; do sleep 0.01; done
        disown
        {chr(10).join(commands)}
        kill $served
    """
    said = terminal_output([*NAMESPACE, "bash", "-c", script], tmp_path)
    # What runs in the background may speak, and listen, a little earlier or later.
    got = sorted(line for line in said.splitlines() if line and not line.endswith("trying again"))
    for line, pattern in itertools.zip_longest(got, map(like, sorted(expected)), fillvalue=""):
        assert re.fullmatch(pattern, line), f"{line!r} is not like {pattern!r} in\n{said}"


@pytest.mark.parametrize("source", blocks("c"), ids=lambda source: "shout")
def test_c_block_builds(source, tmp_path):
    (tmp_path / "program.c").write_text(source)
    build = pathlib.Path(os.environ["SOCKEYE_BUILD"])
    subprocess.run(["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", f"-I{mdoc.ROOT}/include",
                    tmp_path / "program.c", "-o", tmp_path / "program", f"-L{build}/src",
                    "-lsockeye"], check=True)
