"""README.md is true: its console blocks run beside the demo and print what they show, its commands
in the tables run, its figures are in docs/BENCHMARKS.md, and its C compiles."""
import itertools
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import mdoc

SOCKEYE = pathlib.Path(os.environ.get("SOCKEYE", mdoc.ROOT / "build" / "sockeye")).resolve()
BUILD = pathlib.Path(os.environ.get("SOCKEYE_BUILD", mdoc.ROOT / "build")).resolve()
TEXT = (mdoc.ROOT / "README.md").read_text()
# A network namespace per test: the demo uses fixed ports.
NAMESPACE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
WAIT_S = 60


def can_unshare():
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


needs_namespace = pytest.mark.skipif(not can_unshare(), reason="cannot create network namespaces")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


def rows(heading):
    """The rows of the table whose first column has this heading: lists of cells."""
    table = re.search(rf"^\| {heading} \|.*\n\|[- |:]*\n((?:\|.*\n)+)", TEXT, re.M)
    return [[cell.strip() for cell in line.strip("|").split(" | ")]
            for line in table[1].splitlines()]


def like(line):
    """A pattern for the line, in which numbers, units, months and days may differ."""
    tokens = []
    for token in line.split(" "):
        varies = re.search(r"\d", token) or re.fullmatch(
            r"(ns|us|ms|s|blocks?|([KMG]i)?B/s|[A-Z][a-z]{2}),?", token)
        tokens.append(r"\S+" if varies else re.escape(token))
    return " ".join(tokens)


def terminal_output(argv, folder):
    """Runs a program on a terminal; returns what stays of its output: no progress bars."""
    ours, theirs = os.openpty()
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs,
                          stderr=theirs) as process:
        os.close(theirs)
        output = b""
        try:
            while piece := os.read(ours, 4096):
                output += piece
        except OSError:  # EIO: every process has closed the terminal
            pass
        os.close(ours)
        process.wait(timeout=30)
    return re.sub(r".*\x1b\[K", "", output.decode().replace("\r\n", "\n"))


def beside_the_demo(commands, folder, shell="bash"):
    """Runs shell commands in a folder where `make demo` runs; returns their output."""
    (folder / "build").mkdir()
    (folder / "build" / "sockeye").symlink_to(SOCKEYE)
    script = f"""
        ip link set lo up
        {mdoc.ROOT}/scripts/demo build/sockeye >demo.out 2>&1 & demo=$!
        until build/sockeye get -qo .got tftp://127.0.0.1:7069/hello.txt 2>.why; do sleep 0.05; done
        disown
        PATH=$PWD/build:$PATH
        {commands}
        kill $demo
    """
    return terminal_output([*NAMESPACE, shell, "-c", script], folder)


def runnable(command):
    """README's `make` commands, as the test runs them: it has a build already."""
    return {"make demo": f"make -C {mdoc.ROOT} -n demo >/dev/null",
            "make install": f"meson install -C {BUILD} --no-rebuild --quiet --destdir $PWD/root",
            }.get(command, command)


@needs_namespace
@pytest.mark.parametrize("shell", [pytest.param(name, marks=pytest.mark.skipif(
    not shutil.which(name), reason=f"no {name} here")) for name in ("bash", "zsh")])
@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.split("\n")[0][2:30])
def test_console_block(block, shell, tmp_path):
    commands, expected = [], []
    for line in block.splitlines():
        (commands if line.startswith(("$ ", "# ")) else expected).append(re.sub("^[$#] ", "", line))
    output = beside_the_demo("\n".join(map(runnable, commands)), tmp_path, shell)
    # Processes in the background may print, and listen, a little earlier or later.
    got = sorted(line for line in output.splitlines() if line and not line.endswith("trying again"))
    for line, pattern in itertools.zip_longest(got, map(like, sorted(expected)), fillvalue=""):
        assert re.fullmatch(pattern, line), f"{line!r} is not like {pattern!r} in\n{output}"


