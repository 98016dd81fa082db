"""Typical mistakes of a newcomer: each fails with a message that names the command line
to type instead.

One table: the line typed, the exit code, a part of the message, and the command line that
it proposes after "try:". The test runs the proposal: it may fail because no server
listens, but never with a usage error (exit code 2), and a server that it starts has to
become ready.
"""
import itertools
import os
import shlex
import subprocess

import pytest

from conftest import SOCKEYE, WAIT_S, read_exactly

NONE = None  # proposes nothing but --help

SLIPS = [
    # --- no command, or a wrong one ---
    ("", 2, "usage: sockeye COMMAND", NONE),
    ("conect localhost 1", 2, "unknown command 'conect'", "connect localhost 1"),
    ("help conect", 2, "unknown command 'conect'", "help connect"),
    ("help echo", 2, "unknown command 'echo'", "help serve"),
    ("--hlep", 2, "unknown command '--hlep'", "--help"),
    ("-v", 2, "unknown command '-v'", "--version"),
    ("version", 2, "unknown command 'version'", "--version"),
    ("nc localhost 1", 2, "unknown command 'nc'", "connect localhost 1"),
    ("tcp://127.0.0.1:1", 2, "is an address, not a command", "connect tcp://127.0.0.1:1"),
    ("localhost:1", 2, "is an address, not a command", "connect localhost:1"),
    ("localhost 1", 2, "'localhost' is a host, not a command", "connect localhost 1"),
    ("http://localhost/page", 2, "is an address, not a command", "connect tcp://localhost:http"),
    ("echo", 2, "'echo' is a service, not a command", "serve echo"),
    ("tftp://127.0.0.1:1/x", 2, "is an address, not a command", "get tftp://127.0.0.1:1/x"),
    ("x tftp://127.0.0.1:1/", 2, "'x' is a file, not a command", "put x tftp://127.0.0.1:1/"),
    ("--completion tcsh", 2, "--completion takes bash", "--completion bash"),

    # --- options ---
    ("connect --hexx localhost:1", 2, "unknown option --hexx", "connect --hex localhost:1"),
    ("connect -hexx localhost:1", 0, "", NONE),  # -h: help
    ("connect -json localhost:1", 2, "unknown option -j", "connect --json localhost:1"),
    ("connect --co 3 localhost:1", 2, "--co is ambiguous: --connect-timeout, --count, --color",
     "connect --connect-timeout 3 localhost:1"),
    ("connect --hex=yes localhost:1", 2, "--hex takes no value", "connect --hex localhost:1"),
    ("connect localhost:1 --count", 2, "--count needs N", "connect localhost:1 --count 3"),
    ("connect --timeout 10sec localhost:1", 2, "not '10sec'", "connect --timeout 10s localhost:1"),
    ("connect --timeout=10sec localhost:1", 2, "not '10sec'", "connect --timeout=10s localhost:1"),
    ("connect -t '2 min' localhost:1", 2, "not '2 min'", "connect -t 2m localhost:1"),
    ("connect --buffer '5 k' udp://localhost:1", 2, "not '5 k'",
     "connect --buffer 5k udp://localhost:1"),
    ("connect --buffer 64KB udp://localhost:1", 2, "not '64KB'",
     "connect --buffer 64k udp://localhost:1"),
    ("connect --buffer 1G udp://localhost:1", 2, "takes 1 to 262144, not '1G'",
     "connect --buffer 262144 udp://localhost:1"),
    ("connect --count 0 localhost:1", 2, "takes 1 to 4294967295, not '0'",
     "connect --count 1 localhost:1"),
    ("connect --color yes localhost:1", 2, "takes one of auto, always, never, not 'yes'",
     "connect --color auto localhost:1"),
    ("serve --model evnt echo", 2, "not 'evnt'", "serve --model event echo"),

    # --- connect and its address ---
    ("connect", 2, "no operand; connect takes ADDRESS | HOST PORT", "connect localhost 7007"),
    ("connect localhost", 2, "the port is missing", "connect localhost:7007"),
    ("connect tcp://localhost", 2, "the port is missing", "connect tcp://localhost:7007"),
    ("connect 1", 2, "port", "connect localhost:1"),
    ("connect 1 localhost", 2, "the port follows the host", "connect localhost 1"),
    ("connect localhost 99999", 2, "a number from 0 to 65535", "connect tcp://localhost:9999"),
    ("connect tcp://localhost:99999", 2, "a number from 0 to 65535", "connect tcp://localhost:9999"),
    ("connect tcp://localhost:0", 2, "port 0", "connect tcp://localhost:7007"),
    ("connect tcp:/localhost:1", 2, "tcp://", "connect tcp://localhost:1"),
    ("connect tcp:/localhost", 2, "tcp://", "connect tcp://localhost:7007"),
    ("connect tcp:localhost:1", 2, "tcp://", "connect tcp://localhost:1"),
    ("connect udp//localhost:1", 2, "the port is missing", "connect udp://localhost:1"),
    ("connect udp localhost 1", 2, "3 operands", "connect udp://localhost:1"),
    ("connect tpc://localhost:1", 2, "unknown scheme", "connect tcp://localhost:1"),
    ("connect http://localhost/", 2, "unknown scheme", "connect tcp://localhost:http"),
    ("connect tcp://localhost:1/page", 2, "port", "connect tcp://localhost:1"),
    ("connect me@localhost:1", 2, "cannot have a user name", "connect localhost:1"),
    ("connect ::1:1", 2, "[::1]:1", "connect '[::1]:1'"),
    ("connect fe80::1 1", 2, "a link-local address needs its interface", "connect fe80::1%lo 1"),
    ("connect '[fe80::1]:1'", 2, "a link-local address needs its interface",
     "connect '[fe80::1%lo]:1'"),
    ("connect /nowhere/sock", 2, "unix:PATH", "connect unix:/nowhere/sock"),
    ("connect unix://nowhere/sock", 2, "unix:PATH", "connect unix:/nowhere/sock"),
    ("connect localhost:1 2", 2, "'2' is one operand too many", "connect localhost:1"),
    ("connect tcp://localhost 1", 2, "is not a HOST", "connect tcp://localhost:1"),
    ("connect localhost 20-25", 2, "'20-25' is not a PORT", "connect localhost 20"),
    ("connect localhost nosuchservice", 3, "service name not found", "connect localhost 7007"),

    # --- nc ---
    ("connect -z localhost 1", 2, "unknown option -z", "connect --check localhost 1"),
    ("connect -z localhost http", 2, "unknown option -z", "connect --check localhost http"),
    ("connect -zvw1 localhost 1", 2, "unknown option -z",
     "connect -v --check --connect-timeout 1 localhost 1"),
    ("-zv localhost 20-25", 2, "unknown command '-zv'", "connect -v --check localhost 20-25"),
    ("nc -zv -w 2 localhost 20-25", 2, "unknown command 'nc'",
     "connect -v --check --connect-timeout 2 localhost 20-25"),
    ("netcat -nz 127.0.0.1 20-22 80 443", 2, "unknown command 'netcat'",
     "connect --check 127.0.0.1 20-22,80,443"),
    ("ncat -z --wait 3 localhost 1", 2, "unknown command 'ncat'",
     "connect --check --connect-timeout 3 localhost 1"),
    ("connect -z -6 -s ::1 ::1 1-3", 2, "unknown option -z", "connect -6 --check --bind ::1 ::1 1-3"),
    ("connect -zU /nowhere/sock", 2, "unknown option -z", "connect --check unix:/nowhere/sock"),
    ("connect -zu localhost 1", 2, "unknown option -z", "connect -m X udp://localhost:1"),
    ("connect -zuw 2 localhost 1", 2, "unknown option -z",
     "connect -m X --wait-after-eof 2 udp://localhost:1"),
    ("connect -zu localhost 1-9", 2, "not for UDP", NONE),
    ("connect -z localhost 9-1", 2, "unknown option -z", NONE),
    ("connect -l 17011", 2, "unknown option -l", "listen :17011"),
    ("listen -l 17012", 2, "unknown option -l", "listen :17012"),
    ("listen -lvnp 17013", 2, "unknown option -l", "listen -v :17013"),
    ("-l 17014", 2, "unknown command '-l'", "listen :17014"),
    ("-lvnp 17015", 2, "unknown command '-lvnp'", "listen -v :17015"),
    ("listen 17016", 2, "port", "listen :17016"),
    ("listen -p 17017", 2, "unknown option -p", "listen :17017"),
    ("listen -u 17018", 2, "unknown option -u", "listen udp://:17018"),
    ("listen -kl 127.0.0.1 17019", 2, "unknown option -l", "listen -k 127.0.0.1 17019"),
    ("listen -U /nowhere/sock", 2, "unknown option -U", "listen unix:/nowhere/sock"),
    ("connect -U /nowhere/sock", 2, "unknown option -U", "connect unix:/nowhere/sock"),
    ("connect -uU /nowhere/sock", 2, "unknown option -U", "connect unix-dgram:/nowhere/sock"),
    ("connect -n localhost 1", 2, "--count takes a whole number, not 'localhost' (nc's -n has",
     "connect localhost 1"),
    ("connect -t localhost 1", 2, "not 'localhost' (nc's -t has another meaning)",
     "connect localhost 1"),
    ("connect -r localhost 1", 2, "not 'localhost' (nc's -r has another meaning)",
     "connect localhost 1"),
    ("connect -b localhost 1", 2, "port", "connect localhost 1"),
    ("connect -ub localhost 1", 2, "", "connect 'udp://localhost:1?broadcast'"),
    ("connect -q 1 localhost 1", 2, "3 operands", "connect --wait-after-eof 1 localhost 1"),
    ("connect -s 127.0.0.1 localhost 1", 2, "unknown option -s",
     "connect --bind 127.0.0.1 localhost 1"),
    ("connect -s 127.0.0.1 -p 17020 127.0.0.1 1", 2, "unknown option -s",
     "connect --bind 127.0.0.1:17020 127.0.0.1 1"),
    ("connect -p 17021 127.0.0.1 1", 2, "unknown option -p", "connect --bind :17021 127.0.0.1 1"),
    ("connect -N localhost 1", 2, "unknown option -N", "connect localhost 1"),
    ("connect -d localhost 1", 2, "unknown option -d", "connect --recv-only localhost 1"),
    ("connect -W 1 localhost 1", 2, "unknown option -W", "connect --count 1 localhost 1"),
    ("connect -I 65536 -M 3 localhost 1", 2, "unknown option -I",
     "connect 'localhost:1?rcvbuf=65536&ttl=3'"),
    ("connect -X 5 -P me localhost 1", 2, "no proxies", NONE),
    ("connect -w 1 127.0.0.1 1", 4, "-w is --wait-after-eof here; for nc's -w: sockeye connect "
     "--connect-timeout 1 --timeout 1 127.0.0.1 1\n", NONE),
    ("connect -u 127.0.0.1 1", 0, "-u is --unconnected here; for nc's -u: sockeye connect "
     "udp://127.0.0.1:1\n", NONE),

    ("connect nc -l -p 17050", 2, "unknown option -l", "listen :17050"),
    ("connect netcat -ul 17051", 2, "unknown option -l", "listen udp://:17051"),
    ("listen ncat -k 127.0.0.1 17052", 2, "3 operands", "listen -k 127.0.0.1 17052"),
    ("connect nc localhost 1", 2, "3 operands", "connect localhost 1"),
    ("connect nc -z localhost 1", 2, "unknown option -z", "connect --check localhost 1"),
    ("listen socat TCP-LISTEN:17053,fork -", 2, "3 operands", "listen -k tcp://:17053"),

    # --- ncat ---
    ("connect --listen 17022", 2, "unknown option --listen", "listen :17022"),
    ("listen --udp 17023", 2, "unknown option --udp", "listen udp://:17023"),
    ("connect --udp localhost 1", 2, "unknown option --udp", "connect udp://localhost:1"),
    ("listen --keep-open 17024", 2, "port", "listen -k :17024"),
    ("connect --udp --send-only localhost 1", 2, "unknown option --udp",
     "connect --send-only udp://localhost:1"),
    ("listen 17025 --exec /bin/cat", 2, "sockeye runs no programs", "serve echo tcp://:17025"),
    ("listen -e /bin/cat -u 17026", 2, "sockeye runs no programs", "serve echo udp://:17026"),
    ("listen 17027 --sh-exec 'cat; true'", 2, "sockeye runs no programs",
     "serve echo tcp://:17027"),
    ("connect -e /bin/sh localhost 1", 2, "sockeye runs no programs", "serve --list"),
    ("connect --ssl localhost 443", 2, "no TLS", NONE),
    ("connect --port 1 localhost", 2, "unknown option --port", "connect localhost 1"),
    ("connect --host localhost --port 1", 2, "unknown option --host", "connect localhost 1"),

    ("ncat --no-shutdown -i1 localhost 1", 2, "unknown command",
     "connect --no-shutdown --wait-after-eof 1 localhost 1"),
    ("ncat -i 2 localhost 1", 2, "unknown command", "connect --timeout 2 localhost 1"),
    ("nc -i 2 localhost 1", 2, "no counterpart of nc's -i", "connect localhost 1"),
    ("nc -T lowdelay localhost 1", 2, "no counterpart of nc's -T", "connect localhost 1"),

    # --- socat ---
    ("TCP-LISTEN:17028,fork -", 2, "unknown command", "listen -k tcp://:17028"),
    ("- TCP:localhost:1", 2, "unknown command", "connect tcp://localhost:1"),
    ("listen TCP-LISTEN:17029,reuseaddr", 2, "is an address of socat", "listen tcp://:17029"),
    ("connect TCP:localhost:1", 2, "tcp://", "connect tcp://localhost:1"),
    ("connect TCP4:localhost:1", 2, "tcp4://", "connect tcp4://localhost:1"),
    ("connect - UNIX-CONNECT:/nowhere/sock", 2, "2 operands", "connect unix:/nowhere/sock"),
    ("listen TCP-LISTEN:17030,fork EXEC:cat", 2, "2 operands", "serve echo tcp://:17030"),
    ("UDP-LISTEN:17031,fork UDP:localhost:1", 2, "unknown command",
     "relay udp://:17031 udp://localhost:1"),

    ("listen TCP-LISTEN:17045,bind=127.0.0.2,fork -", 2, "2 operands",
     "listen -k tcp://127.0.0.2:17045"),
    ("listen TCP6-LISTEN:17046,reuseaddr,bind=[::1] STDOUT", 2, "2 operands",
     "listen 'tcp6://[::1]:17046'"),
    ("TCP-LISTEN:17047,bind=127.0.0.3 PIPE", 2, "unknown command",
     "serve echo tcp://127.0.0.3:17047"),
    ("connect - TCP:localhost:1,nodelay,bind=127.0.0.1:17048", 2, "2 operands",
     "connect --bind 127.0.0.1:17048 'tcp://localhost:1?nodelay'"),
    ("socat - TCP:localhost:1,retry=2,interval=0.3", 2, "unknown command",
     "connect --retry 2 --retry-pause 0.3 tcp://localhost:1"),
    ("connect - TCP:localhost:1,connect-timeout=2,interval=3", 2, "2 operands",
     "connect --connect-timeout 2 tcp://localhost:1"),
    ("listen UNIX-LISTEN:new.sock,mode=640 -", 2, "2 operands", "listen 'unix:new.sock?mode=640'"),
    ("socat -u TCP:localhost:1 -", 2, "unknown command", "connect --recv-only tcp://localhost:1"),
    ("socat -u - TCP:localhost:1", 2, "unknown command", "connect --send-only tcp://localhost:1"),
    ("socat -x -t9 - TCP:localhost:1", 2, "unknown command",
     "connect --hex --wait-after-eof 9 tcp://localhost:1"),
    ("socat TCP-LISTEN:17054,fork,max-children=7,su=nobody PIPE", 2, "unknown command",
     "serve echo --max-connections 7 --user nobody tcp://:17054"),
    ("socat - TCP:localhost:1,cork,nodelay,linger=2", 2,
     "(sockeye has no counterpart of cork, linger)", "connect 'tcp://localhost:1?nodelay'"),
    ("connect - UDP:localhost:1,nodelay", 2, "no counterpart of nodelay", "connect udp://localhost:1"),
    ("connect OPENSSL:localhost:1", 2, "'OPENSSL:localhost:1' (sockeye has no TLS; use", NONE),
    ("connect - OPENSSL:localhost:1", 2, "sockeye has no TLS; use", NONE),
    ("socat TCP-LISTEN:17055 EXEC:ls", 2, "sockeye runs no programs", NONE),
    ("connect - TUN:192.0.2.1/24", 2, "sockeye has no TUN devices", NONE),
    ("connect -t7 - TCP:localhost:1", 2, "PORT", "connect --wait-after-eof 7 tcp://localhost:1"),
    ("connect -T 2 STDIN TCP:localhost:1", 2, "unknown option -T",
     "connect --timeout 2 tcp://localhost:1"),
    ("socat -t 0.5 - TCP:localhost:1", 2, "unknown command",
     "connect --wait-after-eof 0.5 tcp://localhost:1"),

    # --- exchanged letters ---
    ("get --wiat 3 tftp://127.0.0.1:1/x", 2, "unknown option --wiat",
     "get --wait 3 tftp://127.0.0.1:1/x"),

    # --- listen and serve ---
    ("listen", 2, "no operand", "listen :7000"),
    ("serve ecko", 2, "unknown service 'ecko'", "serve echo"),
    ("serve frobnicate", 2, "unknown service 'frobnicate'", "serve --list"),
    ("serve echo discrad", 2, "unknown service 'discrad'", "serve echo discard"),
    ("serve 17032", 2, "no service given for '17032'", "serve echo :17032"),
    ("serve 17033 echo", 2, "no service given for '17033'", "serve echo :17033"),
    ("serve tcp://127.0.0.1:17034 echo", 2, "put its name first",
     "serve echo tcp://127.0.0.1:17034"),
    ("serve tcp://127.0.0.1:17035", 2, "put its name first", "serve echo tcp://127.0.0.1:17035"),
    ("serve echo 17036", 2, "port", "serve echo :17036"),
    ("serve echo 127.0.0.1 17037", 2, "belong to one address", "serve echo tcp://127.0.0.1:17037"),
    ("serve --port 17038 echo", 2, "unknown option --port", "serve echo tcp://:17038"),
    ("serve echo -p 17039", 2, "unknown option -p", "serve echo tcp://:17039"),
    ("serve --host 127.0.0.1 --port=17040 echo", 2, "unknown option --host",
     "serve echo tcp://127.0.0.1:17040"),
    ("serve tftp udp://127.0.0.1:17049 -s folder", 2, "'folder' is a directory, not an address",
     "serve tftp 'udp://*:7069' --root folder"),
    ("serve echo file another", 2, "'file' is a file, not an address (the shell expands a *",
     "serve echo 'tcp://*:7007'"),
    ("serve tftp", 2, "tftp needs --root DIR", "serve tftp --root ."),
    ("serve tftp .", 2, "'.' is a directory", "serve tftp --root ."),
    ("serve tftp ./folder", 2, "'./folder' is a directory", "serve tftp --root ./folder"),
    ("serve tftp :17041 --root .", 2, "tftp is served over UDP", "serve tftp 'udp://*:17041' --root ."),
    ("serve tftp 17042 --root .", 2, "'17042' is not a UDP address",
     "serve tftp udp://:17042 --root ."),

    ("serve tftp --root . --blocksize 1200 udp://127.0.0.1:17056", 2, "unknown option --blocksize",
     "serve tftp --root . --blksize-max 1200 udp://127.0.0.1:17056"),
    ("serve tftp --root . udp://127.0.0.1:17057 -L -B1300 -R 50100:50110", 2, "unknown option -L",
     "serve tftp --root . udp://127.0.0.1:17057 --blksize-max 1300 --port-range 50100-50110"),
    ("serve tftp --root . --windowsize=9 --retransmit 900000 udp://127.0.0.1:17058", 2,
     "unknown option --windowsize",
     "serve tftp --root . --window-max 9 --timeout 900000us udp://127.0.0.1:17058"),
    ("serve tftp --root . --max-window 12 udp://127.0.0.1:17059", 2, "unknown option --max-window",
     "serve tftp --root . --window-max 12 udp://127.0.0.1:17059"),

    # --- get, put, bench, relay ---
    ("get --windowsize 9 tftp://127.0.0.1:1/x", 2, "unknown option --windowsize",
     "get --window 9 tftp://127.0.0.1:1/x"),
    ("get -g -r boot/a 127.0.0.1 7169", 2, "unknown option -g",
     "get tftp://127.0.0.1:7169/boot/a"),
    ("get -g -r b -l c ::1", 2, "unknown option -g", "get 'tftp://[::1]/b' -o c"),
    ("bench ping-pong -i 127.0.0.1 -p 7169", 2, "unknown option -i", "bench udp://127.0.0.1:7169"),
    ("bench pp --tcp -i 127.0.0.1 -p 1 -m 200", 2, "", "bench --size 200 tcp://127.0.0.1:1"),
    ("get", 2, "no operand", "get tftp://localhost/pxelinux.0"),
    ("get localhost/file", 2, "'localhost/file' is not a TFTP address",
     "get tftp://localhost/file"),
    ("get localhost:/file", 2, "is not a TFTP address", "get tftp://localhost/file"),
    ("get localhost file", 2, "is not a TFTP address", "get tftp://localhost/file"),
    ("get 127.0.0.1 7169 boot.img", 2, "'127.0.0.1' is not a TFTP address",
     "get tftp://127.0.0.1:7169/boot.img"),
    ("get localhost 7169 /a b", 2, "is not a TFTP address",
     "get tftp://localhost:7169/a tftp://localhost:7169/b"),
    ("get localhost a b", 2, "is not a TFTP address", "get tftp://localhost/a tftp://localhost/b"),
    ("get localhost 99999 a", 2, "is not a TFTP address", NONE),
    ("get localhost/a localhost:/b", 2, "'localhost/a' is not a TFTP address",
     "get tftp://localhost/a tftp://localhost/b"),
    ("get http://localhost/file", 2, "is not a TFTP address", "get tftp://localhost/file"),
    ("get tftp:/localhost/file", 2, "is not a TFTP address", "get tftp://localhost/file"),
    ("get tftp://localhost", 2, "'tftp://localhost' names no file",
     "get tftp://localhost/pxelinux.0"),
    ("get tftp://localhost/a tftp://localhost/b -o x", 2, "several files need a directory",
     "get tftp://localhost/a tftp://localhost/b -o x/"),
    ("put file", 2, "no address to send 'file' to", "put file tftp://localhost/"),
    ("put tftp://localhost/file", 2, "no file to send", "put file tftp://localhost/file"),
    ("put tftp://localhost/x file", 2, "the address must be the last operand",
     "put file tftp://localhost/x"),
    ("put file 127.0.0.1 7169", 2, "'7169' is not a TFTP address",
     "put file tftp://127.0.0.1:7169/"),
    ("put file localhost", 2, "'localhost' is not a TFTP address", "put file tftp://localhost/"),
    ("bench", 2, "no operand", "bench localhost 7007"),
    ("bench tftp://localhost/x", 10, "for TFTP, use sockeye get, put and serve tftp", NONE),
    ("listen icmp://localhost", 10, "sockeye sends no ICMP", NONE),
    ("connect tsl://localhost:1", 2, "mptcp tftp fd;", "connect tcp://localhost:1"),
    ("bench localhost", 2, "the port is missing", "bench localhost:7007"),
    ("bench -n 1000x localhost 1", 2, "not '1000x'", NONE),
    ("bench --timeout 9999999999s localhost 1", 2, "not '9999999999s'", NONE),
    ("relay", 2, "no operand", "relay udp://:6969 udp://localhost:69"),
    ("relay :17043 localhost:1", 2, "':17043' is not a UDP address",
     "relay udp://:17043 udp://localhost:1"),
    ("relay udp://:17044", 2, "no target address", "relay udp://:17044 udp://localhost:69"),
]

