"""The examples in the manuals run as they are printed, in sh, bash and zsh.

Each example runs in a network namespace of the test, which has the addresses that the manuals use
(ADDRESSES) and well-known ports that nothing else listens on. So hosts and ports stay as printed.
The test changes three things:

    paths       /etc, /run, /srv and /usr lie below the folder of the test (FOLDERS)
    programs    docker, ssh and systemctl are replaced (PROGRAMS); sockeye is a script that starts
                the real one and reports when a server is ready
    servers     a server that the page starts in the foreground runs in the background, and the
                test then runs a client (THEN)

Output that the page shows must appear; numbers that depend on time and load may differ (VARIES).
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import examples
import mdoc

SOCKEYE = os.path.abspath(os.environ.get("SOCKEYE", mdoc.ROOT / "build" / "sockeye"))
SHELLS = {"sh": ["sh"], "bash": ["bash", "--norc"], "zsh": ["zsh", "-f"]}
WAIT_S = 10
ROOT = os.geteuid() == 0
ADDRESSES = ["192.0.2.1", "192.0.2.7", "192.0.2.9", "192.0.2.53", "192.168.1.1"]
FOLDERS = r"(?<![\w./])/(?=(?:etc|run|srv|usr)/)"
BLOCKS = list(examples.blocks())
EXAMPLES = [block for block in BLOCKS if block.commands]

# Literal blocks that are not commands, and the test that covers them.
NOT_COMMANDS = {
    ("sockeye-tftp-rules.5", "^/?boot/"): "test_tftp_rules.py",
    ("sockeye-tftp-rules.5", "^new/"): "test_tftp_rules.py",
    ("sockeye-tftp-rules.5", "hosts/"): "test_tftp_rules.py",
    ("sockeye-tftp-rules.5", "no hidden files"): "test_tftp_rules.py",
    ("sockeye-tftp-rules.5", "firmware/"): "test_tftp_rules.py",
    ("sockeye-tftp-rules.5", "2026.11"): "test_tftp_rules.py",
    ("sockeye-tftp-rules.5", "refuse="): "test_tftp_rules.py",
    ("sockeye-tftp-rules.5", "invalid rules"): "test_tftp_rules.py",
    ("sockeye-tftp.7", "^/?srv/tftp/"): "test_tftp_page.py",
}

# Examples that the test does not run, each with the reason.
NOT_RUN = {
}

# Files in the folder of the test: name and size in bytes, or text.
FILES = {
    "file": 100000, "firmware.bin": 3900000, "core.gz": 100000, "vmlinuz": 700000,
    "initrd.img": 900000, "pub/numbers": 588895, "pub/vmlinuz": 300000,
    "rules": "rg   \\\\         /\nli   ^/?boot/\n",
    "srv/tftp/pxelinux.0": 42392, "srv/tftp/vmlinuz": 700000, "srv/tftp/initrd.img": 33554432,
    "srv/tftp/a": 99132, "srv/tftp/config.txt": "hostname a\n", "srv/tftp/firmware.bin": 500000,
    "srv/tftp/file": 100000, "usr/lib/PXELINUX/pxelinux.0": 42392,
    "etc/systemd/system/tftp.service": "", "srv/www/index.html": "<p>hello</p>\n",
    "etc/xinetd.conf": "service echo\n{\n\ttype = INTERNAL\n\tsocket_type = dgram\n\twait = yes\n}\n",
    "etc/inetd.conf": "daytime stream tcp nowait root internal\n",
}
DIRECTORIES = ["boot", "run", "srv/tftp/boot", "srv/config"]

KEEP_ROOT = " --user root" if ROOT else ""
TFTP = "sockeye serve tftp udp://192.0.2.1:69 --root srv/tftp --create --overwrite" + KEEP_ROOT
DEVICE = "sockeye serve tftp udp://{}:69 --root srv/tftp --create --overwrite " \
    "--refuse blksize,blksize2,timeout,utimeout,tsize,windowsize,rollover" + KEEP_ROOT

# Servers that an example needs: {(page, part of a command): commands}.
BESIDE = {
    ("sockeye-bench.1", ""): ["sockeye serve"],
    ("sockeye-connect.1", ""): ["sockeye serve"],
    ("sockeye-connect.1", "localhost:80"): ["python3 -m http.server -d srv/www 80"],
    ("sockeye-connect.1", "upper.sock"): ["sockeye serve upper unix:run/upper.sock"],
    ("sockeye-get.1", ""): [TFTP],
    ("sockeye-get.1", "192.0.2.7"): [DEVICE.format("192.0.2.7")],
    ("sockeye-listen.1", "<file"): ["sockeye listen tcp://192.0.2.1:9000 >copy"],
    ("sockeye-put.1", ""): [TFTP],
    ("sockeye-put.1", "192.0.2.9"): [DEVICE.format("192.0.2.9")],
    ("sockeye-relay.1", ""): ["sockeye serve tftp udp://127.0.0.1:69 --root srv/tftp"],
    ("sockeye-relay.1", "192.0.2.53"): ["sockeye serve echo udp://192.0.2.53:53"],
    ("sockeye-tftp.7", "--probe"): [TFTP],
    ("sockeye-tftp.7", "50000-50100"): [TFTP],
    ("sockeye-tftp.7", "192.168.1.1"): [DEVICE.format("192.168.1.1")],
}

# Commands that run when every server of an example is ready: {(page, part of a command): command}.
THEN = {
    ("sockeye-listen.1", ">copy"):
        "sockeye connect tcp://192.0.2.1:9000 <file; wait; cmp file copy",
    ("sockeye-listen.1", "9001"): "sockeye connect -w 0 -m hello udp://127.0.0.1:9001",
    ("sockeye-relay.1", "1%"): "sockeye get -o x tftp://127.0.0.1:6970/vmlinuz",
    ("sockeye-relay.1", "--drop-ack"): "sockeye get --window 1 -o x tftp://127.0.0.1:6970/a",
    ("sockeye-relay.1", "192.0.2.53"): "sockeye connect -m a udp://127.0.0.1:5353",
    ("sockeye-serve.1", "daytime"): "sockeye connect tcp://localhost:13",
    ("sockeye-serve.1", "iterative"):
        "sockeye connect -m hi tcp://127.0.0.1:5000 | grep 'back to ya client'",
    ("sockeye-serve.1", "upper.sock"): "sockeye connect -m hi unix:run/upper.sock | grep HI",
    ("sockeye-tftp.7", "--backslash"): "sockeye get -o x 'tftp://127.0.0.1/PXELINUX.0'",
    ("sockeye-tftp.7", "cp "): "sockeye get -o x tftp://127.0.0.1/pxelinux.0",
    ("sockeye-tftp.7", "docker"): "sockeye get -o x tftp://127.0.0.1:6969/file",
    ("sockeye-tftp.7", "--unique-root"): "sockeye put -b 192.0.2.7 file tftp://192.0.2.1/conf; "
                                         "cmp file srv/config/192.0.2.7/conf",
}

# Exit statuses other than 0: {(page, part of a command): statuses of the commands in turn}.
STATUSES = {
    ("sockeye-address.7", "::1:80"): [2, 2],
}

# What may differ between the page and a run: pattern and replacement.
VARIES = [(re.compile(pattern), replacement) for pattern, replacement in [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"), (r"\d\d:\d\d:\d\d\.\d{6}", "TIME"),
    (r"[\d.]+ ([KMG]i)?B/s", "RATE"), (r"\d+/s", "RATE"), (r"[\d.]+ (ns|us|ms|s)\b", "TIME"),
    # At the end of the time, some messages have no reply on a busy machine.
    (r"sent RATE, received RATE", "RATE each way"),
    (r"messages +\d+", "messages N"), (r"\d+% of", "N% of"), (r"pid \d+", "pid N"),
    (r"\d+ blocks? resent", "N resent"), (r"resent=\d+ timeouts=\d+ gaps=\d+", "LOSSES"),
    (r"(?<=[\d\]]):(3[2-9]|[456]\d)\d{3}\b", ":PORT"),
]]

# Replacements of programs.
PROGRAMS = {
    # A server writes to a separate file, as if to another terminal.
    "sockeye": """#!/bin/sh
