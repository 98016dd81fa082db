"""bench --deadline ends everything, with the results so far."""
from conftest import events


def test_deadline(run, echo):
    done = run("bench", "--json", "--time", "1h", "--deadline", "400ms", echo("tcp://127.0.0.1:0"))
    [result] = events(done.stdout)
    assert (done.returncode, result["exit"], result["interrupted"]) == (5, 5, True)
    assert result["seconds"] < 60
    done = run("bench", "--time", "1h", "--deadline", "300ms", echo("tcp://127.0.0.1:0"))
    assert done.returncode == 5 and b"the time of --deadline has passed" in done.stderr
    assert b"messages" in done.stdout
