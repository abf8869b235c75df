"""What localize needs to know of boxes: how they overlap, what is asked of a heat map, and which were found.

A box is (start of every axis, stop of every axis), in fractions; its number of axes is half its length.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv.models.localizer import Objects

WIDTH = 1.0  # positions: standard deviation of a target's peak


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (…, 2·ndim), pair by pair: (…,).

    >>> overlap(torch.tensor([0.0, 0.0, 0.5, 0.5]), torch.tensor([0.0, 0.25, 0.5, 0.75]))
    tensor(0.3333)
    """
    ndim = a.shape[-1] // 2
    start, stop = torch.maximum(a[..., :ndim], b[..., :ndim]), torch.minimum(a[..., ndim:], b[..., ndim:])
    both = (stop - start).clamp_min(0).prod(-1)
    sizes = [(box[..., ndim:] - box[..., :ndim]).clamp_min(0).prod(-1) for box in (a, b)]
    return both / (sizes[0] + sizes[1] - both).clamp_min(1e-9)


def asked(y: Tensor, classes: int, positions: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A heat map's targets: (heat, places, fractions, present) of y (batch, objects, 1 + 2·ndim).

    heat (batch, classes, *positions) has a peak of 1 at every centre; places (batch, objects) are the flat indices of
    the centres' cells; fractions (batch, objects, 2·ndim) where in its cell each lies, and its extent; present says
    which objects there are.
    """
    ndim = len(positions)
    label, box = y[..., 0].long(), y[..., 1:]
    present = label >= 0
    counts = torch.tensor(positions, device=y.device)
    centre = (box[..., :ndim] + box[..., ndim:]) / 2 * counts
    cell = torch.minimum(centre.floor().clamp_min(0), counts - 1)
    grid = torch.stack(torch.meshgrid(*(torch.arange(n, device=y.device) for n in positions), indexing="ij"), -1)
    away = (grid.flatten(0, -2) - cell[..., None, :]).square().sum(-1)  # batch, objects, positions
    peak = torch.exp(-away / (2 * WIDTH**2)) * present[..., None]
    heat = (peak[:, :, None] * F.one_hot(label.clamp_min(0), classes)[..., None]).amax(1)
    strides = torch.tensor([counts[i + 1 :].prod() for i in range(ndim)], device=y.device)
    fractions = torch.cat([centre - cell, box[..., ndim:] - box[..., :ndim]], -1)
    return heat.unflatten(-1, positions), (cell.long() * strides).sum(-1), fractions, present


def heat_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Focal loss of the heat, as Objects as Points has it, and the mean error of offsets and extents at the centres."""
    ndim = outputs.ndim - 2
    classes = outputs.shape[1] - 2 * ndim
    heat, places, fractions, present = asked(y, classes, tuple(outputs.shape[2:]))
    scores = outputs[:, :classes].float()
    share = scores.sigmoid()
    hit = heat == 1
    losses = -torch.where(
        hit, (1 - share) ** 2 * F.logsigmoid(scores), (1 - heat) ** 4 * share**2 * F.logsigmoid(-scores)
    )
    found = outputs[:, classes:].flatten(2).gather(2, places[:, None].expand(-1, 2 * ndim, -1)).transpose(1, 2)
    weights = torch.tensor([1.0] * ndim + [10.0] * ndim, device=y.device)  # an extent is a fraction of the whole
    errors = ((found - fractions).abs() * weights).sum(-1) * present
    return (losses.sum() + errors.sum()) / present.sum().clamp_min(1)


def matched(found: list[Objects], y: Tensor, *, by_class: bool = True, least: float = 0.5) -> dict[str, float]:
    """Precision, recall and f1 of what was found: an object counts once, for the most certain box that overlaps it.

    y (batch, objects, 1 + 2·ndim); least is the overlap it takes, by_class whether the class must be right too.
    """
    hits, boxes, there = 0, 0, int((y[..., 0] >= 0).sum())
    for objects, rows in zip(found, y, strict=True):
        free = rows[rows[:, 0] >= 0]
        boxes += len(objects.labels)
        for label, box in zip(objects.labels, objects.boxes, strict=True):
            if not len(free):
                break
            shares = overlap(box, free[:, 1:]) * ((free[:, 0] == label) if by_class else 1.0)
            best = int(shares.argmax())
            if shares[best] >= least:
                hits += 1
                free = torch.cat([free[:best], free[best + 1 :]])
    return {
        "precision": hits / max(boxes, 1),
        "recall": hits / max(there, 1),
        "f1": 2 * hits / max(boxes + there, 1),
    }
