"""Makes Markdown tables for bench/report."""


def table(head, rows):
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def number(value, form):
    return "–" if value is None else format(value, form)


def verdict(values, good):
    """Returns whether a bar is held: yes, no, or not measured."""
    if any(v is None for v in values):
        return "not measured"
    return "yes" if all(map(good, values)) else "**no**"


def bars_table(found):
    rows = [[text, " · ".join(number(v, form) for v in values), verdict(values, good)]
            for text, values, form, good in found]
    return table(["bar", "measured", "held"], rows)
