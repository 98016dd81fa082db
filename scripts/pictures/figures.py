"""Selects the figures of bench/run for the two charts."""


def panel(title, unit, better, values):
    """Makes the panel of one quantity, sorted with the best value first."""
    rows = [{"name": name, "value": value} for name, value in values if value]
    rows.sort(key=lambda row: row["value"], reverse=better == "more")
    return {"title": title, "unit": unit, "better": better, "rows": rows}


def tftp(bench):
    def values(row, key, scale=1.0):
        return [(name, figures[key] * scale) for name, figures in bench[row]["tftp"].items()
                if name != "limit"]

    how = bench["tftp-how"]
    return {
        "title": "TFTP server: sockeye and the servers people run today",
        "panels": [
            panel("4 KiB files to 100 clients", "files/s", "more", values("tftp-small", "rate")),
            panel("One large file, blksize 1428, windowsize 64", "MiB/s", "more",
                  values("tftp-win-64", "rate")),
            panel("The same: server CPU per MiB", "ms", "less",
                  values("tftp-win-64", "cpu_ns", 1e-6)),
        ],
        "notes": [f"Loopback, two CPUs, the same client for every server; medians of "
                  f"{how['rounds']} rounds of {how['seconds']} s.",
                  "tftpd-hpa and dnsmasq do not support windowsize (RFC 7440): they send one "
                  "block per round trip."],
    }


ECHO = {"sockeye event": "sockeye event", "sockeye uring": "sockeye uring",
        "libuv try_write": "libuv", "libevent": "libevent", "Go net": "Go", "node": "Node.js",
        "xinetd": "xinetd", "socat fork": "socat", "ncat -k -e": "ncat",
        "limit epoll": "bare epoll loop"}


def echo(bench):
    rows = bench["tcp-50"]["rows"]
    how = bench["how"]
    return {
        "title": "TCP echo: server CPU per 64-byte message, 50 connections",
        "panels": [panel("CPU per message", "µs", "less",
                         [(shown, rows[name]["cpu_ns"] / 1000) for name, shown in ECHO.items()
                          if name in rows])],
        "notes": [f"Loopback, server and load on one CPU each; medians of {how['rounds']} "
                  f"rounds of {how['seconds']} s.",
                  "The bare epoll loop has no limits, counters or timeouts: it is the yardstick "
                  "(bench/limit)."],
    }
