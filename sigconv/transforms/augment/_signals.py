"""Changes of signals, each of a batch by its own numbers: a warp of an axis, a band put to zero."""

from __future__ import annotations

import torch
from torch import Tensor

from sigconv import nd


def warp(x: Tensor, stretch: Tensor, shift: Tensor, *, axis: int = -1, padding_mode: str = "reflect") -> Tensor:
    """Stretch each item about the middle of an axis and shift it, by linear interpolation.

    x (batch, …), stretch (batch,) factors (2 doubles a length), shift (batch,) in samples, towards the end; what comes
    in from beyond an end is as padding_mode has it ("zeros", or a border of sigconv.nd).

    >>> warp(torch.arange(5.0)[None], torch.ones(1), torch.tensor([1.0]), padding_mode="replicate")
    tensor([[0., 0., 1., 2., 3.]])
    """
    n = x.shape[axis]
    middle = (n - 1) / 2
    places = torch.arange(n, device=x.device, dtype=x.dtype) - middle
    return sampled(x, (places - shift[:, None]) / stretch[:, None] + middle, axis=axis, padding_mode=padding_mode)


def sampled(x: Tensor, places: Tensor, *, axis: int = -1, padding_mode: str = "reflect") -> Tensor:
    """Each item at these places of an axis, by linear interpolation: x (batch, …), places (batch, n).

    >>> sampled(torch.arange(5.0)[None], torch.tensor([[0.5, 2.0, 4.25]]), padding_mode="replicate")
    tensor([[0.5000, 2.0000, 4.0000]])
    """
    nd.one_of(padding_mode, ("zeros", *nd.EXTEND), "padding_mode")
    places = places.reshape(len(x), *[1] * (x.ndim - 2), -1)
    below = places.floor()
    rows = x.movedim(axis, -1)
    left, right = (_at(rows, (below + step).long(), padding_mode) for step in (0, 1))
    return torch.lerp(left, right, places - below).movedim(-1, axis)


def _at(rows: Tensor, index: Tensor, padding_mode: str) -> Tensor:
    """The samples of the last axis at these places, whatever lies beyond its ends."""
    n = rows.shape[-1]
    zeros = padding_mode == "zeros"
    found = rows.gather(-1, nd.EXTEND["replicate" if zeros else padding_mode](index, n).expand(*rows.shape[:-1], -1))
    return found * ((index >= 0) & (index < n)) if zeros else found


def mask(x: Tensor, width: Tensor, place: Tensor, *, axis: int, widest: float) -> Tensor:
    """Put zeros in a band of each item along an axis.

    width (batch,) and place (batch,) in [-1, 1): a width below 0 leaves the item whole, 1 is widest samples; the band
    lies anywhere inside.

    >>> mask(torch.ones(1, 6), torch.tensor([0.5]), torch.tensor([-1.0]), axis=-1, widest=4)
    tensor([[0., 0., 1., 1., 1., 1.]])
    """
    n = x.shape[axis]
    wide = (width.clamp_min(0) * widest)[:, None]
    first = (place[:, None] + 1) / 2 * (n - wide)
    steps = torch.arange(n, device=x.device)
    band = ((steps >= first) & (steps < first + wide)).reshape(len(x), *[1] * (x.ndim - 2), n)
    return x.masked_fill(band.movedim(-1, axis), 0.0)
