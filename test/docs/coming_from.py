"""The tables of docs/coming-from/: which commands are in which row."""
import re

import mdoc

FOLDER = mdoc.ROOT / "docs" / "coming-from"


def rows(page, heading):
    """Rows of the tables below a heading: (task, their commands, our command)."""
    text = (FOLDER / page).read_text()
    section = re.split(r"^## ", text, flags=re.M)
    [body] = [part for part in section if part.startswith(f"{heading}\n")]
    found = []
    for line in body.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and "`" in cells[2]:
            task, theirs, ours = cells
            found.append((task, commands(theirs), commands(ours)[0]))
    return found


def commands(cell):
    return [command.replace("\\|", "|") for command in re.findall(r"`([^`]+)`", cell)]


def pairs(page, heading):
    """One of their commands and ours, for each of theirs."""
    return [(task, theirs, ours) for task, all_of_theirs, ours in rows(page, heading)
            for theirs in all_of_theirs]
