"""Makes the summary and the losses of docs/BENCHMARKS.md, and the README's table."""
from tables import number, table, verdict

YARDSTICK = "limit"
OURS = "sockeye"
CLOSE = 1.02  # ratios up to this are within the spread between runs
ECHO = {"tcp-1": "TCP echo, 1 connection", "tcp-50": "TCP echo, 50 connections",
        "tcp-1000": "TCP echo, 1,000 connections", "tcp-1m": "TCP echo of 1 MiB messages",
        "udp-64": "UDP echo, 64 datagrams in flight",
        "churn-fin": "one connection per message (FIN)",
        "churn-rst": "one connection per message (RST)"}
TFTP = {"lock-512-one": "TFTP, blksize 512, one download on one CPU",
        "lock-512-16": "TFTP, blksize 512, 16 downloads",
        "win-64": "TFTP, blksize 1428, windowsize 64",
        "small": "TFTP, 4 KiB files to 100 clients"}


def rows_of(results, name):
    """Returns {server: its figures} of an echo or a TFTP workload."""
    found = results.get(name) or results.get(f"tftp-{name}") or {}
    return found.get("rows") or found.get("tftp") or {}


def best(rows, wanted):
    """Returns (server, figures) of the wanted server that uses the least CPU, or None."""
    candidates = [(figures["cpu_ns"], name) for name, figures in rows.items() if wanted(name)]
    return (min(candidates)[1], rows[min(candidates)[1]]) if candidates else None


def is_ours(name):
    return name.startswith(OURS)


def is_peer(name):
    return not is_ours(name) and not name.startswith(YARDSTICK)


def summary(results):
    """Compares sockeye's cheapest model with the cheapest peer, one row per workload."""
    out = []
    for name, title in {**ECHO, **TFTP}.items():
        rows = rows_of(results, name)
        ours, peer = best(rows, is_ours), best(rows, is_peer)
        if not ours or not peer:
            continue
        out.append([title, ours[0].removeprefix("sockeye ").replace("sockeye", "TFTP server"),
                    number(ours[1]["cpu_ns"] / 1000, ",.1f"),
                    f"{peer[0]}: {number(peer[1]['cpu_ns'] / 1000, ',.1f')}",
                    f"{peer[1]['cpu_ns'] / ours[1]['cpu_ns']:.2f}"])
    return table(["workload", "sockeye's best model", "CPU µs", "best peer, CPU µs",
                  "peer ÷ sockeye"], out)


def losses(results, bars):
    """Lists every peer that needs less CPU than sockeye's best model, every
    workload above 1.1 × its yardstick, and every bar that is not held or not
    measured."""
    out = []
    workloads = [name.removeprefix("tftp-") for name, result in results.items()
                 if isinstance(result, dict) and ("rows" in result or "tftp" in result)]
    for name in workloads:
        rows = rows_of(results, name)
        ours = best(rows, is_ours)
        if not ours:
            continue
        title = (results.get(name) or results.get(f"tftp-{name}"))["title"]
        for peer, figures in rows.items():
            by = ours[1]["cpu_ns"] / figures["cpu_ns"]
            if is_peer(peer) and by > CLOSE:
                out.append([title, f"{peer} needs less CPU than {ours[0]}", f"{by:.2f} ×"])
        limit = ours[1].get("of_limit") or ours[1].get("cpu_ns_over", {}).get(YARDSTICK)
        if limit and limit > 1.1:
            out.append([title, f"{ours[0]} needs more CPU than the yardstick", f"{limit:.2f} ×"])
    for text, values, form, good in bars:
        held = verdict(values, good)
        if held != "yes":
            out.append([text, "bar not held" if held == "**no**" else held,
                        " · ".join(number(v, form) for v in values)])
    return table(["workload or bar", "result", "figures"], out) if out else "None in this run.\n"


def against(rows, key, names, form="{:,.0f}", scale=1.0):
    """Returns the peers' figures, best first, as 'atftpd 190, dnsmasq 21'."""
    found = [(rows[name][key] * scale, name) for name in names if name in rows]
    found.sort(reverse=key == "rate")
    return ", ".join(f"{name.split()[0]} {form.format(value)}" for value, name in found)


def first_screen(results):
    """The README's four rows."""
    servers = ("atftpd", "dnsmasq", "tftpd-hpa")
    out = []
    for title, name, unit in (
            ("4 KiB files by TFTP to 100 clients", "small", "files/s"),
            ("16 TFTP downloads, blksize 1428, windowsize 1", "lock-1428-16", "blocks/s"),
            ("one TFTP download, windowsize 64 if supported", "win-64", "MiB/s")):
        rows = rows_of(results, name)
        if OURS in rows:
            out.append([title, f"{rows[OURS]['rate']:,.0f} {unit}", against(rows, "rate", servers)])
    rows = rows_of(results, "tcp-50")
    if "sockeye event" in rows:
        out.append(["TCP echo, 50 connections: CPU per message",
                    f"{rows['sockeye event']['cpu_ns'] / 1000:,.1f} µs",
                    against(rows, "cpu_ns", ("xinetd", "socat fork", "ncat -k -e"), "{:,.1f}", 1e-3)])
    return table(["measured", "sockeye", "others"], out).replace("--:", "---")
