"""A filter bank as work: blocks of its answer from crops that have their border with them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters import FilterBank
from sigconv.filters._respond import respond
from sigconv.filters._room import room
from sigconv.filters._sink import OUTPUTS
from sigconv.tiles import _grid
from sigconv.tiles._grid import Axis, Span
from sigconv.tiles._regions import Border

AT_ONCE = 1 << 22  # numbers of input that a bank sees at a time: channels of small signals go together

FREQUENCY = "is made in frequency and sees all of a signal: give it a size where its family takes one, or blend="


class BankWork:
    """A bank with its options, over sources of some channels: what tiles must know, and how a crop is answered."""

    bordered = True  # a source that is whole is given without a border

    def __init__(self, bank: FilterBank, output: str, stride: Any, border: Border) -> None:
        if bank.kernel_size is None:
            raise ValueError(f"a bank of {type(bank).__name__} {FREQUENCY}")
        self.bank, self.border = bank, border
        self.stride = nd.ntuple(stride, bank.ndim, "stride")
        self.ndim, self.output = bank.ndim, nd.one_of(output, ("auto", *OUTPUTS), "output")
        self.steps: tuple[float, ...] = self.stride  # samples of the source per position
        self.half = tuple(k // 2 for k in bank.kernel_size)

    @property
    def options(self) -> dict[str, Any]:
        """What was asked for, in plain values."""
        modes, value = list(self.border.modes), self.border.value
        return {"output": self.output, "stride": list(self.stride), "padding_mode": modes, "value": value}

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.bank.device

    def on(self, device: Any) -> BankWork:
        """The same work on another device."""
        return BankWork(copy.deepcopy(self.bank).to(device), self.output, self.stride, self.border)

    def block(self, space: Sequence[int]) -> tuple[int, ...]:
        """Positions of a block; along a single axis few filters, and those with a stride, take more of it at a time."""
        rows = zip(self.stride, self.half, strict=True)
        axes = [Axis(Fraction(s), h, s) for s, h in rows]
        return _grid.block_of(axes, self.positions(space), _grid.usual(self.stride, len(self.bank)))

    def positions(self, space: Sequence[int]) -> tuple[int, ...]:
        """Of the answer to a source of this size."""
        return tuple(-(-n // s) for n, s in zip(space, self.stride, strict=True))

    def answers(self, channels: int, dtype: torch.dtype) -> tuple[int, torch.dtype]:
        """Channels and dtype of the answer."""
        whole = self.output == "complex" or (self.output == "auto" and (self.bank.complex or dtype.is_complex))
        if self.output == "imag" and not (self.bank.complex or dtype.is_complex):
            raise ValueError(f"output 'imag' of {len(self.bank)} real filters is nothing but zeros: ask for 'real'")
        kind = torch.float32 if whole and dtype in (torch.float16, torch.bfloat16) else dtype
        return channels * len(self.bank), kind.to_complex() if whole else kind.to_real()

    def takes(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype a source is computed in."""
        return dtype

    def window(self, axis: int, first: int, last: int, n: int) -> Span:
        """The samples that positions first … last see; beyond the ends there is the border."""
        s, h = self.stride[axis], self.half[axis]
        return first * s - h, (last - 1) * s + h + 1

    def groups(self, crop: Tensor) -> Iterator[tuple[int, int]]:
        """The channels that are answered together: those of a crop of this shape that fit."""
        step = max(AT_ONCE // max(crop[0].numel(), 1), 1) if len(crop) else 1
        return ((c, min(c + step, len(crop))) for c in range(0, len(crop), step))

    def answered(
        self, crop: Tensor, windows: Sequence[Span], spans: Sequence[Span], space: Sequence[int]
    ) -> Iterator[tuple[int, Tensor]]:
        """The first channel and the answer (channels, *positions) of some of the crop's channels after others."""
        options: dict[str, Any] = {"output": self.output, "stride": self.stride, "inside": True}
        everything = [(0, n) for n in (*space, *self.positions(space))]
        if [*windows, *spans] == everything:  # all samples, all positions: what lies beyond is left to the bank
            options |= {"padding_mode": self.border.modes, "value": self.border.value, "inside": False}
        for first, last in self.groups(crop):
            y = respond(self.bank, crop[first:last].unsqueeze(0), **options)
            yield first * len(self.bank), y[0]

    def room(self, box: Sequence[int], channels: int, dtype: torch.dtype) -> int:
        """Bytes that the answer to a crop of this size takes at the most, the crop left out."""
        together = min(max(AT_ONCE // max(math.prod(box), 1), 1), channels)
        return room(self.bank, (together, *box), dtype, self.output, self.stride)
