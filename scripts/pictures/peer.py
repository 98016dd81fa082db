"""Runs another program with sockeye's command line, for the half-close matrix:

    peer.py nc|ncat|socat connect URL
    peer.py nc|ncat|socat listen --ready-fd N URL

Each program runs with the options that pass the most cells: nc -N (shut down
after end of input), socat -t (do not exit half a second after one side ends)."""
import os
import signal
import socket
import subprocess
import sys
import time

LISTENING = "0A"


def command(kind, listens, host, port):
    if kind == "nc":
        return ["nc", "-N", *(["-l", host, port] if listens else [host, port])]
    if kind == "ncat":
        return ["ncat", *(["-l", host, port] if listens else [host, port])]
    where = f"TCP-LISTEN:{port},bind={host}" if listens else f"TCP:{host}:{port}"
    return ["socat", "-t", "3600", "STDIO", where]


def free_port(host):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return str(probe.getsockname()[1])


def wait_until_it_listens(port):
    """Waits for the port in /proc/net/tcp. A test connection would use up the only accept."""
    for _ in range(1000):
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table.read().splitlines()[1:]]
        if any(row[3] == LISTENING and int(row[1].split(":")[1], 16) == int(port) for row in rows):
            return
        time.sleep(0.01)


def main():
    kind, verb, *rest = sys.argv[1:]
    host, _, port = rest[-1].removeprefix("tcp://").rpartition(":")
    listens = verb == "listen"
    if listens:
        port = free_port(host)
    child = subprocess.Popen(command(kind, listens, host, port))
    # Close our copies of standard input and output: with them open, the other side
    # would not see the child close its own.
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)

    def stop(*_):
        child.kill()
        os._exit(130)  # the exit status of sockeye when stopped

    signal.signal(signal.SIGTERM, stop)
    if listens:
        wait_until_it_listens(port)
        with os.fdopen(int(rest[rest.index("--ready-fd") + 1]), "w") as ready:
            ready.write(f"tcp://{host}:{port}\n")
    sys.exit(child.wait())


main()
