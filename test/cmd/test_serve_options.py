"""Options of sockeye serve that are wrong or have no effect, and --map-test."""
import json
import subprocess

import pytest

from conftest import KEEP_ROOT, SOCKEYE, WAIT_S

TFTP = ["tftp", "udp://127.0.0.1:0", "--root", "."]


def said(tmp_path, *args):
    done = subprocess.run([SOCKEYE, "serve", *args], capture_output=True, text=True, check=False,
                          timeout=WAIT_S, stdin=subprocess.DEVNULL, cwd=tmp_path)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("args, option, why", [
    ("tftp udp://127.0.0.1:0 --model fork", "model", "no built-in service is served"),
    ("tftp udp://127.0.0.1:0 -s", "show-messages", "no built-in service is served"),
    ("tftp udp://127.0.0.1:0 --max-time 1", "max-time", "no service here accepts connections"),
    ("tftp udp://127.0.0.1:0 --text x", "text", "it applies only to reply"),
    ("tftp udp://127.0.0.1:0 --umask 022", "umask", "it needs --upload"),
    ("tftp udp://127.0.0.1:0 --max-upload 1", "max-upload", "it needs --upload"),
    ("tftp udp://127.0.0.1:0 --single-port --port-range 9-9", "port-range", "--single-port"),
    ("echo tcp://127.0.0.1:0 --root .", "root", "tftp is not served;"),
    ("echo tcp://127.0.0.1:0 --max-upload 1", "max-upload", "tftp is not served;"),
    ("echo tcp://127.0.0.1:0 --refuse tsize", "refuse", "tftp is not served;"),
    ("echo tcp://127.0.0.1:0 --unique-root ip", "unique-root", "tftp is not served;"),
    ("echo tcp://127.0.0.1:0 --rate 5", "rate", "no service here replies"),
    ("echo udp://127.0.0.1:0 --max-connections 5", "max-connections", "accepts connections"),
    ("echo udp://127.0.0.1:0 --max-per-source 5", "max-per-source", "accepts connections"),
    ("echo unix-dgram:x --idle-timeout 5", "idle-timeout", "accepts connections"),
    ("echo udp://127.0.0.1:0 --backlog 5", "backlog", "accepts connections"),
    ("reply udp://127.0.0.1:0 --once", "once", "it applies only to reply on streams"),
    ("reply udp://127.0.0.1:0 --format smtp", "format", "it applies only to daytime"),
    ("chargen tcp://127.0.0.1:0 --length 5", "length", "it applies only to chargen on datagrams"),
])
def test_no_effect(ready, tmp_path, args, option, why):
    """A warning names the option, and the service runs."""
    root = ["--root", ".", *KEEP_ROOT] if args.startswith("tftp") else []
    server, _ = ready("serve", *args.split(), *root, stdout=subprocess.DEVNULL,
                      stderr=subprocess.PIPE, cwd=tmp_path)
    server.terminate()
    err = server.communicate(timeout=WAIT_S)[1].decode()
    assert server.returncode == 0
    assert f"warning: --{option} has no effect: " in err and why in err


@pytest.mark.parametrize("args, option, why", [
    ("tftp udp://127.0.0.1:0 --root . --map-client ::1", "map-client", "it needs --map-test"),
    ("tftp udp://127.0.0.1:0 --root . --map-put", "map-put", "it needs --map-test"),
    ("--root .", "root", "tftp is not served;"),
])
def test_mistakes(tmp_path, args, option, why):
    """Without this error, --root without the word tftp would serve everything except files."""
    code, out, err = said(tmp_path, *args.split())
    assert code == 2 and out == "" and f"--{option} has no effect: " in err and why in err


@pytest.mark.parametrize("args", [
    "tftp udp://127.0.0.1:0 --root . --workers 2 --max-per-source 5 --user root --grace 1",
    "tftp udp://127.0.0.1:0 --root . --create --umask 022 --max-upload 1 --port-range 50000-50001",
    "tftp udp://127.0.0.1:0 echo udp://127.0.0.1:0 --root . --model fork --workers 2 -s",
    "chargen udp://127.0.0.1:0 --rate 5 --length 3 --model iterative",
    "reply tcp://127.0.0.1:0 daytime udp://127.0.0.1:0 --once --format smtp --text",
    "discard unix:s --model fork --workers 1 --max-connections 5 --max-time 5 --idle-timeout 1 --backlog 4",
])
def test_effect(ready, tmp_path, args):
    """No warning for any of these; the last --text is an empty one."""
    text = [""] if args.endswith("--text") else []
    root = KEEP_ROOT if args.startswith("tftp") and "--user" not in args else []
    server, _ = ready("serve", *args.split(), *root, *text, stdout=subprocess.DEVNULL,
                      stderr=subprocess.PIPE, cwd=tmp_path)
    server.terminate()
    assert b"no effect" not in server.communicate(timeout=WAIT_S)[1]


