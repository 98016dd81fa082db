"""100,000 requests, each from another forged address: other clients are served meanwhile and
afterwards, and memory is bounded."""
import ipaddress
import os
import socket
import struct
import subprocess

import pytest

from serving import parse, sanitized

FORGED = 100_000
IP_PKTINFO, IPV6_FREEBIND = 8, 78
BLOCK = 1024
TEXT = bytes(i * 11 % 253 for i in range(3 * BLOCK + 17))
READ = b"\0\1f\0octet\0blksize\0001024\0"
OACK = b"\0\6blksize\0001024\0"
SERVERS = {"echo": ("echo",), "tftp": ("tftp", "--timeout", "100ms", "--max-transfers", "1000"),
           "tftp with one port": ("tftp", "--timeout", "100ms", "--max-transfers", "1000",
                                  "--single-port")}


def forged(i, version):
    """Returns the i-th address. IPv6 addresses differ in their /64 network."""
    if version == 4:
        return ipaddress.ip_address(int(ipaddress.ip_address("10.76.0.0")) + 1 + i)
    return ipaddress.ip_address((0xfd77 << 112) + (i << 64) + 1)


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def version(request, netns):  # pylint: disable=unused-argument
    """All forged addresses are local in the namespace but not loopback: the server takes them
    for other hosts."""
    for words in ("route add local 10.76.0.0/15 dev lo", "route add local fd77::/16 dev lo",
                  "addr add fd76::1/128 dev lo nodad"):
        subprocess.run(["ip", *words.split()], check=True)
    return request.param


def sender(version, port):
    """A socket that sends from any address, and the function that sends a packet."""
    if version == 4:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("0.0.0.0", port))
        level, kind, form = socket.IPPROTO_IP, IP_PKTINFO, "=I4s4s"
    else:
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        s.bind(("::", port))
        level, kind, form = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, "=16sI"

    def send(packet, source, to):
        values = (0, source.packed, bytes(4)) if version == 4 else (source.packed, 0)
        s.sendmsg([packet], [(level, kind, struct.pack(form, *values))], 0, to)
    return s, send


def client_at(address):
    s = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6,
                      socket.SOCK_DGRAM)
    if address.version == 6:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    s.bind((str(address), 0))
    s.settimeout(0.5)
    return s


def patient(s, packet, to, wanted):
    """Repeats a request, which a full receive queue may drop. Returns the sender of the reply."""
    for _ in range(60):
        s.sendto(packet, to)
        try:
            reply, source = s.recvfrom(2048)
        except TimeoutError:
            continue
        if reply == wanted:
            return source
    raise AssertionError("not served")


def echoed(s, to):
    patient(s, b"honest", to, b"honest")


def read_file(s, to):
    """A whole transfer. The server repeats lost blocks."""
    source = patient(s, READ, to, OACK)
    for number in range(len(TEXT) // BLOCK + 1):
        block = TEXT[number * BLOCK:][:BLOCK]
        patient(s, struct.pack(">HH", 4, number), source,
                struct.pack(">HH", 3, number + 1) + block)
    s.sendto(struct.pack(">HH", 4, len(TEXT) // BLOCK + 1), source)


@pytest.mark.parametrize("kind", SERVERS)
def test_forged_flood(serve, tmp_path, version, kind):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "f").write_bytes(TEXT)
    service, *options = SERVERS[kind]
    url = "udp://10.9.8.7:0" if version == 4 else "udp://[fd76::1]:0"
    server = serve(service, url, *options, "--workers", "2",
                   *(["--root", str(tmp_path)] if service == "tftp" else []))
    to, served = parse(server.address)[1], read_file if service == "tftp" else echoed
    # Port 7 is that of a service, which could answer the replies.
    sock, send = sender(version, 7 if service == "echo" else 0)
    request = READ if service == "tftp" else b"forged"
    with client_at(forged(FORGED + 99, version)) as s:
        served(s, to)
    before = sum(p.pss_kib() for p in (server, *server.descendants()))
    for i in range(FORGED):
        send(request, forged(i * 7919 % FORGED, version), to)
        if i % 20_000 == 19_999:
            with client_at(forged(FORGED + i // 20_000, version)) as s:
                served(s, to)
    sock.close()
    with client_at(forged(FORGED + 98, version)) as s:
        served(s, to)
    counted = server.counters()
    assert counted["datagrams_in"] > 10_000 and counted["workers_died"] == 0
    if not sanitized():
        assert sum(p.pss_kib() for p in (server, *server.descendants())) - before < 60_000
