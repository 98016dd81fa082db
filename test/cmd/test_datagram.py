"""sockeye connect on datagrams: messages, replies, silence and refusals."""
import os
import re
import socket
import subprocess
import time

import pytest

from conftest import QUIET_S, WAIT_S, events, read_all, read_exactly, readable
from datagram_fixtures import Answering, udp


def test_one_message_and_its_reply(run, udp):
    server = Answering(udp, lambda data: [data.upper()])
    begun = time.monotonic()
    result = run("connect", "-m", "hello server", udp.url)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"HELLO SERVER", b"")
    assert server.got == [b"hello server"]  # exactly the text
    assert time.monotonic() - begun < 0.9  # less than the second that the wait for replies lasts


def test_messages_wait_for_replies(run, udp):
    """Each message waits for the reply to the one before."""
    server = Answering(udp, lambda data: [b"<" + data + b">"])
    result = run("connect", *["-m", "one", "-m", "two", "-m", ""], udp.url)
    assert (result.returncode, result.stdout) == (0, b"<one><two><>")
    assert server.got == [b"one", b"two", b""]


@pytest.mark.parametrize("per, given, datagrams", [
    ([], b"a\nb\n\nlast", [b"a\n", b"b\n", b"\n", b"last"]),
    (["--per", "line"], b"a\r\nb", [b"a\r\n", b"b"]),
    (["--per", "all"], b"a\nb\n", [b"a\nb\n"]),
    (["--per", "4"], b"12345678910", [b"1234", b"5678", b"910"]),
    (["--per", "1Ki"], b"x" * 2000, [b"x" * 1024, b"x" * 976]),
    (["--crlf"], b"a\nb\r\n", [b"a\r\n", b"b\r\n"]),
    ([], b"", []),
])
def test_how_input_is_split_into_datagrams(run, udp, per, given, datagrams):
    result = run("connect", "--wait-after-eof", "0", *per, udp.url, input=given)
    assert result.returncode == 0, result.stderr
    assert [udp.recv(70_000) for _ in datagrams] == datagrams
    udp.setblocking(False)
    with pytest.raises(BlockingIOError):
        udp.recv(1)


def test_one_read_is_one_datagram(program, udp):
    started = program("connect", "--per", "read", "--wait", "0", udp.url)
    for text in (b"a\nb", b"c\n", b"d"):
        started.stdin.write(text)
        assert udp.recv(100) == text
    started.close_input()
    started.end()


def test_line_that_is_typed_slowly(program, udp):
    started = program("connect", "--wait", "0", udp.url)
    for text in (b"a", b"b", b"c\nd"):
        started.stdin.write(text)
    assert udp.recv(100) == b"abc\n"
    started.close_input()
    assert udp.recv(100) == b"d"
    started.end()


def test_largest_datagram_both_ways(run, udp):
    Answering(udp)
    data = os.urandom(65507)
    result = run("connect", "--per", "all", udp.url, input=data)
    assert (result.returncode, result.stdout) == (0, data)


@pytest.mark.parametrize("size", [65508, 300_000])
def test_datagram_that_is_too_large(run, udp, size):
    result = run("connect", "--per", "all", udp.url, input=b"x" * size)
    assert (result.returncode, b"Message too long" in result.stderr) == (6, True)


def test_empty_datagram_is_reported_and_is_not_the_end(run, udp):
    Answering(udp, lambda data: [b"", b"after"])
    result = run("connect", "--wait-after-eof", "300ms", "-m", "x", udp.url)
    assert (result.returncode, result.stdout) == (0, b"after")
    assert result.stderr.decode() == f"sockeye: from {udp.url[6:]}: empty datagram\n"


