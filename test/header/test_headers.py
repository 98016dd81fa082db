"""Each public header compiles alone, twice in a row, as C17 and as C++17."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include"
HEADERS = sorted(str(path.relative_to(INCLUDE)) for path in INCLUDE.rglob("*.h"))
COMPILERS = {
    "gcc": ["-xc", "-std=c17"],
    "g++": ["-xc++", "-std=c++17"],
    "clang": ["-xc", "-std=c17"],
    "clang++": ["-xc++", "-std=c++17"],
}
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_compiles_alone(header, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    result = subprocess.run(
        [compiler, *COMPILERS[compiler], *WARNINGS, f"-I{INCLUDE}", "-fsyntax-only", "-"],
        input=f"#include <{header}>\n#include <{header}>\nint unused_;\n",
        text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def test_umbrella_includes_all():
    text = (INCLUDE / "sockeye.h").read_text()
    for header in HEADERS:
        if header not in ("sockeye.h", "sockeye/visibility.h"):
            assert f"#include <{header}>" in text


def test_every_declaration_is_exported_and_no_more():
    """The shared library exports the functions that the headers mark with SOCKEYE_API."""
    build = pathlib.Path(os.environ["SOCKEYE_BUILD"])
    declared = set()
    for header in HEADERS:
        text = re.sub(r"/\*.*?\*/", "", (INCLUDE / header).read_text(), flags=re.S)
        for match in re.finditer(r"^SOCKEYE_API\s+([^;{]*?\b(sockeye_\w+)\s*(?:\(|\[|;))", text,
                                 re.M):
            declared.add(match[2])
    symbols = subprocess.run(["nm", "-DP", "--defined-only", build / "src" / "libsockeye.so"],
                             text=True, capture_output=True, check=True).stdout
    assert declared == {line.split()[0] for line in symbols.splitlines()}
