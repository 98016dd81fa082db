"""Connections that do nothing, and servers counted instruction by instruction."""
import os
import re
import signal
import socket
import subprocess

import contenders
import measure

SOURCES = 16  # client addresses: each has ports of its own


def connect(port, count, first=0):
    """`count` connections that have each had one echo."""
    conns = []
    for i in range(first, first + count):
        conn = socket.create_connection(("127.0.0.1", port), timeout=10,
                                        source_address=(f"127.0.0.{2 + i % SOURCES}", 0))
        conn.sendall(b"hello")
        assert conn.recv(16) == b"hello"
        conns.append(conn)
    return conns


def slope(pid, port, few, many):
    """Bytes of process memory for one more idle connection."""
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
    """How many connections each worker got."""
    workers = [member for member in measure.tree(pid) if member != pid]
    before = [sockets(worker) for worker in workers]
    conns = connect(port, count)
    after = [sockets(worker) for worker in workers]
    for conn in conns:
        conn.close()
    return [b - a for a, b in zip(before, after)]


def collected(pattern_folder):
    """Instructions of all processes that callgrind followed."""
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
        # In io_uring_enter valgrind delivers no SIGTERM: what was counted is
        # asked for by callgrind_control, which needs a turn of the server.
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
    """User instructions for one more message."""
    few, many = counted(contender, out, 1000), counted(contender, out, 5000)
    return None if few is None or many is None else (many - few) / 4000
