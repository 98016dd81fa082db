"""docs/coming-from/xinetd.md: clients receive the same from both servers."""
import datetime
import os
import pathlib
import re
import shutil

import pytest

import coming_from
import mdoc
from network import needs_namespace, needs_root, network

SOCKEYE = pathlib.Path(os.environ.get("SOCKEYE", mdoc.ROOT / "build" / "sockeye")).resolve()
PAGE = "xinetd.md"
FROM_1900_S = 2208988800
pytestmark = [needs_namespace, pytest.mark.skipif(
    not shutil.which("xinetd", path=f"{os.environ['PATH']}:/usr/sbin"), reason="no xinetd here")]


def config(service, kind, *attributes):
    """The entry on the page for a service and a kind, with more attributes."""
    [entry] = re.findall(r"^```\n(service echo\n.*?)```", (coming_from.FOLDER / PAGE).read_text(),
                         re.M | re.S)
    entry = entry.replace("echo", service).replace("stream", kind)
    if kind == "dgram":
        entry = entry.replace("wait = no", "wait = yes")
    more = "".join(f"\t{attribute}\n" for attribute in attributes)
    if any(attribute.startswith("port") for attribute in attributes):
        entry = entry.replace("INTERNAL", "INTERNAL UNLISTED")
        more += "\tprotocol = tcp\n"
    return "defaults\n{\n}\n" + entry.replace("}", f"{more}}}")


def results(folder, text, ours, ask):
    """The results of ask() with xinetd and with our server."""
    (folder / "xinetd.conf").write_text(text)
    xinetd = "xinetd -dontfork -f xinetd.conf -filelog xinetd.log -pidfile $PWD/pid"
    protocol, port = re.search(r"(tcp|udp)://\S*:(\d+)", ours).groups()
    found = []
    for command in (xinetd, ours):
        with network(folder, SOCKEYE) as net, \
                net.serving(command, lambda: net.bound(protocol, int(port))):
            found.append(ask(net, port))
    return found


def same_form(service, data):
    """A reply in the form in which both must agree: dates, times and lengths may differ."""
    if service == "daytime":
        form = "%a, %d %b %Y %H:%M:%S %z" if b"," in data else "%d %b %Y %H:%M:%S %Z"
        date = datetime.datetime.strptime(data.decode().strip(), form)
        return abs(date.replace(tzinfo=None) - datetime.datetime.utcnow()).total_seconds() < 60
    if service == "time":
        now = datetime.datetime.now().timestamp() + FROM_1900_S
        return len(data), abs(int.from_bytes(data, "big") - now) < 60
    if service == "chargen":
        lines = data.split(b"\r\n")[:-1]
        return {(len(line), re.fullmatch(rb"[ -~]+", line) is not None) for line in lines[:5]}
    return data


@pytest.mark.parametrize("name, theirs, ours", coming_from.pairs(PAGE, "Services"))
def test_service(tmp_path, name, theirs, ours):
    service, kind = theirs.split()
    way = "TCP" if kind == "stream" else "UDP"
    client = f"(echo hello; sleep 0.3) | socat -t0.3 - {way}:127.0.0.1:%s | head -c 800"

    def ask(net, port):
        data = net.run(client % port)[1]
        while service == "chargen" and kind == "dgram" and len(data) < 148:
            data = net.run(client % port)[1]  # our replies have random lengths
        return same_form(service, data)

    first, second = results(tmp_path, config(service, kind), ours, ask)
    assert first == second
    assert service == "discard" or first


@pytest.mark.parametrize("meaning, theirs, ours", coming_from.pairs(PAGE, "Attributes"))
def test_attribute(tmp_path, meaning, theirs, ours):
    def ask(net, port):
        """The replies on each address, or on a second connection while the first is open."""
        replies = [net.run(f"echo hello | socat -t0.3 - 'TCP:{host}:{port}'")[1]
                   for host in ("127.0.0.1", "192.0.2.1", "[::1]")]
        if "bind" not in theirs:
            replies.pop()  # xinetd listens on IPv4 only
        if "at most one" in meaning:
            replies.append(net.run(f"""
                rm -f first; (echo first; sleep 5) | socat - TCP:127.0.0.1:{port} >first &
                until [ -s first ]; do sleep 0.05; done
                echo hello | socat -t0.3 - TCP:127.0.0.1:{port}; kill $!""")[1])
        return replies

    first, second = results(tmp_path, config("echo", "stream", theirs), ours, ask)
    assert first == second
    assert b"hello\n" in first


@needs_root
def test_command_with_several_services(tmp_path):
    text = (coming_from.FOLDER / PAGE).read_text()
    [command] = re.findall(r"^```console\n\$ (.*)\n```", text, re.M)
    with network(tmp_path, SOCKEYE) as net, net.serving(command, lambda: net.bound("udp", 13)):
        assert net.run("sockeye connect -m hello udp://127.0.0.1:7")[:2] == (0, b"hello")


def test_rows():
    assert len(coming_from.rows(PAGE, "Services")) == 10