def test_truncation_reports_the_full_length(run, udp):
    Answering(udp, lambda data: [b"123456789"])
    result = run("connect", "--buffer", "4", "-m", "x", udp.url)
    assert (result.returncode, result.stdout) == (0, b"1234")
    assert b"9-byte datagram, truncated to 4 bytes" in result.stderr
    result = run("connect", "--json", "--buffer", "4", "-m", "x", udp.url)
    [found] = [e for e in events(result.stdout) if e["event"] == "datagram"]
    assert (found["length"], found["truncated"], found["data"]) == (9, True, "1234")


def test_many_replies_to_one_request(run, udp):
    Answering(udp, lambda data: [b"1", b"2", b"3"])
    result = run("connect", "--wait-after-eof", "200ms", "-m", "x", udp.url)
    assert result.stdout == b"123"
    result = run("connect", "--count", "2", "--wait", "1h", "-m", "x", udp.url)
    assert (result.returncode, result.stdout) == (0, b"12")


def test_silence(run, udp):
    begun = time.monotonic()
    result = run("connect", "--wait-after-eof", "200ms", "-m", "x", udp.url)
    assert (result.returncode, result.stdout) == (5, b"")
    assert b"no reply" in result.stderr
    assert 0.2 <= time.monotonic() - begun < WAIT_S


def test_silence_of_a_unix_socket_is_not_about_ports(run, listening):
    server = listening(socket.SOCK_DGRAM, socket.AF_UNIX)
    result = run("connect", "-w", "50ms", "-m", "x", server.url)
    assert (result.returncode, b"no reply" in result.stderr, b"port" in result.stderr) == (
        5, True, False)


def test_input_too_long_for_a_message(run, udp):
    result = run("connect", udp.url, input=b"x" * 300_000)
    assert (result.returncode, b"would be longer than 256Ki" in result.stderr) == (6, True), result


def test_silence_is_bounded_by_default(run, udp):
    begun = time.monotonic()
    assert run("connect", udp.url, input=b"x\n").returncode == 5
    assert 1 <= time.monotonic() - begun < WAIT_S


def test_idle_timeout(program, udp):
    started = program("connect", "--timeout", "100ms", udp.url)
    assert b"Timer expired" in started.end(5)


@pytest.mark.parametrize("how", [[], ["--unconnected"]])
def test_refused(run, udp, how):
    url = udp.url
    udp.close()
    result = run("connect", *how, "-m", "x", url)
    assert result.returncode == 4
    assert result.stderr.decode() == (
        f"sockeye: send {url}: Connection refused (ICMP type 3 code 3 from 127.0.0.1)\n")
    result = run("connect", "--json", *how, "-m", "x", url)
    [found] = [e for e in events(result.stdout) if e["event"] == "undelivered"]
    assert (found["error"], found["icmp_type"], found["icmp_code"], found["offender"]) == (
        "ECONNREFUSED", 3, 3, "127.0.0.1")


def test_refusal_after_a_reply_is_still_an_error(program, udp):
    """An error that was reported decides the exit code: a message was lost."""
    started = program("connect", udp.url)
    started.stdin.write(b"a\n")
    data, peer = udp.recvfrom(100)
    udp.sendto(data, peer)
    assert read_exactly(started.stdout, 2) == b"a\n"
    udp.close()
    started.stdin.write(b"b\n")
    started.close_input()
    assert b"refused" in started.end(4)


def test_refused_over_ipv6(run, listening):
    server = listening(socket.SOCK_DGRAM, socket.AF_INET6)
    url = server.url
    server.close()
    result = run("connect", "-m", "x", url)
    assert (result.returncode, b"ICMP type 1 code 4 from ::1" in result.stderr) == (4, True)


def test_no_datagram_is_lost_to_an_earlier_refusal(program, listening):
    """The send after a refusal returns that error without sending; it is repeated."""
    server = listening(socket.SOCK_DGRAM)
    name, url = server.getsockname(), server.url
    server.close()
    started = program("connect", "--wait", "0", url)
    started.stdin.write(b"refused\n")
    assert b"refused" in os.read(started.stderr.fileno(), 1000)
    server = listening(socket.SOCK_DGRAM, name=name)
    started.stdin.write(b"taken\n")
    assert server.recv(100) == b"taken\n"
    started.close_input()
    started.end(4)


