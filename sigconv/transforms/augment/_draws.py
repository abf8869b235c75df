"""Random numbers of a batch, each item's from a generator of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def uniforms(generators: Sequence[torch.Generator], count: int, like: Tensor) -> Tensor:
    """Numbers in [-1, 1), a row of count for each generator: (batch, count), of like's dtype, floating, and device."""
    return torch.stack([torch.rand(count, generator=g) for g in generators]).to(_fractional(like)) * 2 - 1


def normals(generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Normal numbers of like's shape and dtype, floating, each item's from its own generator."""
    _fractional(like)
    return torch.stack([torch.randn(like.shape[1:], generator=g) for g in generators]).to(like)


def _fractional(like: Tensor) -> Tensor:
    if not (like.is_floating_point() or like.is_complex()):
        raise ValueError(f"like is {like.dtype}, which would cut the numbers off: give a floating tensor, like.float()")
    return like


def betas(generators: Sequence[torch.Generator], alpha: float) -> Tensor:
    """One number of the Beta(alpha, alpha) distribution from each generator: (batch,), float64, in [0, 1].

    Small alphas give numbers near 0 and 1, alpha=1 all alike, large ones numbers near a half. Each is the quantile of
    a uniform number, so it takes one draw. ValueError for an alpha that is not a finite number above 0.

    >>> betas([torch.Generator().manual_seed(seed) for seed in (5, 6)], alpha=1.0)
    tensor([0.6420, 0.5776], dtype=torch.float64)
    """
    if not (math.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha {alpha} must be a finite number above 0")
    from scipy.special import betaincinv

    u = torch.stack([torch.rand((), generator=g, dtype=torch.float64) for g in generators])
    return torch.as_tensor(betaincinv(alpha, alpha, u.numpy()))
