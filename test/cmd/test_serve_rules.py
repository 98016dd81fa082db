"""Files with wrong rules: the message names the error, the file and the line."""
import os
import subprocess

import pytest

from conftest import KEEP_ROOT, SOCKEYE, WAIT_S

BAD = {
    "binary": (b"\x7fELF\0\1\2\n", ":1: ", "not a text file"),
    "UTF-16": ("e a\n".encode("utf-16"), ":1: ", "not a text file"),
    "huge": (b"#" * (1 << 20) + b"\n", ": File too large", "at most 1024 KiB"),
    "quote": (b'\n"a b c\n', ":2: ", "missing closing quote"),
    "CRLF": (b"# first\r\n? x\r\n", ":2: ", "'?'"),
    "words": (b"a b c d e f g h i j\n", ":1: ", "words"),
    "escapes": (b"\x1b[2J x\n", ":1: ", r"'\e"),
}
BAD_MAP = {
    "class": (b"e ok\nr a[b c\n", ":2: ", "missing terminating ]"),
    "many": (b"e a\n" * 4097, ":4097: ", "more than 4096 rules"),
}
BAD_POLICY = {
    "class": (b"* name=x deny\n* name=a[b deny\n", ":2: ", "missing ]"),
    "prefix": (b"10.0.0.0/33 deny\n", ":1: ", "0 to 32 bits"),
    "many": (b"* deny\n" * 4097, ":4097: ", "more than 4096 rules"),
}
GOOD = {
    "empty": b"",
    "no end": b"# a comment",
    "CRLF": b"# a comment\r\n\r\n",
    "BOM": b"\xef\xbb\xbf# Windows puts it there\r\n",
    "comments": b"# x\n" * 5000,
}


def refused(tmp_path, option, file):
    said = subprocess.run([SOCKEYE, "serve", "tftp", "udp://127.0.0.1:0", "--root", tmp_path,
                           option, file], capture_output=True, text=True, check=False,
                          timeout=WAIT_S, stdin=subprocess.DEVNULL)
    assert said.returncode == 9 and said.stdout == "" and len(said.stderr.splitlines()) == 1
    assert said.stderr.startswith("sockeye: read rules ")
    return said.stderr


@pytest.mark.parametrize("option, text, where, why", [
    pytest.param(option, *row, id=f"{option}-{name}")
    for option, more in (("--map", BAD_MAP), ("--policy", BAD_POLICY))
    for name, row in (BAD | more).items()])
def test_bad_text(tmp_path, option, text, where, why):
    rules = tmp_path / "rules"
    rules.write_bytes(text)
    said = refused(tmp_path, option, rules)
    assert f"{rules}{where}" in said and why in said


@pytest.mark.parametrize("option", ["--map", "--policy"])
def test_bad_file(tmp_path, option):
    os.mkfifo(tmp_path / "fifo")
    assert "Is a directory" in refused(tmp_path, option, tmp_path)
    assert "No such file" in refused(tmp_path, option, tmp_path / "none")
    for name in tmp_path / "fifo", "/dev/null":
        assert f"{name}: invalid rules (not a regular file)" in refused(tmp_path, option, name)


@pytest.mark.parametrize("option", ["--map", "--policy"])
@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_good_text(ready, tmp_path, option, text):
    rules = tmp_path / "rules"
    rules.write_bytes(text)
    assert ready("serve", "tftp", "udp://127.0.0.1:0", "--root", tmp_path, option, rules,
                 *KEEP_ROOT, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(os.geteuid() != 0, reason="asks as another user")
def test_unreadable(tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("")
    rules.chmod(0)
    said = subprocess.run([SOCKEYE, "serve", "tftp", "udp://127.0.0.1:0", "--root", "/", "--map",
                           "rules"], capture_output=True, text=True, check=False, timeout=WAIT_S,
                          stdin=subprocess.DEVNULL, cwd=tmp_path, user="nobody")
    assert said.returncode == 9
    assert said.stderr == "sockeye: read rules rules: Permission denied\n"
