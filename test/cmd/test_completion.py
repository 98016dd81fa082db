"""Completion in bash, zsh and fish: each shell completes command lines with our script."""
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from conftest import SOCKEYE, WAIT_S

COMMANDS = ["bench", "check", "connect", "get", "listen", "put", "relay", "serve"]
TOP = [*COMMANDS, "help", "--help", "--version", "--completion"]
MODELS = ["iterative", "fork", "prefork", "thread", "event", "uring"]


def printed(*args):
    return subprocess.run([SOCKEYE, *args], capture_output=True, check=True, text=True).stdout


def needs(shell):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")


def bash(words, folder):
    line = " ".join(f"'{word}'" for word in words)
    script = printed("--completion", "bash") + (
        f'\nCOMP_WORDS=({line}) COMP_CWORD={len(words) - 1}; _sockeye; echo "${{COMPREPLY[*]}}"')
    return subprocess.run(["bash", "-c", script], capture_output=True, check=True, cwd=folder,
                          text=True).stdout.split()


def fish(words, folder):
    needs("fish")
    (folder / "sockeye.fish").write_text(printed("--completion", "fish"))
    line = " ".join(words)
    said = subprocess.run(["fish", "--no-config", "-c", f"source sockeye.fish; complete -C '{line}'"],
                          capture_output=True, check=True, text=True, cwd=folder,
                          env={**os.environ, "HOME": str(folder)}).stdout
    return [entry.partition("\t")[0] for entry in said.splitlines()]


# The words typed, and all completions offered, in any order.
OFFERED = [
    (["sockeye", "co"], ["connect"]),
    (["sockeye", ""], TOP),
    (["sockeye", "help", ""], COMMANDS),
    (["sockeye", "--completion", ""], ["bash", "zsh", "fish"]),
    (["sockeye", "connect", "--co"], ["--connect-timeout", "--count", "--color"]),
    (["sockeye", "listen", "--color", ""], ["auto", "always", "never"]),
    (["sockeye", "serve", "--model", ""], MODELS),
    (["sockeye", "serve", "-m", "pre"], ["prefork"]),
    (["sockeye", "serve", "d"], ["daytime", "discard"]),
    (["sockeye", "serve", "tf"], ["tftp"]),
    (["sockeye", "connect", "t"], ["tcp://"]),
    (["sockeye", "listen", "unix"], ["unix:", "unix-dgram:", "unix-seqpacket:"]),
    (["sockeye", "get", "t"], ["tftp://"]),
    (["sockeye", "relay", "u"], ["udp://"]),
    (["sockeye", "connect", "--count", ""], []),
]


@pytest.mark.parametrize("shell", [bash, fish], ids=["bash", "fish"])
@pytest.mark.parametrize("words, offered", OFFERED, ids=lambda value: " ".join(value)[:40])
def test_offered(tmp_path, shell, words, offered):
    found = shell(words, tmp_path)
    if shell is fish:  # fish shows options only after a dash
        offered = [word for word in offered if not word.startswith("--") or words[-1][:1] == "-"]
        found = [word for word in found if not word.startswith("--") or words[-1][:1] == "-"]
    assert sorted(found) == sorted(offered)


def test_services_and_schemes_are_those_there_are(tmp_path):
    services = re.findall(r"^service +(\w+)", printed("serve", "--list"), re.M)
    schemes = [word for word in bash(["sockeye", "connect", ""], tmp_path) if word[-1] in ":/"]
    words = [word for word in bash(["sockeye", "serve", ""], tmp_path) if word[0] != "-"]
    assert len(services) > 5 and words == services + schemes
    said = subprocess.run([SOCKEYE, "connect", "x://y"], capture_output=True, check=False,
                          text=True).stderr
    for scheme in re.search(r"known schemes: ([^;]*)", said)[1].split():
        address = {"unix": ":/nowhere", "fd": ":99"}.get(scheme.partition("-")[0], "://127.0.0.1:1")
        if scheme == "icmp":
            address = "://127.0.0.1"
        said = subprocess.run([SOCKEYE, "connect", "--json", scheme + address], text=True,
                              capture_output=True, check=False, stdin=subprocess.DEVNULL).stdout
        offered = scheme in [word.partition(":")[0] for word in schemes]
        assert offered != ('"SCHEME_UNSUPPORTED"' in said), said


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_fish_completes_file_names(tmp_path, option):
    (tmp_path / "file").touch()
    assert "file" in fish(["sockeye", "get", option, "f"], tmp_path)
    assert "file" in fish(["sockeye", "put", "f"], tmp_path)
    assert "file" not in fish(["sockeye", "connect", "f"], tmp_path)


class Zsh:
    """An interactive zsh without the user's configuration, on a terminal."""

    def __init__(self, folder):
        (folder / "_sockeye").write_text(printed("--completion", "zsh"))
        (folder / "file").touch()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ["TERM"] = "dumb"
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.text = ""
        self.type(f"PS1= fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; "
                  "unsetopt zle_bracketed_paste; stty -echo; echo rea''dy\n")
        self.wait("ready")

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, pattern):
        deadline = time.monotonic() + WAIT_S
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, self.text
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += os.read(self.fd, 4096).decode(errors="replace")
        return found

    def line(self, typed):
        """The command line after pressing the Tab key."""
        self.text = ""
        # ^A and ^E put quotes around the completed line, so that it is printed
        self.type("\x15" + typed + "\t\x01print -r -- '<\x05>'\n")
        return self.wait(r"\n?<(.*)>\r?\n")[1]

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def zsh(tmp_path_factory):
    needs("zsh")
    shell = Zsh(tmp_path_factory.mktemp("zsh"))
    yield shell
    shell.close()


@pytest.mark.parametrize("typed, completed", [
    ("sockeye conn", "sockeye connect"),
    ("sockeye help li", "sockeye help listen"),
    ("sockeye --completion f", "sockeye --completion fish"),
    ("sockeye connect --mess", "sockeye connect --message"),
    ("sockeye listen --color al", "sockeye listen --color always"),
    ("sockeye serve --model ur", "sockeye serve --model uring"),
    ("sockeye serve ec", "sockeye serve echo"),
    ("sockeye serve tf", "sockeye serve tftp"),
    ("sockeye connect tc", "sockeye connect tcp://"),
    ("sockeye get -o fi", "sockeye get -o file"),
    ("sockeye put fi", "sockeye put file"),
])
def test_zsh_completes(zsh, typed, completed):
    assert zsh.line(typed).rstrip() == completed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_once(shell, command):
    text = printed("--completion", shell)
    options = set(re.findall(r"^  (?:-\w, |    )--([\w-]+)", printed(command, "--help"), re.M))
    if shell == "fish":
        found = re.findall(rf"'__sockeye_is {command}' -l ([\w-]+)", text)
    elif shell == "zsh":
        part = text.partition(f"\t{command})\n")[2].partition(";;")[0]
        found = re.findall(r"--([\w-]+)", re.sub(r"\[.*?\]", "", part))
    else:
        part = text.partition(f"\t{command})\n")[2]
        found = re.findall(r"--([\w-]+)", re.search(r"words='(.*?)'", part)[1])
    assert len(options) > 5 and sorted(found) == sorted(options)
