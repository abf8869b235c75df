"""Fractional max pooling: windows in pseudorandom places, so that sizes shrink by any factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.pooling._bins import largest, spelled
from sigconv.pooling._derive import layer
from sigconv.pooling._options import ratio


@layer("FractionalMaxPool")
@nd.numpy_too
def fractional_max_pool(
    x: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    *,
    output_ratio: Any = None,
    disjoint: bool = False,
    generator: torch.Generator | None = None,
    samples: Tensor | None = None,
    return_indices: bool = False,
) -> Any:
    """The largest of windows whose starts follow a pseudorandom sequence, drawn for every channel and axis.

    x (batch, channels, *space) -> (batch, channels, *output_size), floating, in any number of axes. output_size, or
    output_ratio in (0, 1) of the input's, is one number or one per axis. Windows have kernel_size samples and overlap
    as it happens, torch's way: in 2-D and 3-D equal to torch's with the same samples. With disjoint=True each ends
    where the next begins and nothing is left out; kernel_size is None then. samples (batch, channels, axes) in [0, 1)
    are the random numbers, drawn from generator or torch's global one if not given; torch's 2-D function takes them
    last axis first, and so do we. return_indices adds where each maximum was, in the flattened space. The gradient goes
    to the first of equal values. Raises ValueError for sizes that do not fit. Source: Graham 2014.

    >>> import torch
    >>> fractional_max_pool(torch.arange(7.0).view(1, 1, 7), 2, 4, samples=torch.full((1, 1, 1), 0.5))
    tensor([[[1., 3., 5., 6.]]])
    """
    if not x.is_floating_point() or x.ndim < 3:
        raise ValueError(f"x is {x.dtype} of shape {tuple(x.shape)}: expected floating (batch, channels, *space)")
    ndim = x.ndim - 2
    size = _size(x, output_size, output_ratio)
    if (kernel_size is None) != disjoint:
        raise ValueError(
            f"kernel_size {kernel_size} with disjoint={disjoint}: disjoint windows, and only they, have none"
        )
    kernel = size if disjoint else nd.ntuple(kernel_size, ndim, "kernel_size")
    for axis, (n, m, k) in enumerate(zip(x.shape[2:], size, kernel, strict=True)):
        if (m > n) if disjoint else (m + k - 1 > n):
            raise ValueError(
                f"output_size {m} with kernel_size {kernel_size} does not fit the {n} samples of axis {axis}"
            )
    if samples is None:
        device = generator.device if generator else x.device
        samples = torch.rand(*x.shape[:2], ndim, generator=generator, dtype=x.dtype, device=device).to(x.device)
    if tuple(samples.shape) != (*x.shape[:2], ndim):
        raise ValueError(f"samples have shape {tuple(samples.shape)}: expected {(*x.shape[:2], ndim)}")
    drawn = samples.to(x.dtype).flip(-1) if ndim == 2 else samples.to(x.dtype)
    rows = enumerate(zip(x.shape[2:], size, kernel, strict=True))
    taken = [
        _disjoint(drawn[..., a], n, m) if disjoint else _overlapping(drawn[..., a], n, m, k) for a, (n, m, k) in rows
    ]
    value, where = largest(x, taken)
    return (value, where) if return_indices else value


def _size(x: Tensor, output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    """The windows of every axis, from their number or from the ratio to the input's size."""
    ndim = x.ndim - 2
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"output_size {output_size} and output_ratio {output_ratio}: give one of them")
    if output_ratio is None:
        return nd.ntuple(output_size, ndim, "output_size")
    ratios = tuple(output_ratio) if isinstance(output_ratio, Sequence) else (output_ratio,) * ndim
    if len(ratios) != ndim:
        raise ValueError(f"output_ratio {output_ratio} has {len(ratios)} entries for {ndim} spatial axes")
    ratio(output_ratio, "output_ratio")
    return nd.ntuple([int(n * r) for n, r in zip(x.shape[2:], ratios, strict=True)], ndim, "output_size")


def _overlapping(u: Tensor, n: int, m: int, k: int) -> Tensor:
    """Windows of k samples, the last at the end; computed in the dtype of u, as torch does."""
    start = torch.full((*u.shape, m), n - k, dtype=torch.long, device=u.device)
    if m > 1:
        start[..., :-1] = _sequence(u, torch.tensor((n - k) / (m - 1), dtype=u.dtype, device=u.device), m - 1)
    return spelled(start, start + k, k)


def _disjoint(u: Tensor, n: int, m: int) -> Tensor:
    """Windows that end where the next begins: together all n samples."""
    start = _sequence(u.double(), torch.tensor(n / m, dtype=torch.float64, device=u.device), m)
    stop = torch.cat([start[..., 1:], torch.full_like(start[..., :1], n)], -1)
    return spelled(start, stop, -(-n // m) + 1)


def _sequence(u: Tensor, alpha: Tensor, m: int) -> Tensor:
    """floor((i + u)·alpha) - floor(u·alpha) for i below m: steps next to alpha, in pseudorandom order."""
    i = torch.arange(m, dtype=u.dtype, device=u.device)
    return ((i + u.unsqueeze(-1)) * alpha).long() - (u.unsqueeze(-1) * alpha).long()
