"""What the tests of sockeye get and put share: the programs, and a server's OACK."""
import pathlib

import pytest

from wire import oack

TEXT = bytes(i * 17 % 251 for i in range(100_000))
PROTOCOL, TIMED_OUT, USAGE, LOCAL, INTERRUPTED = 8, 5, 2, 9, 130


@pytest.fixture
def get(program, tmp_path):
    """Starts `sockeye get`; .path is where the file goes."""
    def start(url, *options, name="out", **kw):
        path = tmp_path / name
        started = program("get", "-o", path, *options, url, **kw)
        started.path = path
        return started
    return start


@pytest.fixture
def put(program, tmp_path):
    """Starts `sockeye put` of such a content."""
    def start(url, content, *options, **kw):
        path = tmp_path / "in"
        path.write_bytes(content)
        return program("put", *options, path, url, **kw)
    return start


def granted(request, **less):
    """An OACK for all that was asked for, with other values where they are given."""
    options = {k.decode().lower(): v.decode() for k, v in request.options.items()}
    options.update({k: str(v) for k, v in less.items() if k in options})
    return oack(list(options.items())), options


def left(folder):
    """The files in a folder, hidden ones too."""
    return sorted(p.name for p in pathlib.Path(folder).iterdir() if p.name != "in")
