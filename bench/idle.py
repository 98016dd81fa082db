"""Measures idle connections, and counts user instructions with callgrind."""
import os
import re
import signal
import socket
import subprocess

import contenders
import measure

SOURCES = 16  # client addresses; each has its own range of ports


def connect(port, count, first=0):
    """Opens `count` connections, and exchanges one echo on each."""
    conns = []
    for i in range(first, first + count):
        conn = socket.create_connection(("127.0.0.1", port), timeout=10,
                                        source_address=(f"127.0.0.{2 + i % SOURCES}", 0))
        conn.sendall(b"hello")
        assert conn.recv(16) == b"hello"
        conns.append(conn)
    return conns


def slope(pid, port, few, many):
    """Returns the bytes of process memory that each further idle connection costs."""
    conns = connect(port, few)
    before = measure.memory(pid)
    conns += connect(port, many - few, few)
    after = measure.memory(pid)
    for conn in conns:
        conn.close()
    return (after - before) / (many - few)


def sockets(pid):
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
        except OSError:
            pass
    return count


def spread(pid, port, count):
    """Opens `count` connections; returns how many each worker accepted."""
    workers = [member for member in measure.tree(pid) if member != pid]
    before = [sockets(worker) for worker in workers]
    conns = connect(port, count)
    after = [sockets(worker) for worker in workers]
    for conn in conns:
        conn.close()
    return [b - a for a, b in zip(before, after)]


def collected(pattern_folder):
    """Returns the instructions of all processes that callgrind traced, and removes its files."""
    total = 0
    for path in pattern_folder.glob("callgrind.out.*"):
        found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(errors="replace"), re.M)
        total += int(found[1]) if found else 0
        path.unlink()
    return total


def counted(contender, out, messages):
    folder = out.resolve()
    plain = contender.command
    contender.command = ["valgrind", "--tool=callgrind", "--trace-children=yes", "-q",
                         f"--callgrind-out-file={folder}/callgrind.out.%p", *plain]
    collected(folder)
    try:
        if not contender.start():
            return None
        exchange(contender, messages)
        # valgrind does not deliver SIGTERM to a process in io_uring_enter, so
        # callgrind_control requests the counts. The server has to run once more
        # to write them.
        dumped = [subprocess.run(["callgrind_control", "-d", str(pid)], capture_output=True)
                  for pid in measure.tree(contender.pid)]
        assert dumped
    finally:
        contender.stop()
        contender.command = plain
    return collected(folder)


def exchange(contender, messages):
    with socket.socket(socket.AF_INET, contender.kind) as conn:
        conn.connect(("127.0.0.1", contender.port))
        conn.settimeout(10)
        for _ in range(messages):
            conn.send(b"x" * 64)
            conn.recv(64)


def instructions(contender, out):
    """Returns the user instructions that each further message costs."""
    few, many = counted(contender, out, 1000), counted(contender, out, 5000)
    return None if few is None or many is None else (many - few) / 4000
