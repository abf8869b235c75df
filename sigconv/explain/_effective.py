"""Which samples move a position most: the effective part of its receptive field, by gradients of the model as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_rest, like
from sigconv.explain._nodes import bare
from sigconv.explain._positions import Position, answer_of, middle_of, spatial, values_at
from sigconv.summary import receptive_field

LUOS = 0.0455  # of the largest gradient: what Luo et al. count as moving the answer


class EffectiveField(NamedTuple):
    """How much each sample moves a position, in shares of 1; where the middle of that lies, how wide it is.

    middle and deviation, in samples along each axis; share, of the theoretical field, how much moves it notably.
    """

    map: Any
    middle: tuple[float, ...]
    deviation: tuple[float, ...]
    share: float


def effective_field(
    model: nn.Module,
    x: Any,
    node: str | None = None,
    position: Sequence[int] | None = None,
    *,
    draws: int = 16,
    seed: int = 0,
) -> EffectiveField:
    """How much each sample of x moves one position of a layer: mean squared gradients, in shares of 1 (RF4).

    x (batch, channels, *space), floating; node a module's name, without one the model's answer or the last layer with
    axes of space; position one number per axis of that layer, its middle unless given. Squares are averaged over items,
    over x's channels and over the layer's: exactly if it has at most draws channels, else by so many random signs of
    them, which the seed draws. The model answers as it is used, with its own weights, and is left as it was.

    Returns the map (*space) of x's dtype, its middle and standard deviation along each axis, and which share of the
    theoretical field moves the position by more than 4.55 % of what the strongest sample does. For n layers of k random
    taps the deviation is near sqrt(n (k^2 - 1) / 12): it grows more slowly than the field, n (k - 1) + 1.
    ValueError for x without space, a position outside the layer, one that nothing moves.
    Source: Luo et al. 2016, "Understanding the effective receptive field", arXiv:1701.04128.

    >>> net = nn.Conv1d(1, 1, 3, bias=False)
    >>> _ = net.weight.data.copy_(torch.tensor([[[1.0, 2.0, 1.0]]]))
    >>> found = effective_field(net, torch.zeros(1, 1, 5))
    >>> found.map * 6, found.middle, found.share
    (tensor([0., 1., 4., 1., 0.]), (2.0,), 1.0)
    """
    given = nd.as_tensor(x)
    if not given.is_floating_point() or given.ndim < 3 or not len(given):
        raise ValueError(f"x is {given.dtype} {tuple(given.shape)}: expected floating (batch, channels, *space)")
    node, space = spatial(model, tuple(given.shape), node)
    where = middle_of(space) if position is None else nd.ntuple(position, len(space), "position", least=0)
    if any(p >= n for p, n in zip(where, space, strict=True)):
        raise ValueError(f"position {where} lies outside the layer's axes of space, {space}")
    with at_rest(model), torch.inference_mode(False), torch.enable_grad():
        there = given.detach().clone().requires_grad_()
        squares = _squares(values_at(answer_of(model, there, node), where), there, nd.count(draws, "draws"), seed)
    total = float(squares.sum())
    if not total > 0:
        raise ValueError(f"no gradient leads from {node or 'the answer'!r} to x: no sample moves position {where}")
    shares = squares / total
    inside = _theoretical(model, tuple(given.shape), node, where)
    strong = shares.sqrt() > LUOS * shares.max().sqrt()
    return EffectiveField(like(shares.to(given), x), *_moments(shares), float(strong.sum()) / inside)


def _squares(values: Tensor, x: Tensor, draws: int, seed: int) -> Tensor:
    """Mean squared gradients (*space), float64, of values (batch, channels)."""
    channels = values.shape[1]
    signs = torch.eye(channels, dtype=values.dtype)[:, None].expand(-1, len(values), -1)
    if channels > draws:
        generator = torch.Generator().manual_seed(nd.count(seed, "seed", least=0))
        signs = torch.randint(0, 2, (draws, *values.shape), generator=generator).to(values.dtype) * 2 - 1
    total = torch.zeros(x.shape[2:], dtype=torch.float64, device=x.device)
    for weights in signs.to(values.device) if values.grad_fn is not None else ():
        (slope,) = torch.autograd.grad(values, x, weights, retain_graph=True, allow_unused=True)
        total += 0 if slope is None else slope.double().square().mean((0, 1))
    return total / len(signs)


def _moments(shares: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The middle and the standard deviation along each axis of shares of 1."""
    middles, deviations = [], []
    for axis in range(shares.ndim):
        along = shares.sum([a for a in range(shares.ndim) if a != axis]) if shares.ndim > 1 else shares
        places = torch.arange(len(along), dtype=along.dtype, device=along.device)
        middle = (along * places).sum()
        middles.append(float(middle))
        deviations.append(math.sqrt(float((along * (places - middle) ** 2).sum())))
    return tuple(middles), tuple(deviations)


def _theoretical(model: nn.Module, shape: tuple[int, ...], node: str, position: Position) -> int:
    """Samples of the input in the field of a position; all, where nobody can tell."""
    try:
        field = receptive_field(model, node=bare(model, node), input_shape=shape)
    except (ValueError, TypeError):
        return math.prod(shape[2:])
    inside = 1
    jumps, steps = field.jump or (0,) * len(shape[2:]), position or (0,) * len(shape[2:])
    for n, size, jump, start, step in zip(shape[2:], field.size, jumps, field.start, steps, strict=True):
        middle = start + jump * step
        inside *= max(
            min(n - 1, math.floor(middle + (size - 1) / 2)) - max(0, math.ceil(middle - (size - 1) / 2)) + 1, 1
        )
    return inside
