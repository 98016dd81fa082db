"""Shared by bench/run and bench/tftp: the network namespace, and statistics of rounds."""
import os
import pathlib
import statistics
import subprocess
import sys

SYSCTLS = {"net.ipv4.tcp_congestion_control": "reno", "net.core.somaxconn": "65535",
           "net.ipv4.ip_local_port_range": "1024 65535"}


def own_namespace():
    """Starts this program again in a new network namespace; there, sets it up."""
    if os.environ.get("SOCKEYE_BENCH_NETNS"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name, value in SYSCTLS.items():
            path = pathlib.Path("/proc/sys", *name.split("."))
            try:
                path.write_text(value)
            except OSError as error:
                print(f"bench: cannot set {name}: {error}", file=sys.stderr)
        return
    os.environ["SOCKEYE_BENCH_NETNS"] = "1"
    flags = ["-n"] if os.geteuid() == 0 else ["-r", "-n"]
    os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])


STEAL_MAX, OTHERS_MAX = 0.01, 0.10  # above these a round is disturbed
CLEAN_MIN = 3  # a contender with fewer undisturbed rounds gets no row


def disturbed(before, after, server_ns, load_ns, seconds):
    """Returns whether other work used the machine during a round: the host took
    more than 1% of the machine's time, or other processes more than 10% of a
    CPU. `before` and `after` are results of measure.machine()."""
    busy, stolen, ticks = (b - a for a, b in zip(before, after))
    others = busy - (server_ns + load_ns) / 1e9
    return stolen > STEAL_MAX * max(ticks, 1) or others > OTHERS_MAX * seconds


def take_turns(contenders, once, count):
    """Measures the contenders in turn, A B C and then C B A; returns their
    figures by name. Runs at least `count` rounds, and up to three times `count`
    while a contender has fewer than CLEAN_MIN undisturbed rounds."""
    figures = {contender.name: [] for contender in contenders}
    for i in range(3 * count):
        if i >= count and all(len(clean(rounds)) >= CLEAN_MIN or not any(rounds)
                              for rounds in figures.values()):
            break
        for contender in contenders if i % 2 == 0 else reversed(contenders):
            figures[contender.name].append(once(contender))
    return figures


def clean(rounds):
    return [r for r in rounds if r is not None and not r["disturbed"]]


def ratio(rounds, limit_rounds, key):
    """Returns the median over the rounds of one figure divided by another of the
    same round, so that effects on both cancel out. None without such a pair."""
    pairs = [r[key] / limit[key] for r, limit in zip(rounds, limit_rounds)
             if r and limit and limit[key] and not r["disturbed"] and not limit["disturbed"]]
    return statistics.median(pairs) if pairs else None


def summary(name, rounds, keys):
    """Returns the medians of the undisturbed rounds; None, with a message, if they are too few."""
    used = clean(rounds)
    if len(used) < CLEAN_MIN:
        print(f"bench: {name}: no row: only {len(used)} of {len(rounds)} rounds were undisturbed",
              file=sys.stderr)
        return None
    row = {key: statistics.median(r[key] for r in used) for key in keys}
    row["cpu_ns_range"] = [min(r["cpu_ns"] for r in used), max(r["cpu_ns"] for r in used)]
    row["rounds"], row["disturbed"] = len(rounds), len(rounds) - len(used)
    return row
