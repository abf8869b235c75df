"""One self-contained HTML page: opens by double click, goes in a mail, readable on a phone."""

from __future__ import annotations

import base64
import contextlib
import html
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sigconv import files

LONG = 20  # rows: a longer table is folded where it may be
SORTED = 3  # rows from which on a table with a header is sorted by clicking its headings

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --link: #56b4e9; } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto 4rem; padding: 0 1rem; }
body { overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .3rem; }
a { color: var(--link); } nav { font-size: .9rem; margin: .5rem 0 1rem; } nav a { margin-right: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: .84rem/1.45 ui-monospace, monospace; }
pre.code { background: var(--soft); border-radius: 6px; padding: .6rem .8rem; }
figure { margin: 1rem 0; } figcaption { font-size: .88rem; opacity: .8; }
img { max-width: 100%; height: auto; background: white; border-radius: 6px; }
details { margin: .6rem 0; } summary { cursor: pointer; padding: .2rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; }
caption { text-align: left; font-weight: 600; padding: .2rem 0; }
th, td { padding: .25rem 1rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } tbody th { font-weight: 400; } .n { text-align: right; white-space: nowrap; }
th button { font: inherit; color: inherit; text-align: inherit; width: 100%; background: none; border: 0; padding: 0; }
th button { cursor: pointer; } thead th { position: relative; } th[aria-sort]::after { position: absolute; }
th[aria-sort]::after { content: "\\2193"; } th[aria-sort="ascending"]::after { content: "\\2191"; }
@media (max-width: 30rem) { body { margin-top: 1rem; font-size: 15px; } pre { font-size: .74rem; } }
@media print { nav, th::after { display: none; } figure, table { break-inside: avoid; } }
"""

# What a heading does when it is clicked or, as it holds a button, when Enter or Space is pressed on it: sorts the rows,
# numbers before words, words by their letters' code points, what is empty last; clicked again, the other way round.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    if (!button.textContent) button.setAttribute("aria-label", `column ${column + 1}`);
    head.append(button);
    head.style.cursor = "pointer";
    head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map(row => [...key(row.cells[column]), row]);
      rows.sort((a, b) => (a[0] === 2) - (b[0] === 2) || (down ? -1 : 1) * (a[0] - b[0] || order(a[1], b[1])));
      body.append(...rows.map(row => row[2]));
    });
  });
}
function key(cell) {
  const text = cell ? cell.dataset.v ?? cell.textContent.trim() : "";
  if (text === "" || text === "\\u2013") return [2, 0];
  return isNaN(text) ? [1, text] : [0, Number(text)];
}
function order(a, b) { return a < b ? -1 : a > b ? 1 : 0; }
"""

NUMBER = re.compile(
    r"([-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?)(?:\s*(?:[\u00b1(].*|%)|-\d*\.\d+)?", re.I
)
TIME = re.compile(r"(?=.)(?:(\d+) h ?)?(?:(\d+) min ?)?(?:(\d+(?:\.\d+)?) s)?")


