"""A bank's filters as a table: a list of dicts, one per filter, that prints itself."""

from __future__ import annotations

import html
from typing import Any

PER = {"frequency": "1/{}", "wavelength": "{}", "sigma": "{}", "bandwidth": "octaves", "phase": "rad"}


class Table(list):
    """Rows of a bank's table; str() aligns them, a notebook shows them as HTML."""

    def __init__(self, rows: list[dict[str, Any]], unit: str) -> None:
        super().__init__(rows)
        self.unit = unit

    def headings(self) -> list[str]:
        """The columns with their units."""
        names = list(self[0]) if self else ["name"]
        units = {name: PER.get(name.split("_")[0], "").format(self.unit) for name in names}
        units = {name: "Hz" if unit == "1/s" else unit for name, unit in units.items()}
        return [f"{name} ({units[name]})" if units[name] else name for name in names]

    def cells(self) -> list[list[str]]:
        """Every entry as text."""
        return [[_shown(value) for value in row.values()] for row in self]

    def __str__(self) -> str:
        lines = [self.headings(), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        row = lambda cells, tag: "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"
        return f"<table>{row(self.headings(), 'th')}{''.join(row(cells, 'td') for cells in self.cells())}</table>"


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(_shown, value))
    return f"{value + 0.0:.4g}" if isinstance(value, float) else str(value)
