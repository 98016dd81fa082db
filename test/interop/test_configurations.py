"""sockeye check --compat xinetd starts the same services as xinetd, also after mistakes.

Each file has services on ports from 9001, named a, b and c. xinetd runs in a network namespace, and
the ports on which it listens are compared with the services that sockeye check prints as enabled.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

SOCKEYE = os.environ.get("SOCKEYE", str(pathlib.Path(__file__).resolve().parents[2] / "build/sockeye"))
XINETD = shutil.which("xinetd", path=f"{os.environ['PATH']}:/usr/sbin")
NAMESPACE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
WAIT_S = 20

pytestmark = pytest.mark.skipif(
    not XINETD or subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode != 0,
    reason="no xinetd, or no namespaces")


def service(name, port, more=""):
    return (f"service {name}\n{{\ntype = UNLISTED\nsocket_type = stream\nprotocol = tcp\nwait = no\n"
            f"user = root\nserver = /bin/true\nport = {port}\n{more}\n}}\n")


def a(more=""):
    return service("a", 9001, more)


def without(line):
    return a().replace(f"{line}\n", "")


def instead(line, other):
    return a().replace(line, other)


B, C = service("b", 9002), service("c", 9003)
DEFAULTS = "defaults\n{{\n{}\n}}\n"

SAME = {
    "correct": a() + B + C,
    "upper case": instead("service", "SERVICE").replace("port =", "PORT =").replace("= no", "= NO") + B,
    "no line feed at the end": (a() + B).rstrip("\n"),
    # lines
    "one word before the brace": a("disable") + B + C,
    "one word before an indented line": a("nice\n\tinstances = 3") + B + C,
    "comment after the brace": a().rstrip() + " # end\n" + B + C,
    "stray line": "stray\n" + a() + B + C,
    "brace after the name": instead("service a\n{", "service a {") + B + C,
    "no blank before the operator": a("nice=3") + B + C,
    "no brace at the end": a() + B.rstrip("}\n"),
    "words after the name": instead("service a", "service a b c") + B,
    "no name": instead("service a", "service") + B,
    "header alone": "service a\n" + B + C,
    "closing brace alone": "}\n" + a() + B + C,
    "opening brace alone": "{\n" + a() + B + C,
    "second opening brace": a("{") + B + C,
    "no closing brace": a().replace("}\n", "") + B + C,
    "include without a path": "include\n" + a() + B,
    "include of no file": "include /no/such/file\n" + a(),
    # attributes
    "unknown attribute": a("colour = red") + B,
    "scalar twice": a("port = 9009") + B,
    "+= of a scalar": a("nice += 3") + B,
    "-= of env": a("env -= A=1") + B,
    "too few words": a("cps = 3") + B,
    "too many words": a("redirect = 127.0.0.1 9002 3") + B,
    "comment after log_type": a("log_type = SYSLOG daemon info # x") + B,
    "comment after only_from": a("only_from = 127.0.0.1 # x") + B,
    "no flags": a("flags =") + B,
    "no access_times": a("access_times =") + B,
    "no server_args": a("server_args =") + B,
    "empty only_from": a("only_from =") + B,
    # values
    "wrong number": a("nice = x") + B,
    "nice out of range": a("nice = 30") + B,
    "umask not octal": a("umask = 999") + B,
    "port too large": instead("port = 9001", "port = 70000") + B,
    "negative instances": a("instances = -3") + B,
    "unknown flag": a("flags = NOPE") + B,
    "both families": a("flags = IPv4 IPv6") + B,
    "midnight": a("access_times = 12:00-24:00") + B,
    "two spans": a("access_times = 8:00-12:00 13:00-17:00") + B,
    "addresses with a comma": a("only_from = 192.0.2.1,192.0.2.2") + B,
    "address that is not one": a("no_access = typo") + B,
    "environment without =": a("env = PATH") + B,
    "unknown facility": a("log_type = SYSLOG here") + B,
    "second limit below the first": a("log_type = FILE /dev/null 10 5") + B,
    "wait neither yes nor no": instead("wait = no", "wait = maybe") + B,
    # services
    "no user": without("user = root") + B,
    "no wait": without("wait = no") + B,
    "no protocol": without("protocol = tcp") + B,
    "no socket_type": without("socket_type = stream") + B,
    "no server": without("server = /bin/true") + B,
    "no such program": instead("/bin/true", "/bin/none") + B,
    "no such user": instead("user = root", "user = r00t") + B,
    "no such group": a("group = r00t") + B,
    "listed with another port": without("type = UNLISTED").replace("service a", "service ftp") + B,
    "not listed": without("type = UNLISTED") + B,
    "other protocol": instead("protocol = tcp", "protocol = udp") + B,
    "one socket twice": a() + service("z", 9001) + B,
    "TRAFFIC without redirect": a("log_on_success = TRAFFIC") + B,
    "NAMEINARGS without server_args": a("flags = NAMEINARGS") + B,
    "redirect": a("redirect = 127.0.0.1 9002") + B,
    "sensor": a("flags = SENSOR\ndeny_time = FOREVER") + B,
    # defaults
    "enabled": DEFAULTS.format("enabled = b") + a() + B + C,
    "disabled": DEFAULTS.format("disabled = b") + a() + B + C,
    "disabled with -=": DEFAULTS.format("disabled -= b") + a() + B + C,
    "enabled and disable = yes": DEFAULTS.format("enabled = a b") + a("disable = yes") + B + C,
    "second defaults": 2 * DEFAULTS.format("instances = 3") + a() + B,
    "attribute of services in defaults": DEFAULTS.format("port = 3") + a() + B,
}

# Where xinetd would be open or not run: the file, xinetd's ports and ours.
EXCEPTIONS = {
    "comment after disable": (a("disable = yes # off") + B, {9001, 9002}, {9002}),
    "wrong value and disable = no": (a("nice = x\ndisable = no") + B, {9001, 9002}, {9002}),
    "wrong value and enabled":
        (DEFAULTS.format("enabled = a b") + a("nice = x") + B, {9001, 9002}, {9002}),
    "CR LF": ((a() + B).replace("\n", "\r\n"), set(), {9001, 9002}),
}


def ours(file):
    result = subprocess.run([SOCKEYE, "check", "--compat", "xinetd", "--json", file], text=True,
                            check=False, capture_output=True, stdin=subprocess.DEVNULL)
    assert result.returncode in (0, 1), result
    text = json.loads(result.stdout.splitlines()[-1])["text"]
    entries = [entry for entry in text.split("service ")[1:] if "disable = yes" not in entry]
    return {int(re.search(r"\tport = (\d+)", entry)[1]) for entry in entries}


def listening(pid):
    """The TCP ports in the network namespace of a process."""
    lines = [line.split() for name in ("tcp", "tcp6")
             for line in pathlib.Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    return {int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "0A"}


def theirs(folder, file):
    log = folder / "log"
    log.touch()
    with subprocess.Popen([*NAMESPACE, XINETD, "-dontfork", "-stayalive", "-pidfile", folder / "pid",
                           "-filelog", log, "-f", file], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + WAIT_S
            while "Started working" not in log.read_text(errors="replace"):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            return listening(process.pid)
        finally:
            process.kill()


@pytest.mark.parametrize("name", SAME)
def test_same_services(tmp_path, name):
    file = tmp_path / "conf"
    file.write_text(SAME[name], newline="")
    assert ours(file) == theirs(tmp_path, file)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions(tmp_path, name):
    text, open_ports, our_ports = EXCEPTIONS[name]
    file = tmp_path / "conf"
    file.write_text(text, newline="")
    assert (theirs(tmp_path, file), ours(file)) == (open_ports, our_ports)


@pytest.mark.skipif(not os.path.exists("/etc/xinetd.d/echo"), reason="no files of Debian's package")
def test_files_of_debian():
    """The files are read without an error."""
    for args in ([], ["--compat", "xinetd"]):
        result = subprocess.run([SOCKEYE, "check", *args, "/etc/xinetd.conf"], check=False, text=True,
                                capture_output=True, stdin=subprocess.DEVNULL)
        assert result.returncode in (0, 1), result.stderr
        assert result.stdout.count("service ") >= 10
