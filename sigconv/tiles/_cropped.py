"""Work on crops that are cut off where the source ends, so that every layer's own border is there.

Elsewhere a crop has all that its block sees with it, and begins at a multiple of the deepest step, so that strides fall
where they would.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import FilterBank
from sigconv.tiles._bank import FREQUENCY, BankWork
from sigconv.tiles._grid import Axis, Span, block_of
from sigconv.tiles._regions import Border

MODELS = {3: 64}  # samples of a block, where they are not a bank's


class Cropped:
    """Work on crops that are cut off at the source's ends; those below say how many positions it has, and run it."""

    bordered = False  # crops bring what lies beyond the ends
    reaches: tuple[nd.Reach, ...]
    lattice: tuple[int, ...]
    border: Border

    def positions(self, space: Sequence[int]) -> tuple[int, ...]:
        """Of the answer to a source of this size."""
        raise NotImplementedError

    @property
    def steps(self) -> tuple[float, ...]:
        """Samples of the source per position."""
        return tuple(float(Fraction(r.stride, r.each)) for r in self.reaches)

    def block(self, space: Sequence[int]) -> tuple[int, ...]:
        """Positions of a block."""
        rows = zip(self.reaches, self.lattice, strict=True)
        axes = [Axis(Fraction(r.stride, r.each), -(-max(r.size, 1) // 2), step) for r, step in rows]
        return block_of(axes, self.positions(space), MODELS.get(len(axes)))

    def window(self, axis: int, first: int, last: int, n: int) -> Span:
        """The samples that positions first … last are answered from."""
        reach, step = self.reaches[axis], self.lattice[axis]
        size = max(reach.size, 1)
        start = first // reach.each * reach.stride - reach.before
        stop = (last - 1) // reach.each * reach.stride + reach.after + 1
        low = max(start, 0) // step * step
        high = min(-(-(stop + step) // step) * step, n)  # what cuts off its end finds more behind
        if low == 0:  # a border that reflects copies what may lie farther inside
            high = min(max(high, -(-2 * size // step) * step), n)
        if high == n:
            low = min(low, max(n - 2 * size, 0) // step * step)
        return low, high

    def run(self, crop: Tensor) -> Iterator[tuple[int, Tensor]]:
        """The operation's own answers to a crop."""
        raise NotImplementedError

    def on(self, device: Any) -> Any:
        """The same work on another device."""
        moved = copy.copy(self)
        vars(moved).update({n: copy.deepcopy(v).to(device) for n, v in vars(self).items() if isinstance(v, nn.Module)})
        return moved

    def answered(
        self, crop: Tensor, windows: Sequence[Span], spans: Sequence[Span], space: Sequence[int]
    ) -> Iterator[tuple[int, Tensor]]:
        """The first channel and the answer (channels, *positions) of some channels after others."""
        cut: list[Any] = [slice(None)]
        for (low, _), (first, last), reach in zip(windows, spans, self.reaches, strict=True):
            begin = low // reach.stride * reach.each
            cut.append(slice(first - begin, last - begin))
        wanted = tuple(last - first for first, last in spans)
        for channel, y in self.run(crop):
            kept = y[tuple(cut)]
            if tuple(kept.shape[1:]) != wanted:
                raise ValueError(
                    f"the model answered {tuple(y.shape)} to a crop of {tuple(crop.shape)}, where {wanted} positions "
                    "of it are sure: it is not local"
                )
            yield channel, kept


class Staged(Cropped):
    """A bank that answers in a way of its own, such as wavelets, whose border stands at every stage."""

    def __init__(self, bank: FilterBank, options: dict[str, Any]) -> None:
        if bank.kernel_size is None:
            raise ValueError(f"a bank of {type(bank).__name__} {FREQUENCY}")
        self.bank, self.ndim = bank, bank.ndim
        modes = nd.border_modes(options["padding_mode"], bank.ndim)
        if "circular" in modes:
            kind = type(bank).__name__
            raise ValueError(
                f"padding_mode 'circular' joins the ends at every stage of {kind}: take another, or blend="
            )
        self.asked = options | {"padding_mode": modes, "stride": nd.ntuple(options["stride"], bank.ndim, "stride")}
        self.border = Border(("zeros",) * bank.ndim)
        half = [k // 2 for k in bank.kernel_size]
        self.lattice = self.asked["stride"]
        self.reaches = tuple(nd.Reach(s, h, h) for s, h in zip(self.lattice, half, strict=True))
        self.inner = BankWork(bank, options["output"], options["stride"], self.border)

    @property
    def options(self) -> dict[str, Any]:
        """What was asked for, in plain values."""
        said = {"padding_mode": list(self.asked["padding_mode"]), "stride": list(self.asked["stride"])}
        return self.asked | said

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.bank.device

    def on(self, device: Any) -> Any:
        """The same work on another device."""
        return Staged(copy.deepcopy(self.bank).to(device), self.asked)

    def positions(self, space: Sequence[int]) -> tuple[int, ...]:
        """Of the answer to a source of this size."""
        return self.inner.positions(space)

    def answers(self, channels: int, dtype: torch.dtype) -> tuple[int, torch.dtype]:
        """Channels and dtype of the answer."""
        return self.inner.answers(channels, dtype)

    def takes(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype a source is computed in."""
        return dtype

    def run(self, crop: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Some channels at a time."""
        for first, last in self.inner.groups(crop):
            yield first * len(self.bank), self.bank(crop[first:last].unsqueeze(0), **self.asked)[0]

    def room(self, box: Sequence[int], channels: int, dtype: torch.dtype) -> int:
        """Bytes that the answer to a crop of this size takes at the most."""
        wide = [max(n, k) for n, k in zip(box, self.bank.kernel_size or (), strict=True)]
        return 2 * self.inner.room(wide, channels, dtype)
