"""What a plan is made from, and what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from sigconv import nd


@dataclass(frozen=True)
class Problem:
    """What a plan may depend on: shapes, dtype, device and declared structure, never values. Real numbers only."""

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    size: tuple[int, ...]
    margins: nd.Margins  # of zeros
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    dtype: torch.dtype
    device: str
    card: str = ""  # a GPU's name
    rank: int = 0  # of the factors the weight was given as
    tokens: bool = False  # x is integers without a channel axis
    kept: int = 0  # bytes made before the method starts

    @cached_property
    def span(self) -> tuple[int, ...]:
        """Samples from the first to the last tap, per axis."""
        return nd.spans(self.kernel_size, self.dilation)

    @cached_property
    def padded(self) -> tuple[int, ...]:
        """The size with its margins."""
        return tuple(n + b + a for n, (b, a) in zip(self.size, self.margins, strict=True))

    @cached_property
    def output_size(self) -> tuple[int, ...]:
        """Positions of the kernel, per axis."""
        return nd.output_size(self.size, self.kernel_size, self.stride, self.dilation, self.margins)

    @property
    def per_group(self) -> int:
        """Input channels a kernel sees."""
        return self.in_channels // self.groups

    @cached_property
    def terms(self) -> int:
        """K: products summed for one output."""
        return math.prod(self.kernel_size) * self.per_group

    @cached_property
    def outputs(self) -> int:
        """Values computed in all."""
        return self.batch * self.out_channels * math.prod(self.output_size)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of the definition (C.7)."""
        return self.outputs * self.terms

    @cached_property
    def inputs(self) -> int:
        """Values of the padded input."""
        return self.batch * self.in_channels * math.prod(self.padded)

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return self.dtype.itemsize


@dataclass(frozen=True)
class Candidate:
    """One method beside the others: predicted seconds, bytes beyond the input at its peak, and why not, if so."""

    method: str
    seconds: float
    memory: int
    refused: str = ""


@dataclass(frozen=True)
class Plan:
    """A method, and why: printed, it is a small table."""

    method: str
    candidates: tuple[Candidate, ...]
    why: str
    parts: int  # the call is done in so many, to stay under the memory allowed
    prices: str  # the hash of the cost table

    @property
    def seconds(self) -> dict[str, float]:
        """Predicted time of every method that fits."""
        return {row.method: row.seconds for row in self.candidates if not row.refused}

    @property
    def memory(self) -> int:
        """Bytes the chosen method allocates at most, its output included."""
        return next(row.memory for row in self.candidates if row.method == self.method)

    def __str__(self) -> str:
        lines = [f"method {self.method!r}: {self.why}"]
        for row in sorted(self.candidates, key=lambda row: (bool(row.refused), row.seconds)):
            numbers = f"{1e3 * row.seconds:10.3f} ms  {row.memory / 2**20:10.1f} MiB"
            lines.append(f"  {row.method:<10}" + (f" {row.refused}" if row.refused else numbers))
        tail = f", in {self.parts} parts to stay under the memory allowed" if self.parts > 1 else ""
        return "\n".join([*lines, f"predicted from cost table {self.prices}{tail}"])
