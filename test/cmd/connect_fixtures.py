"""Shared by the tests of sockeye connect: a connected program, a reset, a terminal."""
import contextlib
import os
import pty
import socket
import struct
import termios

RESET = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def connected(program, server, *args, **kw):
    """Starts the program, connected to a listening socket, and yields it and the other end."""
    started = program("connect", *args, server.url, **kw)
    with server.accept()[0] as conn:
        yield started, conn


def reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    conn.close()


def unread(conn):
    """Bytes sent but not acknowledged yet (SIOCOUTQ)."""
    import fcntl
    return struct.unpack("i", fcntl.ioctl(conn.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]



class Terminal:
    """A pseudo-terminal for some of the program's descriptors."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        modes = termios.tcgetattr(self.theirs)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self.theirs, termios.TCSANOW, modes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.ours)
        os.close(self.theirs)

    def modes(self):
        return termios.tcgetattr(self.theirs), os.get_blocking(self.theirs)
