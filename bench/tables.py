"""Tables in Markdown, for bench/report."""


def table(head, rows):
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def number(value, form):
    return "–" if value is None else format(value, form)


def bars_table(found):
    rows = []
    for text, values, form, good in found:
        held = all(v is not None and good(v) for v in values)
        shown = " · ".join(number(v, form) for v in values)
        rows.append([text, shown, "yes" if held else "**no**"])
    return table(["bar", "measured", "held"], rows)
