"""What the tests of single packets share: a server with a file, and its blocks."""
import pytest

from wire import data

TEXT = bytes(i * 7 % 256 for i in range(8192))


@pytest.fixture
def file(serve):
    """A server with options, which has TEXT as "f"."""
    def start(*options, **kw):
        server = serve(*options, **kw)
        server.put_file("f", TEXT)
        return server
    return start


def block(number, size=512):
    return data(number, TEXT[(number - 1) * size:number * size])
