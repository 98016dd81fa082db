"""Just enough of mdoc(7) and of C to compare manuals with headers."""
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = ROOT / "man"
HEADERS = sorted((ROOT / "include" / "sockeye").glob("*.h"))


def sections(page):
    """The text of each section of a page, by title."""
    parts = re.split(r"^\.Sh (.*)\n", page.read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def words(text):
    """The words of a page's text, escapes undone, punctuation of macros gone."""
    return set(re.findall(r"[A-Za-z_][\w.-]*", text.replace("\\-", "-").replace("\\&", "")))


def prototypes(page):
    """What SYNOPSIS declares: {name: prototype}."""
    found, kind = {}, None
    lines = iter(sections(page)["SYNOPSIS"].splitlines())
    for line in lines:
        if line.startswith(".Ft "):
            kind = line[4:]
        elif line.startswith(".Fn "):
            name, *args = shlex.split(line[4:])
            found[name] = prototype(kind, name, args)
        elif line.startswith(".Fo "):
            name, args = line[4:].strip(), []
            for inner in lines:
                if inner.startswith(".Fc"):
                    break
                args.append(shlex.split(inner)[1])
            found[name] = prototype(kind, name, args)
        elif line.startswith(".Vt extern "):
            text = line[len(".Vt extern "):].rstrip(";")
            found[re.search(r"(\w+)\[\]$", text)[1]] = text
    return found


def prototype(kind, name, args):
    return spaces(f"{kind.strip(chr(34))} {name}({', '.join(args)})")


def spaces(text):
    return re.sub(r"\* +", "*", re.sub(r"\s+", " ", text)).strip()


def code(header):
    """A header without its comments."""
    return re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)


def declarations(header):
    """What a header exports: {name: prototype}."""
    found = {}
    for match in re.finditer(r"^SOCKEYE_API (?:extern )?([^;]*);", code(header), re.M):
        text = spaces(match[1])
        found[re.search(r"(\w+)(?:\(|\[)", text)[1]] = text
    return found


def fields(header):
    """The names of struct members and enum constants of a header."""
    text = re.sub(r"^\s*#.*(?:\\\n.*)*", "", code(header), flags=re.M)  # no macros
    found = set()
    for body in re.findall(r"^(?:struct|enum) \w+ \{(.*?)^\}", text, re.M | re.S):
        for statement in re.split(r"[;]", body):
            statement = re.sub(r"=[^,]*", "", statement.replace("struct {", ""))
            function = re.search(r"\(\*(\w+)\)", statement)
            if function:
                found.add(function[1])
                continue
            for part in re.sub(r"\[[^\]]*\]|^.*\{|\}", "", statement, flags=re.S).split(","):
                name = re.search(r"(\w+)\s*$", part)
                if name:
                    found.add(name[1])
    return found


def macros(header):
    """The constants a header defines, but for guards and table macros."""
    return set(re.findall(r"^#define (SOCKEYE_\w+) ", header.read_text(), re.M)) - {
        "SOCKEYE_ERROR_ENUM"}
