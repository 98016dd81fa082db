"""The program accepts the commands in sockeye-tftp(7), and the options in its tables exist."""
import os
import re
import shlex
import shutil
import subprocess

import pytest

import mdoc

SOCKEYE = os.environ.get("SOCKEYE", str(mdoc.ROOT / "build" / "sockeye"))
# Otherwise the workers become nobody, who may not use the folders of tests.
KEEP_ROOT = ["--user", "root"] if os.geteuid() == 0 else []
PAGE = mdoc.MAN / "sockeye-tftp.7"
HOSTS = re.compile(r"udp://(\*|192\.0\.2\.1|127\.0\.0\.1):\d+")


def blocks(section):
    return [block.replace("\\e", "\\") for block in
            re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", mdoc.sections(PAGE)[section], re.M | re.S)]


def commands():
    """Each `sockeye serve` in the examples, without the options that need root."""
    for block in blocks("EXAMPLES"):
        for line in block.replace("\\\n", " ").splitlines():
            _, found, args = line.partition("sockeye serve ")
            if found:
                yield re.sub(r" --user \w+|&|/etc/| --root \S+", "", args)


@pytest.mark.parametrize("args", commands())
def test_servers(tmp_path, args):
    policy = "".join(line + "\n" for block in blocks("EXAMPLES") for line in block.splitlines()
                     if re.match(r"[\d.*]+(/\d+)? ", line))
    (tmp_path / "tftp.policy").write_text(policy)
    ready, child = os.pipe()
    with subprocess.Popen([SOCKEYE, "serve", *shlex.split(HOSTS.sub("udp://127.0.0.1:0", args)),
                           "--root", ".", *KEEP_ROOT, "--ready-fd", str(child)], cwd=tmp_path,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          pass_fds=[child]) as server:
        os.close(child)
        with open(ready, "rb") as told:
            listens = told.read()
        server.terminate()
        assert listens, server.stderr.read()


def test_tables_name_options():
    """The first column has the other server's options, the second has ours."""
    said = subprocess.run([SOCKEYE, "serve", "--help"], capture_output=True, text=True, check=True)
    rows = re.findall(r"^\.It .*? Ta (.*)", mdoc.sections(PAGE)["COMING FROM ANOTHER SERVER"], re.M)
    named = {option for row in rows for option in re.findall(r"Fl -([\w-]+)", row)}
    assert len(rows) > 20 and len(named) > 10
    assert named <= set(re.findall(r"--([\w-]+)", said.stdout))


def test_rule_for_the_path_of_the_root(tmp_path):
    (rule,) = blocks("COMING FROM ANOTHER SERVER")
    (tmp_path / "map").write_text(rule)
    said = subprocess.run([SOCKEYE, "serve", "--map", tmp_path / "map", "--map-test",
                           "/srv/tftp/pxelinux.0"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "pxelinux.0"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_unit(tmp_path):
    (unit,) = (block for block in blocks("EXAMPLES") if "[Service]" in block)
    lines = [line for line in unit.splitlines() if line[0:1] != "#"]
    (tmp_path / "sockeye.service").write_text("\n".join(lines).replace("/usr/local/bin/sockeye",
                                                                       SOCKEYE))
    said = subprocess.run(["systemd-analyze", "verify", tmp_path / "sockeye.service"],
                          capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 0 and "sockeye" not in said.stderr, said.stderr
