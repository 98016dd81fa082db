"""An interactive bash with job control and a terminal."""
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

PROMPT = b"@ready@ "
WAIT_S = 60


class JobShell:
    """The shell echoes nothing, so all output is that of commands and of the shell itself."""

    def __init__(self, folder, env, enter=()):
        self.fd, theirs = pty.openpty()
        modes = termios.tcgetattr(theirs)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        self.process = subprocess.Popen(
            [*enter, "setsid", "--ctty", "bash", "--norc", "--noprofile", "--noediting", "-i"],
            cwd=folder, env=dict(env, PS1=PROMPT.decode(), PS2="", LC_ALL="C.UTF-8"),
            stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.unread = b""
        self.prompt()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            for pid in [job for job in self.run("jobs -p").split() if job.isdigit()]:
                os.kill(int(pid), signal.SIGKILL)
        except (OSError, AssertionError):
            pass  # the shell is gone, or waits for a command that never ends
        os.close(self.fd)  # SIGHUP for the shell and its jobs
        self.process.kill()
        self.process.wait()

    def wait(self, pattern, what):
        """Reads the output up to a pattern, and returns it without."""
        end = time.monotonic() + WAIT_S
        while not (found := re.search(pattern, self.unread)):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], \
                f"not within {WAIT_S} s: {what}: {self.unread}"
            self.unread += os.read(self.fd, 65536)
        before, self.unread = self.unread[:found.start()], self.unread[found.end():]
        return before.decode(errors="replace")

    def prompt(self):
        """Waits until the shell takes the next command. Returns what was printed before."""
        return self.wait(re.escape(PROMPT), "a prompt")

    def type(self, text):
        os.write(self.fd, text.encode())

    def run(self, command):
        """Types a command and waits for its end. Returns its output."""
        self.type(command + "\n")
        return self.prompt()
