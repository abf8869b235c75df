"""What an answer loses when a part of the input is covered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import answer, asked, at_rest, wanted
from sigconv.explain._given import filled, items_at_once, signals


def occlusion(
    model: nn.Module,
    x: Any,
    target: Any = None,
    *,
    size: Any,
    stride: Any = None,
    value: Any = 0.0,
    batch_size: int = 64,
) -> Any:
    """What the answer loses when a box is covered, at the box: (batch, channels, *space) -> (batch, *space).

    The answer to x less that to x with the box's samples, of all channels, replaced by value: a number, or an array
    that broadcasts to x. Where boxes overlap, their mean. size is the boxes' in samples and stride how far they are
    apart, each one number or one per axis; stride is size unless given, and the last box ends where x does. target is
    as for saliency; no derivative is needed. batch_size covered items are answered at once, fewer of large ones. dtype
    and device are x's.

    ValueError for a size larger than x, a stride larger than size, a value that does not fit, and as for saliency.

    Source: Zeiler and Fergus 2013, arXiv:1311.2901.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    >>> occlusion(net, torch.ones(1, 1, 3), size=1)
    tensor([[ 1., -2.,  3.]])
    """
    given = x if isinstance(x, np.ndarray) else torch.as_tensor(x)
    return _occlusion(given, model, target, size, stride, value, batch_size)


@nd.numpy_too
@torch.no_grad()
def _occlusion(x: Tensor, model: nn.Module, target: Any, size: Any, stride: Any, value: Any, batch_size: Any) -> Tensor:
    x = signals(x)
    cover, most = filled(value, x, "value"), items_at_once(batch_size, x)
    boxes = list(_boxes(x.shape[2:], size, stride))
    targets = None if target is None else wanted(target, len(x))
    total, times = x.new_zeros(len(x), *x.shape[2:]), x.new_zeros(x.shape[2:])
    for box in boxes:
        times[box] += 1
    with at_rest(model):
        for start in range(0, len(x), most):
            rows = slice(start, start + most)
            chosen = None if targets is None else targets[rows]
            _cover(model, x[rows], cover[rows], chosen, boxes, most, total[rows])
    return total / times


def _cover(model: nn.Module, x: Tensor, cover: Tensor, target: Any, boxes: list, most: int, total: Tensor) -> None:
    """Add to total, at each box, what some items' answers lose by it; so many covered items at once."""
    base = answer(asked(model, x.clone()), target)
    step = max(most // len(x), 1)
    for some in (boxes[i : i + step] for i in range(0, len(boxes), step)):
        covered = torch.stack([x] * len(some))
        for one, box in zip(covered, some, strict=True):
            one[:, :, *box] = cover[:, :, *box]
        answers = answer(asked(model, covered.flatten(0, 1)), None if target is None else target.repeat(len(some)))
        losses = (base - answers.unflatten(0, (len(some), len(x)))).to(total)
        for loss, box in zip(losses, some, strict=True):
            total[:, *box] += loss.view(-1, *[1] * len(box))


def _boxes(space: Sequence[int], size: Any, stride: Any) -> Iterator[tuple[slice, ...]]:
    """The boxes, each a slice an axis; ValueError where they do not fit or leave gaps.

    >>> [box[0] for box in _boxes((5,), 2, None)]
    [slice(0, 2, None), slice(2, 4, None), slice(3, 5, None)]
    """
    size = nd.ntuple(size, len(space), "size")
    stride = size if stride is None else nd.ntuple(stride, len(space), "stride")
    for n, k, s in zip(space, size, stride, strict=True):
        if k > n:
            raise ValueError(f"size {size} is larger than x's space {tuple(space)}")
        if s > k:
            raise ValueError(f"stride {stride} is larger than size {size}: samples between the boxes would be left out")
    starts = [sorted({*range(0, n - k + 1, s), n - k}) for n, k, s in zip(space, size, stride, strict=True)]
    for start in itertools.product(*starts):
        yield tuple(slice(i, i + k) for i, k in zip(start, size, strict=True))
