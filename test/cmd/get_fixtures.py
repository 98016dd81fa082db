"""Shared by the tests of sockeye get: the program, and a server made of a Python socket."""
import os

import pytest

from tftp import Server, oack

CONTENT = bytes(range(256)) * 5


@pytest.fixture
def server():
    with Server() as made:
        yield made


@pytest.fixture
def get(program, tmp_path):
    """Starts `sockeye get` in an empty folder."""
    def start(*args, **kw):
        return program("get", *args, cwd=tmp_path, **kw)
    return start


def names(folder):
    return sorted(os.listdir(folder))


def granted(request, **wanted):
    """The OACK of a server that lowers some of the requested values."""
    return oack(**{name: min(value, wanted.get(name, value)) if name != "tsize" else
                   wanted.get(name, value) for name, value in request.options.items()})
