"""Draws horizontal bars, one panel per quantity, with sockeye's highlighted."""
from pictures.svg import Sheet

WIDTH, MARGIN, NAME, BAR, GAP = 820, 24, 150, 18, 8
VALUE = 110  # width of the figure after a bar


def figure(value):
    """Formats a value with three significant digits, or as whole units with commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def panel(sheet, top, spec):
    """Draws one panel; returns the y coordinate of the next."""
    sheet.text(MARGIN, top, spec["title"], size=14, bold=True)
    sheet.text(sheet.width - MARGIN, top, spec["better"] + " is better",
               fill=sheet.color["faint"], size=12, anchor="end")
    y = top + 12
    most = max(row["value"] for row in spec["rows"])
    room = sheet.width - 2 * MARGIN - NAME - VALUE
    for row in spec["rows"]:
        ours = row["name"].startswith("sockeye")
        color = sheet.color["ours" if ours else "peer"]
        width = max(2.0, room * row["value"] / most)
        sheet.text(MARGIN + NAME - 10, y + BAR - 5, row["name"], anchor="end", bold=ours)
        sheet.rect(MARGIN + NAME, y, width, BAR, color, 2)
        sheet.text(MARGIN + NAME + width + 8, y + BAR - 5,
                   f"{figure(row['value'])} {spec['unit']}", bold=ours,
                   fill=sheet.color["text" if ours else "faint"])
        y += BAR + GAP
    return y + 26


def draw(data, theme):
    rows = sum(len(spec["rows"]) for spec in data["panels"])
    height = 60 + len(data["panels"]) * 38 + rows * (BAR + GAP) + 14 * len(data["notes"]) + 10
    sheet = Sheet(WIDTH, height, theme, data["title"])
    sheet.text(MARGIN, 32, data["title"], size=17, bold=True)
    y = 64
    for spec in data["panels"]:
        y = panel(sheet, y, spec)
    for note in data["notes"]:
        sheet.text(MARGIN, y - 8, note, fill=sheet.color["faint"], size=11)
        y += 14
    return str(sheet)