class Page:
    """A page being written: add headings, texts, tables and pictures, then save. Every call gives the page back.

    >>> page = Page("digits").heading("Results").table([("cnn", 0.9612)], ["model", "accuracy"])
    >>> "0.9612</td>" in page.html()
    True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[str] = []
        self.headings: dict[str, str] = {}
        self.sorts = False  # whether some table does, and the page needs the script

    def heading(self, text: str, level: int = 2) -> Page:
        """A heading; those of level 2 are linked to from the top of the page."""
        name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"
        while name in self.headings:
            name += "-"
        if level == 2:
            self.headings[name] = text
        mark = f' id="{name}"' if level == 2 else ""
        self.parts.append(f"<h{level}{mark}>{html.escape(text)}</h{level}>")
        return self

    def paragraph(self, text: str) -> Page:
        """A paragraph of running text."""
        self.parts.append(f"<p>{html.escape(text)}</p>")
        return self

    def text(self, text: str, code: bool = False) -> Page:
        """A text, its line breaks kept; code stands on a ground of its own, to be copied."""
        self.parts.append(f'<pre class="code">{html.escape(text)}</pre>' if code else f"<pre>{html.escape(text)}</pre>")
        return self

    def table(self, rows: Sequence[Sequence[Any]], header: Sequence[str] = (), caption: str = "") -> Page:
        """A table: numbers to the right, floats as shown has them; a first column of words heads its rows.

        One with a header and three rows or more is sorted by a column when that is clicked: numbers by what they are,
        not by what is shown of them, times and numbers that more is written after ("0.96 \u00b1 0.01") by theirs.
        """
        rows = [[_bare(value) for value in row] for row in rows]
        named = all(row and isinstance(row[0], str) for row in rows)
        numbers = [all(_numeric(row[n]) for row in rows if n < len(row)) for n in range(max(map(len, rows), default=0))]
        numbers += [False] * (len(header) - len(numbers))
        title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
        top = "".join(_cell(text, "th", numbers[n], ' scope="col"') for n, text in enumerate(header))
        head = f"<thead><tr>{top}</tr></thead>" if header else ""
        body = "".join(f"<tr>{_line(row, numbers, named)}</tr>" for row in rows)
        sorts = bool(header) and len(rows) >= SORTED
        self.sorts = self.sorts or sorts
        kind = ' class="sortable"' if sorts else ""
        self.parts.append(f'<div class="wide"><table{kind}>{title}{head}<tbody>{body}</tbody></table></div>')
        return self

    def facts(self, facts: Mapping[str, Any]) -> Page:
        """A table of names and values."""
        return self.table([(name, value) for name, value in facts.items()])

    def picture(self, png: bytes, caption: str, alt: str = "") -> Page:
        """A PNG picture, inside the page itself."""
        content = base64.b64encode(png).decode()
        image = f'<img alt="{html.escape(alt or caption)}" src="data:image/png;base64,{content}">'
        self.parts.append(f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>")
        return self

    @contextlib.contextmanager
    def folded(self, summary: str, folded: bool = True) -> Iterator[Page]:
        """What is added inside the with is folded under its summary, until it is clicked; folded=False leaves it open.

        >>> page = Page("digits")
        >>> with page.folded("Environment"):
        ...     _ = page.facts({"python": "3.11"})
        >>> page.html().count("<details>")
        1
        """
        if not folded:
            yield self
            return
        self.parts.append(f"<details><summary>{html.escape(summary)}</summary>")
        try:
            yield self
        finally:
            self.parts.append("</details>")

    def html(self) -> str:
        """The whole page."""
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        links = "".join(f'<a href="#{name}">{html.escape(text)}</a> ' for name, text in self.headings.items())
        top = f"<h1>{html.escape(self.title)}</h1>" + (f"\n<nav>{links}</nav>" if len(self.headings) > 3 else "")
        body = "\n".join([top, *self.parts])
        head += f"<title>{html.escape(self.title)}</title><style>{STYLE}</style>"
        script = f"<script>{SCRIPT}</script>\n" if self.sorts else ""
        whole = f"<main>\n{body}\n</main>\n{script}"
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{whole}</body></html>\n'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all."""
        files.write_text(path, self.html())


def shown(value: Any) -> str:
    """A value as a table has it: four digits of a float after the point, three that count where it is tiny or huge.

    >>> [shown(value) for value in (0.93, 4e-9, float("nan"), 1234567, None, True, [1, "a"])]
    ['0.9300', '4e-09', '–', '1234567', '', 'yes', '1, a']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return "\u2013"
        return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)


def amount(value: Any) -> float | None:
    """The number that a cell is sorted by: its value, or what its text begins with; None of words and of nothing.

    >>> [amount(value) for value in (0.93, True, "1,234", "0.96 \u00b1 0.01", "2 h 01 min", "1 min 15 s", "3 of 4", "")]
    [0.93, None, 1234.0, 0.96, 7260.0, 75.0, None, None]
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if value != value else value if abs(value) < 1e300 else math.copysign(math.inf, value > 0 or -1)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if found := NUMBER.fullmatch(text):
        return float(found[1].replace(",", "").replace("\u2212", "-"))
    if found := TIME.fullmatch(text):
        return sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))
    return None


def _bare(value: Any) -> Any:
    """A number of NumPy or torch as Python's own."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _numeric(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, int | float) and not isinstance(value, bool))


def _line(row: Sequence[Any], numbers: Sequence[bool], named: bool) -> str:
    """The cells of a row."""
    first = lambda n: ("th", ' scope="row"') if named and n == 0 else ("td", "")
    return "".join(_cell(value, first(n)[0], numbers[n], first(n)[1]) for n, value in enumerate(row))


def _cell(value: Any, tag: str, number: bool, more: str = "") -> str:
    kind, text, by = ' class="n"' if number else "", shown(value), amount(value)
    if by is not None and not _says(text, by):
        more += f' data-v="{"-" * (by < 0)}Infinity"' if math.isinf(by) else f' data-v="{float(by)!r}"'
    return f"<{tag}{kind}{more}>{html.escape(text)}</{tag}>"


def _says(text: str, number: float) -> bool:
    """Whether a text is a number to a browser too, and this very one."""
    return re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", text) is not None and float(text) == number
