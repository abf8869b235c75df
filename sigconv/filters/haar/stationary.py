"""The stationary Haar transform: nothing is left out, so a shifted signal has the same coefficients, shifted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.filters.haar import _common as common
from sigconv.kernels import haar as kernel


def swt(
    x: Any,
    level: int | None = None,
    axes: Any = None,
    *,
    padding_mode: Any = "circular",
    trim_approx: bool = False,
    norm: bool = False,
) -> list[Any]:
    """The stationary (undecimated, à trous) Haar transform along any axes: what pywt.swtn(x, "haar", level) returns.

    x any array -> [{coarsest}, …, {finest}], every level 2^N subbands of x's shape, named as in dwt. At level j the
    pair is 2^(j-1) samples apart: a[k] = (x[k] + x[k + 2^(j-1)]) / √2. Any size will do, multiples of 2^level or not;
    with the circular border a shift of x is a shift of all coefficients, exactly.

    level          at most floor(log2 n) of the shortest axis, and as many if None
    padding_mode   "circular" (PyWavelets' only one), or another of dwt's
    trim_approx    [approximation, {coarsest details}, …, {finest}]: inner approximations are left out
    norm           sums are halved in place of divided by √2; with trim_approx and circular borders energy is then kept

    Kinds, devices, halves, integers, NaN, derivatives and errors as in dwt.

    >>> swt(torch.tensor([1.0, 3.0, 5.0, 5.0]), 1)[0]["d"]
    tensor([-1.4142, -1.4142,  0.0000,  2.8284])

    Nason and Silverman 1995. Requirements FB4, E19 of the lectures.
    """
    found = undecimated(x, level, axes, padding_mode, norm)
    names = common.words(len(common.axes_of(axes, x.ndim)))
    each = len(names)
    levels = [dict(zip(names, found[first : first + each], strict=True)) for first in range(0, len(found), each)]
    if not trim_approx:
        return levels
    return [levels[0][names[0]], *({word: pieces[word] for word in names[1:]} for pieces in levels)]


def iswt(coefficients: Sequence[Any], axes: Any = None, *, padding_mode: Any = "circular", norm: bool = False) -> Any:
    """The array that has these stationary coefficients, in either form swt returns: what pywt.iswtn returns.

    Every sample is met by two pairs along an axis, and is the mean of what they say; where a border other than
    circular hides one, of the other alone. So what was done to coefficients is averaged over all shifts.
    padding_mode and norm must be those of swt; inner approximations are not read. ValueError for a subband missing or
    of another shape.

    >>> x = torch.arange(7.0, dtype=torch.float64)
    >>> torch.allclose(iswt(swt(x, 2)), x)
    True
    """
    if not isinstance(coefficients, list | tuple) or not coefficients:
        raise TypeError(f"coefficients are a {type(coefficients).__name__}: expected a list as swt returns it")
    levels = [level for level in coefficients if isinstance(level, dict)]
    arrays = [next(iter(level.values()), None) for level in levels[:1]]
    ndim = len(common.axes_of(axes, getattr(arrays[0], "ndim", 0) if arrays else 0))
    whole, *details = common.words(ndim)
    for level in levels:
        missing = next((word for word in details if word not in level), None)
        if missing is not None:
            raise ValueError(f"subband {missing!r} is missing: a level has {sorted(level)}, expected {details}")
    coarsest = levels[0].get(whole) if levels[0] is coefficients[0] else coefficients[0]
    pieces = [level[word] for level in levels for word in details]
    return averaged(coarsest, axes, padding_mode, norm, *pieces)


@common.known_as("swt")
def undecimated(x: Tensor, level: Any, axes: Any, padding_mode: Any, norm: bool) -> tuple[Tensor, ...]:
    """All subbands of all levels, coarsest level first."""
    axes = common.axes_of(axes, x.ndim)
    modes = common.borders(padding_mode, len(axes))
    level = common.depth(level, x, axes)
    if level < 1:
        raise ValueError(f"level {level} of x {tuple(x.shape)}: expected at least 1, and 2 samples along every axis")
    (x,) = common.floating(x)
    kind, x = x.dtype, common.last(common.wide(x), axes)
    found: list[Tensor] = []
    for j in range(level):
        x, details = kernel.analysis(x * 2.0 ** (-len(axes) / 2) if norm else x, modes, 1 << j)
        found = [x, *details.unbind(0), *found]
    return tuple(common.home(piece, axes).to(kind) for piece in found)


@common.known_as("iswt")
def averaged(coarsest: Tensor, axes: Any, padding_mode: Any, norm: bool, *details: Tensor) -> Tensor:
    """Level by level, from the coarsest; details in the order of their words."""
    wrong = next((piece for piece in details if piece.shape != coarsest.shape), None)
    if wrong is not None:
        raise ValueError(
            f"subbands {tuple(wrong.shape)} and {tuple(coarsest.shape)} of one transform: expected one shape"
        )
    axes = common.axes_of(axes, coarsest.ndim)
    modes = common.borders(padding_mode, len(axes))
    given = common.floating(coarsest, *details)
    x, *moved = map(common.wide, given)
    each = 2 ** len(axes) - 1
    level = common.depth(len(moved) // each, x, axes)
    for j in range(level - 1, -1, -1):
        first = (level - 1 - j) * each
        pieces = [x, *moved[first : first + each]]
        for axis, mode in zip(reversed(axes), reversed(modes), strict=True):
            pairs = zip(pieces[::2], pieces[1::2], strict=True)
            pieces = [_joined(a, d, axis, 1 << j, mode) for a, d in pairs]
        x = pieces[0] * 2.0 ** (-len(axes) if norm else -1.5 * len(axes))
    return x.to(given[0].dtype)


def _joined(a: Tensor, d: Tensor, axis: int, gap: int, mode: str) -> Tensor:
    """What a pair says of its first sample, and the pair before it of its second: their sum."""
    first, second = a + d, a - d
    n = a.shape[axis]
    begin = second.narrow(axis, n - gap, gap) if mode == "circular" else first.narrow(axis, 0, gap)
    return first + torch.cat([begin, second.narrow(axis, 0, n - gap)], axis)
