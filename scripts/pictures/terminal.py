"""Draws a recorded terminal session as an animated SVG that ends with the last screen.

The recording (scripts/record-demo) holds the output to a pseudo-terminal and its
timing. A viewer that does not animate SVG shows the last screen."""
import re

from xml.sax.saxutils import escape

from pictures.svg import MONO, Sheet, number

ROW, COLUMN, SIZE, MARGIN, BAR = 19, 8.43, 14, 18, 34
HOLD_S = 0.35  # longer pauses are shortened to this
TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|\r|\n|\x08|[^\x1b\r\n\x08]+")
COLORS = {"31": "ours", "32": "good", "33": "ours", "34": "faint", "36": "faint", "90": "faint"}


class Screen:
    """The lines of a terminal, as lists of (character, style). Supports the
    controls that sockeye and a shell use: newline, carriage return, backspace,
    colour, erase line. Long lines wrap."""

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column, self.style = columns, [[]], 0, 0, ""

    def down(self):
        self.row += 1
        self.column = 0
        if self.row == len(self.lines):
            self.lines.append([])

    def put(self, text):
        for character in text:
            if self.column == self.columns:
                self.down()
            line = self.lines[self.row]
            while len(line) <= self.column:
                line.append((" ", ""))
            line[self.column] = (character, self.style)
            self.column += 1

    def control(self, parameters, letter):
        if letter == "m":
            for code in (parameters or "0").split(";"):
                if code == "0" or code == "":
                    self.style = ""
                elif code == "1":
                    self.style = "bold " + self.style
                elif code in COLORS:
                    self.style = self.style.split(" ")[0] * self.style.startswith("bold") + " " + code
        elif letter == "K":
            del self.lines[self.row][self.column:]

    def write(self, text):
        for token in TOKEN.finditer(text):
            if token[2]:
                self.control(token[1], token[2])
            elif token[0] == "\r":
                self.column = 0
            elif token[0] == "\n":
                self.down()
            elif token[0] == "\x08":
                self.column = max(0, self.column - 1)
            elif not token[0].startswith("\x1b"):
                self.put(token[0])

    def shown(self):
        return [tuple(line) for line in self.lines]


def runs(line):
    """Yields the line as (text, style) runs."""
    piece, style = "", ""
    for character, own in line:
        if own != style and piece:
            yield piece, style
            piece = ""
        style = own
        piece += character
    if piece.strip():
        yield piece, style


def spans(line, sheet):
    """Returns the text of one line as tspan elements."""
    out, column = [], 0
    for piece, style in runs(line):
        bold = ' font-weight="700"' if style.startswith("bold") else ""
        color = COLORS.get(style.split(" ")[-1])
        fill = f' fill="{sheet.color[color]}"' if color else ""
        x = f' x="{number(MARGIN + column * COLUMN)}"' if column else ""
        out.append(f"<tspan{x}{bold}{fill}>{escape(piece)}</tspan>")
        column += len(piece)
    return "".join(out)


def intervals(events, columns):
    """Returns (row, line, begin, end or None) for each line shown, and the number of rows."""
    screen, now, last_t, open_rows, found = Screen(columns), 0.0, 0.0, {}, []
    for t, text in events:
        now += min(t - last_t, HOLD_S)
        last_t = t
        screen.write(text)
        for row, line in enumerate(screen.shown()):
            begun = open_rows.get(row)
            if begun and begun[0] == line:
                continue
            if begun:
                found.append((row, begun[0], begun[1], now))
            open_rows[row] = (line, now)
    found += [(row, line, begin, None) for row, (line, begin) in open_rows.items()]
    return sorted(found, key=lambda item: (item[0], item[2])), len(screen.lines)


def draw(data, theme):
    found, rows = intervals(data["events"], data["columns"])
    width = int(2 * MARGIN + data["columns"] * COLUMN)
    sheet = Sheet(width, BAR + rows * ROW + MARGIN, theme, data["title"])
    sheet.rect(0, 0, width, BAR + rows * ROW + MARGIN, sheet.color["panel"], 8)
    for i in range(3):
        sheet.raw(f'<circle cx="{20 + 18 * i}" cy="17" r="5" fill="{sheet.color["line"]}"/>')
    sheet.text(width / 2, 21, data["title"], fill=sheet.color["faint"], size=12, anchor="middle")
    for row, line, begin, end in found:
        content = spans(line, sheet)
        if not content or end is not None and end - begin < 0.01:
            continue
        y = BAR + (row + 1) * ROW - 5
        if end is None:
            timing = (f'<set attributeName="visibility" to="hidden" begin="0s" '
                      f'end="{number(begin)}s"/>' if begin else "")
            hidden = ""
        else:
            timing = (f'<set attributeName="visibility" to="visible" begin="{number(begin)}s" '
                      f'end="{number(end)}s"/>')
            hidden = ' visibility="hidden"'
        sheet.raw(f'<text x="{MARGIN}" y="{number(y)}" font-family="{MONO}" font-size="{SIZE}" '
                  f'xml:space="preserve" fill="{sheet.color["text"]}"{hidden}>{content}{timing}'
                  "</text>")
    return str(sheet)
