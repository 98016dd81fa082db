"""The programs in the manuals of section 3 do what their pages say."""
import os
import pathlib
import re
import subprocess

import pytest

import examples
import mdoc

SOCKEYE = os.path.abspath(os.environ.get("SOCKEYE", mdoc.ROOT / "build" / "sockeye"))
NAMESPACE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]

# For each page the shell commands that run its program, as $PROGRAM, and their output.
RUNS = {
    "sockeye.3": ("$SOCKEYE serve -q upper tcp://127.0.0.1:7001 --ready-fd 9 9>ready & wait_ready; "
                  "$PROGRAM; kill $!", "HELLO\n"),
    "sockeye_addr.3": ("$PROGRAM localhost:7; $PROGRAM ::1:7; echo $?",
                       "tcp://localhost:7\n"
                       "parse address ::1:7: malformed address "
                       "(write an IPv6 address in brackets: [::1]:7)\n2\n"),
    "sockeye_dgram.3": ("$PROGRAM & until $SOCKEYE connect -qm hello udp://127.0.0.1:7007 2>&-; "
                        "do sleep 0.01; done; kill $!", "hello"),
    "sockeye_serve.3": ("$PROGRAM thread & $SOCKEYE connect -q -r 99 --retry-pause 20ms -m hello. "
                        "tcp://127.0.0.1:7000; kill $!", "hello!\n"),
    "sockeye_sockaddr.3": ("$PROGRAM 127.0.0.1:7; $PROGRAM; echo $?", "127.0.0.1:7\n2\n"),
    "sockeye_stream.3": ("$PROGRAM & $SOCKEYE connect -q -r 99 --retry-pause 20ms -m hello -m '' "
                         "tcp://127.0.0.1:7000; wait", "5\n0\n"),
    "sockeye_text.3": ("$PROGRAM", "65536 1500000000 bell\\x07\n"),
}


def programs():
    for page in sorted(mdoc.MAN.glob("*.3")):
        text = mdoc.sections(page)["EXAMPLES"]
        for source in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.M | re.S):
            if "int main(" in source:
                yield pytest.param(page.name, examples.plain(source), id=page.name)


def can_unshare():
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="no network namespaces here")
@pytest.mark.parametrize("page, source", programs())
def test_program(page, source, tmp_path):
    build = pathlib.Path(os.environ["SOCKEYE_BUILD"]).resolve()
    commands, output = RUNS[page]
    (tmp_path / "program.c").write_text(source)
    subprocess.run(["gcc", "-std=c17", f"-I{mdoc.ROOT}/include", tmp_path / "program.c", "-o",
                    tmp_path / "program", f"-L{build}/src", "-lsockeye"], check=True)
    script = f"""
        ip link set lo up
        wait_ready() {{ until [ -s ready ]; do sleep 0.01; done; }}
        {commands}
    """
    done = subprocess.run([*NAMESPACE, "sh", "-c", script], cwd=tmp_path, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60,
                          env=dict(os.environ, SOCKEYE=SOCKEYE, PROGRAM=str(tmp_path / "program"),
                                   LD_LIBRARY_PATH=str(build / "src")))
    assert done.stdout == output


def test_every_run_has_a_program():
    assert set(RUNS) == {param.values[0] for param in programs()}