def test_reply_from_another_port(run, udp, listening):
    other = listening(socket.SOCK_DGRAM)
    Answering(udp, reply_from=other)
    result = run("connect", "--wait", "200ms", "-m", "x", udp.url)
    assert result.returncode == 5
    assert b"--unconnected" in result.stderr
    result = run("connect", "--unconnected", "-m", "x", udp.url)
    assert (result.returncode, result.stdout) == (0, b"x")
    assert result.stderr.decode() == f"sockeye: from {other.url[6:]}: 1-byte datagram\n"


def test_json_names_the_sender(run, udp, listening):
    other = listening(socket.SOCK_DGRAM)
    Answering(udp, reply_from=other)
    result = run("connect", "--json", "-u", "-m", "x", udp.url)
    found = events(result.stdout)
    assert [e["event"] for e in found] == ["attempt", "connected", "datagram", "end"]
    assert found[2]["peer"] == other.url[6:]
    assert (found[3]["sent"], found[3]["received"], found[3]["exit"]) == (1, 1, 0)


def test_four_exit_codes(run, udp, netns):
    """Replied, refused, no reply, and another ICMP error: four exit codes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        for sock in (answering, silent):
            sock.bind(("127.0.0.1", 0))
        Answering(answering)
        port = answering.getsockname()[1]
        probe = ["connect", "--wait", "200ms", "-m", "probe"]
        subprocess.run(["ip", "route", "add", "unreachable", "10.9.8.0/24"], check=True)
        codes = [run(*probe, f"udp://{address}").returncode
                 for address in (f"127.0.0.1:{port}", "127.0.0.1:1",
                                 f"127.0.0.1:{silent.getsockname()[1]}", "10.9.8.7:9")]
    assert codes == [0, 4, 5, 6]


def test_broadcast_is_explained(run, netns):
    subprocess.run(["ip", "addr", "add", "10.9.8.1/24", "brd", "+", "dev", "lo"], check=True)
    subprocess.run(["ip", "route", "add", "broadcast", "10.9.8.255", "dev", "lo"], check=False)
    result = run("connect", "-m", "x", "--wait", "0", "udp://10.9.8.255:9")
    assert (result.returncode, b"broadcast" in result.stderr) == (9, True)
    assert run("connect", "-m", "x", "--wait", "0", "udp://10.9.8.255:9?broadcast").returncode == 0


def test_terminal_shows_each_datagram_on_its_line(program, udp):
    import pty
    ours, theirs = pty.openpty()
    Answering(udp, lambda data: [b"a\x1b[1m", b"b\n", b"c"])
    started = program("connect", "--wait", "100ms", "-m", "x", udp.url, stdout=theirs)
    assert read_exactly(ours, 14) == b"a\\e[1m\r\nb\r\nc\r\n"
    started.end()
    os.close(ours)
    os.close(theirs)


def test_hex_of_datagrams(run, udp):
    Answering(udp)
    result = run("connect", "-x", "-m", "ab", udp.url)
    assert re.fullmatch(r"(\S+ [><] 0000000000  61 62 .*\|ab\|\n){2}", result.stderr.decode())


def test_peek_at_a_datagram(run, udp):
    Answering(udp)
    result = run("connect", "--peek", "2", "-m", "abc", udp.url)
    assert (result.stdout, result.stderr) == (b"abc", b"sockeye: peek at 2 bytes: ab\n")


def test_stats(run, udp):
    Answering(udp)
    result = run("connect", "--stats", "-m", "abc", "-m", "d", udp.url)
    assert re.fullmatch(r"sockeye: sent 2 messages \(4 bytes\), received 2 \(4 bytes\) in \S+ s\n",
                        result.stderr.decode())


@pytest.mark.parametrize("size, count", [(10, 3000), (1400, 1000)])
def test_sending_a_file_waits_for_an_echo_server(run, echo, tmp_path, size, count):
    """Neither our receive queue nor the server's overflows: without waiting, about 300 replies
    arrive. A server that does not run for 20 ms may still cost a window."""
    lines = [f"{i:0{size - 1}}\n".encode() for i in range(count)]
    (tmp_path / "in").write_bytes(b"".join(lines))
    with open(tmp_path / "in", "rb") as given:
        result = run("connect", echo("udp://127.0.0.1:0"), stdin=given)
    back = result.stdout.splitlines(keepends=True)
    assert result.returncode == 0
    assert len(back) > count // 2 and set(back) <= set(lines)


def test_a_peer_that_never_replies_gets_every_message(run, udp):
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    given = b"".join(b"%d\n" % i for i in range(300))
    assert run("connect", "-w", "0", udp.url, input=given).returncode == 0
    assert b"".join(udp.recv(100) for _ in range(300)) == given


# --- one socket, several servers ---

@pytest.mark.parametrize("count", [2, 5])
def test_one_socket_speaks_to_several_servers(program, listening, count):
    servers = [listening(socket.SOCK_DGRAM) for _ in range(count)]
    started = program("connect", "-u", "--json", *[server.url for server in servers])
    started.stdin.write(b"one\ntwo\n")
    started.close_input()
    peers = set()
    for line in (b"one\n", b"two\n"):
        for i, server in enumerate(servers):
            data, peer = server.recvfrom(100)
            assert data == line
            server.sendto(b"%d %s" % (i, line), peer)
            peers.add(peer)
    assert len(peers) == 1  # one socket
    found = events(read_all(started.stdout))
    got = sorted(e["data"] for e in found if e["event"] == "datagram")
    assert got == sorted(f"{i} {line}\n" for i in range(count) for line in ("one", "two"))
    assert {e["peer"] for e in found if e["event"] == "datagram"} == \
        {server.url.removeprefix("udp://") for server in servers}
    assert (found[-1]["sent"], found[-1]["exit"]) == (2 * count, 0)
    started.end()


def test_words_wait_for_the_replies_of_all_servers(program, listening):
    servers = [listening(socket.SOCK_DGRAM) for _ in range(2)]
    started = program("connect", "-u", "-w", "10s", "-n", 4, "-m", "one", "-m", "two",
                      *[server.url for server in servers])
    peers = [server.recvfrom(100) for server in servers]
    servers[0].sendto(b"first", peers[0][1])
    assert read_exactly(started.stdout, 5) == b"first"
    assert not readable(servers[0], QUIET_S)  # the other server has not replied
    servers[1].sendto(b"second", peers[1][1])
    for server in servers:
        data, peer = server.recvfrom(100)
        assert data == b"two"
        server.sendto(b"end", peer)
    assert read_exactly(started.stdout, 12) == b"secondendend"
    started.end()


@pytest.mark.parametrize("others, said", [
    (["tcp://127.0.0.1:1"], "tcp://127.0.0.1:1 is not a datagram address"),
    (["udp://[::1]:1"], "udp://[::1]:1: the socket uses IPv4 addresses"),
    (["127.0.0.1:1"], "one operand too many"),
    (["udp://127.0.0.1:1"] * 65, "at most 64 addresses"),
])
def test_addresses_that_one_socket_cannot_have(run, listening, others, said):
    result = run("connect", "-u", listening(socket.SOCK_DGRAM).url, *others)
    assert result.returncode == 2 and said in result.stderr.decode()


def test_one_of_several_servers_refuses(run, listening):
    server, closed = listening(socket.SOCK_DGRAM), listening(socket.SOCK_DGRAM)
    nobody = closed.url
    closed.close()
    result = run("connect", "-u", "-m", "x", server.url, nobody)
    assert result.returncode == 4 and b"Connection refused" in result.stderr
    assert server.recv(10) == b"x"
