"""Grey values levelled: by mean and deviation, by percentiles, by a window in their own unit."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sigconv import nd


@nd.numpy_too
def zscore(x: Tensor, mask: Tensor | None = None, *, ndim: int | None = None) -> Tensor:
    """Subtract the mean and divide by the standard deviation, both of what the mask shows.

    x     a volume, or many: with ndim, the last ndim axes are a volume and each of the rest is levelled for itself
    mask  broadcast to x, bool or numbers of which any but 0 count: where the numbers are taken; all of x unless said

    Values that are not finite are left out of the reckoning and stay what they are. A constant volume becomes 0.
    Returns x's shape and floating dtype; integers become float32. ValueError where a volume has nothing to go by, and
    for complex x, whose magnitude may be meant.

    >>> zscore(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False]))
    tensor([-1.,  1.,  7.])
    """
    y = _floating(x)
    found = [_moments(v.double()) for v in _values(y, mask, ndim)]
    if not found:
        return y.clone()
    mean, deviation = (torch.stack(numbers) for numbers in zip(*found, strict=True))
    return _levelled(y, mean, deviation, ndim)


@nd.numpy_too
def percentile(
    x: Tensor, low: float = 0.5, high: float = 99.5, mask: Tensor | None = None, *, ndim: int | None = None
) -> Tensor:
    """Bring the values between two percentiles of what the mask shows to 0 … 1; those beyond are cut to 0 and 1.

    x, mask, ndim as zscore takes them, low and high in 0 … 100, interpolated linearly as numpy.percentile does. Where
    both are the same value all becomes 0. NaN stays NaN. ValueError for percentiles out of order, or nothing to go by.

    >>> percentile(torch.arange(5.0), 25, 75)
    tensor([0.0000, 0.0000, 0.5000, 1.0000, 1.0000])
    """
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles {low} and {high} are not two numbers of 0 … 100, the lower one first")
    y = _floating(x)
    found = [(_quantile(v, low / 100), _quantile(v, high / 100)) for v in _values(y, mask, ndim)]
    if not found:
        return y.clone()
    bottom, top = (torch.stack(numbers) for numbers in zip(*found, strict=True))
    return _levelled(y, bottom, top - bottom, ndim).clamp(0, 1)


@nd.numpy_too
def window(x: Tensor, centre: float, width: float) -> Tensor:
    """Bring the values of a window, as a CT is looked at, to 0 … 1; those beyond are cut to 0 and 1.

    centre and width in x's unit (Hounsfield units: 40 and 400 show soft tissue, -600 and 1500 lungs). Floating dtypes
    stay, integers become float32. ValueError for a centre that is not finite or a width that is not above 0.

    >>> window(torch.tensor([-1000, 40, 140, 3000]), 40, 400)
    tensor([0.0000, 0.5000, 0.7500, 1.0000])
    """
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        raise ValueError(f"centre {centre} and width {width} are no window: expected finite numbers, the width above 0")
    return ((_floating(x) - (centre - width / 2)) / width).clamp(0, 1)


def _floating(x: Tensor) -> Tensor:
    """Grey values as floating numbers."""
    if x.is_complex():
        raise ValueError(f"x of {x.dtype} has no scale of grey values: take its magnitude first, x.abs()")
    return x if x.is_floating_point() else x.float()


def _values(x: Tensor, mask: Tensor | None, ndim: int | None) -> Iterator[Tensor]:
    """The values each volume goes by."""
    if ndim is not None and not 1 <= ndim <= x.ndim:
        raise ValueError(f"ndim {ndim} is not a number of x's axes {tuple(x.shape)}")
    mask = torch.ones((), dtype=torch.bool, device=x.device) if mask is None else mask
    try:
        counted = (mask != 0).expand(x.shape)
    except RuntimeError:
        raise ValueError(f"mask {tuple(mask.shape)} cannot be spread over x {tuple(x.shape)}") from None
    rows = (x.ndim - ndim) if ndim else 0
    many = x.reshape(-1, *x.shape[rows:]) if ndim else x[None]
    for number, (volume, part) in enumerate(zip(many, counted.reshape(many.shape), strict=True)):
        usable = volume.isfinite() & part
        if not bool(usable.any()):
            raise ValueError(f"volume {number} has no finite value that counts")
        yield volume[usable]


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation, in a unit near the largest value: squares of 1e300 overflow, and of 1e-300 vanish."""
    exponent = math.frexp(float(values.abs().amax()))[1]
    unit = 2.0 ** min(max(exponent, -1000), 1000)  # by a power of 2 all is divided exactly
    values = values / unit
    return values.mean() * unit, values.std(correction=0) * unit


def _quantile(values: Tensor, share: float) -> Tensor:
    """What so great a part of the values is no more than: two of them in order, and the line between."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    first = wide.kthvalue(low + 1).values
    return first if place == low else torch.lerp(first, wide.kthvalue(low + 2).values, place - low)


def _levelled(x: Tensor, middle: Tensor, scale: Tensor, ndim: int | None) -> Tensor:
    """(x - middle) / scale, a number of each for a volume; 0 where the scale is."""
    lead = x.shape[: x.ndim - ndim] if ndim else ()
    shape = (*lead, *[1] * (x.ndim - len(lead)))
    kind = torch.promote_types(x.dtype, torch.float32)
    middle, scale = middle.reshape(shape).to(kind), scale.reshape(shape).to(kind)
    flat = scale <= torch.finfo(kind).eps * middle.abs()
    levelled = (x - middle) / torch.where(flat, torch.ones_like(scale), scale)
    return torch.where(flat & x.isfinite(), torch.zeros_like(levelled), levelled).to(x.dtype)
