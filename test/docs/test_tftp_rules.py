"""The examples of sockeye-tftp-rules(5) work as it describes."""
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
    """The block that contains the word."""
    (found,) = (block for block in blocks("EXAMPLES") if word in block and block[0] != "$")
    return found


def serve(tmp_path, *options):
    if "--root" not in options:
        options = ("--root", tmp_path, *options)
    return subprocess.run([SOCKEYE, "serve", "tftp", "udp://127.0.0.1:0", *options], text=True, capture_output=True, timeout=30, check=False,
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("word, asked, upload, mapped", [
    ("li  ", r"Boot\x64\WDSnbp.com", False, "boot/x64/wdsnbp.com"),
    ("li  ", r"\Boot\x64\WDSnbp.com", False, "boot/x64/wdsnbp.com"),
    ("li  ", r"Other\File", False, "Other/File"),
    ("clients/", "pxelinux.cfg/default", False, "hosts/C000025B/default"),
    ("clients/", "kernel-6.1", False, "kernel-6.1"),
    ("clients/", "/kernel-6.1", False, "kernel-6.1"),
    ("clients/", "/config", False, "clients/192.0.2.91/config"),
    ("clients/", "pxelinux.0", False, "pxelinux.0"),
    ("clients/", "config", False, "clients/192.0.2.91/config"),
    ("clients/", "../clients/192.0.2.1/config", False, "denied: name leads outside its directory"),
    ("hidden", "a/.ssh/id", False, "denied: no hidden files"),
    ("hidden", "/.ssh/id", False, "denied: no hidden files"),
    ("hidden", "a.b", False, "a.b"),
    ("hidden", "a.b", True, "denied: write to incoming/"),
    ("hidden", "incoming/core", True, "incoming/192.0.2.91-core"),
    ("hidden", "incoming/core", False, "incoming/core"),
    ("firmware/", "001122AABBCC.bin", False, "firmware/001122aabbcc/current.bin"),
    ("firmware/", "001122AABBCC.cfg", False, "config/001122.cfg"),
    ("firmware/", "001122AABBC.cfg", False, "001122AABBC.cfg"),
    ("r~", "a", False, "pub/a"),
    ("r~", "pub/a", False, "pub/a"),
    ("r~", "/pub/a", False, "pub/a"),
    ("r~", "latest/a", False, "pub/2026.11/a"),
])
def test_maps(tmp_path, word, asked, upload, mapped):
    (tmp_path / "map").write_text(example(word))
    result = serve(tmp_path, "--map", tmp_path / "map", "--map-test", asked, "--map-client",
                   "192.0.2.91", *["--map-put"] * upload)
    assert result.returncode == mapped.startswith("denied: "), result.stderr
    assert result.stdout.splitlines()[-1] == mapped


def test_missing_files(tmp_path):
    (tmp_path / "map").write_text(example("config/default"))
    for name in ("new/a", "b", "new/config/x", "config/y", "config/default"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).touch()
    for asked, found in (("a", "new/a"), ("/a", "new/a"), ("b", "b"), ("c", "c"),
                         ("config/x", "new/config/x"), ("/config/y", "config/y"),
                         ("config/z", "config/default")):
        done = serve(tmp_path, "--root", tmp_path / "root", "--map", tmp_path / "map",
                     "--map-test", asked)
        assert done.stdout.splitlines()[-1] == found


def test_what_map_test_prints(tmp_path):
    (tmp_path / "rules").write_text(example("li  "))
    (shown,) = (block for block in blocks("EXAMPLES") if block[0] == "$")
    command, _, output = shown.partition("\n")
    done = subprocess.run(["sh", "-c", command.replace("$ sockeye", SOCKEYE)], text=True,
                          capture_output=True, timeout=30, check=False, cwd=tmp_path)
    assert done.stdout == output and done.returncode == 0


def test_policy_is_one(tmp_path):
    (tmp_path / "policy").write_text(example("refuse="))
    for name, client, code, said in [
            ("a", "192.0.2.17", 0, "policy, line 1: refuse=tsize,windowsize\na\n"),
            ("a", "10.9.1.1", 0, "policy, line 3: blksize=mtu window=4\na\n"),
            ("a", "10.20.1.1", 0, "policy, line 4: trusted\na\n"),
            ("inner/a", "192.0.2.1", 0, "policy, line 5: default\ninner/a\n"),
            ("inner/a", "198.51.100.1", 1, "denied: policy, line 6\n"),
            ("a", "198.51.100.1", 0, "policy, line 7: deny=put\na\n")]:
        result = serve(tmp_path, "--policy", tmp_path / "policy", "--map-test", name,
                       "--map-client", client)
        assert (result.returncode, result.stdout) == (code, said), result.stderr


@pytest.mark.parametrize("option, number, rules", [
    ("--map", 0, "\n\nres a b"), ("--map", 1, "\n" * 6 + "r a(b c"),
    ("--policy", 2, "*  deny\n192.0.2.1/24 deny")])
def test_diagnostics(tmp_path, option, number, rules):
    (tmp_path / "rules").write_text(rules)
    result = serve(tmp_path, option, tmp_path / "rules")
    assert result.returncode != 0
    assert blocks("DIAGNOSTICS")[0].splitlines()[number] in result.stderr
