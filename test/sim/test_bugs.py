"""The simulator finds bugs: each patch of test/sim/bugs plants one in a copy of the
source, and a run over many seeds must fail."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RUNS = 100000
RUN_S_MAX = 60


def build(folder):
    sources = [*(folder / "test" / "sim").glob("*.c"), *(folder / "src" / "proto").glob("tftp_*.c"),
               folder / "src" / "proto" / "rtt.c", folder / "src" / "base" / "number.c"]
    program = folder / "tftp_sim"
    subprocess.run([*os.environ.get("CC", "cc").split(), "-std=c17", "-D_GNU_SOURCE", "-O1",
                    f"-I{folder}/src", f"-I{folder}/include", "-o", program, *sources], check=True)
    return program


def copy(folder):
    for part in ("include", "src", "test/sim"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


def run(program):
    return subprocess.run([program, "--runs", str(RUNS)], text=True, capture_output=True,
                          timeout=RUN_S_MAX, check=False)


def test_without_a_bug_it_finds_nothing(tmp_path):
    assert run(build(copy(tmp_path / "tree"))).returncode == 0


@pytest.mark.parametrize("patch", sorted((ROOT / "test" / "sim" / "bugs").glob("*.patch")),
                         ids=lambda path: path.stem)
def test_bug_is_found(patch, tmp_path):
    folder = copy(tmp_path / "tree")
    subprocess.run(["patch", "-p1", "-s", "-i", patch], cwd=folder, check=True)
    done = run(build(folder))
    # Either 1 with the seed to replay, or a failed invariant of the transfer.
    assert done.returncode != 0, done.stdout
    assert done.returncode < 0 or "replay: tftp_sim --seed" in done.stderr
