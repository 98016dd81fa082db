"""The simulators find bugs: each patch of test/sim/bugs plants one in a copy of the
source, and a run of tftp_sim over many seeds, or one of tftp_peers, must fail."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RUNS = 100000
RUN_S_MAX = 60


PEERS = ("peers.c", "tftp_peers.c")


def build(folder, name):
    sim = [path for path in (folder / "test" / "sim").glob("*.c")
           if path.name == "network.c" or (path.name in PEERS) == (name == "tftp_peers")]
    sources = [*sim, *(folder / "src" / "proto").glob("tftp_*.c"),
               folder / "src" / "proto" / "rtt.c", folder / "src" / "base" / "number.c"]
    program = folder / name
    subprocess.run([*os.environ.get("CC", "cc").split(), "-std=c17", "-D_GNU_SOURCE", "-O1",
                    f"-I{folder}/src", f"-I{folder}/include", "-o", program, *sources], check=True)
    return program


def copy(folder):
    for part in ("include", "src", "test/sim"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


def run(folder, name):
    arguments = ["--runs", str(RUNS)] if name == "tftp_sim" else []
    return subprocess.run([build(folder, name), *arguments], text=True, capture_output=True,
                          timeout=RUN_S_MAX, check=False)


@pytest.mark.parametrize("name", ["tftp_sim", "tftp_peers"])
def test_without_a_bug_it_finds_nothing(name, tmp_path):
    assert run(copy(tmp_path / "tree"), name).returncode == 0


@pytest.mark.parametrize("patch", sorted((ROOT / "test" / "sim" / "bugs").glob("*.patch")),
                         ids=lambda path: path.stem)
def test_bug_is_found(patch, tmp_path):
    folder = copy(tmp_path / "tree")
    subprocess.run(["patch", "-p1", "-s", "-i", patch], cwd=folder, check=True)
    done = run(folder, "tftp_sim")
    if done.returncode == 0:
        done = run(folder, "tftp_peers")
    # Either 1 with the transfer, or a failed invariant of the transfer.
    assert done.returncode != 0, done.stdout
    assert (done.returncode < 0 or "replay: tftp_sim --seed" in done.stderr
            or "WRONG" in done.stdout)
