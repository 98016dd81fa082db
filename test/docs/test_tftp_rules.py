"""The examples of sockeye-tftp-rules(5) are rules, and do what it says."""
import os
import re
import subprocess

import pytest

import mdoc

SOCKEYE = os.environ.get("SOCKEYE", str(mdoc.ROOT / "build" / "sockeye"))
PAGE = mdoc.MAN / "sockeye-tftp-rules.5"


def blocks(section):
    text = mdoc.sections(PAGE)[section]
    return [block.replace("\\e", "\\") for block in
            re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.M | re.S)]


def example(word):
    """The one with that word in it."""
    (found,) = (block for block in blocks("EXAMPLES") if word in block)
    return found


def serve(tmp_path, *options):
    return subprocess.run([SOCKEYE, "serve", "tftp", "udp://127.0.0.1:0", "--root", tmp_path,
                           *options], text=True, capture_output=True, timeout=30, check=False,
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("word, asked, upload, mapped", [
    ("^boot/", r"Boot\x64\WDSnbp.com", False, "boot/x64/wdsnbp.com"),
    ("^boot/", r"Other\File", False, "Other/File"),
    ("clients/", "pxelinux.cfg/default", False, "hosts/C000025B/default"),
    ("clients/", "kernel-6.1", False, "kernel-6.1"),
    ("clients/", "pxelinux.0", False, "pxelinux.0"),
    ("clients/", "config", False, "clients/192.0.2.91/config"),
    ("clients/", "../clients/192.0.2.1/config", False, None),
    ("hidden", "a/.ssh/id", False, "denied: no hidden files"),
    ("hidden", "a.b", False, "a.b"),
    ("hidden", "a.b", True, "denied: write to incoming/"),
    ("hidden", "incoming/core", True, "incoming/192.0.2.91-core"),
    ("hidden", "incoming/core", False, "incoming/core"),
    ("firmware/", "001122AABBCC.bin", False, "firmware/001122aabbcc/current.bin"),
    ("firmware/", "001122AABBCC.cfg", False, "config/001122.cfg"),
    ("firmware/", "001122AABBC.cfg", False, "001122AABBC.cfg"),
    ("r~", "a", False, "pub/a"),
    ("r~", "pub/a", False, "pub/a"),
    ("r~", "latest/a", False, "pub/2026.11/a"),
])
def test_maps(tmp_path, word, asked, upload, mapped):
    (tmp_path / "map").write_text(example(word))
    result = serve(tmp_path, "--map", tmp_path / "map", "--map-test", asked, "--map-client",
                   "192.0.2.91", *["--upload"] * upload)
    if mapped is None:
        assert result.returncode != 0 and "name leads out of its folder" in result.stderr
    else:
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == mapped


def test_policy_is_one(tmp_path):
    (tmp_path / "policy").write_text(example("refuse="))
    (tmp_path / "map").write_text("")
    result = serve(tmp_path, "--map", tmp_path / "map", "--policy", tmp_path / "policy",
                   "--map-test", "a")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("option, number, rules", [
    ("--map", 0, "\n\nres a b"), ("--map", 1, "\n" * 6 + "r a(b c"),
    ("--policy", 2, "*  deny\n192.0.2.1/24 deny")])
def test_diagnostics(tmp_path, option, number, rules):
    (tmp_path / "rules").write_text(rules)
    result = serve(tmp_path, option, tmp_path / "rules")
    assert result.returncode != 0
    assert blocks("DIAGNOSTICS")[0].splitlines()[number] in result.stderr
