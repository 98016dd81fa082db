"""Draws a table whose cells are a check mark, a dot or a word."""
from pictures.svg import Sheet

MARGIN, ROW = 24, 26


def draw(data, theme):
    name, cell = data["name_width"], data["cell_width"]
    columns, groups = data["columns"], data.get("groups", [])
    width = max(2 * MARGIN + name + cell * len(columns), data.get("width", 0))
    height = 78 + 20 * bool(groups) + ROW * len(data["rows"]) + 15 * len(data["notes"]) + 16
    sheet = Sheet(width, height, theme, data["title"])
    sheet.text(MARGIN, 32, data["title"], size=17, bold=True)
    y = 62
    if groups:
        x = MARGIN + name
        for group in groups:
            span = cell * group["columns"]
            sheet.text(x + span / 2, y, group["title"], anchor="middle", size=12, bold=True)
            sheet.line(x + 6, y + 6, x + span - 6, y + 6, sheet.color["line"])
            x += span
        y += 20
    for i, column in enumerate(columns):
        sheet.text(MARGIN + name + cell * (i + 0.5), y, column, anchor="middle", size=11,
                   fill=sheet.color["faint"])
    y += 8
    for row in data["rows"]:
        ours = row["name"].startswith("sockeye")
        sheet.line(MARGIN, y, width - MARGIN, y, sheet.color["line"])
        sheet.text(MARGIN, y + 17, row["name"], bold=ours or data.get("bold_names", False))
        for i, value in enumerate(row["cells"]):
            x = MARGIN + name + cell * (i + 0.5)
            if value is True:
                sheet.text(x, y + 18, "✓", fill=sheet.color["good"], anchor="middle", size=15,
                           bold=True)
            elif value is False:
                sheet.text(x, y + 18, "·", fill=sheet.color["bad"], anchor="middle", size=15)
            else:
                sheet.text(x, y + 17, value, anchor="middle", size=12, bold=ours)
        y += ROW
    sheet.line(MARGIN, y, width - MARGIN, y, sheet.color["line"])
    for note in data["notes"]:
        y += 15
        sheet.text(MARGIN, y + 4, note, fill=sheet.color["faint"], size=11)
    return str(sheet)
