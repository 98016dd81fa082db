"""Multicast groups: joining and leaving, interfaces, sources, and what is refused."""
import pathlib
import re
import signal
import socket
import struct
import subprocess

import pytest

from conftest import QUIET_S, read_exactly, readable, until

pytestmark = pytest.mark.usefixtures("groups")
IP_RECVTTL = 12
GROUPS = {4: "239.7.8.9", 6: "ff15::7:8:9"}
INTERFACES = {4: "lo", 6: "side"}  # IPv6 has no multicast on loopback


@pytest.fixture
def groups(netns):
    """Loopback and a second interface with multicast, and addresses to send from."""
    for command in ("link set lo multicast on", "addr add 10.9.8.7/32 dev lo",
                    "link add side type veth peer name other", "addr add 10.1.1.1/24 dev side",
                    "link set side up", "link set other up",
                    "addr add 2001:db8::7/64 dev side nodad",
                    "addr add 2001:db8::8/64 dev side nodad"):
        subprocess.run(["ip", *command.split()], check=True)


def host(family):
    return GROUPS[family] if family == 4 else f"[{GROUPS[family]}]"


def sender(family, interface=None, source=None):
    """A socket that sends to groups on an interface."""
    index = socket.if_nametoindex(interface or INTERFACES[family])
    if family == 4:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                        struct.pack("4s4si", b"", b"", index))
    else:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    if source:
        sock.bind((source, 0))
    return sock


def member(family, interface=None):
    """A Python socket that has joined the group. Returns it and its port."""
    index = socket.if_nametoindex(interface or INTERFACES[family])
    if family == 4:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        struct.pack("4s4si", socket.inet_aton(GROUPS[4]), b"", index))
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    else:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                        socket.inet_pton(socket.AF_INET6, GROUPS[6]) + struct.pack("I", index))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    sock.settimeout(20)
    sock.bind((GROUPS[family], 0))
    return sock, sock.getsockname()[1]


def port_of(url):
    return int(url.rpartition(":")[2])


def joined(family):
    """Whether a socket of this namespace is in the group."""
    if family == 6:
        word = socket.inet_pton(socket.AF_INET6, GROUPS[6]).hex()
        return word in pathlib.Path("/proc/thread-self/net/igmp6").read_text()
    word = socket.inet_aton(GROUPS[4])[::-1].hex().upper()
    return word in pathlib.Path("/proc/thread-self/net/igmp").read_text()


@pytest.mark.parametrize("family", [4, 6])
def test_a_listener_joins_and_leaves(ready, family):
    assert not joined(family)
    started, [url] = ready("listen", "-q", f"udp://{host(family)}:0?interface={INTERFACES[family]}")
    assert joined(family)
    with sender(family) as sock:
        for text in (b"one", b"two"):
            sock.sendto(text, (GROUPS[family], port_of(url)))
            assert read_exactly(started.stdout, 3) == text
    started.send_signal(signal.SIGTERM)
    started.end(130)
    until(lambda: not joined(family), "the group is left")


@pytest.mark.parametrize("family", [4, 6])
def test_a_client_sends_to_a_group(run, family):
    sock, port = member(family)
    result = run("connect", "-w", "0", "-m", "hi",
                 f"udp://{host(family)}:{port}?interface={INTERFACES[family]}&ttl=9")
    assert (result.returncode, result.stderr) == (0, b"")
    data, extra, _, _ = sock.recvmsg(100, 100)
    assert (data, struct.unpack("i", extra[0][2][:4])) == (b"hi", (9,))
    sock.close()


def test_members_reply_to_an_unconnected_client(run, ready):
    """The question is sent to the group, and each answer has the address of a member."""
    started, [url] = ready("listen", "-q", "-n", "1", "-m", "here",
                           "udp://239.7.8.9:0?interface=lo")
    result = run("connect", "-u", "-n", "1", "-m", "who?", f"{url}?interface=lo")
    assert (result.returncode, result.stdout) == (0, b"here")
    assert read_exactly(started.stdout, 4) == b"who?"


