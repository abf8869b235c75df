"""One self-contained HTML page: opens by double click, goes in a mail, readable on a phone."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

from sigconv import files

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
pre { white-space: pre-wrap; font: .85rem/1.45 ui-monospace, monospace; }
img { max-width: 100%; height: auto; background: white; border-radius: 6px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #8884; vertical-align: top; }
"""


class Page:
    """A page being written: add headings, texts, tables and pictures, then save.

    >>> "<h2>Results" in Page("digits").heading("Results").html()
    True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[str] = [f"<h1>{html.escape(title)}</h1>"]

    def heading(self, text: str) -> Page:
        """A heading."""
        self.parts.append(f"<h2>{html.escape(text)}</h2>")
        return self

    def text(self, text: str) -> Page:
        """A text, its line breaks kept."""
        self.parts.append(f"<pre>{html.escape(text)}</pre>")
        return self

    def table(self, rows: Sequence[Sequence[Any]], header: Sequence[str] = ()) -> Page:
        """A table; floats with four digits after the point."""
        cells = lambda row, tag: "".join(f"<{tag}>{html.escape(_shown(cell))}</{tag}>" for cell in row)
        head = f"<thead><tr>{cells(header, 'th')}</tr></thead>" if header else ""
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
        self.parts.append(f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>')
        return self

    def facts(self, facts: Mapping[str, Any]) -> Page:
        """A table of names and values."""
        return self.table(list(facts.items()))

    def picture(self, png: bytes, caption: str) -> Page:
        """A PNG picture, inside the page itself."""
        content = base64.b64encode(png).decode()
        self.parts.append(f'<p><img alt="{html.escape(caption)}" src="data:image/png;base64,{content}"></p>')
        return self

    def html(self) -> str:
        """The whole page."""
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        body = "\n".join(self.parts)
        head += f"<title>{html.escape(self.title)}</title><style>{STYLE}</style>"
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all."""
        files.write_text(path, self.html())


def _shown(cell: Any) -> str:
    return f"{cell:.4f}" if isinstance(cell, float) else "" if cell is None else str(cell)
