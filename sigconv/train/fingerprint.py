"""What a run was trained on, in 64 digits: so that a resumed run can tell whether its data have changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sigconv.train import seeds
from sigconv.transforms.augment import made

LOOKED_AT = 8  # items of a data set that makes them when asked
DEEPEST = 16  # data sets around one another


def fingerprint(dataset: Any) -> dict[str, Any]:
    """{"items": how many, "sha256": of all of them in memory, else of eight made with fixed generators}.

    Of a data set that makes its items all .y (a tensor) and .names (texts) count too, where it has them, and where one
    within it (its .dataset) has them: two lists of files that differ in others than the eight are two data sets.

    >>> from sigconv.datasets import mnist1d
    >>> fingerprint(mnist1d.load().valid)["items"]
    400
    """
    found = hashlib.sha256(f"{len(dataset)} {[str(name) for name in getattr(dataset, 'classes', ())]}".encode())
    if _in_memory(dataset):
        parts = [dataset.x, dataset.y]
    else:
        places = torch.linspace(0, len(dataset) - 1, LOOKED_AT).long().unique().tolist() if len(dataset) else []
        parts = [part for place in places for part in made(dataset, place, seeds.generator(0, 0, place))]
        parts += _listed(dataset)
    for part in map(torch.as_tensor, parts):
        found.update(f"{part.dtype} {tuple(part.shape)} ".encode())
        found.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return {"items": len(dataset), "sha256": found.hexdigest()}


def _in_memory(dataset: Any) -> bool:
    return isinstance(getattr(dataset, "x", None), Tensor) and isinstance(getattr(dataset, "y", None), Tensor)


def _listed(dataset: Any) -> Iterator[Tensor]:
    """The labels and names of a data set and of those within it, down to one that is in memory."""
    for _ in range(DEEPEST):
        if dataset is None or _in_memory(dataset):
            return
        labels, names = getattr(dataset, "y", None), getattr(dataset, "names", None)
        if isinstance(labels, Tensor):
            yield labels
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            yield torch.frombuffer(bytearray(json.dumps(names).encode()), dtype=torch.uint8)
        dataset = getattr(dataset, "dataset", None)
