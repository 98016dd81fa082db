"""The command line: options in any position, errors, help."""
import os
import re

import pytest

from conftest import events

COMMANDS = ["bench", "check", "connect", "get", "listen", "put", "relay", "serve"]
each_command = pytest.mark.parametrize("command", COMMANDS)


def test_version(run):
    result = run("--version")
    assert (result.returncode, result.stderr) == (0, b"")
    assert re.fullmatch(rb"sockeye \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["help"]])
def test_top_help(run, args):
    result = run(*args)
    assert (result.returncode, result.stderr) == (0, b"")
    assert re.findall(r"^  (\w+)  ", result.stdout.decode(), re.M) == COMMANDS


@each_command
@pytest.mark.parametrize("form", [["{}", "--help"], ["{}", "-h"], ["help", "{}"]])
def test_help(run, command, form):
    result = run(*[word.format(command) for word in form])
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"usage: sockeye %s " % command.encode())
    assert all(len(line) <= 80 for line in result.stdout.decode().splitlines())


@each_command
def test_common_options_are_everywhere(run, command):
    text = run(command, "--help").stdout.decode()
    for option in ("--json", "--color WHEN", "-v, --verbose", "-q, --quiet", "-h, --help"):
        assert f" {option} " in text


@pytest.mark.parametrize("args, said", [
    (["conect"], "unknown command 'conect'; try: sockeye connect"),
    (["frobnicate"], "unknown command 'frobnicate'"),
    (["help", "listn"], "unknown command 'listn'; try: sockeye help listen"),
    (["--completion"], "--completion takes bash|zsh|fish; try: sockeye --completion bash"),
    (["--completion", "csh"], "--completion takes bash|zsh|fish; try: sockeye --completion bash"),
    (["connect"], "connect: no operand; connect takes ADDRESS | HOST PORT; try: sockeye connect "),
    (["relay", "a:1", "b:2", "c:3"], "relay: 3 operands; relay takes LISTEN TARGET ("),
    (["relay", "a:1"], "relay: no target address; try: sockeye relay a:1 udp://localhost:69"),
    (["connect", "--hexx", "a:1"], "connect: unknown option --hexx; try: sockeye connect --hex a:1"),
    (["connect", "--tiemout=3", "a:1"], "connect: unknown option --tiemout; try: sockeye connect --timeout=3 a:1"),
    (["connect", "--frobnicate", "a:1"], "connect: unknown option --frobnicate"),
    (["connect", "--co", "a:1"], "connect: --co is ambiguous: --connect-timeout, --count, --color"),
    (["connect", "-Z", "a:1"], "connect: unknown option -Z"),
    (["connect", "-\x1b", "a:1"], r"connect: unknown option -\e"),
    (["connect", "a:1", "--count"], "connect: --count needs N"),
    (["connect", "a:1", "-n"], "connect: --count needs N"),
    (["connect", "--hex=yes", "a:1"], "connect: --hex takes no value"),
    (["connect", "--count", "x", "a:1"], "connect: --count takes a whole number, not 'x'"),
    (["connect", "--count", "", "a:1"], "connect: --count takes a whole number, not ''"),
    (["connect", "--count", "-1", "a:1"], "connect: --count takes a whole number, not '-1'"),
    (["connect", "--count", "0", "a:1"], "connect: --count takes 1 to 4294967295, not '0'"),
    (["connect", "--count", "4294967296", "a:1"], "connect: --count takes 1 to 4294967295, not"),
    (["connect", "--count", "99999999999999999999", "a:1"], "connect: --count takes 1 to 4294967295, not"),
    (["connect", "--peek", "4097", "a:1"], "connect: --peek takes 1 to 4096, not '4097'"),
    (["connect", "--timeout", "3x", "a:1"],
     "connect: --timeout takes a time such as 500ms, 2s or 1.5, not '3x'"),
    (["connect", "--timeout", "0", "a:1"], "connect: --timeout takes at least 0.001 s, not '0'"),
    (["connect", "--buffer", "1M", "a:1"], "connect: --buffer takes 1 to 262144, not '1M'"),
    (["connect", "--color", "red", "a:1"],
     "connect: --color takes one of auto, always, never, not 'red'"),
    (["connect", "--per", "word", "udp://a:1"], "connect: --per takes line, read, all, or a size"),
    (["connect", "--per", "line", "a:1"], "connect: --per is for messages"),
    (["connect", "--oob", "x", "udp://a:1"], "connect: --oob is for streams"),
    (["connect", "--oob", "", "a:1"], "connect: --oob needs at least one byte"),
    (["connect", "--no-shutdown", "udp://a:1"], "connect: --no-shutdown is for connections"),
    (["connect", "--recv-only", "--send-only", "a:1"], "connect: --recv-only and --send-only cannot"),
    (["listen", "--recv-only", "-m", "x", "a:1"], "listen: --recv-only sends nothing; -m has no effect"),
    (["connect", "--recv-only", "--crlf", "a:1"], "connect: --recv-only sends nothing; --per, --crlf"),
    (["connect", "--send-only", "--peek", "1", "a:1"], "connect: --send-only discards what arrives"),
    (["connect", "--send-only", "--count", "1", "a:1"], "connect: --send-only discards what arrives"),
    (["listen", "--send-only", "-w", "1", "a:1"], "listen: --send-only exits when the input is sent"),
    (["connect", "--unconnected", "tcp://a:1"], "connect: --unconnected is for datagrams"),
    (["connect", "--reconnect", "none@1", "a:1"], "connect: --reconnect is for datagrams"),
    (["connect", "-4", "-6", "a:1"], "connect: -4 and -6 cannot be combined"),
    (["connect", "-4", "tcp6://a:1"], "connect: -4 does not fit an IPv6 address"),
    (["connect", "-4", "unix:/x"], "connect: -4 and -6 are for IP addresses"),
    (["connect", "--bind", "x" * 200, "a:1"], "connect: --bind is too long"),
    (["listen", "--backlog", "0", "a:1"], "listen: --backlog takes 1 to 65535, not '0'"),
])
def test_usage_errors(run, args, said):
    result = run(*args)
    assert (result.returncode, result.stdout) == (2, b"")
    text = result.stderr.decode()
    assert text.startswith(f"sockeye: {said}")
    assert text.endswith(" --help)\n") or "; try: sockeye " in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("args", [["--json", "--nonsense", "a:1"], ["--nonsense", "--json", "a:1"],
                                  ["--count", "x", "a:1", "--json"], ["--json"]])
