"""The project's pages name files, packages and targets that exist."""
import re
import subprocess

import pytest

import mdoc

ROOT = mdoc.ROOT
PAGES = ["README.md", "HACKING.md", *(str(path.relative_to(ROOT))
                                      for path in sorted((ROOT / "docs").rglob("*.md")))]
FOLDERS = r"(?:include|src|cmd|test|fuzz|bench|examples|man|docs|scripts|\.ci)"


def text_of(page):
    """A page in which NAME.[ch] is written as NAME.h and NAME.c."""
    return re.sub(r"`([\w/]+)\.\[ch\]`", r"`\1.h` `\1.c`", (ROOT / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_files_it_names_exist(page):
    text = text_of(page)
    named = {name for name in re.findall(rf"`({FOLDERS}/[\w./-]*[\w/])`", text) if "NAME" not in name}
    named |= {target for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)}
    base = (ROOT / page).parent
    missing = {name for name in named if not (ROOT / name).exists() and not (base / name).exists()}
    assert missing == set()


def test_map_has_every_source_file():
    text = text_of("docs/MAP.md")
    files = {str(path.relative_to(ROOT)) for top in ("include", "src", "cmd")
             for path in (ROOT / top).rglob("*.[ch]")}
    assert {name for name in files if f"`{name}`" not in text} == set()


def test_dependencies_are_those_the_script_installs():
    text = (ROOT / "docs" / "DEPENDENCIES.md").read_text()
    parts = re.split(r"^## .*`(\w+)`.*\n", text, flags=re.M)
    for name, part in zip(parts[1::2], parts[2::2]):
        listed = subprocess.run([ROOT / "scripts" / "install-deps", "--list", name], text=True,
                                check=True, capture_output=True).stdout.split()
        assert sorted(set(re.findall(r"^\| `([^`]+)`", part, re.M))) == listed
    assert parts[1::2] == ["build", "test", "lint", "bench", "peers"]


def test_make_targets_that_are_named_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text()))
        assert named <= targets, page


def test_build_lists_every_file():
    """Meson lists every C file of src and cmd."""
    for folder in ("src", "cmd"):
        listed = set(re.findall(r"'([\w/.]+\.c)'", (ROOT / folder / "meson.build").read_text()))
        there = {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder).rglob("*.c")}
        assert there == listed


def test_python_scripts_can_be_read():
    """Including scripts that no test runs, such as bench/run."""
    for path in ROOT.rglob("*"):
        if {"build", ".git"} & {part.partition("-")[0] for part in path.relative_to(ROOT).parts}:
            continue
        if path.is_file() and (path.suffix == ".py" or re.match(rb"#!.*python", first_line(path))):
            compile(path.read_bytes(), path, "exec")


def first_line(path):
    with path.open("rb") as file:
        return file.readline(80)


def functions_of_the_map():
    text = (ROOT / "docs" / "MAP.md").read_text()
    return sorted(set(re.findall(r"`(\w+)\(\)`\s+in\s+`([\w/.]+)`", text)))


@pytest.mark.parametrize("function, file", functions_of_the_map())
def test_functions_of_the_map_are_defined(function, file):
    """Functions start in the first column: no call does."""
    text = (ROOT / file).read_text()
    assert re.search(rf"^\w[\w *]*\b{function}\([^;]*?\)\n\{{", text, re.M)


def test_map_answers_a_maintainers_questions():
    text = (ROOT / "docs" / "MAP.md").read_text()
    rows = re.search(r"^## Where is .*?(?=^## )", text, re.M | re.S)[0]
    for word in ("ACK", "source with too many", "UDP reply", "`..`", "refused", "half-close",
                 "SIGHUP", "privileges", "io_uring", "EMFILE"):
        assert re.search(rf"^\|[^|]*{re.escape(word)}[^|]*\| `\w+\(\)` in `", rows, re.M), word
