"""What bench/run and bench/tftp share: the namespace, and figures of rounds."""
import os
import pathlib
import statistics
import subprocess
import sys

SYSCTLS = {"net.ipv4.tcp_congestion_control": "reno", "net.core.somaxconn": "65535",
           "net.ipv4.ip_local_port_range": "1024 65535"}


def own_namespace():
    """Starts this program again where the network is its own."""
    if os.environ.get("SOCKEYE_BENCH_NETNS"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name, value in SYSCTLS.items():
            path = pathlib.Path("/proc/sys", *name.split("."))
            try:
                path.write_text(value)
            except OSError as error:
                print(f"bench: {name} stays as it is: {error}", file=sys.stderr)
        return
    os.environ["SOCKEYE_BENCH_NETNS"] = "1"
    flags = ["-n"] if os.geteuid() == 0 else ["-r", "-n"]
    os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])


def ratio(rounds, limit_rounds, key):
    """The median of a figure over that of another in the same round: what
    disturbs both cancels out."""
    pairs = [r[key] / limit[key] for r, limit in zip(rounds, limit_rounds)
             if r and limit and limit[key]]
    return statistics.median(pairs) if pairs else None


def summary(rounds, keys):
    """Medians of the rounds that nothing disturbed, or of all when those are
    too few."""
    rounds = [r for r in rounds if r is not None]
    if not rounds:
        return None
    clean = [r for r in rounds if not r["disturbed"]]
    used = clean if len(clean) >= 3 else rounds
    row = {key: statistics.median(r[key] for r in used) for key in keys}
    row["cpu_ns_range"] = [min(r["cpu_ns"] for r in used), max(r["cpu_ns"] for r in used)]
    row["rounds"], row["disturbed"] = len(rounds), len(rounds) - len(clean)
    return row
