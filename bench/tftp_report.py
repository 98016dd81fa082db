"""The part of docs/BENCHMARKS.md that bench/tftp measured."""
from tables import bars_table, number, table

INTRO = """## TFTP

`bench/tftp build` repeats it (a quarter of an hour); `bench/tftp build --quick --only lock-512,small`
some of it in a minute.

- The load is `bench/limit/tftp_get.c`, the same for every server: it writes no file, takes what waits
  with one call and acknowledges it with one. It compares a word of every block, and all bytes of a
  download before each row. With 4 KiB files each of its 100 clients takes four ports in turn.
- Peers: atftpd 0.8.0, tftpd-hpa 5.2 and dnsmasq 2.90 of Debian 12, without log lines and without
  limits below the number of clients. tftpd-hpa and dnsmasq know no windows: there they are in
  lockstep, as the column says. dnsmasq grants no block above 2,263 bytes unless told to.
- The yardstick, `limit`, is the plainest server we could write: connected sockets, files mapped,
  windows by `UDP_SEGMENT`, no time-out, no confinement.
- **CPU** is what a control group charged the server and all its children. `UDP_SEGMENT` hands the
  kernel a window at once; on loopback it is cut up for the client at the server's expense, unless the
  client has `UDP_GRO`, and neither happens on a network card.
- With one download in lockstep both processors mostly wake each other for every block, and all
  servers are equal; on one processor and with 16 downloads the server shows.
- Loss is that of `sockeye relay`, each time with the same seed for everybody.
"""

PEERS = ("atftpd", "tftpd-hpa", "dnsmasq")
ONE = {"blocks": "block", "gets": "get", "MiB": "MiB"}


def over(results, row, key, worst, others=PEERS):
    """Ours over the peer that makes it look worst, within a round."""
    ours = results.get(f"tftp-{row}", {}).get("tftp", {}).get("sockeye")
    ratios = [ours[f"{key}_over"].get(peer) for peer in others] if ours else []
    return worst((ratio for ratio in ratios if ratio is not None), default=None)


def figure(results, key, *path):
    value = results.get(f"tftp-{key}", {})
    for name in path:
        value = value.get(name, {})
    return value if value != {} else None


def bars(results):
    """(what was asked for, figures, whether each is good enough)"""
    lockstep = ("lock-512", "lock-1428")
    for suffix, what in (("", "1 download"), ("-one", "1 download, one processor"),
                         ("-16", "16 downloads")):
        yield (f"lockstep, 512 and 1428, {what}: blocks/s ≥ 1.1 × the best peer",
               [over(results, row + suffix, "rate", min) for row in lockstep], ".2f",
               lambda v: v >= 1.1)
        yield (f"lockstep, 512 and 1428, {what}: CPU a block ≤ the best peer",
               [over(results, row + suffix, "cpu_ns", max) for row in lockstep], ".2f",
               lambda v: v <= 1)
    for suffix, what in (("", ""), ("-gro", ", client with UDP_GRO")):
        yield (f"windows 16 and 64, blksize 1428{what}: CPU a MiB ≤ 0.5 × atftpd",
               [over(results, row + suffix, "cpu_ns", max, ("atftpd",))
                for row in ("win-16", "win-64")], ".2f", lambda v: v <= 0.5)
    yield ("our client and server, window 64: ≥ 2 × atftp and atftpd",
           [figure(results, "clients", "pairs", "sockeye", "speedup")], ".2f", lambda v: v >= 2)
    yield ("32 MiB, blksize 65464, windows 8 and 32: seconds, without a stall",
           [figure(results, f"stall-{w}", "pairs", "sockeye", "s") for w in (8, 32)], ".2f",
           lambda v: v <= 1)
    yield ("1 % loss, window 16, 32 MiB, our client: ≤ 2 × the time without loss",
           [figure(results, "loss", "sockeye", "sockeye", "times")], ".2f", lambda v: v <= 2)
    yield ("1 % loss: longest silence in round trips (4 ms) ≤ 4",
           [ms / 4 if (ms := figure(results, "loss", "sockeye", "silence")) else None], ".1f",
           lambda v: v <= 4)
    yield ("files of 4 KiB, 100 clients, with and without options: gets/s ≥ 2 × the best peer",
           [over(results, row, "rate", min) for row in ("small", "small-plain")], ".2f",
           lambda v: v >= 2)
    yield ("1,000 transfers: KiB of process memory each ≤ 16",
           [each / 1024 if (each := figure(results, "memory", "sockeye", "each")) else each],
           ".1f", lambda v: v <= 16)


def workload(result):
    small = result["unit"] == "gets"
    head = ["server", f"{result['unit']}/s", f"CPU ns a {ONE[result['unit']]}", "of its yardstick",
            "calls", "busy", "blksize", "window", *["p50 µs", "p99 µs"] * small]
    rows = []
    for name, r in result["tftp"].items():
        mark = "" if r["rounds"] - r["disturbed"] >= 3 else " ~"
        of_limit = 1 if name == "limit" else r["cpu_ns_over"].get("limit")
        rows.append([name + mark, number(r["rate"], ",.0f"), number(r["cpu_ns"], ",.0f"),
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
    return table(["client, server", "s without", "s with 1 %", "times", "longest silence, ms"],
                 [[f"{clients[who]}, {name}", *(f"{s:.3f}" for s in row[who]["s"]),
                   f"{row[who]['times']:.2f}",
                   number(row["silence"], ".1f") if who == "tftp_get" else ""]
                  for name, row in result.items() for who in row if who != "silence"])


def memory(result):
    return table(["server", "bytes each", "bytes at its most", "transfers then"],
                 [[name, number(r["each"], ",.0f"),
                   f"{r['bytes'][str(r['most'])]:,}", f"{r['most']:,}"]
                  for name, r in result.items()])


def page(results):
    how = results["tftp-how"]
    parts = [INTRO, f"{how['rounds']} rounds of {how['seconds']} s each; "
             f"`net.core.rmem_max` {how['rmem_max']:,}.\n", "### TFTP: the bars\n", bars_table(bars(results))]
    for key, result in results.items():
        if "tftp" in result:
            parts += [f"### {result['title']}\n", workload(result)]
        elif key.startswith("tftp-") and result.get("pairs"):
            parts += [f"### {result['title']}\n", pairs(result)]
    if results.get("tftp-loss"):
        parts += ["### 32 MiB, window 16, through a relay that loses 1 %\n",
                  loss(results["tftp-loss"])]
    if results.get("tftp-memory"):
        parts += ["### Process memory of a transfer, window 16\n",
                  memory(results["tftp-memory"])]
    return "\n".join(parts)
