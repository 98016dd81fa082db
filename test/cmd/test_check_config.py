"""sockeye check: the mistakes in configurations of xinetd and inetd."""
import pytest

from conftest import events

SERVICE = """service {name}
{{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	port = {port}
	wait = no
	user = root
	server = /bin/cat
	{more}
}}
"""


def service(name="a", port=9001, more=""):
    return SERVICE.format(name=name, port=port, more=more)


@pytest.fixture(name="check")
def checked(run, tmp_path):
    """Checks a text: (status, services printed, mistakes without the folder)."""
    def check(text, *args):
        file = tmp_path / "conf"
        file.write_text(text, newline="")
        result = run("check", "-f", str(file), *args)
        return (result.returncode, result.stdout.decode(),
                result.stderr.decode().replace(f"{file}:", "").splitlines())
    return check


def test_clean(check):
    text = service()
    status, services, mistakes = check(text)
    assert (status, mistakes) == (0, [])
    assert services.split() == text.split()


# What each reader makes of a mistake: the strict one's error, and whether xinetd's reader, which
# warns, starts the service.
MISTAKES = [
    (service(more="no_access = typo"),
     "10: error: no_access: 'typo' is not an address and not the name of a known host or network",
     True),
    (service(more="disable = yes # off"),
     "10: error: 'disable = yes # off': # begins a comment only at the start of a line, and xinetd "
     "ignores this line: put the comment on its own line", False),
    (service().rstrip() + " # end\n",
     "11: error: '} # end' does not end the entry for xinetd, which loses this entry and the next: "
     "} must be alone on its line", None),
    (service(more="disable"), "10: error: 'disable' has no operator: write 'disable = VALUE'", None),
    (service(more="user = nobody"), "10: error: 'user' is already set at line 8, which takes effect",
     True),
    (service(more="flags = IPv5"),
     "10: error: flags: 'IPv5': must be REUSE, INTERCEPT, NORETRY, IDONLY, NAMEINARGS, NODELAY, "
     "KEEPALIVE, NOLIBWRAP, SENSOR, IPv4, IPv6 or LABELED", False),
    (service().replace("/bin/cat", "/bin/no-cat"),
     "9: error: server = /bin/no-cat: is not a program that can be run", False),
    (service() + service("b"),
     "12: error: service 'b' (id b) binds the socket of the service at 1, tcp port 9001: disable one "
     "of them", True),
]


@pytest.mark.parametrize("text, error, starts", MISTAKES)
def test_mistakes(check, text, error, starts):
    status, _, mistakes = check(text)
    assert status == 9
    assert error in mistakes
    status, services, mistakes = check(text, "--compat", "xinetd")
    assert status == 1
    assert mistakes and all(": warning: " in line for line in mistakes)
    if starts is not None:
        assert services.startswith("service a")
        assert ("disable = yes" in services.partition("}")[0]) != starts
    else:
        assert "disable = yes" in services or services == ""


def test_carriage_returns(check):
    text = service().replace("\n", "\r\n")
    assert check(text) == check(text, "--compat", "xinetd") == check(service())


def test_quiet(check):
    status, services, mistakes = check(service(more="colour = red\n\tumask = 9"), "-q")
    assert (status, services) == (9, "")
    assert mistakes == ["10: error: unknown attribute 'colour'",
                        "11: error: umask = 9: must be octal, 0 to 0777"]
    assert check(service(more="disable = yes\n\tumask = 9"), "-q") == (1, "", [])


def test_json(run, tmp_path):
    file = tmp_path / "conf"
    file.write_text(service(more="colour = red") + service("b", 9002))
    result = run("check", "--json", str(file))
    note, configuration = events(result.stdout)
    assert (result.returncode, result.stderr) == (9, b"")
    assert note == {"event": "note", "severity": "error", "file": str(file), "line": 10,
                    "text": "unknown attribute 'colour'"}
    assert configuration.pop("text").count("service ") == 2
    assert configuration == {"event": "configuration", "errors": 1, "warnings": 0, "enabled": 2}


def test_included_files(run, tmp_path):
    (tmp_path / "xinetd.d").mkdir()
    (tmp_path / "xinetd.d" / "one").write_text(service() + "stray\n")
    (tmp_path / "xinetd.d" / "two.bak").write_text("not read\n")
    (tmp_path / "conf").write_text(f"includedir {tmp_path}/xinetd.d\n")
    result = run("check", str(tmp_path / "conf"))
    assert result.returncode == 9
    assert result.stderr.decode() == (
        f"{tmp_path}/xinetd.d/one:12: error: 'stray' is not service, defaults, include or "
        "includedir; xinetd loses the entry after it\n")


def test_inetd(run, tmp_path):
    file = tmp_path / "inetd.conf"
    file.write_text("9003 stream tcp nowait.30 root.root /bin/cat cat -u\necho stream tcp\n")
    result = run("check", f"inetd:{file}")
    assert result.returncode == 9
    assert result.stderr.decode().startswith(f"{file}:2: error: a line needs at least 6 words")
    printed = result.stdout.decode()
    assert "\tserver_args = cat -u\n" in printed and "\trate = 30/m 30\n" in printed
    (tmp_path / "conf").write_text(printed)
    again = run("check", str(tmp_path / "conf"))
    assert (again.returncode, again.stdout) == (0, result.stdout)


INETD_LINES = "# file\n\n\ttime dgram udp wait root internal\nx stream tcp nowait me /bin/cat cat\n"


@pytest.mark.parametrize("args", [(), ("--compat", "xinetd")])
def test_inetd_without_the_prefix(check, args):
    status, services, mistakes = check(INETD_LINES, *args)
    assert (status, services) == (9, "")
    assert mistakes == ["3: error: this is a line of inetd.conf: to check such a file, write "
                        "inetd:FILE"]


def test_words_that_are_not_inetd(check):
    for text in ("time stream\n", "a b tcp nowait root /bin/cat\n", service() + INETD_LINES):
        assert "inetd:FILE" not in str(check(text)[2])


def test_no_file(run, tmp_path):
    result = run("check", str(tmp_path / "none"))
    assert result.returncode == 9
    assert b"none: No such file or directory" in result.stderr
    assert run("check", "-f", "x", "y").returncode == 2
