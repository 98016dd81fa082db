"""Shared by the tests of single packets: a server with a file, and its blocks."""
import pytest

from wire import data

TEXT = bytes(i * 7 % 256 for i in range(8192))


@pytest.fixture
def file(serve):
    """Starts a server with options, whose file "f" is TEXT."""
    def start(*options, **kw):
        server = serve(*options, **kw)
        server.put_file("f", TEXT)
        return server
    return start


def block(number, size=512):
    return data(number, TEXT[(number - 1) * size:number * size])
