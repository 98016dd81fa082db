"""Fixtures of the tests that run servers, for the conftest.py of each folder."""
import ctypes
import os
import subprocess

import pytest

from serving import MODELS, Server

CLONE_NEWNET = 0x40000000


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.fixture
def serve(request):
    """Starts servers. After a test that passed, each one must stop properly."""
    servers = []

    def start(*args, **kw):
        servers.append(Server(*args, **kw))
        return servers[-1]

    yield start
    try:
        for server in servers:
            if server.popen.poll() is None:
                server.stop()
    finally:
        for server in servers:
            server.end()
            print(server.log())  # shown if the test failed


@pytest.fixture
def netns():
    """Runs the test in a network namespace with the address 10.9.8.7 on loopback. A namespace
    belongs to a thread; pytest runs a test in one thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) < 0:
        os.close(before)
        pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    try:
        for words in ("link set lo up", "addr add 10.9.8.7/32 dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
        yield
    finally:
        assert libc.setns(before, CLONE_NEWNET) == 0
        os.close(before)
