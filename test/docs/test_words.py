"""scripts/check-words finds the phrases of scripts/words.txt and leaves plain sentences alone."""
import re
import shutil
import subprocess

import pytest

import mdoc

SCRIPT = mdoc.ROOT / "scripts" / "check-words"
LIST = (mdoc.ROOT / "scripts" / "words.txt").read_text().splitlines()
# Sentences that resemble the phrases and are good English.
PLAIN = """
The kernel returns what the peer sent, and there is no way around it.
An option tells the server to reject uploads.
Nothing tells a slow peer from a dead one.
The server runs as user nobody, with the group nobody:nogroup.
The client is no longer connected, and there is nothing to read.
A client behind a NAT router and hosts behind one address share a limit.
The old worker is left behind. So long as it runs, it serves its clients.
So many clients connect that the queue is full.
RFC 868 says that the year 2036 is the end.
Replies come from the port that the client asked.
A percent sign stands for itself, and as it stands nothing fails.
There is a good reason for it, for good measure.
If the file exists, read it, or else fail.
The server takes the place of the old one.
RFC 1350 calls its binary mode octet.
Put the file in place; the option has no place to go.
The block number goes from 65535 to 0.
"""


def check(path, text):
    path.write_text(text)
    done = subprocess.run([SCRIPT, path], text=True, capture_output=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def phrases():
    """For each phrase its line number and its examples."""
    found = []
    for number, line in enumerate(LIST, 1):
        if line.startswith("e.g. "):
            found[-1][1].append(line.removeprefix("e.g. "))
        elif line.strip() and not line.startswith(("#", "except:")):
            found.append((number, [], line.rpartition("  ->  ")[2]))
    return found


def test_every_phrase_has_an_example_that_is_found(tmp_path):
    examples = [(example, instead) for _, examples_of_one, instead in phrases()
                for example in examples_of_one]
    assert {number for number, examples_of_one, _ in phrases() if not examples_of_one} == set()
    status, printed = check(tmp_path / "page.md", "\n\n".join(example for example, _ in examples))
    found = set(re.findall(r":(\d+): '.*': write (.*)", printed))
    assert status == 1
    assert {(2 * i + 1, instead) for i, (_, instead) in enumerate(examples)} \
        <= {(int(number), instead) for number, instead in found}


def test_plain_sentences_pass(tmp_path):
    assert check(tmp_path / "page.md", PLAIN.replace("\n", "\n\n")) == (0, "")


BAD = "the end of the input is\n{} told at once"


@pytest.mark.parametrize("name, text", [
    ("page.md", BAD.format("")),
    ("page.md", "| a | the end is told |\n"),
    ("man/page.1", ".Sh NAME\n" + BAD.format("")),
    ("man/page.1", ".It Fl a Ns , Fl -all Pq which is told at once"),
    ("program.c", f"/* {BAD.format(' *')} */\nint x;"),
    ("program.c", "int x; // which is told"),
    ("program.c", 'f("the end is "\n  "told");'),
    ("program.py", "# the end is\n# told\nx = 1\n"),
    ("program.py", '"""A module that is\ntold."""\n'),
    ("program.py", 'def f():\n    """Which is\n    told."""\n'),
    ("meson.build", "x = 1  # which is\n# told\n"),
    ("Makefile", "all: ## build what is told\n"),
])
def test_text_is_read(tmp_path, name, text):
    (tmp_path / "man").mkdir()
    status, printed = check(tmp_path / name, text)
    assert (status, printed.count("\n")) == (1, 1)
    assert re.search(r":\d+: 'is told': write ", printed)


@pytest.mark.parametrize("name, text", [
    ("page.md", "`it is told`\n\n    $ which is told\n\n```sh\nis told\n```\n"),
    ("man/page.1", ".Bd -literal\nwhich is told\n.Ed\n.Dl is told\n.Fl is told\n"),
    ("program.c", "int is_told; /* is */ int told;"),
    ("program.py", "x = 'which is told'\n"),
    ("data.txt", "which is told"),
])
def test_code_is_not_read(tmp_path, name, text):
    (tmp_path / "man").mkdir()
    assert check(tmp_path / name, text) == (0, "")


def test_exceptions(tmp_path):
    """An exception allows a phrase in its files; one that no text needs is a finding."""
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / "scripts" / "words.txt").write_text(
        "all  \\bis told\\b  ->  prints\n"
        "except:docs/*.md  who is told  ->  a quotation\n"
        "except:*.md  never written  ->  nothing\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("A user who is told.\n\nA user is told.\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    done = subprocess.run([script], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.splitlines()) == (1, "", [
        "docs/page.md:3: 'is told': write prints",
        "scripts/words.txt:3: no text needs this exception"])


def test_unknown_option_prints_the_usage():
    done = subprocess.run([SCRIPT, "-x"], text=True, capture_output=True, check=False)
    assert done.returncode == 1 and "scripts/check-words [FILE|FOLDER]" in done.stderr
