"""Whether an input is of the kind that convolution is made for: features are local, and alike wherever they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv import nd

FEWEST = 8  # items: of fewer it cannot be told what is a place's and what is an item's
MOST = 1 << 22  # numbers that are looked at; of more, items evenly among all
CELLS = 8  # parts an axis is cut into, of at least two samples
SURE = 0.05  # a P value that is taken for a finding
HALF = 0.5  # of what local statistics vary by: more of it due to position is not stationary


class Suitability(NamedTuple):
    """Two findings, each with a P value by permutation, and a verdict with its reason in one line.

    locality        how alike neighbouring samples are: mean absolute correlation over items, 0 to 1
    locality_p      how often as much is found when the samples are put in a random order; small: neighbours matter
    stationarity    part of the local statistics that position does not explain, 0 to 1; 1: alike everywhere
    stationarity_p  how often position explains as much when every item is shifted at random; small: places differ
    """

    locality: float
    locality_p: float
    stationarity: float
    stationarity_p: float
    suited: bool
    why: str


def suitability(x: Any, *, shuffles: int = 99, seed: int = 0) -> Suitability:
    """Whether inputs x (items, channels, *space) are suited for convolution, by two tests with controls (AP6).

    The lecture's conditions are that features are local, that their presence is stationary, and so that the index
    cannot be permuted. Local: samples of neighbouring positions correlate over items, more than in any of so many
    shuffles, each of which puts the positions of all items in one random order. Stationary: position explains less than
    half of what the means and standard deviations of local patches vary by within items, beyond what it explains when
    every item is shifted round by a random amount, which keeps all that is inside an item as it was. A P value alone
    would be no verdict here: of many items, anything centred differs a little from place to place.

    Tables of unordered columns, and images whose pixels were shuffled, are not local; columns of different units are
    not stationary. What is said is of x as it lies: along an axis without order (electrodes, unordered columns) put it
    into the channels and ask again. An axis of fewer than four samples tells nothing of places.

    Returns a Suitability. ValueError for x without space, with fewer than 8 items, one position, or values that are not
    finite. Source: science.md AP6, "Identify input types not suited for convolution".

    >>> waves = torch.randn(50, 1, 40, generator=torch.Generator().manual_seed(0)).cumsum(2)
    >>> suitability(waves[:, :, torch.randperm(40, generator=torch.Generator().manual_seed(1))]).why
    'not suited: neighbours are no more alike than any other samples'
    """
    given = nd.as_tensor(x)
    if given.ndim < 3 or given.is_complex():
        raise ValueError(f"x is {given.dtype} {tuple(given.shape)}: expected real (items, channels, *space)")
    if len(given) < FEWEST or given.shape[1] == 0 or given.shape[2:].numel() < 2:
        raise ValueError(f"x has shape {tuple(given.shape)}: expected {FEWEST} items or more of two samples or more")
    values = _some(given.detach()).double()
    if not torch.isfinite(values).all():
        raise ValueError("x holds values that are not finite: leave those items out, or put numbers there")
    shuffles, generator = nd.count(shuffles, "shuffles"), torch.Generator().manual_seed(nd.count(seed, "seed", least=0))
    locality, any_two, locality_p = _local(values, shuffles, generator)
    explained, stationarity_p = _by_position(values, shuffles, generator)
    near, alike = locality_p <= SURE, explained < HALF
    return Suitability(
        locality,
        locality_p,
        1 - explained,
        stationarity_p,
        near and alike,
        _why(near, alike, locality, any_two, explained),
    )


def _why(near: bool, alike: bool, locality: float, any_two: float, explained: float) -> str:
    """The verdict and its reason."""
    if near and alike:
        found = f"neighbours correlate by {locality:.2f}, any two samples by {any_two:.2f}"
        return f"suited: {found}; position explains {explained:.0%} of local statistics"
    reasons = [] if near else ["neighbours are no more alike than any other samples"]
    reasons += [] if alike else [f"position explains {explained:.0%} of local statistics"]
    return f"not suited: {'; '.join(reasons)}"


def _some(x: Tensor) -> Tensor:
    """So many items, evenly among all, that the work is bounded."""
    kept = max(MOST // x[0].numel(), FEWEST)
    return x if len(x) <= kept else x[torch.linspace(0, len(x) - 1, kept).long().to(x.device)]


def _local(x: Tensor, shuffles: int, generator: torch.Generator) -> tuple[float, float, float]:
    """How neighbours correlate, how samples do in random order, and how often the latter do as much."""
    space, z = x.shape[2:], x - x.mean(0)
    size = z.square().sum(0)  # of a constant nothing but roundings
    z = torch.where(size > 1e-20 * x.square().sum(0), z / size.sqrt(), 0.0)
    z = z.flatten(2).movedim(2, 0).flatten(1)  # (positions, items x channels)
    index = torch.arange(len(z), device=x.device).reshape(space)
    channels = x.shape[1]
    pairs = [
        (index.narrow(a, 0, n - 1).flatten(), index.narrow(a, 1, n - 1).flatten()) for a, n in enumerate(space) if n > 1
    ]

    def alike(order: Tensor) -> float:
        found = []
        for one, other in pairs:
            product = (z[order[one]] * z[order[other]]).reshape(len(one), -1, channels).sum(1)
            found.append(float(product.abs().mean()))
        return sum(found) / len(found)

    seen = alike(torch.arange(len(z), device=x.device))
    control = [alike(torch.randperm(len(z), generator=generator).to(x.device)) for _ in range(shuffles)]
    return seen, sum(control) / shuffles, _p(seen, control)


def _by_position(x: Tensor, shuffles: int, generator: torch.Generator) -> tuple[float, float]:
    """Which part of the variation of local statistics position explains beyond chance, and how often chance as much."""
    local = _patches(x)
    grid = local.shape[2:]
    seen, control = _explained(local), []
    items = torch.arange(len(x), device=x.device).reshape(-1, *[1] * len(grid))
    for _ in range(shuffles):
        places: list[Tensor] = []
        for axis, n in enumerate(grid):
            far = torch.randint(n, (len(x), *[1] * len(grid)), generator=generator).to(x.device)
            along = torch.arange(n, device=x.device).reshape([-1 if a == axis else 1 for a in range(len(grid))])
            places.append((along + far) % n)
        control.append(_explained(local.movedim(1, -1)[(items, *places)].movedim(-1, 1)))
    chance = sum(control) / shuffles
    return max(seen - chance, 0.0) / (1 - chance) if chance < 1 else 0.0, _p(seen, control)


def _patches(x: Tensor) -> Tensor:
    """Mean and standard deviation of patches side by side: (items, 2 channels, *cells)."""
    sides = [max(n // CELLS, min(n, 2)) for n in x.shape[2:]]
    for axis, side in enumerate(sides, 2):
        x = x.narrow(axis, 0, x.shape[axis] // side * side).unfold(axis, side, side)
    inside = tuple(range(-len(sides), 0))
    return torch.cat([x.mean(inside), x.var(inside, correction=0).sqrt()], 1)


def _explained(local: Tensor) -> float:
    """Between-position part of what varies within items, the mean over statistics that vary at all."""
    axes = tuple(range(2, local.ndim))
    within = local - local.mean(axes, keepdim=True)
    total, between = within.square().sum((0, *axes)), within.mean(0).square().sum([a - 1 for a in axes]) * len(local)
    varies = total > 1e-20 * local.square().sum((0, *axes))
    return float((between[varies] / total[varies]).mean()) if bool(varies.any()) else 0.0


def _p(seen: float, control: list[float]) -> float:
    """How often chance does as much, what was seen counted among it."""
    return (1 + sum(value >= seen * (1 - 1e-12) for value in control)) / (1 + len(control))
