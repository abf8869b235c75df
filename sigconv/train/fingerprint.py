"""What a run was trained on, in 64 digits: so that a resumed run can tell whether its data have changed."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from sigconv.train import seeds
from sigconv.transforms.augment import made

LOOKED_AT = 8  # items of a data set that makes them when asked


def fingerprint(dataset: Any) -> dict[str, Any]:
    """{"items": how many, "sha256": of all of them in memory, else of eight made with fixed generators}.

    >>> from sigconv.datasets import mnist1d
    >>> fingerprint(mnist1d.load().valid)["items"]
    400
    """
    found = hashlib.sha256(f"{len(dataset)} {[str(name) for name in getattr(dataset, 'classes', ())]}".encode())
    if isinstance(getattr(dataset, "x", None), Tensor) and isinstance(getattr(dataset, "y", None), Tensor):
        parts = [dataset.x, dataset.y]
    else:
        places = torch.linspace(0, len(dataset) - 1, LOOKED_AT).long().unique().tolist() if len(dataset) else []
        parts = [part for place in places for part in made(dataset, place, seeds.generator(0, 0, place))]
    for part in map(torch.as_tensor, parts):
        found.update(f"{part.dtype} {tuple(part.shape)} ".encode())
        found.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return {"items": len(dataset), "sha256": found.hexdigest()}
