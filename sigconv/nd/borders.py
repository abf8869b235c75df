"""What lies beyond the ends of an axis: the six borders, of any width, and the adjoint of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv.nd.sizes import Margins, holdable, one_of

PADDING_MODES = ("zeros", "constant", "replicate", "reflect", "symmetric", "circular")

# A border is a map from any position to the sample that stands there: i any integers, n samples a b c d.
EXTEND: dict[str, Callable[[Tensor, int], Tensor]] = {
    # a a a|a b c d|d d d
    "replicate": lambda i, n: i.clamp(0, n - 1),
    # b c d|a b c d|a b c
    "circular": lambda i, n: i % n,
    # d c b|a b c d|c b a
    "reflect": lambda i, n: _fold(i % (2 * n - 2), 2 * n - 2) if n > 1 else torch.zeros_like(i),
    # c b a|a b c d|d c b
    "symmetric": lambda i, n: _fold(i % (2 * n), 2 * n - 1),
}


def _fold(i: Tensor, last: int) -> Tensor:
    """Walk up and back down again: 0 1 2 … 2 1 0."""
    return torch.minimum(i, last - i)


def border_modes(padding_mode: Any, ndim: int) -> tuple[str, ...]:
    """One border for every axis, or one per axis, checked."""
    if not isinstance(padding_mode, str | Sequence):
        raise TypeError(f"padding_mode {padding_mode!r} is not one of {sorted(PADDING_MODES)}, nor one per axis")
    modes = (padding_mode,) * ndim if isinstance(padding_mode, str) else tuple(padding_mode)
    if len(modes) != ndim:
        raise ValueError(f"padding_mode {padding_mode} has {len(modes)} entries for {ndim} spatial axes")
    return tuple(one_of(mode, PADDING_MODES, "padding_mode") for mode in modes)


def pad(x: Tensor, margins: Margins, padding_mode: Any = "zeros", value: complex = 0.0) -> Tensor:
    """Extend the last axes of x by their margins, of any width; each axis may have a border of its own.

    zeros and constant (value) fill; the others are those of EXTEND. Where a corner lies beyond a filled and a zero
    axis, zero wins. numpy.pad calls replicate edge and circular wrap; scipy.ndimage calls symmetric reflect.

    >>> pad(torch.arange(3.0), ((2, 4),), "symmetric")
    tensor([1., 0., 0., 1., 2., 2., 1., 0., 0.])
    """
    ndim = len(margins)
    if any(map(any, margins)) and not x.is_meta:
        padded = [n + before + after for n, (before, after) in zip(x.shape[x.ndim - ndim :], margins, strict=True)]
        holdable((*x.shape[: x.ndim - ndim], *padded), "padded input", "padding and size")
    zeros = [0] * (2 * ndim)
    for axis, (mode, (before, after)) in enumerate(zip(border_modes(padding_mode, ndim), margins, strict=True)):
        if mode == "zeros":
            zeros[2 * (ndim - 1 - axis) : 2 * (ndim - axis)] = before, after
        elif before or after:
            x = _extend(x, axis - ndim, before, after, mode, value)
    return F.pad(x, zeros) if any(zeros) else x


def section(x: Tensor, start: int, stop: int, padding_mode: str = "zeros") -> Tensor:
    """Samples start … stop of the last axis, which its border extends endlessly: pad and cut, in the cut's memory.

    Inside it is a view. Blocks of a long signal are taken so, without a padded copy of it.

    >>> section(torch.arange(4.0), -1, 2, "reflect")
    tensor([1., 0., 1.])
    """
    mode, n = one_of(padding_mode, PADDING_MODES, "padding_mode"), x.shape[-1]
    if 0 <= start <= stop <= n:
        return x[..., start:stop]
    if mode not in EXTEND:
        first, last = min(max(start, 0), n), min(max(stop, 0), n)
        return F.pad(x[..., first:last], (max(min(stop, 0) - start, 0), max(stop - max(start, n), 0)))
    if n == 0:
        raise ValueError(f"padding_mode {mode!r} cannot extend an axis of 0 samples: use 'zeros'")
    return x.index_select(-1, EXTEND[mode](torch.arange(start, stop, device=x.device), n))


def unpad(y: Tensor, margins: Margins, padding_mode: Any = "zeros") -> Tensor:
    """The adjoint of pad: what was extended is folded back and added to the samples it was copied from.

    <pad(x), y> = <x, unpad(y)> for every border; zeros and a constant were copied from nowhere, and are dropped.

    >>> unpad(torch.ones(6), ((1, 2),), "replicate")
    tensor([2., 1., 3.])
    """
    ndim = len(margins)
    modes = border_modes(padding_mode, ndim)
    for axis, (mode, (before, after)) in enumerate(zip(modes, margins, strict=True)):
        dim = axis - ndim
        n = y.shape[dim] - before - after
        if not (before or after):
            continue
        if mode in EXTEND:
            sides = torch.cat([y.narrow(dim, 0, before), y.narrow(dim, before + n, after)], dim)
            y = y.narrow(dim, before, n).index_add(dim, _beyond(mode, n, before, after, y), sides)
        else:
            y = y.narrow(dim, before, n)
    return y


def _extend(x: Tensor, dim: int, before: int, after: int, mode: str, value: complex) -> Tensor:
    if mode == "constant":
        sides = [0, 0] * (-dim - 1) + [before, after]
        if not x.is_complex():
            return F.pad(x, sides, value=value)  # type: ignore[arg-type]
        return torch.complex(F.pad(x.real, sides, value=value.real), F.pad(x.imag, sides, value=value.imag))
    n = x.shape[dim]
    if n == 0:
        raise ValueError(f"padding_mode {mode!r} cannot extend an axis of 0 samples: use 'zeros'")
    around = x.index_select(dim, _beyond(mode, n, before, after, x))
    return torch.cat([around.narrow(dim, 0, before), x, around.narrow(dim, before, after)], dim)


def _beyond(mode: str, n: int, before: int, after: int, like: Tensor) -> Tensor:
    """The samples that stand before and after an axis of n."""
    places = [torch.arange(-before, 0, device=like.device), torch.arange(n, n + after, device=like.device)]
    return EXTEND[mode](torch.cat(places), n)
