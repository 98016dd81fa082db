"""The examples in the manuals, as commands and the output that the page shows.

A literal block whose lines start with "$ " (any user) or "# " (root) is an example: those lines
are commands, a backslash at the end continues one, and the other lines are output.
"""
import dataclasses
import re

import mdoc


@dataclasses.dataclass(frozen=True)
class Command:
    text: str     # as a reader types it, without the prompt
    output: list  # lines

    @property
    def in_background(self):
        return self.text.endswith("&")

    @property
    def program(self):
        """The subcommand of sockeye that stays in the foreground, or None."""
        match = re.match(r"sockeye (\w+)", self.text)
        return match and match[1]

    @property
    def serves(self):
        """Whether it runs until a client or a signal ends it."""
        return self.program in ("serve", "relay", "listen") and "--map-test" not in self.text


@dataclasses.dataclass(frozen=True)
class Block:
    page: str
    text: str

    @property
    def commands(self):
        """Empty if the block is not an example."""
        found = []
        lines = iter(self.text.splitlines())
        for line in lines:
            if not re.match(r"[$#] ", line):
                if found:
                    found[-1].output.append(line)
                continue
            text = line[2:]
            while text.endswith("\\"):
                text = text[:-1].rstrip() + " " + next(lines).strip()
            found.append(Command(text, []))
        return found

    @property
    def name(self):
        first = self.text.splitlines()[0]
        return f"{self.page} {first.lstrip('$# ')}"


def plain(text):
    """Text without the escapes of mdoc(7)."""
    for escape, character in {"\\(aq": "'", "\\(dq": '"', "\\-": "-", "\\&": "", "\\e": "\\"}.items():
        text = text.replace(escape, character)
    return text


def blocks():
    """Every literal block of sections 1, 5 and 7."""
    for page in mdoc.PAGES:
        if page.suffix == ".3":
            continue
        for text in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page.read_text(), re.M | re.S):
            yield Block(page.name, plain(text))
