"""Items of whatever holds them, several at a time: tensors, arrays, data sets, anything that can be gone through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.explain._answers import like


def in_batches(data: Any, batch_size: int) -> Iterator[Tensor]:
    """The inputs x of data in their order, of one shape stacked: (batch, channels, *space), at most batch_size.

    data is a tensor or array of inputs, a data set with len and item(index, generator) -> (x, y), where each item has a
    generator of its own, or anything that gives x, or (x, y), one after the other. No more than a batch is held.

    >>> [x.shape[0] for x in in_batches([torch.zeros(1, 4), torch.zeros(1, 4), torch.zeros(1, 5)], 8)]
    [2, 1]
    """
    if isinstance(data, Tensor | np.ndarray):
        yield from nd.as_tensor(data).detach().split(batch_size)
        return
    held: list[Tensor] = []
    for x in _items(data):
        if held and (len(held) == batch_size or x.shape != held[0].shape or x.dtype != held[0].dtype):
            yield torch.stack(held)
            held = []
        held.append(x)
    if held:
        yield torch.stack(held)


def as_given(result: Tensor, source: Any) -> Any:
    """The result, as an array of NumPy if the source is one, wherever it was computed.

    >>> as_given(torch.zeros(2), np.ones(3))
    array([0., 0.], dtype=float32)
    """
    return like(result.cpu() if isinstance(source, np.ndarray) else result, source)


def _items(data: Any) -> Iterator[Tensor]:
    """Each item's x."""
    if hasattr(data, "item"):
        found = (data.item(index, torch.Generator().manual_seed(index)) for index in range(len(data)))
    elif hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        found = (data[index] for index in range(len(data)))
    else:
        found = iter(data)
    for one in found:
        yield nd.as_tensor(one[0] if isinstance(one, tuple | list) else one).detach()