def commands_to_use():
    for _, use in rows("instead of"):
        yield from re.findall(r"`(sockeye [^`]*)`", use)


@needs_namespace
@pytest.mark.parametrize("command", commands_to_use())
def test_command_to_use(command, tmp_path):
    if command.split()[1] in ("serve", "listen"):
        run = f"{command} --ready-fd 3 3>ready & until [ -s ready ]; do sleep 0.05; done; kill $!"
    else:
        run = f"echo hello | {command} && touch ready"
    output = beside_the_demo(f"timeout {WAIT_S} sh -c {mdoc.shlex.quote(run)}", tmp_path)
    assert (tmp_path / "ready").exists(), output


@needs_namespace
def test_every_command_of_the_demo_runs(tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "sockeye").write_text("#!/bin/sh\n")
    (tmp_path / "build" / "sockeye").chmod(0o755)
    printed = subprocess.run([mdoc.ROOT / "scripts" / "demo", "build/sockeye"], cwd=tmp_path,
                             text=True, check=True, capture_output=True).stdout
    commands = re.findall(r"^  (\S.*)", printed, re.M)
    assert commands[0] == f'export PATH="{tmp_path}/build:$PATH"'
    assert len(commands) > 5
    run = tmp_path / "run"
    run.mkdir()
    script = "".join(f"({command}) </dev/null >>out 2>&1 || echo 'failed: {command[:20]}'\n"
                     for command in commands[1:])
    assert beside_the_demo(script, run) == ""


def test_first_screen_has_it_all():
    """Forty lines name what it replaces, what to type, and measured figures."""
    first = "\n".join(TEXT.splitlines()[:40])
    for word in ("make demo", "export PATH", "sockeye get", "nc ", "ncat", "socat", "xinetd",
                 "tftpd", "atftp", "sockperf", "MiB/s", "docs/BENCHMARKS.md"):
        assert word in first


@pytest.fixture(name="shout", scope="module")
def library_program(tmp_path_factory):
    """The program of README, built. Returns its command line."""
    folder, [source] = tmp_path_factory.mktemp("shout"), blocks("c")
    (folder / "shout.c").write_text(source)
    subprocess.run(["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", f"-I{mdoc.ROOT}/include",
                    folder / "shout.c", "-o", folder / "shout", f"-L{BUILD}/src",
                    f"-Wl,-rpath,{BUILD}/src", "-lsockeye"], check=True)
    return [*NAMESPACE, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", str(folder / "shout")]


@needs_namespace
def test_library_program(shout):
    with subprocess.Popen([*shout, "thread"]) as server:
        ask = ["nsenter", f"--target={server.pid}", "--net",
               *([] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]),
               SOCKEYE, "connect", "-q", "--retry", "50", "--retry-pause", "100ms", "-m", "hi.",
               "tcp://127.0.0.1:7000"]
        try:
            # Before unshare(1) has its namespace, nothing listens on port 7000 either.
            while not os.readlink(f"/proc/{server.pid}/exe").endswith("/shout"):
                assert server.poll() is None
            assert subprocess.run(ask, check=True, capture_output=True).stdout == b"hi!\n"
        finally:
            server.terminate()
        assert server.wait(WAIT_S) == 0


@needs_namespace
@pytest.mark.parametrize("model, code, said", [
    ("nosuchmodel", 2, "nosuchmodel"), ("event", 9, "Address already in use")])
def test_library_program_prints_its_error(shout, model, code, said):
    if code == 9:  # another server in the same namespace has the port
        line = (f"ip link set lo up; mkfifo {shout[-1]}.ready; {SOCKEYE} serve echo "
                f"tcp://127.0.0.1:7000 --ready-fd 3 3>{shout[-1]}.ready >/dev/null & "
                f"read ready <{shout[-1]}.ready; {shout[-1]} {model}; code=$?; kill $!; exit $code")
        command = [*NAMESPACE, "sh", "-c", line]
    else:
        command = [*shout, model]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == code
    assert done.stderr.startswith("shout: ") and said in done.stderr and done.stderr.count("\n") == 1
