"""Stimuli, and what filters and layers answer to them: tuning curves, the best stimulus."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_rest
from sigconv.explain._given import items_at_once, signals
from sigconv.explain._items import as_given
from sigconv.explain._reached import reached
from sigconv.filters import FilterBank
from sigconv.filters.gabor import directions as spread


def gratings(size: Any, frequency: float, directions: Any, phases: Any = (0.0,)) -> Tensor:
    """Waves cos(2π frequency u·x + phase) along directions u, x from the middle: (directions·phases, 1, *size) (RF7).

    size       samples, one number per axis, or one for all if directions are vectors
    frequency  cycles per sample
    directions vectors (n, ndim) of any length, or how many gabor.directions spreads
    phases     radians; each direction's follow one another

    Of torch's default dtype, made in float64. ValueError for directions of length 0, and a frequency above 0.5.

    >>> gratings((1, 4), 0.25, [[0, 1]], phases=(0, math.pi / 2)).shape
    torch.Size([2, 1, 1, 4])
    """
    units, x = _laid(size, directions)
    frequency = float(frequency)
    if not 0 <= frequency <= 0.5:
        raise ValueError(f"frequency {frequency:g} cycles per sample is not in 0 to 0.5: a grid cannot hold it")
    shifts = torch.as_tensor(phases, dtype=torch.float64).reshape(-1)
    along = torch.tensordot(units, x, 1)[:, None]
    waves = torch.cos(2 * math.pi * frequency * along + shifts.view(-1, *[1] * (x.ndim - 1)))
    return waves.flatten(0, 1)[:, None].to(torch.get_default_dtype())


def bars(size: Any, width: float, directions: Any) -> Tensor:
    """Lines through the middle, along directions, of Gaussian profile: (directions, 1, *size), 1 at their best (RF7).

    width is the profile's standard deviation in samples; size and directions are as in gratings.

    >>> bars((1, 3), 1.0, [[0, 1]])
    tensor([[[[1., 1., 1.]]]])
    """
    units, x = _laid(size, directions)
    if not 0 < width < math.inf:
        raise ValueError(f"width {width} must be above 0, in samples")
    off = (x.square().sum(0) - torch.tensordot(units, x, 1).square()).clamp_min(0)
    return torch.exp(-off / (2 * width**2))[:, None].to(torch.get_default_dtype())


def _laid(size: Any, directions: Any) -> tuple[Tensor, Tensor]:
    """Directions of length 1 (n, ndim), and each sample's place (ndim, *size), float64."""
    if np.ndim(directions) == 0 and np.ndim(size) == 0:
        raise ValueError(f"size {size} is one number: give one per axis, or directions as vectors")
    given = nd.count(directions, "directions") if np.ndim(directions) == 0 else directions
    vectors = spread(given, len(size)) if isinstance(given, int) else torch.as_tensor(given, dtype=torch.float64)
    if vectors.ndim != 2 or not vectors.any(1).all() or not torch.isfinite(vectors).all():
        raise ValueError(f"directions of shape {tuple(vectors.shape)} are not (n, ndim) vectors other than 0")
    space = nd.ntuple(size, vectors.shape[1], "size")
    places = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in space]
    return vectors / vectors.norm(dim=1, keepdim=True), torch.stack(torch.meshgrid(*places, indexing="ij"))


@torch.no_grad()
def tuning_curve(
    bank_or_model: nn.Module, stimuli: Any, node: str | None = None, target: int | None = None, batch_size: int = 128
) -> Any:
    """What each stimulus is answered: (stimuli, channels), or (stimuli,) of one target (RF5, RF7, RF8).

    stimuli (stimuli, channels, *space), floating. A FilterBank answers in the middle of the stimulus: its magnitude
    where its filters are complex (a complex cell), the response itself where they are real (a simple one). Of a model
    it is the layer named node, or the model itself: at the middle position, (n - 1) // 2 along each axis, if it has
    axes of space. target is one channel. An array of NumPy if stimuli are one. The model is left as it was.

    >>> from sigconv.filters import gabor
    >>> curve = tuning_curve(gabor.bank([[0.2, 0.0], [0.0, 0.2]], 2.0), gratings((21, 21), 0.2, 4))
    >>> curve.shape, curve.argmax(0)
    (torch.Size([4, 2]), tensor([0, 2]))
    """
    given = signals(nd.as_tensor(stimuli))
    batch_size, found = nd.count(batch_size, "batch_size"), []
    if not len(given):
        raise ValueError("there are no stimuli to answer")
    with at_rest(bank_or_model):
        for x in given.split(items_at_once(batch_size, given)):
            found.append(_middle(_answers(bank_or_model, x, node)))
    curve = torch.cat(found)
    if target is not None:
        if nd.count(target, "target", 0) >= curve.shape[1]:
            raise ValueError(f"target {target} is not one of the channels, 0 to {curve.shape[1] - 1}")
        curve = curve[:, target]
    return as_given(curve, stimuli)


def best_stimulus(
    bank_or_model: nn.Module, stimuli: Any, node: str | None = None, target: int | None = None, batch_size: int = 128
) -> Any:
    """Which stimulus is answered most strongly: an index per channel, (channels,), or one of one target (RF5).

    Of equal answers the first; options are tuning_curve's. Among stimuli of one norm a linear filter's is the one like
    its own weights, its matched filter.

    >>> from sigconv.filters import gaussian
    >>> best_stimulus(gaussian.bar(4, 1.5, 2), bars((25, 25), 2.0, 4))
    tensor([0, 1, 2, 3])
    """
    curve = tuning_curve(bank_or_model, stimuli, node, target, batch_size)
    heights = nd.as_tensor(curve).double().cpu()
    if heights.isnan().any():
        raise ValueError(f"{int(heights.isnan().sum())} answers to the stimuli are NaN: none is the best")
    best = np.asarray(np.argmax(heights.numpy(), 0))
    return best if isinstance(stimuli, np.ndarray) else torch.as_tensor(best).to(curve.device)


def _answers(model: nn.Module, x: Tensor, node: str | None) -> Tensor:
    if isinstance(model, FilterBank) and node is None:
        out: Tensor = model(x.to(model.device), output="magnitude" if model.complex else "auto")
        return out
    out = reached(model, node or "", x)
    return out[:, None] if out.ndim == 1 else out


def _middle(out: Tensor) -> Tensor:
    """(batch, channels) of answers that may have axes of space."""
    middle: tuple[Any, ...] = tuple((n - 1) // 2 for n in out.shape[2:])
    return out[(slice(None), slice(None), *middle)].clone()
