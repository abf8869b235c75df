"""What a plan is made from, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Problem:
    """What a plan may depend on: shapes, dtype, device and structure, never values."""

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    size: tuple[int, ...]  # of the padded input
    kernel_size: tuple[int, ...]
    output_size: tuple[int, ...]
    dtype: torch.dtype
    device: str

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the definition (C.7)."""
        taps = math.prod(self.kernel_size) * self.in_channels // max(self.groups, 1)
        return self.batch * self.out_channels * taps * math.prod(self.output_size)

    @property
    def bytes(self) -> int:
        """What must be read and written at the least."""
        samples = self.in_channels * math.prod(self.size) + self.out_channels * math.prod(self.output_size)
        return self.batch * samples * self.dtype.itemsize


@dataclass(frozen=True)
class Plan:
    """A method, and why: printed, it is a small table."""

    method: str
    seconds: Mapping[str, float]
    why: str

    def __str__(self) -> str:
        rows = sorted(self.seconds.items(), key=lambda row: row[1])
        table = "\n".join(f"  {name:<10} {1e3 * s:10.3f} ms predicted" for name, s in rows)
        return f"method {self.method!r}: {self.why}\n{table}"
