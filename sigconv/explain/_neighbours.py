"""What a layer makes of inputs, as vectors, and which of those vectors lie nearest to others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_rest
from sigconv.explain._given import items_at_once
from sigconv.explain._items import as_given, in_batches
from sigconv.explain._reached import reached

BLOCK = 1 << 22  # numbers held at a time: 32 MiB of float64
METRICS = ("euclidean", "cosine")


@torch.no_grad()
def features(model: nn.Module, x: Any, node: str, batch_size: int = 128) -> Any:
    """What a layer answers to each item, one row each: (items, n), of the layer's dtype (EX17).

    x is a tensor or array of inputs, a data set with len and item(index, generator) -> (x, y), or anything that gives
    x, or (x, y), one after the other. node is a layer's name; of several calls the first counts, and nothing behind it
    is computed. An array of NumPy, on the CPU, if x is one. ValueError for an unknown layer, no items, or items whose
    answers are not of one length.

    >>> features(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), torch.zeros(5, 1, 2, 3), "0").shape
    torch.Size([5, 6])
    """
    batch_size, rows = nd.count(batch_size, "batch_size"), []
    with at_rest(model):
        for given in in_batches(x, batch_size):
            for part in given.split(items_at_once(batch_size, given)) if len(given) else ():
                out = reached(model, node, part)
                if len(out) != len(part):
                    raise ValueError(f"node {node!r} answers {tuple(out.shape)} to {len(part)} items: not a row each")
                out = out.reshape(len(part), -1).clone()
                rows.append(out.cpu() if isinstance(x, np.ndarray) else out)
    widths = sorted({row.shape[1] for row in rows})
    if len(widths) != 1:
        raise ValueError(f"x holds no items: {node!r} answers nothing" if not widths else _unequal(node, widths))
    return as_given(torch.cat(rows), x)


def _unequal(node: str, widths: list[int]) -> str:
    return f"node {node!r} answers with {widths[0]} numbers to one item and {widths[-1]} to another: give one size"


@torch.no_grad()
def neighbours(features: Any, queries: Any, k: int = 5, metric: str = "euclidean") -> tuple[Any, Any]:
    """The k features nearest to each query, nearest first: distances (queries, k), indices (queries, k) (EX17).

    features (items, n) and queries (queries, n) are tensors or arrays of real numbers. metric "euclidean", or "cosine":
    1 less the cosine, and 1 from a vector of zeros. Exact: distances are computed in float64 from the differences
    themselves, and told in the features' dtype (float64 of integers); of equal ones the lower index comes first. Memory
    is bounded, however many there are. Arrays of NumPy if features are one. ValueError for k above the number of
    features, widths that differ, and values that are not finite.

    >>> neighbours(torch.tensor([[0.0], [3.0], [3.0]]), torch.tensor([[2.0]]), k=2)
    (tensor([[1., 1.]]), tensor([[1, 2]]))
    """
    nd.one_of(metric, METRICS, "metric")
    known = _rows(features, "features")
    sought = _rows(queries, "queries").to(known.device)
    k = nd.count(k, "k")
    if k > len(known):
        raise ValueError(f"k {k} is more than there are features, {len(known)}")
    if known.shape[1] != sought.shape[1]:
        raise ValueError(f"queries have {sought.shape[1]} columns and features {known.shape[1]}: give both alike")
    distances = sought.new_empty((len(sought), 0), dtype=torch.float64)
    indices = sought.new_empty((len(sought), 0), dtype=torch.int64)
    step = max(BLOCK // max(known.shape[1], 1), 1)
    for first in range(0, len(known), step):
        near, which = _nearest(known[first : first + step], sought, k, metric)
        distances, indices = torch.cat([distances, near], 1), torch.cat([indices, which + first], 1)
        distances, order = distances.sort(dim=1, stable=True)  # those of lower index stand first already
        distances, indices = distances[:, :k], indices.gather(1, order)[:, :k]
    told = known.dtype if known.is_floating_point() else torch.float64
    return as_given(distances.to(told), features), as_given(indices, features)


def _rows(values: Any, name: str) -> Tensor:
    x = nd.as_tensor(values)
    if x.ndim != 2 or x.is_complex():
        raise ValueError(f"{name} are {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}: expected real (items, n)")
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise ValueError(f"{name} hold values that are not finite: nothing lies near them")
    return x


def _nearest(known: Tensor, sought: Tensor, k: int, metric: str) -> tuple[Tensor, Tensor]:
    """The k nearest of a block of features, or all of it, as distances and places."""
    known, k = _prepared(known, metric), min(k, len(known))
    sizes = known.square().sum(1) if metric == "euclidean" else known.new_ones(len(known))
    slack = 16 * (known.shape[1] + 2) * torch.finfo(torch.float64).eps  # what products may err by, and twice that
    near, which = [], []
    for part in sought.split(max(BLOCK // max(known.shape), 1)):
        asked = _prepared(part, metric)
        rough = torch.addmm(sizes, asked, known.T, alpha=-2)  # the squared distance, less the query's own size
        most = rough.kthvalue(k, 1).values + slack * (asked.square().sum(1) + sizes.max())
        for query, row, limit in zip(asked, rough, most, strict=True):
            places = (~(row > limit)).nonzero()[:, 0]  # where squares overflow all are looked at
            found, order = _distance(known[places], query, metric).sort(stable=True)
            near.append(found[:k])
            which.append(places[order[:k]])
    if not near:
        return sought.new_empty((0, k), dtype=torch.float64), sought.new_empty((0, k), dtype=torch.int64)
    return torch.stack(near), torch.stack(which)


def _prepared(x: Tensor, metric: str) -> Tensor:
    """In float64; of length 1, if only directions count."""
    x = x.double()
    if metric == "cosine":
        x = x / x.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)  # no square may vanish
        x = x / x.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    return x


def _distance(known: Tensor, query: Tensor, metric: str) -> Tensor:
    if metric == "euclidean":
        return (known - query).norm(dim=1)
    away = (known - query).square().sum(1) / 2  # 1 less the cosine, without its cancellation
    return torch.where(known.any(1) & query.any(), away, 1.0)
