"""Pooling over all of space (PL11)."""

from __future__ import annotations

from torch import Tensor

from sigconv import nd
from sigconv.pooling._derive import layer


@layer("GlobalAvgPool", kind="avg")
@layer("GlobalMaxPool", kind="max")
@nd.numpy_too
def global_pool(x: Tensor, kind: str = "avg") -> Tensor:
    """One value per channel, the mean ("avg") or the largest ("max") of all space: a head for any input size.

    x (batch, channels, *space) -> (batch, channels), in any number of axes. The gradient of "max" goes to the first of
    equal values. Raises ValueError where space is empty.

    >>> import torch
    >>> global_pool(torch.tensor([[[1.0, 5.0, 3.0]]]), "max")
    tensor([[5.]])
    """
    nd.one_of(kind, ("avg", "max"), "kind")
    if x.ndim < 3 or 0 in x.shape[2:]:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, channels, *space), none of space empty")
    if x.is_complex() if kind == "max" else not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"x is {x.dtype}: there is no {kind} of it; convert it, for example by x.float()")
    flat = x.flatten(2)
    return flat.mean(-1) if kind == "avg" else flat.max(-1).values
