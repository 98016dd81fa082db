"""The manuals of section 3 agree with the public headers, and their examples compile."""
import os
import pathlib
import re
import subprocess

import pytest

import mdoc

PAGES = {path.stem: mdoc.MAN / f"sockeye_{path.stem}.3"
         for path in mdoc.HEADERS if path.stem != "visibility"}
HEADERS = {path.stem: path for path in mdoc.HEADERS}
each_header = pytest.mark.parametrize("noun", PAGES)


@each_header
def test_sections(noun):
    assert list(mdoc.sections(PAGES[noun]))[:6] == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "RETURN VALUES", "EXAMPLES", "ERRORS"]


@each_header
def test_synopsis_has_the_prototypes_of_the_header(noun):
    assert mdoc.prototypes(PAGES[noun]) == mdoc.declarations(HEADERS[noun])


@each_header
def test_name_lists_all_functions(noun):
    declared = mdoc.declarations(HEADERS[noun])
    assert sorted(mdoc.names(PAGES[noun])) == sorted(f"{name}.3" for name in declared)


@pytest.fixture(name="man3", scope="module")
def installed_section_3(tmp_path_factory):
    dest = tmp_path_factory.mktemp("dest")
    subprocess.run(["meson", "install", "-C", os.environ["SOCKEYE_BUILD"], "--no-rebuild",
                    "--quiet"], env=dict(os.environ, DESTDIR=str(dest)), check=True)
    (page,) = dest.rglob("man3/sockeye.3")
    return page.parent


def test_every_function_has_a_manual_page(man3):
    """The page of its header, under the name of the function."""
    for noun, header in HEADERS.items():
        for name in mdoc.declarations(header):
            assert (man3 / f"{name}.3").resolve() == man3 / f"sockeye_{noun}.3"


def test_every_link_is_a_name_of_its_page(man3):
    for link in filter(pathlib.Path.is_symlink, man3.iterdir()):
        assert link.name in mdoc.names(mdoc.MAN / link.resolve().name)


@each_header
def test_fields_and_constants_are_described(noun):
    said = mdoc.words(PAGES[noun].read_text())
    assert mdoc.fields(HEADERS[noun]) - said == set()
    tables = {"SOCKEYE_ERRORS", "SOCKEYE_COUNTERS"}
    assert {name for name in mdoc.macros(HEADERS[noun]) if name not in tables} - said == set()


@pytest.mark.parametrize("page", sorted(mdoc.MAN.glob("*.3")), ids=lambda page: page.name)
def test_examples_build(page, tmp_path):
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", mdoc.sections(page)["EXAMPLES"],
                        re.M | re.S)
    assert blocks
    build = pathlib.Path(os.environ["SOCKEYE_BUILD"])
    for text in blocks:
        source = tmp_path / "example.c"
        source.write_text(re.sub(r"^\\&", "", text, flags=re.M).replace("\\e", "\\"))
        link = ["-o", tmp_path / "example", f"-L{build}/src", "-lsockeye"] \
            if "int main(" in text else ["-c", "-o", tmp_path / "example.o"]
        result = subprocess.run(["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror",
                                 f"-I{mdoc.ROOT}/include", source, *link],
                                text=True, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr


def rows(page, column):
    """The rows of a .Bl -column list: [[cell, ...], ...]."""
    found = []
    for line in page.read_text().splitlines():
        if line.startswith(f".It {column} "):
            found.append([cell.strip() for cell in line[len(f".It {column} "):].split(" Ta ")])
    return found


def test_error_table():
    text = HEADERS["error"].read_text()
    codes = dict(re.findall(r"SOCKEYE_EXIT_(\w+) = (\d+)", text))
    table = [[f"SOCKEYE_E_{name}", code, codes[kind], words] for name, code, kind, words in
             re.findall(r'X\((\w+), (-\d+), (\w+), "([^"]*)"\)', text)]
    exits = [[f"SOCKEYE_EXIT_{name}", code] for name, code in codes.items()]
    found = rows(PAGES["error"], "Dv")
    assert [row for row in found if len(row) == 4] == table
    assert [row[:2] for row in found if len(row) == 3] == exits


def test_counter_table():
    text = HEADERS["serve"].read_text()
    table = text[text.index("#define SOCKEYE_COUNTERS"):text.index("struct sockeye_counter {")]
    assert [row for row in rows(PAGES["serve"], "Fa") if len(row) == 2] == \
        [list(row) for row in re.findall(r'X\((\w+), \w+,[\s\\]*"([^"]*)"\)', table)]


def test_library_page_lists_every_header():
    text = (mdoc.MAN / "sockeye.3").read_text()
    for noun in PAGES:
        assert f".It In sockeye/{noun}.h" in text and f".Xr sockeye_{noun} 3" in text
