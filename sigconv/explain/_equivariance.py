"""How nearly a network's answers move with their input, and how nearly they stay: shifts, turns, scalings, contrast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import asked, at_rest
from sigconv.explain._nodes import bare, watched
from sigconv.explain._transforms import Setting, Transform, of
from sigconv.summary import ReceptiveField, receptive_field


class Equivariance(NamedTuple):
    """How far f(t(x)) is from t(f(x)) and from f(x), in parts of f(x): 0 is equivariant, or invariant, exactly.

    compared is the number of positions of the answer that were compared, 1 where it has no axes of space.
    """

    equivariance: float
    invariance: float
    compared: int


def equivariance(
    model: nn.Module,
    x: Any,
    transform: str | Callable[[Tensor], Tensor] = "shift",
    amount: Any = None,
    *,
    node: str | None = None,
    axes: Sequence[int] | None = None,
    answers: Callable[[Tensor], Tensor] | None = None,
    margin: int | None = None,
) -> Equivariance:
    """How far a model f is from f(t(x)) = t(f(x)), equivariance, and from f(t(x)) = f(x), invariance (PL14).

    x (batch, channels, *space), floating; f what the model answers, or the layer of it named node. t by its name:

    "shift"      by amount samples, one number or one per axis, what leaves an end entering at the other. Answers are
                 shifted by amount / jump positions; between two whole shifts they are interpolated linearly
    "rotation"   by amount degrees in the plane of two axes: quarter turns exactly, others by linear interpolation
    "scale"      by the factor amount about the middle, by linear interpolation
    "contrast"   amount (a, b): a x + b, and a f(x) + b; a number alone is a

    or any function of a batch. axes are those of space that are moved, counted from 0: all, and the last two for a
    rotation. answers is t for f(x), where that is another function. An answer without axes of space cannot move: it is
    equivariant if it is invariant; contrast alone changes it too. Compared are positions whose receptive field sees no
    end of a moved axis, neither before nor after, if there are any, else all of them; margin says instead how many at
    each end of every moved axis are left out. Quarter turns and contrast compare everything.

    Returns norms of differences over the norm of f(x), each over the positions compared; invariance is NaN where t
    changes the shape. ValueError for an unknown transform or layer, x without space, a margin that leaves nothing.
    Source: science.md PL14, CV6 ("shift in input = shift in feature map").

    >>> pool = nn.MaxPool1d(2)
    >>> x = torch.tensor([[[0.0, 3.0, 1.0, 0.0, 5.0, 2.0, 0.0, 0.0]]])
    >>> equivariance(pool, x, "shift", 2).equivariance, equivariance(pool, x, "shift", 1).equivariance > 0
    (0.0, True)
    """
    given = nd.as_tensor(x)
    if not given.is_floating_point() or given.ndim < 3 or not given.numel():
        raise ValueError(f"x is {given.dtype} {tuple(given.shape)}: expected floating (batch, channels, *space)")
    with at_rest(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        before = _answer(model, given, node)
        setting = _setting(model, given, before, node)
        if callable(transform):
            everywhere = lambda: torch.ones(setting.positions, dtype=torch.bool)
            t = Transform(transform, answers or transform, everywhere)
        else:
            t = of(transform, amount, setting, axes)
        after = _answer(model, t.inputs(given), node)
    still = not setting.positions and transform != "contrast" and answers is None
    meant = before if still else (answers or t.answers)(before)
    where = torch.ones((), dtype=torch.bool) if not setting.positions else _compared(t, setting, margin)
    if after.shape != meant.shape:
        raise ValueError(f"f(t(x)) is {tuple(after.shape)} and t(f(x)) {tuple(meant.shape)}: give answers=, t for f(x)")
    moved, stayed = _norm(after - meant, where), torch.nan
    scale = _norm(before, where) if before.shape == after.shape else _norm(meant, where)
    if before.shape == after.shape:
        stayed = _part(_norm(after - before, where), scale)
    return Equivariance(_part(moved, scale), stayed, int(where.sum()))


def _answer(model: nn.Module, x: Tensor, node: str | None) -> Tensor:
    """What a layer answers, in float64 on the CPU."""
    with watched(model, node or "") as seen:
        asked(model, x)
    if not seen:
        raise ValueError(f"node {node!r} answers with no tensor when the model does: name another layer")
    return seen[0].detach().double().cpu()


def _setting(model: nn.Module, x: Tensor, y: Tensor, node: str | None) -> Setting:
    """What is known of where the answer's positions look; an answer of other axes than x's has none of space."""
    field: ReceptiveField | None = None
    spatial = y.ndim == x.ndim
    if spatial:
        try:
            field = receptive_field(model, node=bare(model, node or ""), input_shape=tuple(x.shape))
        except (ValueError, TypeError):
            field = None
    space = tuple(x.shape[2:])
    return Setting(space, tuple(y.shape[2:]) if spatial else (), field, tuple(range(len(space))))


def _compared(t: Transform, setting: Setting, margin: int | None) -> Tensor:
    """Positions that are compared."""
    found = t.compared()
    if margin is not None:
        wide = nd.count(margin, "margin", least=0)
        found = torch.ones_like(found)
        for axis in range(found.ndim) if t.axes is None else t.axes:
            places = torch.arange(found.shape[axis])
            inner = (places >= wide) & (places < found.shape[axis] - wide)
            found &= inner.reshape([-1 if a == axis else 1 for a in range(found.ndim)])
        if not found.any():
            raise ValueError(f"margin {margin} leaves nothing of {setting.positions} positions: take a smaller one")
    return found if found.any() else torch.ones_like(found)


def _norm(values: Tensor, where: Tensor) -> float:
    return float((values[..., where] if where.ndim else values).square().sum().sqrt())


def _part(far: float, whole: float) -> float:
    return far / whole if whole else 0.0 if not far else float("inf")
