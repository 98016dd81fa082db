"""README's and the manuals' examples of connect and listen, typed at a terminal.

The shell has job control, and the commands read its terminal: each has to end without Ctrl-D, in
the background too. test_examples_run.py compares the output.
"""
import pathlib
import re
import sys

import pytest

import examples
import mdoc
import test_examples_run as printed
import test_readme
from network import needs_namespace, network, until

sys.path.insert(0, str(mdoc.ROOT / "test" / "cmd"))
from job_shell import JobShell  # noqa: E402 pylint: disable=wrong-import-position

PAGES = ["sockeye-connect.1", "sockeye-listen.1"]
BLOCKS = [block for block in printed.EXAMPLES if block.page in PAGES]
README = [examples.Block("README", text) for text in test_readme.blocks("console")
          if re.search(r"sockeye (connect|listen) ", text)]


@pytest.fixture(name="net")
def namespace(tmp_path):
    printed.programs_make(tmp_path, printed.PROGRAMS)
    with network(tmp_path, tmp_path / "bin" / "sockeye") as net:
        net.env.update(REAL=printed.SOCKEYE, READY=str(tmp_path / "ready-now"), OUT="none",
                       SERVED="none")
        yield net


def begin(shell, net, command):
    """Starts a server in the background and waits until it is ready."""
    ready = pathlib.Path(net.env["READY"])
    shell.run(f"{command} &")
    if "--ready-fd" not in command:
        until(lambda: ready.exists() and ready.read_text(), command)
        ready.unlink()


def type_commands(shell, other, block, net):
    """Types each command and waits for the next prompt. A server in the foreground gets its client
    from the other shell."""
    for command in block.commands:
        text = printed.below(net.folder, command.text)
        if command.in_background:
            begin(shell, net, text[:-1].strip())
        elif command.serves:
            shell.type(f"{text}\n")
            until(lambda: pathlib.Path(net.env["READY"]).exists(), text)
            other.run(printed.matching(printed.THEN, block))
            if "udp:" in text:
                shell.type("\x03")
            shell.prompt()
        else:
            assert "Stopped" not in shell.run(text), text


@needs_namespace
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_manual(block, net):
    printed.files_make(net.folder, block)
    with JobShell(net.folder, net.env, net.enter) as shell, \
            JobShell(net.folder, net.env, net.enter) as other:
        for command in printed.matching(printed.BESIDE, block) or []:
            if command.startswith("sockeye"):
                begin(shell, net, command if ">" in command else f"{command} 2>>served")
            else:
                shell.run(f"{command} >>served 2>&1 &")
                until(lambda: net.bound("tcp", 80), command)
        type_commands(shell, other, block, net)
        assert "Stopped" not in shell.run("jobs") + other.run("jobs")


@needs_namespace
@pytest.mark.parametrize("block", README, ids=lambda block: block.name)
def test_readme_block(block, net):
    (net.folder / "build").mkdir()
    (net.folder / "build" / "sockeye").symlink_to(printed.SOCKEYE)
    with net.serving(f"{mdoc.ROOT}/scripts/demo build/sockeye", lambda: net.bound("udp", 7069)):
        with JobShell(net.folder, net.env, net.enter) as shell:
            shell.run("PATH=$PWD/build:$PATH")
            for command in block.commands:
                assert "Stopped" not in shell.run(test_readme.runnable(command.text)), command.text
            assert "Stopped" not in shell.run("jobs")
