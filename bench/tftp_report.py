"""Makes the bars and tables from the figures of bench/tftp."""
from tables import number, table

PEERS = ("atftpd", "tftpd-hpa", "dnsmasq")
ONE = {"blocks": "block", "gets": "get", "MiB": "MiB"}


def over(results, row, key, worst, others=PEERS):
    """Returns sockeye's ratio to the peer with the worst (least favourable) ratio, or None."""
    ours = results.get(f"tftp-{row}", {}).get("tftp", {}).get("sockeye")
    ratios = [ours[f"{key}_over"].get(peer) for peer in others] if ours else []
    return worst((ratio for ratio in ratios if ratio is not None), default=None)


def figure(results, key, *path):
    value = results.get(f"tftp-{key}", {})
    for name in path:
        value = value.get(name, {})
    return value if value != {} else None


def bars(results):
    """Yields (requirement, figures, format, predicate that a good figure satisfies)."""
    lockstep = ("lock-512", "lock-1428")
    for suffix, what in (("", "1 download"), ("-one", "1 download, one CPU"),
                         ("-16", "16 downloads")):
        yield (f"lockstep, 512 and 1428, {what}: blocks/s ≥ 1.1 × the best peer",
               [over(results, row + suffix, "rate", min) for row in lockstep], ".2f",
               lambda v: v >= 1.1)
        yield (f"lockstep, 512 and 1428, {what}: CPU per block ≤ the best peer",
               [over(results, row + suffix, "cpu_ns", max) for row in lockstep], ".2f",
               lambda v: v <= 1)
    for suffix, what in (("", ""), ("-gro", ", client with UDP_GRO")):
        yield (f"windows 16 and 64, blksize 1428{what}: CPU per MiB ≤ 0.5 × atftpd",
               [over(results, row + suffix, "cpu_ns", max, ("atftpd",))
                for row in ("win-16", "win-64")], ".2f", lambda v: v <= 0.5)
    yield ("sockeye's client and server, window 64: speed ≥ 2 × atftp and atftpd",
           [figure(results, "clients", "pairs", "sockeye", "speedup")], ".2f", lambda v: v >= 2)
    yield ("32 MiB, blksize 65464, windows 8 and 32: seconds ≤ 1 (no stall)",
           [figure(results, f"stall-{w}", "pairs", "sockeye", "s") for w in (8, 32)], ".2f",
           lambda v: v <= 1)
    yield ("1% loss, window 16, 32 MiB, sockeye's client: time ≤ 2 × that without loss",
           [figure(results, "loss", "sockeye", "sockeye", "times")], ".2f", lambda v: v <= 2)
    yield ("1% loss: longest silence in round trips (4 ms) ≤ 4",
           [ms / 4 if (ms := figure(results, "loss", "sockeye", "silence")) else None], ".1f",
           lambda v: v <= 4)
    yield ("4 KiB files, 100 clients, with and without options: gets/s ≥ 2 × the best peer",
           [over(results, row, "rate", min) for row in ("small", "small-plain")], ".2f",
           lambda v: v >= 2)
    yield ("1,000 transfers: KiB of process memory per transfer ≤ 16",
           [each / 1024 if (each := figure(results, "memory", "sockeye", "each")) else each],
           ".1f", lambda v: v <= 16)


def workload(result):
    small = result["unit"] == "gets"
    head = ["server", f"{result['unit']}/s", f"CPU ns per {ONE[result['unit']]}", "÷ yardstick",
            "calls", "busy", "blksize", "window", *["p50 µs", "p99 µs"] * small]
    rows = []
    for name, r in result["tftp"].items():
        of_limit = 1 if name == "limit" else r["cpu_ns_over"].get("limit")
        rows.append([name, number(r["rate"], ",.0f"), number(r["cpu_ns"], ",.0f"),
                     number(of_limit, ".2f"), number(r["calls"], ",.2f"), f"{r['busy']:.2f}",
                     r["blksize"], r["window"],
                     *[number(r[key], ",.0f") for key in ("p50_us", "p99_us") if small]])
    return table(head, rows)


def pairs(result):
    clients = {"sockeye": "sockeye get", "atftpd": "atftp"}
    return table(["client and server", "s", "MiB/s"],
                 [[f"{clients[name]}, {name}", f"{r['s']:.3f}",
                   f"{result['bytes'] / r['s'] / (1 << 20):,.0f}"]
                  for name, r in result["pairs"].items()])


def loss(result):
    clients = {"sockeye": "sockeye get", "atftp": "atftp", "tftp_get": "tftp_get"}
    return table(["client, server", "s without loss", "s with 1% loss", "ratio",
                  "longest silence, ms"],
                 [[f"{clients[who]}, {name}", *(f"{s:.3f}" for s in row[who]["s"]),
                   f"{row[who]['times']:.2f}",
                   number(row["silence"], ".1f") if who == "tftp_get" else ""]
                  for name, row in result.items() for who in row if who != "silence"])


def memory(result):
    return table(["server", "bytes per transfer", "total bytes", "transfers"],
                 [[name, number(r["each"], ",.0f"),
                   f"{r['bytes'][str(r['most'])]:,}", f"{r['most']:,}"]
                  for name, r in result.items()])


def page(results):
    how = results["tftp-how"]
    parts = [f"{how['rounds']} rounds of {how['seconds']} s each; "
             f"`net.core.rmem_max` {how['rmem_max']:,}.\n"]
    for key, result in results.items():
        if "tftp" in result:
            parts += [f"### {result['title']}\n", workload(result)]
        elif key.startswith("tftp-") and result.get("pairs"):
            parts += [f"### {result['title']}\n", pairs(result)]
    if results.get("tftp-loss"):
        parts += ["### 32 MiB, window 16, through a relay that drops 1% of packets\n",
                  loss(results["tftp-loss"])]
    if results.get("tftp-memory"):
        parts += ["### Process memory per transfer, window 16\n",
                  memory(results["tftp-memory"])]
    return "\n".join(parts)
