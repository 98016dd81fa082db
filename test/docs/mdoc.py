"""Parses the part of mdoc(7) and of C that comparing manuals with headers needs."""
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = ROOT / "man"
PAGES = sorted(MAN.glob("*.[1357]"))
HEADERS = sorted((ROOT / "include" / "sockeye").glob("*.h"))


def sections(page):
    """The text of each section of a page, as {title: text}."""
    parts = re.split(r"^\.Sh (.*)\n", page.read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def words(text):
    """The words of a text without its escapes and punctuation."""
    return set(re.findall(r"[A-Za-z_][\w.-]*", text.replace("\\-", "-").replace("\\&", "")))


def names(page):
    """The names in the NAME section, each with its manual section: sockeye_addr_parse.3."""
    return [name + page.suffix for name in re.findall(r"^\.Nm ([\w-]+)", sections(page)["NAME"], re.M)]


def references(text):
    """The manual pages that a text refers to: sockeye_addr.3, tcp.7."""
    return {f"{name}.{section}" for name, section in
            re.findall(r"^\.(?:Pq see )?Xr (\S+) (\d)", text, re.M)}


def prototypes(page):
    """The declarations in the SYNOPSIS: {name: prototype}."""
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
    """The text of a header without its comments."""
    return re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)


def declarations(header):
    """The functions and variables that a header exports: {name: prototype}."""
    found = {}
    for match in re.finditer(r"^SOCKEYE_API (?:extern )?([^;]*);", code(header), re.M):
        text = spaces(match[1])
        found[re.search(r"(\w+)(?:\(|\[)", text)[1]] = text
    return found


def fields(header):
    """The names of the struct members and enum constants in a header."""
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
    """The constants that a header defines, without guards and table macros."""
    return set(re.findall(r"^#define (SOCKEYE_\w+) ", header.read_text(), re.M)) - {
        "SOCKEYE_ERROR_ENUM"}
