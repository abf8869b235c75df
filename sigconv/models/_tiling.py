"""Whole scans through networks that keep their size: tile by tile to the same answers, and which axes to halve."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd


def tiled(model: Any, x: Any, tile: Any = 64) -> Any:
    """model(x) tile by tile: the same map to rounding, in the memory of one tile and the answers.

    x (batch, in_channels, *space) -> (batch, classes, *space), tensor or array, without gradient. tile, samples that
    are answered for at a time, one number or one per axis, rounded up to whole steps; each is computed with the halo
    that its answers depend on. ValueError where they depend on more: norm "instance", or "batch" or dropout in
    training; output "average".

    >>> from sigconv import models
    >>> net = models.unet.build("near", ndim=1, classes=3).eval()
    >>> x = torch.randn(1, 1, 200)
    >>> torch.allclose(tiled(net, x, 32), net(x), atol=1e-5)
    True
    """
    learning = model.training and (model.norm == "batch" or model.drop.p > 0)
    if model.norm == "instance" or learning or model.output != "map":
        drop = f", dropout {model.drop.p}" if model.drop.p else ""
        why = f"norm {model.norm!r}{drop}{' in training' * learning}, output {model.output!r}"
        raise ValueError(f"a U-Net with {why} cannot be tiled: take norm 'channel', or 'batch' after model.eval()")
    return _tiled(x, model, tile)


@nd.numpy_too
def _tiled(x: Tensor, model: Any, tile: Any) -> Any:
    """Answers to a tensor, a tile after the other."""
    if x.ndim != 2 + model.ndim or 0 in x.shape[2:]:
        return model(x)  # which says what it expects
    asked, places = nd.ntuple(tile, model.ndim, "tile"), []
    for n, t, step, halo in zip(x.shape[2:], asked, model.step, model.halo, strict=True):
        t = -(-t // step) * step
        places.append([(a, min(a + t, n), max(a - halo, 0), min(a + t + halo, n)) for a in range(0, n, t)])
    out: Tensor | None = None
    with torch.no_grad():
        for place in itertools.product(*places):
            seen: Any = (..., *[slice(low, high) for _, _, low, high in place])
            inner: Any = (..., *[slice(a - low, b - low) for a, b, low, _ in place])
            there: Any = (..., *[slice(a, b) for a, b, _, _ in place])
            y = model(x[seen])
            out = y.new_empty(*y.shape[:2], *x.shape[2:]) if out is None else out
            out[there] = y[inner]
    return out


def fitting(size: Sequence[int], levels: int, *, spacing: Any = 1.0, least: int = 4) -> tuple[tuple[int, ...], ...]:
    """Strides for scans of about this size: at each of levels - 1 steps 2 along the long, finely sampled axes, else 1.

    size (*space) in samples; spacing between them, one number or one per axis, in any unit. An axis is halved while at
    least so many samples are left, and while its spacing is less than twice the finest of those that could be.
    ValueError for a spacing that is not above 0. Source: the rules of Isensee et al. 2021 (nnU-Net).

    >>> fitting((64, 64, 20), 4, spacing=(1.0, 1.0, 3.0))
    ((2, 2, 1), (2, 2, 2), (2, 2, 2))
    """
    left, steps = [nd.count(n, "size") for n in size], []
    gaps = [float(s) for s in (spacing if isinstance(spacing, Sequence) else [spacing] * len(left))]
    if len(gaps) != len(left) or not all(0 < gap < float("inf") for gap in gaps):
        raise ValueError(f"spacing {spacing} must be above 0, one number or one for each of {len(left)} axes")
    for _ in range(nd.count(levels, "levels") - 1):
        long = [gap for gap, n in zip(gaps, left, strict=True) if n >= 2 * least]
        step = [2 if long and n >= 2 * least and g < 2 * min(long) else 1 for g, n in zip(gaps, left, strict=True)]
        left = [-(-n // s) for n, s in zip(left, step, strict=True)]
        gaps = [gap * s for gap, s in zip(gaps, step, strict=True)]
        steps.append(tuple(step))
    return tuple(steps)
