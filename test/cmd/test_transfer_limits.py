"""get and put: limits on the time of everything and on the size of a file."""
import pytest

from conftest import events
from get_fixtures import names, server  # noqa: F401
from tftp import RRQ, code_of, data, oack


@pytest.mark.parametrize("command", ["get", "put"])
@pytest.mark.parametrize("json", [False, True])
def test_deadline_of_a_transfer(run, server, tmp_path, command, json):  # noqa: F811
    (tmp_path / "f").write_bytes(b"x" * 10)
    words = ["-o", "new", server.url()] if command == "get" else ["f", server.url()]
    done = run(command, "--deadline", "300ms", *(["--json"] if json else []), *words, cwd=tmp_path)
    said = (done.stdout if json else done.stderr).decode()
    assert done.returncode == 5 and "the time of --deadline has passed" in said
    if json:
        [event] = events(done.stdout)
        assert (event["error"], event["exit"]) == ("ETIMEDOUT", 5)
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("size, code", [(999, 9), (1000, 0)])
@pytest.mark.parametrize("announced", [False, True])
def test_max_size(program, server, tmp_path, size, code, announced):  # noqa: F811
    client = program("get", "--max-size", size, *([] if announced else ["--no-options"]),
                     server.url(), cwd=tmp_path)
    request = server.request(RRQ)
    if announced:
        with server.answer(request, oack(tsize=1000)) as peer:
            if code:
                assert code_of(peer.hear()) == 3
            else:
                peer.hear()
                peer.say(data(1, bytes(512)))
                peer.hear()
                peer.say(data(2, bytes(488)))
            said = client.end(code)
    else:
        with server.answer(request, data(1, bytes(512))) as peer:
            peer.hear()
            peer.say(data(2, bytes(488)))
            last = peer.hear()
            assert not code or code_of(last) == 3
            said = client.end(code)
    assert names(tmp_path) == ([] if code else ["f"])
    assert not code or b"the server sends more than --max-size" in said