@pytest.mark.parametrize("family, wanted, other", [
    (4, "10.9.8.7", "127.0.0.1"), (6, "2001:db8::7", "2001:db8::8")])
def test_source_specific(ready, family, wanted, other):
    started, [url] = ready("listen", "-q", f"udp://{host(family)}:0?"
                           f"interface={INTERFACES[family]}&source={wanted}")
    with sender(family, source=other) as bad, sender(family, source=wanted) as good:
        bad.sendto(b"bad!", (GROUPS[family], port_of(url)))
        good.sendto(b"good", (GROUPS[family], port_of(url)))
        assert read_exactly(started.stdout, 4) == b"good"
        assert not readable(started.stdout, QUIET_S)


def test_only_the_named_interface(ready):
    """Another socket of the machine has joined the group on the other interface."""
    with member(4, "side")[0]:
        started, [url] = ready("listen", "-q", "udp://239.7.8.9:0?interface=lo")
        with sender(4, "side") as elsewhere, sender(4) as here:
            elsewhere.sendto(b"side", ("239.7.8.9", port_of(url)))
            here.sendto(b"here", ("239.7.8.9", port_of(url)))
            assert read_exactly(started.stdout, 4) == b"here"
            assert not readable(started.stdout, QUIET_S)


def test_zone_and_number_name_an_interface(ready):
    index = socket.if_nametoindex("lo")
    for url in ("udp://[ff12::5%side]:0", f"udp://239.7.8.9:0?interface={index}"):
        started, [bound] = ready("listen", "-q", "-n", "1", url)
        with sender(6 if "ff12" in url else 4) as sock:
            sock.sendto(b"x", ("ff12::5" if "ff12" in url else "239.7.8.9", port_of(bound)))
        assert read_exactly(started.stdout, 1) == b"x"
        started.end()


def test_two_listeners_share_a_group(ready):
    first, [url] = ready("listen", "-q", "-n", "1", "udp://239.7.8.9:0?interface=lo")
    second, _ = ready("listen", "-q", "-n", "1", f"{url}?interface=lo")
    with sender(4) as sock:
        sock.sendto(b"both", ("239.7.8.9", port_of(url)))
    for started in (first, second):
        assert read_exactly(started.stdout, 4) == b"both"
        started.end()


def test_a_service_receives_a_group_once_and_does_not_answer(program, ready):
    started, [url] = ready("serve", "echo", "udp://239.7.8.9:0?interface=lo", "--show-messages",
                           "--workers", "3", stdout=subprocess.DEVNULL)
    with sender(4) as sock:
        for text in (b"first", b"last"):
            sock.sendto(text, ("239.7.8.9", port_of(url)))
        said = b""
        while b"last" not in said:
            said += read_exactly(started.stderr, 1)
        assert said.count(b"first") == 1
        assert not readable(sock, QUIET_S)


@pytest.mark.parametrize("command, said", [
    ("listen udp://127.0.0.1:0?interface=lo", "are for multicast groups"),
    ("connect udp://127.0.0.1:9?interface=lo", "are for multicast groups"),
    ("listen udp://239.7.8.9:0?interface=nosuch", "there is no interface nosuch"),
    ("connect udp://239.7.8.9:9?interface=lo&source=127.0.0.1", "source= is for listening"),
    ("listen udp://239.7.8.9:0?interface=lo&source=::1", "another family than source=::1"),
    ("listen udp://239.7.8.9:0?interface=lo&source=no", "another family than source=no"),
])
def test_refusals(run, command, said):
    result = run(*command.split())
    assert result.returncode == 2 and said in result.stderr.decode()


def test_a_group_without_a_route(run):
    result = run("listen", "udp://239.7.8.9:0")
    assert result.returncode != 0
    assert re.search(r"join udp://239\.7\.8\.9:0.*as in \?interface=eth0", result.stderr.decode())
