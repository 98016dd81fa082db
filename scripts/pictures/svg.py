"""Writes SVG. The same calls give the same bytes: the output does not depend on
the clock, random identifiers, or this machine's fonts."""
from xml.sax.saxutils import escape

THEMES = {
    "light": {"page": "#ffffff", "text": "#1f2328", "faint": "#656d76", "line": "#d0d7de",
              "ours": "#cf3b2c", "peer": "#8c959f", "good": "#1a7f37", "bad": "#b0b8c1",
              "panel": "#f6f8fa"},
    "dark": {"page": "#0d1117", "text": "#e6edf3", "faint": "#8d96a0", "line": "#30363d",
             "ours": "#ff7b6b", "peer": "#6e7681", "good": "#3fb950", "bad": "#484f58",
             "panel": "#161b22"},
}
SANS = "system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace"


def number(value):
    """Formats a coordinate with at most two decimals and no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


class Sheet:
    """A drawing of a fixed size in the light or dark theme."""

    def __init__(self, width, height, theme, title):
        self.color = THEMES[theme]
        self.width, self.height, self.title = width, height, title
        self.parts = []

    def rect(self, x, y, width, height, fill, radius=0):
        rounded = f' rx="{number(radius)}"' if radius else ""
        self.parts.append(f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" '
                          f'height="{number(height)}"{rounded} fill="{fill}"/>')

    def line(self, x1, y1, x2, y2, stroke):
        self.parts.append(f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" '
                          f'y2="{number(y2)}" stroke="{stroke}"/>')

    def text(self, x, y, words, fill=None, size=13, anchor="start", bold=False):
        weight = ' font-weight="600"' if bold else ""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}"'
                          f'{where}{weight} fill="{fill or self.color["text"]}">'
                          f'{escape(words)}</text>')

    def raw(self, text):
        self.parts.append(text)

    def __str__(self):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
            f'height="{number(self.height)}" viewBox="0 0 {self.width} {number(self.height)}" '
            f'font-family="{SANS}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="100%" height="100%" rx="8" fill="{self.color["page"]}"/>',
            *self.parts, "</svg>", ""])
