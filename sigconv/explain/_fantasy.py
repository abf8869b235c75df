"""The input that a class or a channel would like best: gradient ascent on the input, the weights at rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import answer, at_rest
from sigconv.explain._items import as_given
from sigconv.explain._reached import reached, unsquashed

NOISE = 0.01  # standard deviation of the start
SMOOTHINGS = 20  # steps of the dual problem of total variation, each time it is met
FIRMEST = 1e6  # the longest step times the penalty: by then x is what the gradient alone makes it


def fantasy(
    model: nn.Module,
    shape: Any,
    target: Any,
    penalty: float = 0.01,
    *,
    total_variation: float = 0.0,
    jitter: int = 0,
    steps: int = 200,
    lr: float = 1.0,
    seed: int = 0,
    node: str | None = None,
    start: Any = None,
) -> Any:
    """The input that makes the most of J(x) = score - penalty ||x||² - total_variation · TV(x), weights fixed (VZ4).

    shape     (channels, *space) of one input, any number of axes
    target    a class, or several: (targets, channels, *space) is returned, each climbed by itself from the same start;
              None for a model of one output, and of two it is the second less the first
    node      a layer's name: target is a channel of it, its score the mean over the layer's positions
    jitter    each step sees x moved around in a circle by up to so many samples along each axis, as the seed draws
    steps     of which lr is the first one's size; it doubles where J rises, a quarter is tried where J would fall
    start     an input of that shape to begin with, or one per target; without one faint noise, drawn by the seed

    The score is un-normalised: a model that ends in a layer Softmax, LogSoftmax, Sigmoid or LogSigmoid is read before
    it (one that calls the function instead is explained as it answers). TV, the sum of absolute differences between
    neighbours along each axis of space, is met by its proximal step. J, at each step's own shift, never falls, and the
    last x is returned: of the model's dtype, where the model is; for a linear score, exactly weight / (2 penalty). With
    penalty 0 most models have no best input, and steps stay at most lr long. The model is left as it was. ValueError
    for negative weights, a start or a target that does not fit, and an input the model answers with no finite score.

    Source: Simonyan et al. 2013, arXiv:1312.6034; Beck and Teboulle 2009, doi:10.1109/TIP.2009.2028250.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    >>> fantasy(net, (1, 3), None, penalty=0.5).round(decimals=4)
    tensor([[ 1., -2.,  3.]])
    """
    size = nd.ntuple(shape, len(shape), "shape")
    given = {"penalty": penalty, "total_variation": total_variation, "lr": lr}
    for name, value in given.items():
        if not 0 <= value < math.inf or (name == "lr" and value == 0):
            raise ValueError(f"{name} {value} must be finite and {'above' if name == 'lr' else 'at least'} 0")
    steps, jitter, seed = nd.count(steps, "steps"), nd.count(jitter, "jitter", 0), nd.count(seed, "seed", 0)
    several = target is not None and torch.as_tensor(target).ndim > 0
    generator = torch.Generator().manual_seed(seed)

    def score(x: Tensor, shift: list[int]) -> Tensor:
        return _score(model, torch.roll(x, shift, list(range(2, x.ndim))) if shift else x, target, node)

    with torch.inference_mode(False), at_rest(model):
        x = _begun(model, size, len(target) if several else 1, start, generator)
        climb = _Climb(score, penalty, total_variation, lr)
        for _ in range(steps):
            shift = torch.randint(-jitter, jitter + 1, (x.ndim - 2,), generator=generator).tolist()
            x = climb.step(x, shift)
    return as_given(x if several else x[0], start)


def _begun(model: nn.Module, size: tuple[int, ...], targets: int, start: Any, generator: torch.Generator) -> Tensor:
    """What is climbed from, (targets, *size), on the model's device, in its dtype."""
    held = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    if targets == 0:
        raise ValueError("target names no class: expected one at least")
    if start is None:
        first = NOISE * torch.randn(size, generator=generator, dtype=torch.float64)
    else:
        first = nd.as_tensor(start).detach()
        if tuple(first.shape) not in (size, (targets, *size)):
            raise ValueError(f"start has shape {tuple(first.shape)}: expected {size} or {(targets, *size)}")
    return first.to(held).expand(targets, *size).clone()


def _score(model: nn.Module, x: Tensor, target: Any, node: str | None) -> Tensor:
    """What is to be large, a number per item."""
    if node is None:
        return answer(unsquashed(model, x), target)
    out = reached(model, node, x)
    return answer(out.flatten(2).mean(2) if out.ndim > 2 else out, target)


class _Climb:
    """Proximal gradient ascent, every item with a step of its own, taken only where J rises."""

    def __init__(
        self, score: Callable[[Tensor, list[int]], Tensor], penalty: float, variation: float, lr: float
    ) -> None:
        self.score, self.penalty, self.variation = score, penalty, variation
        self.longest = max(lr, FIRMEST / penalty) if penalty else lr
        self.lr: Any = lr

    def step(self, x: Tensor, shift: list[int]) -> Tensor:
        """x one step up, or where it was."""
        with torch.enable_grad():
            there = x.detach().requires_grad_()
            value = self.score(there, shift)
            (slope,) = torch.autograd.grad(value.sum(), there)
        with torch.no_grad():
            before = value.detach() - self._cost(x)
            if not torch.isfinite(before).all():
                raise ValueError("the score of an input is not finite: there is no way up from it")
            longest = min(self.longest, torch.finfo(x.dtype).max / 4)
            lr = torch.as_tensor(self.lr).to(x).expand(len(x)).view(-1, *[1] * (x.ndim - 1))
            new = (x + lr * slope) / (1 + 2 * lr * self.penalty)
            if self.variation:
                new = _smoothed(new, lr * self.variation / (1 + 2 * lr * self.penalty))
            after = self.score(new, shift) - self._cost(new)
            better = (after > before) & torch.isfinite(after)
            self.lr = torch.where(better.view_as(lr), (2 * lr).clamp(max=longest), lr / 4).flatten()
            return torch.where(better.view_as(lr), new, x)

    def _cost(self, x: Tensor) -> Tensor:
        steps = [x.diff(dim=d).abs().flatten(1).sum(1) for d in range(2, x.ndim)] if self.variation else []
        return self.penalty * x.square().flatten(1).sum(1) + self.variation * sum(steps)


def _smoothed(x: Tensor, weight: Tensor) -> Tensor:
    """What is nearest to x with little total variation: about the least of ||y - x||² / 2 + weight · TV(y).

    Its dual, a bounded number between each two neighbours, is climbed by projected gradients.
    """
    axes = range(2, x.ndim)
    pulls = [torch.zeros_like(x.diff(dim=d)) for d in axes]
    for _ in range(SMOOTHINGS):
        y = _pulled(x, pulls)
        moved = [pull + y.diff(dim=d) / (4 * len(axes)) for d, pull in zip(axes, pulls, strict=True)]
        pulls = [torch.maximum(torch.minimum(pull, weight), -weight) for pull in moved]
    return _pulled(x, pulls)


def _pulled(x: Tensor, pulls: list[Tensor]) -> Tensor:
    """x after each two neighbours were drawn together."""
    for d, pull in enumerate(pulls, 2):
        zero = pull.new_zeros([*pull.shape[:d], 1, *pull.shape[d + 1 :]])
        x = x + torch.cat([pull, zero], d) - torch.cat([zero, pull], d)
    return x
