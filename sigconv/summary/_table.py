"""What describe answers with: a row a layer, their totals, and a table of both."""

from __future__ import annotations

import html
import itertools
import math
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One layer, or one function called beside the layers."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: tuple | None
    jump: tuple | None
    start: tuple | None
    depth: int


class Summary(list[Row]):
    """The rows of a model in the order of their work, and what they come to; str() is a table.

    parameters, trainable   of the whole model, whether this input met them or not
    macs, activations       multiply-accumulates for the shape given; values that the layers answer with
    depth                   layers with weights on the longest way through
    width                   the most channels, or units, of a layer
    """

    def __init__(self, rows: list[Row], parameters: int, trainable: int, input_shape: Any) -> None:
        super().__init__(rows)
        self.parameters, self.trainable, self.input_shape = parameters, trainable, input_shape
        self.macs = sum(row.macs for row in rows)
        self.activations = sum(math.prod(row.shape) for row in rows)
        self.depth = max((row.depth for row in rows), default=0)
        self.width = max((row.shape[1] for row in rows if row.macs and len(row.shape) > 1), default=0)

    @property
    def bi_pyramid(self) -> bool:
        """Whether space shrinks and channels grow from end to end of the convolutional part (AR3)."""
        channels: dict[tuple[int, ...], int] = {}
        for row in self:
            if len(row.shape) > 2 and row.macs:
                channels[row.shape[2:]] = max(row.shape[1], channels.get(row.shape[2:], 0))
        sizes, widths = list(channels), list(channels.values())
        shrinks = all(max(a) >= max(b) for a, b in itertools.pairwise(sizes))
        return len(sizes) > 1 and shrinks and widths == sorted(widths)

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        totals = ("input_shape", "parameters", "trainable", "macs", "activations", "depth", "width", "bi_pyramid")
        return {name: getattr(self, name) for name in totals} | {"rows": [row._asdict() for row in self]}

    def headings(self) -> list[str]:
        """The table's columns."""
        return ["name", "kind", "shape", "parameters", "MACs", "receptive field", "jump", "start"]

    def cells(self) -> list[list[str]]:
        """Every entry as text."""
        return [
            [row.name, row.kind, _sizes(row.shape), _count(row.parameters), _count(row.macs), *map(_sizes, row[5:8])]
            for row in self
        ]

    def totals(self) -> str:
        """One line on the whole."""
        return (
            f"{self.parameters:,} parameters ({self.trainable:,} trainable), {self.macs:,} multiply-accumulates, "
            f"{self.activations:,} values, {self.depth} layers deep, {self.width:,} wide"
        )

    def __str__(self) -> str:
        lines = [self.headings(), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = (3, 4)
        aligned = (
            "  ".join(
                c.rjust(w) if n in right else c.ljust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )
        return "\n".join([*(line.rstrip() for line in aligned), "", self.totals()])

    def _repr_html_(self) -> str:
        row = lambda cells, tag: "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"
        body = "".join(row(cells, "td") for cells in self.cells())
        return f"<table>{row(self.headings(), 'th')}{body}</table><p>{self.totals()}</p>"


def _sizes(numbers: tuple | None) -> str:
    return "" if numbers is None else " x ".join(f"{n:g}" for n in numbers)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""
