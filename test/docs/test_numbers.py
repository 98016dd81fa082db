"""Ranges and defaults in the manuals are those of the program."""
import os
import re
import subprocess

import pytest

import mdoc

SOCKEYE = os.environ.get("SOCKEYE", str(mdoc.ROOT / "build" / "sockeye"))
COMMANDS = sorted(path.stem.removeprefix("sockeye-") for path in mdoc.MAN.glob("sockeye-*.1"))
# Out of the range of every number, time and size.
TOO_LARGE = ["99999999999999999999", "999999999h", "99999999999999T"]
UNITS = {"": 1, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "k": 1e3, "M": 1e6, "Ki": 1 << 10,
         "Mi": 1 << 20, "Gi": 1 << 30}
QUANTITY = r"\b(\d+(?:\.\d+)?(?:e-\d+)?) ?(ms|s|m|h|k|M|Ki|Mi|Gi)?\b"


def output(*args):
    return subprocess.run([SOCKEYE, *args], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=30)


def entries(page):
    """{option: its description} of a manual, without macros."""
    found, names = {}, []
    for entry in re.split(r"^\.It ", page.read_text().replace("\\-", "-"), flags=re.M)[1:]:
        head, _, body = entry.partition("\n")
        names += re.findall(r"Fl -([\w-]+)", head)
        text = " ".join(re.split(r"^\.El", body, flags=re.M)[0].split())
        if text:  # several entries may share one description
            text = re.sub(r"(?:^|\s)\.(?:[A-Z][a-z] ?)+", " ", text)
            found.update({name: found.get(name, "") + text for name in names})
            names = []
    return found


def options():
    """Each option that takes a value: its command, name and help text."""
    for command in COMMANDS:
        rows = re.split(r"^  (?:-\w, |    )--", output(command, "--help").stdout, flags=re.M)[1:]
        for row in rows:
            name, value, text = re.match(r"([\w-]+)(?: ([A-Z]\S*))?(.*)", row, re.S).groups()
            if value:
                text = " ".join(text.partition("\n\n")[0].split())
                yield pytest.param(command, name, text, id=f"{command} --{name}")


def description(command, name):
    """The description of an option. listen refers to connect for some."""
    pages = [command, "connect"] if command == "listen" else [command]
    return " ".join(entries(mdoc.MAN / f"sockeye-{page}.1").get(name, "") for page in pages)


def quantities(text):
    return {round(float(number) * UNITS[unit], 9) for number, unit in re.findall(QUANTITY, text)}


@pytest.mark.parametrize("command, name, _", options())
def test_ranges(command, name, _):
    if name == "ready-fd":  # a descriptor that is open
        return
    for value in TOO_LARGE:
        error = output(command, f"--{name}={value}", "--no-such-option").stderr
        limits = re.search(r"takes ([\d.e-]+) to ([\d.]+)( s)?, not", error)
        if limits and float(limits[2]) < 0xffffffff:
            low, high = (round(float(limit), 9) for limit in limits.groups()[:2])
            known = quantities(description(command, name))
            assert high in known and (low in known or low <= 1 and not limits[3] or low == 0)


@pytest.mark.parametrize("command, name, text", options())
def test_defaults(command, name, text):
    default = re.search(r" \((?:default:? )?(\d[\w.]*)[;,)]", text)
    if default:
        known = description(command, name)
        assert "default" in known and re.search(rf"\b{re.escape(default[1])}\b", known), known
