"""Filters made in frequency: Simoncelli's isotropic wavelets and the Riesz transform, alone or of another bank.

simoncelli(level)                     band-pass rings an octave apart, no direction
transform((1, 0, 0))                  the Riesz transform: Hilbert's in any number of dimensions, and its higher orders
transform(2, of=simoncelli(1))        all second orders of another bank: steerable edges, ridges and corners

Their kernels have no end, so the border matters everywhere: half the signal's size of it is put on either side, but for
"circular", which is the transform's own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters._bank import EVERY, FilterBank, rates

Order = tuple[int, ...]


class Simoncelli(FilterBank):
    """What simoncelli makes."""

    _cutoffs: Tensor

    def __init__(self, levels: Sequence[int], ndim: int, fs: Any) -> None:
        super().__init__([f"simoncelli_{level}" for level in levels], ndim, fs)
        cutoffs = torch.tensor([2.0 ** (1 - level) for level in levels], dtype=torch.float64)
        self.register_buffer("_cutoffs", cutoffs, persistent=False)

    def response(self, size: tuple[int, ...], part: slice = EVERY) -> Tensor:
        """cos(π/2 · log2(2r/c)) where c/4 < r <= c, else 0: (filters, *size), real."""
        # IBSI's grid: -1 at the first sample and 1 at the last, even where the size is even. Bins n and -n then differ
        # by a grain; what a real signal sees is their mean.
        lines = [_middle((torch.arange(n, dtype=torch.float64) - (n - 1) / 2) / max((n - 1) / 2, 0.5)) for n in size]
        r = _length(lines).to(self._cutoffs.device)
        octaves = torch.log2(2 * r.clamp_min(1e-300) / self._cutoffs[part].double().reshape(-1, *[1] * self.ndim))
        ring = torch.where((octaves > -1) & (octaves <= 1), torch.cos(math.pi / 2 * octaves), 0.0)
        return (ring + _opposite(ring)) / 2

    def columns(self) -> dict[str, list[Any]]:
        """The frequency of the peak, in cycles per sample: half the cutoff, which is at Nyquist for level 1."""
        return {"peak (1/sample)": (self._cutoffs / 4).tolist(), "bandwidth": [2.0] * len(self)}


class Riesz(FilterBank):
    """What transform makes: (filters of the other bank) x (orders)."""

    def __init__(self, orders: Sequence[Order], of: FilterBank | None, ndim: int, fs: Any) -> None:
        own = [f"riesz_{''.join(map(str, order))}" for order in orders]
        names = own if of is None else [f"{name}_{mine}" for name in of.names for mine in own]
        super().__init__(names, ndim, fs, complex=of is not None and of.complex, unit="" if of is None else of.unit)
        self.of = of
        self.orders = list(orders)
        self._weights = [math.sqrt(math.factorial(sum(o)) / math.prod(map(math.factorial, o))) for o in orders]

    def response(self, size: tuple[int, ...], part: slice = EVERY) -> Tensor:
        """(-i)^L · sqrt(L! / Π l!) · Π ν^l / |ν|^L, 0 at frequency 0, times the other bank's: (filters, *size)."""
        lines = [
            torch.fft.fftfreq(n, 1 / f, dtype=torch.float64, device=self.device)
            for n, f in zip(size, self.fs, strict=True)
        ]
        length = _length(lines)
        unit = [
            line.reshape(_along(axis, self.ndim)) / torch.where(length > 0, length, 1)
            for axis, line in enumerate(lines)
        ]
        rows = zip(self._weights, self.orders, strict=True)
        found = torch.stack([weight * _turn(order, unit, length) for weight, order in rows])
        # At an even size's Nyquist the two directions are one bin: odd orders vanish there, as their mean does.
        found = (found + _opposite(found).conj()) / 2
        if self.of is None:
            return found[part]
        first, last, _ = part.indices(len(self))
        theirs = slice(first // len(found), -(-last // len(found)))  # filters of the other bank that are met
        whole = (_response(self.of, size, theirs).unsqueeze(1) * found).flatten(0, 1)
        return whole[first - theirs.start * len(found) :][: last - first]

    def columns(self) -> dict[str, list[Any]]:
        """The order of each, beside what the other bank says of it."""
        if self.of is None:
            return {"order": list(self.orders)}
        theirs = {name: [v for v in values for _ in self.orders] for name, values in self.of.columns().items()}
        return theirs | {"order": self.orders * len(self.of)}


def _turn(order: Order, unit: list[Tensor], length: Tensor) -> Tensor:
    """One order's response, unweighted, before opposite bins are made to agree."""
    total = sum(order)
    shape: Any = reduce(torch.mul, [nu**n for nu, n in zip(unit, order, strict=True) if n], torch.ones_like(length))
    return (-1j) ** total * torch.where(length > 0, shape, 0.0)


def _response(bank: FilterBank, size: tuple[int, ...], part: slice) -> Tensor:
    """A bank's response on any grid: kernels that are longer go around it."""
    if bank.kernel_size is None or all(n >= k for n, k in zip(size, bank.kernel_size, strict=True)):
        return bank.response(size, part)
    wide = tuple(max(n, k) for n, k in zip(size, bank.kernel_size, strict=True))
    beyond = [(w // 2 - n // 2, w - n - (w // 2 - n // 2)) for n, w in zip(size, wide, strict=True)]
    kernels = nd.unpad(bank.kernels_for(wide)[part], tuple(beyond), "circular")
    axes = tuple(range(1, bank.ndim + 1))
    return torch.fft.fftn(torch.fft.ifftshift(kernels, axes), dim=axes)


def _along(axis: int, ndim: int) -> list[int]:
    return [-1 if other == axis else 1 for other in range(ndim)]


def _length(lines: list[Tensor]) -> Tensor:
    """|ν| on the grid of these lines."""
    squares = [line.square().reshape(_along(axis, len(lines))) for axis, line in enumerate(lines)]
    total: Any = sum(squares[1:], start=squares[0])
    return total.sqrt()


def _middle(line: Tensor) -> Tensor:
    """A line with its middle first, as transforms have it."""
    return torch.fft.ifftshift(line)


def _opposite(found: Tensor) -> Tensor:
    """Every bin's opposite: (filters, *size) at -n."""
    axes = list(range(1, found.ndim))
    return found.flip(axes).roll([1] * len(axes), axes)


def simoncelli(level: Any = 1, ndim: int = 3, *, fs: Any = 1.0) -> FilterBank:
    """Simoncelli's isotropic wavelets: one ring in frequency per level, each an octave below the last.

    level   1 is the finest, from a quarter of Nyquist to Nyquist with its peak at half; a number, or several

    Made in frequency for any size, so kernels are those of a size: .kernels_for(size). bank(x, padding_mode="circular")
    is IBSI 2's, which pads nothing.

    >>> simoncelli((1, 2), 2)(torch.zeros(1, 1, 16, 12), padding_mode="circular").shape
    torch.Size([1, 2, 16, 12])

    Source: Portilla and Simoncelli 2000; IBSI 2, arXiv:2006.05470.
    """
    level = level.tolist() if hasattr(level, "tolist") else level
    levels = [level] if not isinstance(level, Sequence) else list(level)
    return Simoncelli([nd.count(one, "level") for one in levels], nd.count(ndim, "ndim"), fs)


def transform(order: Any, ndim: int | None = None, *, of: FilterBank | None = None, fs: Any = 1.0) -> FilterBank:
    """The Riesz transform of one or several orders, of a signal or of another bank's responses.

    order   powers of frequency per axis: (1, 0, 0) is the first order along axis 0, (0, 2, 0) the second along axis 1;
            several such; or a number: all of that total order (give ndim, or of)
    of      a bank to transform, filter by filter: gaussian.log(1.5, 3), simoncelli(1); its parameters stay its own
    fs      samples per unit, which says what a direction is where axes differ; that of the bank, if there is one

    Total order L has |response| at most 1, 0 at frequency 0, and all orders of that total together have Σ|·|² = 1.
    The first order of one dimension is the Hilbert transform.

    >>> transform((0, 2, 0)).names
    ['riesz_020']
    >>> len(transform(2, of=simoncelli((1, 2), 3)))
    12

    Source: Felsberg and Sommer 2001; Unser and Van De Ville 2010; IBSI 2, arXiv:2006.05470.
    """
    if of is not None and not isinstance(of, FilterBank):
        raise TypeError(f"of is {type(of).__name__}: expected a bank, as in of=simoncelli(1)")
    orders = _orders(order, ndim if of is None else of.ndim)
    axes = len(orders[0])
    for given in (ndim, None if of is None else of.ndim):
        if given not in (None, axes):
            raise ValueError(f"order {order} has {axes} entries for {given} spatial axes")
    return Riesz(orders, of, axes, rates(fs, axes) if of is None else of.fs)


def _orders(order: Any, ndim: int | None) -> list[Order]:
    """Orders as tuples, one number per axis each."""
    order = order.tolist() if hasattr(order, "tolist") else order
    if not isinstance(order, Sequence):
        total = nd.count(order, "order")
        if ndim is None:
            raise ValueError(f"order {total} is a total: give ndim=, or one number per axis")
        places = itertools.combinations_with_replacement(range(nd.count(ndim, "ndim")), total)
        return [tuple(chosen.count(axis) for axis in range(ndim)) for chosen in places]
    several = list(order) if order and isinstance(order[0], Sequence) else [order]
    found = [nd.ntuple(one, len(several[0]), "order", least=0) for one in several]
    if not found or any(sum(one) == 0 for one in found):
        raise ValueError(f"order {order} must have a number above 0 on some axis")
    return found


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """First orders of Simoncelli's first two levels: 2·ndim filters."""
    return transform(1, of=simoncelli((1, 2), ndim, fs=fs))
