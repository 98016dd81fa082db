"""--help, the section-1 manuals, the completions and the exit codes agree."""
import ctypes
import os
import re
import shutil
import subprocess

import pytest

import mdoc

SOCKEYE = os.environ.get("SOCKEYE", str(mdoc.ROOT / "build" / "sockeye"))
COMMANDS = sorted(path.stem.removeprefix("sockeye-") for path in mdoc.MAN.glob("sockeye-*.1"))
each_command = pytest.mark.parametrize("command", COMMANDS)


def said(*args):
    return subprocess.run([SOCKEYE, *args], text=True, check=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=30).stdout


def help_options(command):
    """{long name: short letter or None} as --help prints them."""
    return {name: letter or None for letter, name in
            re.findall(r"^  (?:-(\w), |    )--([\w-]+)", said(command, "--help"), re.M)}


def manual_options(page):
    found = {}
    for line in page.read_text().replace("\\-", "-").splitlines():
        if not line.startswith(".It Fl "):
            continue
        flags = re.findall(r"Fl (-?[\w-]+)", line)
        letter = next((flag for flag in flags if len(flag) == 1), None)
        for flag in flags:
            if flag.startswith("-"):
                found[flag[1:]] = letter
    return found


def test_top_help_lists_the_commands_that_have_manuals():
    named = re.findall(r"^  (\w+)  ", said("--help"), re.M)
    assert sorted(set(named) - {"help", "version"}) == COMMANDS


@each_command
def test_options_are_those_of_the_manual(command):
    common = manual_options(mdoc.MAN / "sockeye.1")
    manual = manual_options(mdoc.MAN / f"sockeye-{command}.1")
    offered = help_options(command)
    assert len(offered) > 4
    assert {**common, **manual} == {**common, **offered}


@each_command
def test_help_of_help(command):
    assert said("help", command) == said(command, "--help")


@each_command
@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_has_every_option(command, shell):
    text = said("--completion", shell)
    assert all(re.search(rf"(--|-l ){name}\b", text) for name in help_options(command))


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_is_a_script(shell):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n"], input=said("--completion", shell), text=True, check=True)


def test_bash_completes():
    script = said("--completion", "bash") + """
        COMP_WORDS=(sockeye serve --mod) COMP_CWORD=2; _sockeye; echo "${COMPREPLY[@]}"
        COMP_WORDS=(sockeye serve --model ur) COMP_CWORD=3; _sockeye; echo "${COMPREPLY[@]}"
    """
    out = subprocess.run(["bash", "-c", script], text=True, check=True, capture_output=True).stdout
    assert out.splitlines() == ["--model", "uring"]


def test_exit_codes_are_those_of_the_header():
    header = (mdoc.ROOT / "include" / "sockeye" / "error.h").read_text()
    codes = [int(code) for code in re.findall(r"SOCKEYE_EXIT_\w+ = (\d+)", header)]
    status = mdoc.sections(mdoc.MAN / "sockeye.1")["EXIT STATUS"]
    assert [int(code) for code in re.findall(r"^\.It (?:Li |Sy |Cm )?(\d+)", status, re.M)] == codes


def test_models_and_services_are_described():
    manual = (mdoc.MAN / "sockeye-serve.1").read_text()
    listed = re.findall(r"^(?:service|model) +(\w+)", said("serve", "--list"), re.M)
    assert len(listed) > 10
    assert {word for word in listed if not re.search(rf"\b{word}\b", manual)} == set()


@pytest.mark.parametrize("wrong, listed", [
    ("nonsense://x", r"known schemes: ([^;)]*)"), ("tcp://x:1?nonsense", r"; it has ([^)]*)"),
    ("udp://x:1?nonsense", r"; it has ([^)]*)"), ("unix:/x?nonsense", r"; it has ([^)]*)")])
def test_address_manual_has_what_the_error_lists(wrong, listed):
    result = subprocess.run([SOCKEYE, "connect", wrong], text=True, capture_output=True,
                            stdin=subprocess.DEVNULL, timeout=30, check=False)
    assert result.returncode == 2
    known = re.search(listed, result.stderr)[1].split()
    assert len(known) > 3
    manual = mdoc.words((mdoc.MAN / "sockeye-address.7").read_text())
    assert {word.rstrip("=") for word in known} - manual == set()


def test_address_manual_has_addresses():
    """Those of EXAMPLES are valid."""
    library = ctypes.CDLL(os.path.join(os.environ["SOCKEYE_BUILD"], "src", "libsockeye.so"))
    address = ctypes.create_string_buffer(1 << 16)  # larger than struct sockeye_addr
    shown = re.findall(r"^\.It Li (\S+)$", mdoc.sections(mdoc.MAN / "sockeye-address.7")["EXAMPLES"],
                       re.M)
    assert len(shown) > 5
    for text in shown:
        assert library.sockeye_addr_parse(text.encode(), address, None) == 0, text
