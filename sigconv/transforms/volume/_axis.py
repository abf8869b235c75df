"""One axis on another grid: interpolation weights that average what is coarser, exact on constants and ramps."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def window(scale: float) -> float:
    """How many samples are averaged where the new step is so many of the old: 0 up to a step of 1.

    The mean of the linear interpolant over this width varies as much (in the variance of its weights) as the triangle
    stretched by the step that torch's and Pillow's antialiasing takes; unlike it, it leaves a ramp a ramp at any step.

    >>> window(1.0), round(window(2.0), 3)
    (0.0, 2.449)
    """
    return math.sqrt(2 * (scale * scale - 1)) if scale > 1 + 1e-9 else 0.0


FLAT = 2  # samples beyond the last, from which on what goes on as the last one is constant, whatever the order


def weights(places: Tensor, wide: float, order: int, n: int | None = None) -> tuple[Tensor, Tensor]:
    """The samples around each place and their weights, (places, taps) each: the interpolant's mean over a width.

    places (m,) float64 in samples; order 1 linear, 3 cubic. The weights of a place add up to 1, and their centre is
    the place. Of n samples, the last of which go on for ever, a width that is longer has no more taps than they need.

    >>> weights(torch.tensor([1.25], dtype=torch.float64), 0.0, 1)
    (tensor([[1, 2]]), tensor([[0.7500, 0.2500]], dtype=torch.float64))
    """
    if n is not None and wide > n + 2 * FLAT:
        return _beyond(places, wide, order, n)
    half = (1 if order == 1 else 2) + wide / 2
    taps = math.ceil(2 * half - 1e-9)
    first = (places - half).floor().long() + 1
    index = first[:, None] + torch.arange(taps + (wide > 0), device=places.device)
    apart = places[:, None] - index
    if wide == 0:
        return index, _HAT[order](apart)
    return index, (_SUM[order](apart + wide / 2) - _SUM[order](apart - wide / 2)) / wide


def _beyond(places: Tensor, wide: float, order: int, n: int) -> tuple[Tensor, Tensor]:
    """The same of a width longer than all there is: what lies beyond the ends is summed up in the end samples."""
    low, high = places - wide / 2, places + wide / 2
    first, last = -FLAT, n - 1 + FLAT
    index = torch.arange(first - FLAT, last + FLAT + 1, device=places.device)
    inside = [_SUM[order](end.clamp(first, last)[:, None] - index) for end in (high, low)]
    before = high.clamp_max(first) - low.clamp_max(first)
    after = high.clamp_min(last) - low.clamp_min(last)
    ends = torch.tensor([0, n - 1], device=places.device)
    share = torch.cat([inside[0] - inside[1], before[:, None], after[:, None]], 1) / wide
    return torch.cat([index, ends]).expand(len(places), -1), share


def along(x: Tensor, axis: int, index: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of samples along an axis, (places, taps) of them; beyond its ends stands the last sample.

    x itself where every sample is where it was.

    >>> along(torch.tensor([0.0, 4.0]), 0, torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    tensor([2., 4.])
    """
    n = x.shape[axis]
    if len(index) == n and bool((weight[index == torch.arange(n, device=x.device)[:, None]] == 1).sum() == n):
        return x
    shape = [-1 if a == axis % x.ndim else 1 for a in range(x.ndim)]
    total = None
    for place, share in zip(index.T, weight.T, strict=True):
        if not bool(share.any()):
            continue
        part = x.index_select(axis, place.clamp(0, n - 1)) * share.to(x.real.dtype).reshape(shape)
        total = part if total is None else total.add_(part) if not part.requires_grad else total + part
    return total if total is not None else x.index_select(axis, index[:, 0])


def _linear(t: Tensor) -> Tensor:
    return (1 - t.abs()).clamp_min(0)


def _linear_sum(t: Tensor) -> Tensor:
    """Its integral from the left."""
    u = t.clamp(-1, 1)
    return torch.where(u < 0, (1 + u).square() / 2, 1 - (1 - u).square() / 2)


def _keys(t: Tensor) -> Tensor:
    u = t.abs()
    inner = (1.5 * u - 2.5) * u * u + 1
    outer = ((-0.5 * u + 2.5) * u - 4) * u + 2
    return torch.where(u <= 1, inner, torch.where(u < 2, outer, 0.0))


def _keys_sum(t: Tensor) -> Tensor:
    u = t.abs().clamp_max(2)
    inner = ((3 / 8 * u - 5 / 6) * u * u + 1) * u
    outer = (((-1 / 8 * u + 5 / 6) * u - 2) * u + 2) * u - 1 / 6
    return 0.5 + t.sign() * torch.where(u <= 1, inner, outer)


_HAT = {1: _linear, 3: _keys}
_SUM = {1: _linear_sum, 3: _keys_sum}