@pytest.mark.parametrize("args, code, words", [
    (["--root", ""], 2, "--root takes DIR, not ''"),
    (["--root", "none"], 9, "open root directory none: No such file"),
    (["--map", ""], 2, "--map takes FILE, not ''"),
    (["--user", ""], 2, "--user takes NAME, not ''"),
    (["--user", "no such\nuser"], 3, "become user no such\\nuser: name not found; getent passwd"),
    (["--upload", "--umask", "8\n"], 2, "--umask takes an octal number up to 777, not '8\\n'"),
    (["--upload", "--max-upload", "0"], 2, "--max-upload takes at least 1, not '0'"),
    (["--refuse", "tsize,\x1bx"], 2, "windowsize, rollover, not '\\ex'"),
    (["--blksize-max", "7"], 2, "--blksize-max takes 8 to 65464, or mtu, not '7'"),
    (["--window-max", "65536"], 2, "--window-max takes 1 to 65535, not '65536'"),
    (["--timeout", "256"], 2, "--timeout takes 0.001 to 255 s, not '256'"),
    (["--port-range", "9-8"], 2, "two ports, the smaller first, such as 50000-50100, not '9-8'"),
    (["--unique-root", "name"], 2, "--unique-root takes one of ip, mac, not 'name'"),
    (["--map-test", "a", "--map-client", "1.2.3.4:5"], 2, "192.0.2.1 or 2001:db8::1, not '1.2.3"),
])
def test_wrong_values(tmp_path, args, code, words):
    """One line says what failed, with which value, and why."""
    found, out, err = said(tmp_path, *TFTP, *args)
    assert (found, out) == (code, "") and words in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("address, words", [
    ("127.0.0.1:69", "not on tcp://127.0.0.1:69; try: sockeye serve tftp udp://127.0.0.1:69 "),
    ("unix:x", "not on unix:x; try: sockeye serve tftp udp://:6969 "),
])
def test_tftp_is_udp(tmp_path, address, words):
    code, _, err = said(tmp_path, "tftp", address, "--root", ".")
    assert code == 2 and words in err


@pytest.mark.parametrize("folder", ["/srv/tftp", "./pub", "."])
def test_folder_without_its_option(tmp_path, folder):
    """in.tftpd takes the folder as an operand."""
    code, _, err = said(tmp_path, "tftp", "udp://127.0.0.1:0", folder)
    assert code == 2 and f"'{folder}' is a directory" in err and f" --root {folder}\n" in err


def test_address_without_its_service(tmp_path):
    code, _, err = said(tmp_path, "udp://*:69", "tftp")
    assert code == 2 and "no service given for 'udp://*:69'; put its name first; try: sockeye serve tftp 'udp://*:69'\n" in err


RULES = """\
rg\t\\\\      /
G4e  \\.cfg$
P6r  x y
a    ^secret  "not for \\i"
"""


@pytest.mark.parametrize("args, code, lines", [
    (["--map-test", r"a\b\c.cfg"], 0, ["-> a/b/c.cfg", "-> a/b/c.cfg, stop", "a/b/c.cfg"]),
    (["--map-test", "x", "--map-put"], 0, [None, "for others", "for others", "no match", "x"]),
    (["--map-test", "x", "--map-put", "--map-client", "::1"], 0, [None, None, "-> y", None, "y"]),
    (["--map-test", "secret"], 1, [None, None, None, "denies", "denied: not for 192.0.2.1"]),
    (["--map-test", "../x"], 1, ["denied: name leads outside its directory"]),
    (["--map-test", "q\n"], 0, [None] * 4 + ["q\\n"]),
])
def test_map_test(tmp_path, args, code, lines):
    """One line for each step, the outcome on the last; a backslash is not a control character."""
    (tmp_path / "map").write_text(RULES)
    found, out, err = said(tmp_path, *TFTP, "--map", "map", *args)
    assert (found, err) == (code, "")
    assert len(out.splitlines()) == len(lines)
    for line, wanted in zip(out.splitlines(), lines):
        assert wanted is None or line.endswith(wanted)
    assert out.splitlines()[-1] == lines[-1]
    assert len(lines) == 1 or out.startswith("line 1    rg \\\\      /  ")
    found, out, err = said(tmp_path, "--json", "--map", "map", *args)
    last = [json.loads(line) for line in out.splitlines()][-1]
    assert (found, err) == (code, "") and last["denied"] == (code == 1)


def test_map_test_with_a_folder_for_each(tmp_path):
    (tmp_path / "192.0.2.1").mkdir()
    (tmp_path / "policy").write_text("* name=192.0.2.1/x deny\n")
    args = *TFTP, "--unique-root", "ip", "--policy", "policy", "--map-test", "x"
    assert said(tmp_path, *args) == (1, "denied: policy, line 1\n", "")
    assert said(tmp_path, *args, "--map-client", "192.0.2.2") == (0, "x\n", "")
