"""Receptive fields: how much of the input one position sees, how far apart neighbours look, where the first one does.

Layer by layer (science.md C.7), with k taps, dilation d, stride s and `before` samples of padding:

    size <- size + d (k - 1) jump      start <- start + (d (k - 1) / 2 - before) jump      jump <- jump s
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, Self

Number = int | Fraction


class Axis(NamedTuple):
    """What a tensor's positions see of one axis of the input, in samples of the input.

    dim is the tensor's own dimension along which positions move; None where there is no such dimension left: every
    value then sees the same, and jump is 0. grain, where positions lie between those of a coarser map, is how far apart
    that map's look: between two of them there is nothing to see.
    """

    dim: int | None
    size: Number = 1
    jump: Number = 1
    start: Number = 0
    grain: Number = 0

    def window(self, taps: int, stride: Number = 1, dilation: int = 1, before: Number = 0) -> Self:
        """Behind a layer that looks through windows."""
        reach = dilation * (taps - 1)
        middle = self.start + (Fraction(reach, 2) - before) * self.jump
        return self._replace(size=self.size + self._across(reach), jump=self.jump * stride, start=middle)

    def transposed(self, taps: int, stride: int, dilation: int, before: int) -> Self:
        """Behind the transpose of such a layer: positions lie between those of the input."""
        reach = dilation * (taps - 1)
        middle = self.start + self.jump * (before - Fraction(reach, 2)) / stride
        size, jump = self.size + self._across(reach // stride), Fraction(self.jump) / stride
        return self._replace(size=size, jump=jump, start=middle, grain=self.grain or (self.jump if stride > 1 else 0))

    def resized(self, before: int, after: int, taps: int, *, corners: bool = False) -> Self:
        """Behind bins or interpolation from so many positions to so many, each of which sees so many taps.

        corners: the first positions, and the last, look at the same place; else the ends of the axis do.
        """
        step = Fraction(before - 1, after - 1) if corners and after > 1 else Fraction(before, after)
        middle = self.start if corners else self.start + self.jump * (step - 1) / 2
        grain = self.grain or (self.jump if step.denominator > 1 else 0)
        size = self.size + self._across(taps - 1)
        return self._replace(size=size, jump=self.jump * step, start=middle, grain=grain)

    def _across(self, positions: int) -> Number:
        """Samples from the first to the last of so many positions in a row, at most."""
        reach = positions * self.jump
        return math.ceil(reach / self.grain) * self.grain if self.grain else reach

    def whole(self, positions: int) -> Self:
        """Behind what sees all positions at once."""
        reach = (positions - 1) * self.jump
        return self._replace(dim=None, size=self.size + reach, jump=0, start=self.start + Fraction(reach) / 2)


class Seen(NamedTuple):
    """What a tensor sees of the input's axes, and how many layers with weights lie behind it."""

    axes: tuple[Axis, ...]
    depth: int = 0


def union(several: Sequence[Seen]) -> Seen:
    """What positions see that are made of all of these: from the first sample of any to the last of any."""
    return Seen(tuple(map(_joined, *(seen.axes for seen in several))), max(seen.depth for seen in several))


def _joined(*axes: Axis) -> Axis:
    moving = [axis for axis in axes if axis.dim is not None]
    first = min(axis.start - Fraction(axis.size - 1) / 2 for axis in axes)
    last = max(axis.start + Fraction(axis.size - 1) / 2 for axis in axes)
    leader = moving[0] if moving else axes[0]
    return leader._replace(size=last - first + 1, start=(first + last) / 2)


def numbers(seen: Seen | None) -> tuple[tuple | None, tuple | None, tuple | None]:
    """Size, jump and start, a number per axis of the input; no jump where no position moves, nothing if unknown."""
    if seen is None:
        return None, None, None
    size = tuple(_plain(axis.size) for axis in seen.axes)
    jump = tuple(_plain(axis.jump) for axis in seen.axes)
    start = tuple(_plain(axis.start) for axis in seen.axes)
    return size, jump if any(axis.dim is not None for axis in seen.axes) else None, start


def _plain(number: Number) -> int | float:
    return int(number) if number == int(number) else float(number)
