"""docs/coming-from/atftpd.md: the commands of each row have the same result, and each option of
atftpd is in the second table."""
import re
import subprocess

import pytest

import coming_from
import mdoc
import test_coming_from_tftp as tftp
from network import needs_namespace, needs_root

PAGE = "atftpd.md"
ATFTPD = tftp.program_path("atftpd")
pytestmark = needs_namespace


@pytest.fixture(name="net")
def _net():
    with tftp.served_folder() as net:
        (net.folder / "pcre").write_text("^boot/ sub/\n")
        (net.folder / "map").write_text("rmG ^boot/ sub/\n")
        yield net


def both(net, url):
    """A name that is replaced, and one whose file exists."""
    (net.folder / "pub/boot").mkdir(exist_ok=True)
    (net.folder / "pub/boot/old").write_text("not replaced")
    return [0, 0], tftp.fetch("boot/hello.txt")(net, url), tftp.fetch("boot/old")(net, url)


PROBES = {
    "serve a directory, and accept uploads": tftp.upload,
    "replace names, if the file is missing": both,
    "refuse the option blksize": tftp.granted("blksize"),
    "refuse the option tsize": tftp.granted("tsize"),
    "refuse windows": tftp.granted("windowsize"),
}


@needs_root
@pytest.mark.parametrize("task, theirs, ours", tftp.parameters("Servers", PAGE))
def test_server(net, task, theirs, ours):
    tftp.compare(net, theirs, ours, PROBES.get(task, tftp.fetch("hello.txt")))


def test_rows():
    tasks = {task for task, _, _ in coming_from.rows(PAGE, "Servers")}
    assert len(tasks) >= 12 and set(PROBES) <= tasks


@pytest.mark.skipif(not ATFTPD, reason="no atftpd here")
def test_options():
    text = (coming_from.FOLDER / PAGE).read_text()
    table = text[text.index("## Options"):text.index("## What differs")]
    theirs = subprocess.run([ATFTPD, "--help"], capture_output=True, check=False, text=True)
    options = set(re.findall(r"--[a-z-]+", theirs.stdout + theirs.stderr))
    first = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    assert options - {"--help", "--version"} == set(re.findall(r"`(--[a-z-]+)`", first))


def test_our_options():
    text = (coming_from.FOLDER / PAGE).read_text()
    table = text[text.index("## Options"):text.index("## What differs")]
    second = "".join(line.split("|")[2] for line in table.splitlines() if line.startswith("|"))
    manual = (mdoc.ROOT / "man" / "sockeye-serve.1").read_text()
    for option in re.findall(r"`--([a-z-]+)", second):
        assert re.search(rf"^\.It Fl (\w , )?-?{option}\b", manual, re.M) or \
            f"Fl -{option}" in manual, option