case " $* " in
*" serve "*|*" relay "*|*" listen "*)
	[ "$(readlink /proc/$$/fd/1)" != "$OUT" ] || exec >>"$SERVED"
	[ "$(readlink /proc/$$/fd/2)" != "$OUT" ] || exec 2>>"$SERVED"
	case " $* " in
	*" --ready-fd "*|*" --map-test "*) ;;
	*) exec 9>"$READY"; set -- "$@" --ready-fd 9 ;;
	esac ;;
esac
exec "$REAL" "$@"
""",
    # The container is this machine.
    "docker": '#!/bin/sh\nwhile [ "$1" != sockeye ]; do shift; done\nexec "$@"\n',
    "ssh": "#!/bin/sh\necho hostname switch3\n",
    "systemctl": "#!/bin/sh\n",
}

NAMESPACE = ["unshare", "--net", *([] if ROOT else ["--map-root-user"])]


def matching(table, block):
    """The entry of the table for a block: the longest part of a command that it contains."""
    keys = [key for key in table if key[0] == block.page and key[1] in block.text]
    return table[max(keys, key=lambda key: len(key[1]))] if keys else None


def can_unshare():
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


def below(folder, text):
    """The text with its absolute paths below the folder."""
    text = re.sub(FOLDERS, f"{folder}/", text)
    return text if ROOT else re.sub(r" --user \w+|^chown .*", "", text)


def files_make(folder, block):
    for name in DIRECTORIES:
        (folder / name).mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (folder / name).write_text(content)
        elif content > 1 << 20:  # a file of holes takes no time to write
            with (folder / name).open("wb") as file:
                file.truncate(content)
        else:
            (folder / name).write_bytes(b"".join(b"%d\n" % i for i in range(content // 4))[:content])
    for command in block.commands:  # a file that the reader has written before
        shown = re.fullmatch(r"cat (\S+)", command.text)
        if shown:
            pathlib.Path(below(folder, shown[1])).write_text("\n".join(command.output) + "\n")


def programs_make(folder, programs):
    (folder / "bin").mkdir()
    for name, text in programs.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)


@pytest.fixture(name="folder")
def short_folder():
    """A folder whose path leaves room in the 107 bytes of a UNIX-domain address."""
    with tempfile.TemporaryDirectory(prefix="ex-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def script_of(folder, block):
    """The commands of a block as a script that notes each exit status."""
    ready = 'i=0; while [ ! -s "$READY" ] && [ $i -lt 500 ]; do sleep 0.02; i=$((i+1)); done\n' \
        'rm -f "$READY"\n'
    lines = ["ip link set lo up", f"cd {folder}"]
    for address in ADDRESSES:  # as far away as a host on the same Ethernet
        lines += [f"ip addr add {address}/32 dev lo",
                  f"ip route replace local {address} dev lo table local mtu 1500"]
    for command in matching(BESIDE, block) or []:
        lines.append(f"{command} >>$SERVED 2>&1 &" if ">" not in command else f"{command} &")
        lines.append(ready if "sockeye" in command else
                     f"until ss -Hltn | grep -q ':{command.split()[-1]} '; do sleep 0.05; done")
    then = matching(THEN, block)
    for command in block.commands:
        text = below(folder, command.text)
        waits = command.serves or command.text.startswith("docker")
        if waits and not command.in_background:
            lines.append(f"{text} &")
        else:
            lines.append(text)
        if command.in_background or waits:
            lines.append(ready if "--ready-fd" not in text else "")
        else:
            lines.append("echo $? >>$STATUS")
    if then:
        lines.append(f"{{ {then}; }} >>$SERVED 2>&1")
        lines.append("echo $? >>$STATUS")
    return "\n".join(lines)


def normal(text, folder):
    """The lines of a text, with what may differ replaced."""
    text = text.replace(f"{folder}/", "/")
    for pattern, replacement in VARIES:
        text = pattern.sub(replacement, text)
    return [line for line in text.splitlines() if line]


def run(shell, folder, block):
    """Runs an example. Returns its output, that of servers, and the exit statuses."""
    paths = {name.upper(): folder / name for name in ("out", "served", "status", "ready")}
    env = dict(os.environ, REAL=SOCKEYE, PATH=f"{folder}/bin:{os.environ['PATH']}", LC_ALL="C.UTF-8",
               **{name: str(path) for name, path in paths.items()})
    paths["SERVED"].touch()
    shown = normal("\n".join(line for command in block.commands for line in command.output), folder)
    with paths["OUT"].open("w") as out:
        process = subprocess.Popen([*NAMESPACE, *SHELLS[shell], "-c", script_of(folder, block)],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                   start_new_session=True)
    try:
        process.wait(timeout=60)
        deadline = time.monotonic() + WAIT_S
        while True:
            said, served = (normal(paths[name].read_text(errors="replace"), folder)
                            for name in ("OUT", "SERVED"))
            if set(shown) <= set(said + served) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing was left running
        process.wait()
    statuses = [int(line) for line in paths["STATUS"].read_text().split()] \
        if paths["STATUS"].exists() else []
    return shown, said, served, statuses


@pytest.mark.skipif(not can_unshare(), reason="no network namespaces here")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("block", [block for block in EXAMPLES if not matching(NOT_RUN, block)],
                         ids=lambda block: block.name)
def test_example(block, shell, folder):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    files_make(folder, block)
    programs_make(folder, PROGRAMS)
    shown, said, served, statuses = run(shell, folder, block)
    everything = "\n".join(["", *said, "--- servers:", *served])
    assert not {line for line in shown if line not in said + served}, everything
    if shown:
        assert not {line for line in said if line not in shown}, everything
    expected = matching(STATUSES, block) or [0] * len(statuses)
    assert statuses == expected, everything


def test_every_foreground_server_has_a_client():
    for block in EXAMPLES:
        waits = [command for command in block.commands
                 if (command.serves or "docker" in command.text) and not command.in_background]
        assert not waits or matching(THEN, block), block.name


def test_blocks_that_are_not_commands_are_covered():
    for block in BLOCKS:
        assert block.commands or matching(NOT_COMMANDS, block), block.name


@pytest.mark.parametrize("table", [BESIDE, NOT_COMMANDS, NOT_RUN, STATUSES, THEN],
                         ids=["beside", "not_commands", "not_run", "statuses", "then"])
def test_tables_name_examples_that_exist(table):
    for page, part in table:
        assert any(block.page == page and part in block.text for block in BLOCKS), (page, part)


def test_commands_are_in_literal_blocks():
    """A command in another macro would not run."""
    for page in mdoc.PAGES:
        assert not re.search(r"^\.D[1l] [$#] ", page.read_text(), re.M), page.name


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.name)
def test_addresses_are_quoted(block):
    """A shell would split or expand them, in bash often without an error."""
    for command in block.commands:
        bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", command.text)
        assert not re.search(r"\S*(?:://|\bunix:)\S*(?:[*?&\[\]]|;\S)", bare), command.text
