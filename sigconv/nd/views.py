"""Tensors seen otherwise: windows over any axes and their adjoint, taps spread apart, values per channel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv.nd.sizes import spans


def windows(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Every position's window over the last axes: (…, *space) -> (…, *positions, *kernel_size), a view.

    >>> windows(torch.arange(6.0), (3,), (1,), (2,))
    tensor([[0., 2., 4.],
            [1., 3., 5.]])
    """
    first = x.ndim - len(kernel_size)
    rows = zip(spans(kernel_size, dilation), stride, dilation, strict=True)
    for dim, (span, step, gap) in enumerate(rows, start=first):
        x = x.unfold(dim, span, step)[..., ::gap]
    return x


def unwindows(seen: Tensor, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The adjoint of windows: every window added back where it was read, (…, *positions, *kernel_size) -> (…, *size).

    >>> unwindows(torch.ones(2, 3), (4,), (1,), (1,))
    tensor([1., 2., 2., 1.])
    """
    ndim = len(size)
    first = seen.ndim - 2 * ndim
    positions, kernel_size = seen.shape[first : first + ndim], seen.shape[first + ndim :]
    read = torch.arange(math.prod(size), device=seen.device).reshape(tuple(size))
    rows = zip(positions, kernel_size, stride, dilation, strict=True)
    reach = [(p - 1) * s + d * (k - 1) + 1 for p, k, s, d in rows]
    read = windows(read[tuple(slice(0, n) for n in reach)], kernel_size, stride, dilation)
    flat = seen.reshape(*seen.shape[:first], read.numel())
    total = seen.new_zeros(*seen.shape[:first], math.prod(size)).index_add(-1, read.flatten(), flat)
    return total.unflatten(-1, tuple(size))


def spread(x: Tensor, gaps: Sequence[int], rest: Sequence[int] | None = None) -> Tensor:
    """gap - 1 zeros between neighbours of the last axes, and `rest` more at their ends: the adjoint of every gap-th.

    >>> spread(torch.tensor([1.0, 2.0]), (3,))
    tensor([1., 0., 0., 2.])
    """
    for axis, gap in enumerate(gaps):
        dim = x.ndim - len(gaps) + axis
        if gap > 1:
            n = x.shape[dim]
            zeros = torch.zeros_like(x).unsqueeze(dim + 1)
            x = torch.cat([x.unsqueeze(dim + 1), *[zeros] * (gap - 1)], dim + 1).flatten(dim, dim + 1)
            x = x.narrow(dim, 0, max((n - 1) * gap + 1, 0))
    if rest is not None and any(rest):
        x = F.pad(x, [side for r in reversed(rest) for side in (0, r)])
    return x


def primitive(name: str, ndim: int) -> Callable[..., Tensor] | None:
    """torch's own function for this many axes, "conv" -> F.conv2d, or None: it has them for one, two and three."""
    return getattr(F, f"{name}{ndim}d", None)


def per_channel(values: Tensor, ndim: int) -> Tensor:
    """(channels,) -> (channels, 1, … 1): ready to meet (batch, channels, *space)."""
    return values.reshape(-1, *[1] * ndim)