def test_usage_errors_in_json(run, args):
    result = run("connect", *args)
    [found] = events(result.stdout)
    assert (result.returncode, found["event"], found["exit"], result.stderr) == (2, "error", 2, b"")


def test_json_as_the_value_of_another_option(run):
    result = run("connect", "-m", "--json", "tcp://127.0.0.1:1")
    assert (result.returncode, result.stdout) == (4, b"")
    assert result.stderr.startswith(b"sockeye: connect tcp://127.0.0.1:1: ")


def test_json_behind_the_end_of_options_is_an_operand(run):
    result = run("connect", "--", "--json")
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"--json" in result.stderr


@pytest.mark.parametrize("args", [
    ["-m", "hi", "{}"], ["{}", "-m", "hi"], ["-mhi", "{}"], ["{}", "--message=hi"],
    ["--mess", "hi", "{}"], ["--message", "hi", "--", "{}"], ["-qvm", "hi", "{}"],
])
@pytest.mark.parametrize("posix", [False, True])
def test_where_options_may_stand(run, echo, args, posix):
    url = echo("tcp://127.0.0.1:0")
    env = {**os.environ, **({"POSIXLY_CORRECT": "1"} if posix else {})}
    result = run("connect", *[word.format(url) for word in args], env=env)
    assert (result.returncode, result.stdout) == (0, b"hi\n")


@pytest.mark.parametrize("time", ["500ms", "2s", "1.5", "1m", "1h"])
def test_times(run, echo, time):
    assert run("connect", "--timeout", time, "-m", "x", echo("tcp://127.0.0.1:0")).returncode == 0


def test_too_many_of_a_list(run):
    result = run("connect", *["-m", "x"] * 65, "a:1")
    assert (result.returncode, b"at most 64 times" in result.stderr) == (2, True)


def test_help_into_a_full_disk(run):
    with open("/dev/full", "wb") as full:
        assert run("--help", stdout=full).returncode == 9


@pytest.mark.parametrize("args,told", [
    ("connect --per all -m x udp://127.0.0.1:9", "--per"),
    ("connect --per all tcp://127.0.0.1:9", "--per"),
    ("connect --buffer 1k tcp://127.0.0.1:9", "--buffer"),
    ("connect --linger0 udp://127.0.0.1:9", "--linger0"),
    ("connect --linger0 unix:/nobody", "--linger0"),
    ("connect --raw --json tcp://127.0.0.1:9", "--raw"),
    ("connect --retry-pause 1s tcp://127.0.0.1:9", "--retry-pause"),
    ("connect --dontroute unix:/nobody", "--dontroute"),
    ("connect --dontroute fd:0", "--dontroute"),
    ("connect --bind 127.0.0.1 fd:0", "--bind"),
    ("listen --backlog 3 udp://127.0.0.1:0", "--backlog"),
    ("listen --buffer 1k tcp://127.0.0.1:0", "--buffer"),
    ("listen --linger0 udp://127.0.0.1:0", "--linger0"),
])
def test_option_without_effect_is_an_error(run, args, told):
    result = run(*args.split(), timeout=3)
    words = (result.stdout + result.stderr).decode()
    assert (result.returncode, told in words) == (2, True), words
