"""Shared by the tests of sockeye get and put: the programs, and a server's OACK."""
import pathlib

import pytest

from wire import oack

TEXT = bytes(i * 17 % 251 for i in range(100_000))
PROTOCOL, TIMED_OUT, USAGE, LOCAL, INTERRUPTED = 8, 5, 2, 9, 130


@pytest.fixture
def get(program, tmp_path):
    """Starts `sockeye get`; .path is the file it writes."""
    def start(url, *options, name="out", **kw):
        path = tmp_path / name
        started = program("get", "-o", path, *options, url, **kw)
        started.path = path
        return started
    return start


@pytest.fixture
def put(program, tmp_path):
    """Starts `sockeye put` with a file of the given content."""
    def start(url, content, *options, **kw):
        path = tmp_path / "in"
        path.write_bytes(content)
        return program("put", *options, path, url, **kw)
    return start


def granted(request, **less):
    """Returns an OACK for all options of the request, with the values in `less` instead where
    given, and these options."""
    options = {k.decode().lower(): v.decode() for k, v in request.options.items()}
    options.update({k: str(v) for k, v in less.items() if k in options})
    return oack(list(options.items())), options


def left(folder):
    """The names of the files in a folder, including hidden ones."""
    return sorted(p.name for p in pathlib.Path(folder).iterdir() if p.name != "in")