# Commands that wait for packets or clients: they run until the test stops them.
READY = {"listen": b"listening on ", "serve": b" pid ", "relay": b"relaying "}


def run_line(line, **kw):
    return subprocess.run(["sh", "-c", line], check=False, capture_output=True, timeout=WAIT_S,
                          stdin=subprocess.DEVNULL, **kw)


def parses(line, cwd):
    """Runs a proposed command line, which must not be a usage error."""
    words = shlex.split(line.partition(" <")[0])
    ready = READY.get(words[1])
    if ready is None or "--list" in words:
        soon = f"--timeout 100ms --retries 0 {'' if '--wait' in words else '--no-wait'}"
        limits = {"get": soon, "put": soon,
                  "connect": "--connect-timeout 1s", "bench": "--timeout 1s --time 100ms"}
        limits = limits.get(words[1], "")
        assert run_line(f"{line} {limits}", cwd=cwd).returncode != 2
        return
    with subprocess.Popen(words, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, bufsize=0) as process:
        said = b""
        while ready not in said and process.poll() is None:
            said += read_exactly(process.stdout, 1)
        process.terminate()
        code = process.wait(WAIT_S)
        assert ready in said or code not in (0, 2), said


@pytest.fixture
def folder(netns, tmp_path):
    for name in ("file", "another", "x"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    subprocess.run(["ip", "-6", "addr", "add", "fe80::7/64", "dev", "lo", "nodad"], check=True)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def on_path():
    os.environ["PATH"] = f"{os.path.dirname(os.path.abspath(SOCKEYE))}:{os.environ['PATH']}"


@pytest.mark.parametrize("typed, code, said, proposed", SLIPS, ids=[row[0] for row in SLIPS])
def test_slip(folder, typed, code, said, proposed):
    result = run_line(f"sockeye {typed}", cwd=folder)
    message = result.stderr.decode()
    assert (result.returncode, said in message) == (code, True), message
    line = message.partition("try: ")[2].rstrip("\n")
    if proposed is NONE:
        assert line == ""
        assert code != 2 or typed == "" or message.endswith("--help)\n")
        return
    assert line == f"sockeye {proposed}"
    assert message.count("\n") == 1
    parses(line, folder)


@pytest.mark.parametrize("command", ["connect", "listen", "get --no-wait", "put --no-wait",
                                     "bench", "relay"])
def test_proposals_for_three_words(folder, command):
    """Three words in every order: the proposals must be valid."""
    proposals = set()
    for words in itertools.permutations(["127.0.0.1", "7169", "file", "tftp://127.0.0.1:1/x"], 3):
        result = run_line(f"sockeye {command} {shlex.join(words)}", cwd=folder)
        if result.returncode == 2:
            proposals.add(result.stderr.decode().partition("try: ")[2].rstrip("\n"))
    for line in sorted(proposals - {""}):
        parses(line, folder)


def test_the_table_is_long_enough():
    assert len(SLIPS) >= 25 and len({row[0] for row in SLIPS}) == len(SLIPS)


def test_address_in_use(listening, run):
    port = listening().getsockname()[1]
    result = run("listen", "127.0.0.1", port)
    assert (result.returncode, b"ss -ltnp" in result.stderr) == (9, True)
    assert result.stderr.endswith(b"; try: sockeye listen 127.0.0.1 %d\n" % (port + 1))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("typed, proposed", [
    ("listen 127.0.0.1 7", "listen 127.0.0.1 7007"), ("listen :echo", "listen :7007"),
    ("serve echo tcp://127.0.0.1:7 udp://127.0.0.1:7",
     "serve echo tcp://127.0.0.1:7007 udp://127.0.0.1:7007"),
    ("serve tftp udp://127.0.0.1:69 --root /", "serve tftp udp://127.0.0.1:7069 --root /"),
])
def test_port_without_permission(netns, typed, proposed):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w", encoding="ascii") as limit:
        limit.write("1024\n")
    result = subprocess.run([SOCKEYE, *typed.split()], check=False, capture_output=True, text=True,
                            timeout=WAIT_S, user=65534, group=65534)
    assert (result.returncode, "CAP_NET_BIND_SERVICE" in result.stderr) == (9, True)
    assert result.stderr.endswith(f"; try: sockeye {proposed}\n")
