"""Shared by the tests of files: refused names, and files outside the root."""
import os

import pytest

from wire import ACCESS, NOT_FOUND, rrq

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")


@pytest.fixture
def secrets(tmp_path, root):
    """Creates files and folders beside the root."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-secret").mkdir()
    (tmp_path / "root-secret" / "f").write_bytes(b"secret")
    (root / "a" / "b").mkdir(parents=True)
    return tmp_path


def refused(server, name, ask=rrq, codes=(NOT_FOUND, ACCESS)):
    """Returns the reply to a request, which must be an ERROR with one of these codes."""
    peer = server.peer()
    peer.asks(ask(name))
    peer.gets_error(*codes)
    packet = peer.had[-1]
    peer.silent(0.02)
    return packet
