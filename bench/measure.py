"""Reads a server's CPU time, system calls and memory from the kernel."""
import os
import re
import shutil
import signal
import subprocess
import time

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # the task has ended
        return ""


def tree(pid):
    """Returns the process ids of a process and all its descendants."""
    pids, todo = [], [pid]
    while todo:
        pid = todo.pop()
        pids.append(pid)
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            todo += map(int, read(f"/proc/{pid}/task/{task}/children").split())
    return pids


def schedstat(pid):
    """Returns the nanoseconds that all live tasks ran, and that they waited for a CPU."""
    on = waiting = 0
    for member in tree(pid):
        try:
            tasks = os.listdir(f"/proc/{member}/task")
        except OSError:
            continue
        for task in tasks:
            fields = read(f"/proc/{member}/task/{task}/schedstat").split()
            if fields:
                on += int(fields[0])
                waiting += int(fields[1])
    return on, waiting


def cpu_with_dead(pid):
    """Returns the nanoseconds of CPU time in steps of a clock tick,
    including threads and children that have ended."""
    ticks = 0
    for member in tree(pid):
        fields = read(f"/proc/{member}/stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks * TICK_NS


class Group:
    """A control group for one server. It counts the CPU time of all its
    tasks, including descendants and tasks that have ended. If the group cannot
    be made, the time comes from /proc in clock ticks."""

    def __init__(self, pid):
        self.pid, self.path = pid, None
        mounts = [line.split() for line in read("/proc/mounts").splitlines()]
        for mount in (words[1] for words in mounts if words[2] == "cgroup2"):
            own = re.search(r"^0::(.*)", read("/proc/self/cgroup"), re.M)
            path = f"{mount}{own[1] if own else ''}/sockeye-bench-{pid}"
            try:
                os.mkdir(path)
            except OSError:
                continue
            self.path = path
            for member in tree(pid):
                self.add(member)
            if not read(f"{path}/cgroup.procs"):
                self.remove()

    def add(self, pid):
        try:
            with open(f"{self.path}/cgroup.procs", "w", encoding="ascii") as procs:
                procs.write(str(pid))
        except OSError:  # the process has ended, or the kernel refuses to move it
            pass

    def cpu(self):
        """Returns the nanoseconds of CPU time used so far."""
        if self.path is None:
            return cpu_with_dead(self.pid)
        return 1000 * int(re.search(r"usage_usec (\d+)", read(f"{self.path}/cpu.stat"))[1])

    def remove(self):
        """Kills the remaining processes of the server, and removes the group."""
        path, self.path = self.path, None
        for _ in range(1000 if path else 0):
            for pid in read(f"{path}/cgroup.procs").split():
                kill(int(pid))
            try:
                os.rmdir(path)
                return
            except OSError:  # its last task is still ending
                time.sleep(0.01)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def busy():
    """Returns the seconds that all CPUs were busy since boot."""
    fields = list(map(int, read("/proc/stat").split("\n", 1)[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) * TICK_NS / 1e9


def steal():
    """Returns (ticks stolen by the host, all ticks) since boot."""
    fields = list(map(int, read("/proc/stat").split("\n", 1)[0].split()[1:9]))
    return fields[7], sum(fields)


def machine():
    """Returns the figures that rounds.disturbed() compares: seconds that all
    CPUs were busy, ticks stolen by the host, all ticks."""
    return (busy(), *steal())


def memory(pid):
    """Returns the bytes of anonymous memory of all processes of the server."""
    total = 0
    for member in tree(pid):
        found = re.search(r"RssAnon:\s+(\d+) kB", read(f"/proc/{member}/status"))
        total += int(found[1]) * 1024 if found else 0
    return total


def private(pid):
    """Returns the bytes of process memory of a server, without file pages.
    Pages that its processes share after a fork count once."""
    total = 0
    for member in tree(pid):
        rollup = read(f"/proc/{member}/smaps_rollup")
        for kind in ("Anon", "Shmem"):
            found = re.search(rf"^Pss_{kind}:\s+(\d+) kB", rollup, re.M)
            total += int(found[1]) * 1024 if found else 0
    return total


def switches(pid):
    """Returns the voluntary context switches of all live tasks."""
    total = 0
    for member in tree(pid):
        for task in os.listdir(f"/proc/{member}/task"):
            found = re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)",
                              read(f"/proc/{member}/task/{task}/status"))
            total += int(found[1]) if found else 0
    return total


class Calls:
    """Counts the system calls of a running server: with perf, which costs the
    server almost nothing, or else with strace, which slows the server down and
    so makes its batches larger."""

    def __init__(self, pid):
        pids = [str(member) for member in tree(pid)]
        if self.perf_works():
            self.process = subprocess.Popen(
                ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", ",".join(pids)],
                stderr=subprocess.PIPE, text=True)
            self.pattern = re.compile(r"^(\d+),", re.M)
            time.sleep(0.3)  # perf does not report when it has attached
        else:
            command = ["strace", "-f", "-c"]
            for member in pids:
                command += ["-p", member]
            self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            self.pattern = re.compile(r"(\d+)\s+(?:\d+\s+)?total")
            for _ in pids:
                self.process.stderr.readline()

    @staticmethod
    def perf_works():
        if shutil.which("perf") is None:
            return False
        done = subprocess.run(
            ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "true"],
            capture_output=True, text=True)
        return done.returncode == 0 and re.search(r"^\d+,", done.stderr, re.M) is not None

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=30)[1]
        found = self.pattern.search(text)
        return int(found[1]) if found else None
