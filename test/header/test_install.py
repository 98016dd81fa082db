"""make install DESTDIR=… installs all files that a user of the library needs."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = r"""
#include <sockeye.h>
#include <stdio.h>

int main(void)
{
	struct sockeye_addr addr;
	char text[SOCKEYE_ADDR_TEXT_MAX];

	if (sockeye_addr_parse("localhost:7", &addr, NULL) < 0)
		return 1;
	sockeye_addr_print(&addr, text, sizeof(text));
	puts(text);
	return 0;
}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The build folder, installed in a temporary folder."""
    dest = tmp_path_factory.mktemp("dest")
    subprocess.run(["meson", "install", "-C", os.environ["SOCKEYE_BUILD"], "--no-rebuild",
                    "--quiet"], env=dict(os.environ, DESTDIR=str(dest)), check=True)
    (pkg_config,) = dest.rglob("sockeye.pc")
    return dest, pkg_config


def flags(installed, *args):
    dest, pkg_config = installed
    env = dict(os.environ, PKG_CONFIG_PATH=str(pkg_config.parent),
               PKG_CONFIG_SYSROOT_DIR=str(dest))
    return subprocess.run(["pkg-config", *args, "sockeye"], env=env, text=True, check=True,
                          capture_output=True).stdout.split()


@pytest.mark.parametrize("how", ["shared", "static"])
def test_a_program_builds_and_runs(installed, tmp_path, how):
    dest, pkg_config = installed
    source = tmp_path / "user.c"
    source.write_text(PROGRAM)
    libdir = pkg_config.parent.parent
    if how == "shared":
        link = flags(installed, "--cflags", "--libs")
    else:
        link = [*flags(installed, "--cflags"), str(libdir / "libsockeye.a"), "-luring", "-lmnl", "-lseccomp",
                "-pthread"]
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", tmp_path / "user", source, *link],
                   check=True)
    out = subprocess.run([tmp_path / "user"], env=dict(os.environ, LD_LIBRARY_PATH=str(libdir)),
                         text=True, check=True, capture_output=True).stdout
    assert out == "tcp://localhost:7\n"


def test_what_is_installed(installed):
    dest, _ = installed
    names = {path.name for path in dest.rglob("*") if path.is_file() or path.is_symlink()}
    assert {"sockeye", "sockeye.h", "libsockeye.so", "libsockeye.so.0", "libsockeye.a",
            "sockeye.pc", "sockeye.bash", "_sockeye"} <= names
    assert {path.name for path in (ROOT / "man").glob("*.[1357]")} <= names
    assert {path.name for path in (ROOT / "include" / "sockeye").glob("*.h")} <= names


def test_installed_program_runs(installed):
    dest, _ = installed
    (program,) = (path for path in dest.rglob("sockeye") if path.is_file())
    out = subprocess.run([program, "--version"], text=True, check=True, capture_output=True).stdout
    assert "sockeye" in out
