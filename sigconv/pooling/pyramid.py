"""Spatial pyramid pooling: as many numbers a channel whatever the input's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.pooling._derive import layer
from sigconv.pooling.adaptive_average import adaptive_avg_pool
from sigconv.pooling.adaptive_maximum import adaptive_max_pool


@layer("PyramidPool")
@nd.numpy_too
def pyramid_pool(x: Tensor, bins: Sequence[Any] = (1, 2, 4), kind: str = "max") -> Tensor:
    """The largest ("max") or the mean ("avg") over grids of several sizes side by side, coarsest first.

    x (batch, channels, *space) -> (batch, channels, cells), cells = Σ bins^N over N axes: (1, 2, 4) gives 21 cells in
    2-D whatever the size of x; .flatten(1) makes the vector for a fully connected layer. An entry of bins is a number,
    or one per axis. Raises ValueError where space is empty. Source: He et al. 2014.

    >>> import torch
    >>> pyramid_pool(torch.rand(1, 3, 13, 17)).shape
    torch.Size([1, 3, 21])
    """
    nd.one_of(kind, ("max", "avg"), "kind")
    pool = adaptive_max_pool if kind == "max" else adaptive_avg_pool
    return torch.cat([pool(x, size).flatten(2) for size in bins], 2)
