"""FilterBank: filters of one family, in any number of dimensions and in physical units, one module for all.

A family is a subclass that defines one of three things, from parameters that the base class holds within their walls:

    terms()         short filters per axis whose outer products are the kernels    (what is separable)
    taps()          the kernels                                                    (what is not)
    response(size)  the frequency response on the grid of a transform              (what is made in frequency)

Everything else, from evaluation to tables and pictures, is here or in the files beside, once for all families.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.convolution import Conv
from sigconv.filters import _respond, _walls
from sigconv.filters._terms import Terms, outer

MOST = 1 << 32  # taps of a bank
RESOLVABLE = 0.5  # samples: a Gaussian's narrowest sigma that a grid can hold (its spectrum is down to 0.29 at Nyquist)


EVERY = slice(None)


class FilterBank(_walls.Held):
    """Filters applied to every channel: (batch, channels, *space) -> (batch, channels·filters, *positions).

    A bank filters: `bank(x)` is true convolution with `.kernels`, padded to the input's size. Banks are made by their
    family's functions (gabor.bank, gaussian.log, …), not by this class.

    ndim        axes of space              fs       sampling rate of each axis, in samples per unit
    names       one word per filter        kernels  (filters, *size) float64 or complex128, made from the parameters

    Parameters are given and told in units (cycles per unit, units), and kept per sample, so that one learning rate does
    for all; in float64 whatever the signal's precision: a bank has few, and a wave's phase is wrong by distance times
    its frequency's error. Frozen unless made with learnable=True; then they train within their walls (a frequency
    below Nyquist, a sigma the grid can hold): value(name) is what counts. state_dict holds parameters only.
    """

    ndim: int
    fs: tuple[float, ...]
    names: list[str]
    complex: bool  # whether the kernels are
    kernel_size: tuple[int, ...] | None  # None: made in frequency, for any size
    _anchor: Tensor
    rank = 0  # terms a filter is the sum of, where it is separable

    @property
    def separable(self) -> bool:
        """Whether the filters are sums of outer products: terms()."""
        return self.rank > 0

    def __init__(
        self,
        names: Sequence[str],
        ndim: int,
        fs: Any = 1.0,
        *,
        kernel_size: Sequence[int] | None = None,
        complex: bool = False,  # noqa: A002
        rank: int = 0,
        unit: str = "",
    ) -> None:
        super().__init__()
        self._made: dict[str, Any] | None = None  # what is kept while nobody trains it: _steady.py
        self.ndim, self.fs = nd.count(ndim, "ndim"), rates(fs, ndim)
        self.names, self.complex, self.rank = list(names), complex, rank
        self.kernel_size = None if kernel_size is None else tuple(kernel_size)
        self.register_buffer("_anchor", torch.empty(0), persistent=False)  # a bank has a place, parameters or not
        self.unit = unit or ("sample" if set(self.fs) == {1.0} else "unit")
        if self.kernel_size is not None and any(k % 2 == 0 for k in self.kernel_size):
            raise ValueError(f"size {self.kernel_size} has no middle: expected odd numbers of taps on every axis")
        if self.kernel_size is not None and math.prod(self.kernel_size) * len(self.names) >= MOST:
            raise ValueError(f"kernels of {self.kernel_size} taps are more than memory holds: smaller sigma, or size=")

    def _apply(self, *given: Any, **options: Any) -> Self:
        """Where a module is moved or cast: what was kept of it is no longer so."""
        if self._made is not None:
            self._made = {}
        return super()._apply(*given, **options)

    def __getstate__(self) -> dict[str, Any]:
        """A copy keeps nothing: whoever has it may train it."""
        return self.__dict__ | {"_made": None}

    def terms(self) -> Terms | None:
        """Short filters per axis, (filters, rank, taps) each, if the family is separable; else None."""
        return None

    def taps(self) -> Tensor:
        """The kernels, (filters, *size), the origin in the middle."""
        terms = self.terms()
        if terms is None:
            raise NotImplementedError(f"{type(self).__name__} defines no terms, taps or response")
        return outer(terms)

    def response(self, size: tuple[int, ...], part: slice = EVERY) -> Tensor:
        """The frequency response of some filters on the grid of a transform: (filters, *size), bin 0 first."""
        whole = self.kernels_for(size)[part].roll([-(n // 2) for n in size], list(range(1, self.ndim + 1)))
        return torch.fft.fftn(whole, dim=tuple(range(1, self.ndim + 1)))

    def columns(self) -> dict[str, list[Any]]:
        """What a table says of every filter beside its name: column -> one entry per filter."""
        return {}

    @property
    def device(self) -> torch.device:
        """Where the bank is."""
        return self._anchor.device

    def __len__(self) -> int:
        return len(self.names)

    def extra_repr(self) -> str:
        """What print(bank) says."""
        size = "any size" if self.kernel_size is None else " x ".join(map(str, self.kernel_size))
        return f"{len(self)} filters, {self.ndim}-D, {size}, fs={self.fs[0] if len(set(self.fs)) == 1 else self.fs}"

    @property
    def kernels(self) -> Tensor:
        """(filters, *size), the origin in the middle; banks made in frequency have them for a size: kernels_for."""
        if self.kernel_size is None:
            raise ValueError(
                f"{type(self).__name__} is made in frequency: its kernels depend on the size, kernels_for(size)"
            )
        return self.taps()

    def kernels_for(self, size: Any) -> Tensor:
        """The kernels on a grid of this size, (filters, *size), the origin at size // 2.

        Those of banks made in frequency reach around the grid; others stand in zeros. ValueError where they do not fit.
        """
        size = nd.ntuple(size, self.ndim, "size")
        if math.prod(size) * len(self) >= MOST:
            raise ValueError(f"kernels of {size} samples are more than memory holds: take a smaller size")
        if self.kernel_size is None:
            whole = torch.fft.ifftn(self.response(size), dim=tuple(range(1, self.ndim + 1)))
            whole = whole if self.complex else whole.real
            return torch.fft.fftshift(whole, dim=tuple(range(1, self.ndim + 1)))
        if any(n < k for n, k in zip(size, self.kernel_size, strict=True)):
            raise ValueError(f"size {size} is smaller than the kernels, {self.kernel_size}")
        rows = zip(size, self.kernel_size, strict=True)
        before = [(n // 2 - k // 2, n) for n, k in rows]
        margins = tuple((b, n - b - k) for (b, n), k in zip(before, self.kernel_size, strict=True))
        return nd.pad(self.taps(), margins)

    def forward(
        self,
        x: Any,
        *,
        output: str = "auto",
        stride: Any = 1,
        padding_mode: Any = "zeros",
        value: float = 0.0,
        method: str = "auto",
        memory: Any = None,
    ) -> Any:
        """Every filter's response: (batch, channels, *space) -> (batch, channels·filters, *positions), channel-major.

        output        "complex" "real" "imag" "magnitude" "energy" (its square); "auto" is complex where the kernels are
        stride        every so many samples, the first kept: ceil(n / stride) positions; those dropped are not computed
        padding_mode  what lies beyond the ends: "zeros" "constant" (value) "replicate" "reflect" "symmetric" "circular"
        method        "direct" "separable" "spectral"; "auto" takes what is predicted to be quickest
        memory        bytes beside the input to be used at most, 2_000_000_000 or "2 GB": filters go in groups

        Floating or complex x, tensor or NumPy array; the answer has its kind, precision and device (half precision is
        computed in float32). Spectral responses are within max(0.1·log2 N, 2.5)·eps·‖x‖‖h‖ of the exact sums, others
        within eps·sqrt(taps)·Σ|x||h|. What a NaN or infinity in x touches is NaN, and nothing else. Raises TypeError
        for integers, ValueError for another number of axes than the bank's.
        """
        options = {"output": output, "stride": stride, "padding_mode": padding_mode, "value": value}

        def bank(x: Any) -> Any:
            return _respond.respond(self, x, **options, method=method, memory=memory)

        run: Callable[[Any], Any] = nd.numpy_too(bank)
        return run(x)

    def over(self, x: Any, **options: Any) -> Any:
        """The call for signals without channels: (..., *space) -> (..., filters, *positions), as Kymatio has it.

        Whatever axes stand before those of space are kept, none too. options are the call's, and so are the numbers.
        """
        if len(x.shape) < self.ndim:
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (..., *space) with {self.ndim} axes of space")
        before, space = tuple(x.shape[: len(x.shape) - self.ndim]), tuple(x.shape[len(x.shape) - self.ndim :])
        y = self(x.reshape(math.prod(before), 1, *space), **options)
        return y.reshape(*before, *y.shape[1:])

    @property
    def reach(self) -> nd.Reach:
        """What bank(x) sees along the last axis; AttributeError of banks made in frequency, which see all of it."""
        if self.kernel_size is None:
            raise AttributeError(f"{type(self).__name__} is made in frequency: it sees all of an axis")
        return nd.Reach(1, self.kernel_size[-1] // 2, self.kernel_size[-1] // 2)

    def freeze(self) -> Self:
        """The same bank, its parameters no longer trained."""
        self.requires_grad_(False)
        return self

    def as_conv(self, in_channels: int = 1, *, size: Any = None, dtype: Any = None, **options: Any) -> Conv:
        """A convolution layer that starts as this bank and trains every tap: the same filters for each channel.

        The layer correlates, so its weight is the kernels turned over. size is for banks made in frequency; options are
        Conv's (padding "same" unless said otherwise). Complex kernels make a complex layer.
        """
        kernels = self.kernels if size is None else self.kernels_for(size)
        plain = dtype or torch.get_default_dtype()
        if not plain.is_floating_point:
            raise TypeError(f"dtype {plain} is not a floating one: complex kernels make a layer complex by themselves")
        kind = plain if not kernels.is_complex() else torch.complex(*torch.zeros(2, dtype=plain)).dtype
        given: Any = {"padding": "same", "bias": False, "groups": in_channels} | options
        given = {"device": kernels.device, "dtype": kind} | given
        layer = Conv(in_channels, in_channels * len(self), tuple(kernels.shape[1:]), **given)
        turned = kernels.detach().flip(tuple(range(1, self.ndim + 1)))
        with torch.no_grad():
            layer.weight.copy_(turned.repeat(in_channels, *[1] * self.ndim).unsqueeze(1))
        return layer

    def table(self) -> Any:
        """What every filter is, in units: a list of one dict per filter that prints as a table."""
        from sigconv.filters._table import Table

        return Table([{"name": n} | dict(zip(c, row, strict=True)) for n, c, row in self._rows()], self.unit)

    def _rows(self) -> Any:
        columns = self.columns()
        rows = zip(*columns.values(), strict=True) if columns else [()] * len(self)
        return ((name, columns, row) for name, row in zip(self.names, rows, strict=True))

    def plot(self, ax: Any = None, *, size: Any = None) -> Any:
        """A picture of the kernels: curves (1-D), images (2-D), three orthogonal slices (3-D on); (figure, ax)."""
        from sigconv.filters._pictures import kernels

        return kernels(self, ax, size)

    def transformer(self, **options: Any) -> Any:
        """A scikit-learn transformer of this bank: FilterBankTransformer, arrays in, pooled features by name out."""
        from sigconv.filters._transformer import FilterBankTransformer

        return FilterBankTransformer(self, **options)


def rates(fs: Any, ndim: int) -> tuple[float, ...]:
    """The sampling rate of each axis: one number for all, or one per axis, positive."""
    values = _walls.numbers(fs, "fs").flatten().tolist()
    if len(values) not in (1, ndim):
        raise ValueError(f"fs {fs} has {len(values)} entries for {ndim} spatial axes")
    if min(values) <= 0:
        raise ValueError(f"fs {fs} must be above 0 samples per unit")
    return tuple(values * ndim if len(values) == 1 else values)


def named(names: Any, prefix: str, filters: int) -> list[str]:
    """A name for every filter: those given, or numbers behind a prefix."""
    found = [f"{prefix}{n}" for n in range(filters)] if names is None else [str(name) for name in names]
    if len(found) != filters or len(set(found)) != filters:
        raise ValueError(f"names {found} are {len(set(found))} different ones for {filters} filters")
    return found


def odd(size: Any, ndim: int) -> tuple[int, ...]:
    """A size given by the user: one odd number, or one per axis."""
    sizes = nd.ntuple(size, ndim, "size")
    if any(k % 2 == 0 for k in sizes):
        raise ValueError(f"size {size} has no middle: expected odd numbers of taps")
    return sizes


def reach(sigma: Any, fs: tuple[float, ...], truncate: float) -> tuple[int, ...]:
    """Taps of a window that holds truncate sigmas (in units, the largest of the filters) on either side.

    >>> reach(2.0, (1.0, 0.5), 4.0)
    (17, 9)
    """
    widest = float(np.max(np.asarray(sigma)))
    return tuple(2 * math.floor(truncate * widest * rate + 0.5) + 1 for rate in fs)
