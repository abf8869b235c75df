"""Receptive fields as gradients find them: which samples of the input a position is made of."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._positions import Position, answer_of, middle_of, spatial, values_at
from sigconv.explain._skeleton import skeleton

STEPS = (12, 6, 4, 2, 1)  # positions a jump is measured over: upsampling by 2, 3, 4, 6 and 12 repeats itself within


class EmpiricalField(NamedTuple):
    """What gradients reach: size, jump and start as a summary.ReceptiveField has them, and each sample seen."""

    size: tuple
    jump: tuple | None
    start: tuple
    mask: Tensor


def empirical_field(
    model: nn.Module, input_shape: Any, node: str | None = None, *, trials: int = 4, seed: int = 0
) -> EmpiricalField:
    """What the middle position of a layer sees of an input (batch, channels, *space), found by gradients (RF3).

    Nothing is computed from kernel sizes: the model is run trials times on random positive inputs, and a sample is seen
    where any gradient is not 0. So that it never vanishes by chance the model is run as its skeleton, in float64:
    positive random weights wherever they are not 0, means for maxima, the identity for activations and normalizations
    (whose statistics count as seen no more than in sc.receptive_field). Otherwise the model's own code is followed,
    whatever it calls. node is a module's name; without one the model's answer, or the last layer with axes of space.

    Returns size, jump and start, equal to those of sc.receptive_field where that is exact, and the mask (*space) of
    samples seen. What lies beyond the input's ends is not seen: give an input larger than the field. jump is measured
    between positions and 0 where there is one alone; None without axes of space. The model is left as it was.
    ValueError for an input_shape without space, an unknown layer, one that no gradient leads to.
    Source: science.md RF3, "receptive field of x_i^l".

    >>> empirical_field(nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.MaxPool1d(2)), (1, 1, 20))[:3]
    ((4,), (2,), (1.5,))
    """
    shape, trials, seed = _shape(input_shape), nd.count(trials, "trials"), nd.count(seed, "seed", least=0)
    node, space = spatial(model, shape, node)
    middle = middle_of(space)
    pairs = [_pairs(middle, axis, n) for axis, n in enumerate(space)]
    reached = functools.partial(_reached, model, shape, node, range(seed, seed + trials))
    masks = reached({middle, *(position for several in pairs for position in several[0])})
    if not masks[middle].any():
        raise ValueError(f"no gradient leads from {node or 'the answer'!r} to the input: nothing is seen to tell of")
    if 0 in _edges(masks[middle])[0]:  # perhaps cut off: positions near the end tell how far apart neighbours look
        masks |= reached({position for several in pairs for position in several[1]})
    return _measured(masks, middle, pairs)


def _shape(input_shape: Any) -> tuple[int, ...]:
    """One item of (batch, channels, *space)."""
    shape = nd.ntuple(tuple(input_shape), len(input_shape), "input_shape")
    if len(shape) < 3:
        raise ValueError(f"input_shape {shape} has no axes of space: expected (batch, channels, *space)")
    return (1, *shape[1:])


def _pairs(middle: Position, axis: int, n: int) -> list[tuple[Position, ...]]:
    """Two positions along an axis between which a jump is measured: from the middle on, and the last ones."""
    apart = next((k for k in STEPS if k < n - middle[axis]), None)
    at = lambda place: (*middle[:axis], place, *middle[axis + 1 :])
    return [(), ()] if apart is None else [(at(first), at(first + apart)) for first in (middle[axis], n - 1 - apart)]


def _reached(
    model: nn.Module, shape: tuple[int, ...], node: str, seeds: Iterable[int], positions: Iterable[Position]
) -> dict[Position, Tensor]:
    """Which samples gradients reach from each position in any trial, (*space); until one finds no more than before."""
    found: dict[Position, Tensor] = {}
    for seed in seeds:
        more = _supports(model, shape, node, seed, positions)
        joined = {position: found.get(position, mask) | mask for position, mask in more.items()}
        if found and all(torch.equal(found[position], joined[position]) for position in joined):
            break
        found = joined
    return found


def _supports(
    model: nn.Module, shape: tuple[int, ...], node: str, seed: int, positions: Iterable[Position]
) -> dict[Position, Tensor]:
    """Which samples a skeleton's gradients reach from each position, (*space), on the CPU."""
    device = next((p.device for p in model.parameters()), None)
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5
    found = {}
    with skeleton(model, seed) as work:
        x = drawn.to(device).requires_grad_()
        out = answer_of(model, x, node, work)
        for position in positions:
            total = values_at(out, position).sum()
            (slope,) = torch.autograd.grad(total, x, retain_graph=True, allow_unused=True) if total.grad_fn else (None,)
            seen = torch.zeros(shape) if slope is None else slope.detach().abs()
            found[position] = (seen.amax((0, 1)) > 0).cpu()
    return found


def _edges(mask: Tensor) -> tuple[Position, Position]:
    """The first and last sample seen along each axis."""
    where = mask.nonzero()
    return tuple(where.amin(0).tolist()), tuple(where.amax(0).tolist())


def _measured(
    masks: dict[Position, Tensor], middle: Position, pairs: list[list[tuple[Position, ...]]]
) -> EmpiricalField:
    """Size, jump and start of what positions see."""
    low, high = _edges(masks[middle])
    jump, start = [0.0] * len(low), [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    for dim, several in enumerate(pairs):
        for axis in range(len(low)):
            steps = (_step(masks, pair, axis) / (pair[1][dim] - pair[0][dim]) for pair in several if pair)
            if step := next(filter(None, steps), 0.0):
                jump[axis] = step
                start[axis] -= step * middle[dim]
    size = tuple(b - a + 1 for a, b in zip(low, high, strict=True))
    return EmpiricalField(size, tuple(map(_plain, jump)) if pairs else None, tuple(map(_plain, start)), masks[middle])


def _step(masks: dict[Position, Tensor], pair: tuple[Position, ...], axis: int) -> int:
    """How far along an axis the first sample that is seen moves; 0 where it may be cut off at the beginning."""
    one, other = (masks.get(position) for position in pair)
    if one is None or other is None or not one.any() or not other.any() or _edges(one)[0][axis] == 0:
        return 0
    return _edges(other)[0][axis] - _edges(one)[0][axis]


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number
