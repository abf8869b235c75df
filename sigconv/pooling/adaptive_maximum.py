"""Adaptive max pooling: the number of windows is given, their size follows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.pooling._bins import bins, largest, sizes
from sigconv.pooling._derive import layer


@layer("AdaptiveMaxPool")
@nd.numpy_too
def adaptive_max_pool(x: Tensor, output_size: Any, *, return_indices: bool = False) -> Any:
    """The largest over output_size bins an axis, bin i from floor(i·n/m) to ceil((i + 1)·n/m), in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *output_size), real, no bool; output_size is one number, or one per
    axis, None where an axis stays as it is. return_indices adds where each maximum was, in the flattened space, the
    first of equal values. Raises ValueError where space is empty.

    >>> import torch
    >>> adaptive_max_pool(torch.arange(5.0).view(1, 1, 5), 3, return_indices=True)
    (tensor([[[1., 3., 4.]]]), tensor([[[1, 3, 4]]]))
    """
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"x is {x.dtype}: adaptive_max_pool takes real numbers")
    size = sizes(x, output_size)
    primitive = nd.primitive("adaptive_max_pool", len(size))
    if primitive is not None and x.is_floating_point() and x.numel():
        return primitive(x, size, return_indices)
    samples = [bins(n, m, x.device)[0] for n, m in zip(x.shape[2:], size, strict=True)]
    value, where = largest(x, samples)
    return (value, where) if return_indices else value
