"""A network slid over a volume that it could not take in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.transforms.volume._patches import Tiling, averaged, covered, tiling, uncovered
from sigconv.transforms.volume._space import tensor_of


def sliding(
    model: Callable[[Tensor], Tensor],
    x: Any,
    size: int | Sequence[int],
    *,
    overlap: float | Sequence[float] = 0.5,
    batch: int = 1,
    window: str = "gaussian",
    padding_mode: str = "zeros",
    device: Any = None,
) -> Any:
    """What a network says of a whole volume, from patches of it: blended where they overlap, gradients left out.

    model         takes (patches, channels, *size) and gives (patches, outputs, *size); put it into eval mode first
    x             (batch, channels, *space), tensor or array
    size          of a patch along each axis: what the network was trained on, or as large as memory allows
    overlap       the part of a patch it shares with the next; batch: patches taken at once, of one volume
    window        how a patch's voice falls from its middle to its rim: "gaussian" "hann" "constant"

    device        where the patches are taken to, the model's; x and the answer may lie where there is more room

    Returns (batch, outputs, *space) of the model's dtype, where x lies. The same as blended(model(patches(x))), in the
    memory of one batch of patches and the answer. Where a network sees no farther than r samples, only the outer r of
    a patch differ from the whole. ValueError where the model's answer is of another size, or of whole numbers.

    >>> sliding(lambda part: 2 * part, torch.arange(6.0).reshape(1, 1, 6), 4)
    tensor([[[ 0.,  2.,  4.,  6.,  8., 10.]]])
    """
    array = isinstance(x, np.ndarray)
    whole = tensor_of(x)
    if whole.ndim < 3:
        raise ValueError(f"x {tuple(whole.shape)} has no space: expected (batch, channels, *space)")
    nd.count(batch, "batch")
    plan = tiling(tuple(whole.shape[2:]), size, overlap)
    with torch.no_grad():
        said = [_one(model, covered(item, plan, padding_mode), plan, batch, window, device) for item in whole]
    if not said:
        raise ValueError(f"x {tuple(whole.shape)} holds no volume")
    whole = uncovered(torch.stack(said) if len(said) > 1 else said[0][None], plan)
    return whole.numpy() if array else whole


def _one(model: Callable[[Tensor], Tensor], x: Tensor, plan: Tiling, batch: int, window: str, device: Any) -> Tensor:
    """The model's answer to one volume (channels, *space), patches added up as they come."""
    weights: Iterator[Tensor] = iter(())
    total, places = x.new_zeros(0), list(plan.places())
    for first in range(0, len(places), batch):
        some = places[first : first + batch]
        parts = model(torch.stack([x[place] for place in some]).to(device)).to(x.device)
        if parts.ndim != x.ndim + 1 or parts.shape[0] != len(some) or tuple(parts.shape[2:]) != plan.size:
            wanted = ("patches", "outputs", *plan.size)
            raise ValueError(f"the model answers {tuple(parts.shape)} to {len(some)} patches: expected {wanted}")
        averaged(parts, "the model's answers")
        if not first:
            total = parts.new_zeros(parts.shape[1], *x.shape[1:])
            weights = plan.weights(window, parts)
        for place, part in zip(some, parts, strict=True):
            total[place] += part * next(weights)
    return total
