"""A link-local address without its interface, or with a wrong one: every command names what is
missing, and the interfaces."""
import re
import subprocess

import pytest


def ip(*args):
    return subprocess.run(["ip", *args], check=False, capture_output=True).returncode == 0


@pytest.fixture(name="interfaces", params=["none", "two"])
def interfaces_made(request, netns):
    """The interfaces, of which none or two have a link-local address."""
    if request.param == "none":
        return {"lo"}
    if not ip("link", "add", "left9", "type", "veth", "peer", "name", "right9"):
        pytest.skip("no veth interfaces")
    for name in ("left9", "right9"):
        ip("-6", "addr", "add", "fe80::9/64", "dev", name, "nodad")
        ip("link", "set", name, "up")
    return {"lo", "left9", "right9"}


COMMANDS = ["get -o - tftp://{}/f", "put - tftp://{}/f", "connect tcp://{}:9", "connect udp://{}:9",
            "connect --check {}:9", "connect --bind {} tcp://[::1]:9", "listen tcp://{}:0",
            "listen udp://{}:0", "serve echo tcp://{}:0", "serve echo udp://{}:0",
            "serve tftp udp://{}:0 --root .", "bench tcp://{}:9", "bench udp://{}:9",
            "relay udp://127.0.0.1:0 udp://{}:9", "relay udp://{}:0 udp://127.0.0.1:9"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("zone, code, cause", [
    ("", 2, "a link-local address needs its interface, as in fe80::8%"),
    ("%wrong7", 3, 'there is no interface "wrong7"')])
def test_zone(interfaces, run, tmp_path, command, zone, code, cause):
    result = run(*command.format(f"[fe80::8{zone}]").split(), cwd=tmp_path, input=b"", timeout=20)
    line = result.stderr.decode()
    assert (result.returncode, cause in line, line.count("\n")) == (code, True, 1), line
    assert set(re.search(r"the interfaces are ([\w, ]+)\)", line)[1].split(", ")) == interfaces
