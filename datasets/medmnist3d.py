"""MedMNIST in three dimensions: volumes of organs, lung nodules, adrenal glands, rib fractures, vessels and synapses.

    {root}/volumes/medmnist3d/{name}mnist3d.npz, or _64.npz    as published: 28 or 64 samples along each axis, bytes

Yang et al. 2023, doi:10.1038/s41597-022-01721-8, https://medmnist.com; any file of these names and arrays works. The
split is the published one. Organs of both sides are told apart by their side alone: mirrored they are another class.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sigconv import nd
from sigconv.datasets import _roots
from sigconv.datasets._parts import Bytes, Parts
from sigconv.pooling import adaptive_avg_pool
from sigconv.readers import npz

MANIFEST = "medmnist3d.toml"
PARTS = ("train", "val", "test")
PUBLISHED = (28, 64)
AT_ONCE = 64  # volumes made smaller at a time
MOST_CLASSES = 1000


def names() -> tuple[str, ...]:
    """The published sets.

    >>> names()
    ('adrenal', 'fracture', 'nodule', 'organ', 'synapse', 'vessel')
    """
    return tuple(_roots.facts(MANIFEST)["labels"])


def sided(name: str) -> bool:
    """Whether a volume of this set, mirrored, may be of another class.

    >>> sided("organ"), sided("nodule")
    (True, False)
    """
    return name in _roots.facts(MANIFEST)["sided"]


def load(root: Any = None, *, name: str = "adrenal", size: int = 28, seed: int = 0) -> Parts:
    """The volumes of a set to train with, to choose by and to test on: x float32 (1, size, size, size) in [0, 1], y.

    .x holds the bytes. The file of that size is taken, else the smallest larger one, whose voxels are averaged. root is
    a folder with volumes/medmnist3d/, or that folder, or one with the files; without one $SIGCONV_DATA, the cache and
    the official address are looked at. The split is published: seed is taken as every set's load takes it, and not
    needed. Raises FileNotFoundError where there is no file, ValueError for one that is not such a set.
    """
    nd.count(size, "size", 2)
    path = _file(root, name, size)
    arrays = npz.read(path, [f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")])
    labels = [_labels(arrays[f"{part}_images"], arrays[f"{part}_labels"], f"{str(path)!r} {part}") for part in PARTS]
    classes = _classes(name, max(int(y.max()) for y in labels))
    sets = zip(PARTS, labels, strict=True)
    return Parts(*(_part(arrays[f"{part}_images"], y, size, classes, f"{str(path)!r} {part}") for part, y in sets))


def _labels(x: np.ndarray, y: np.ndarray, name: str) -> np.ndarray:
    """A part's labels as int64 (n,), once they and its volumes are what they are to be."""
    y = y.reshape(len(y), -1) if y.ndim and len(y) else y
    if x.dtype != np.uint8 or x.ndim != 4 or not len(x) or y.shape != (len(x), 1) or y.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: images {x.shape} of {x.dtype} and labels {y.shape} of {y.dtype} are not volumes (n, x, y, z) of "
            "bytes and n whole numbers, n at least 1"
        )
    strange = y.min() if y.min() < 0 else y.max()
    if not 0 <= strange < MOST_CLASSES:
        raise ValueError(f"{name}: label {strange} is no class: expected 0 to {MOST_CLASSES - 1}")
    return y[:, 0].astype(np.int64)


def _part(x: np.ndarray, y: np.ndarray, size: int, classes: tuple[str, ...], name: str) -> Bytes:
    volumes = torch.from_numpy(x)[:, None]
    if any(n < size for n in x.shape[1:]):
        raise ValueError(f"{name}: volumes of {x.shape[1:]} are smaller than size {size}")
    if x.shape[1:] != (size,) * 3:
        parts = [adaptive_avg_pool(part.float(), size).round().to(torch.uint8) for part in volumes.split(AT_ONCE)]
        volumes = torch.cat(parts)
    return Bytes(volumes, torch.from_numpy(y), classes)


def _classes(name: str, largest: int) -> tuple[str, ...]:
    """What the labels are called; their numbers, in a set that is not one of the published."""
    known = _roots.facts(MANIFEST)["labels"].get(name, ())
    return tuple(known) if largest < len(known) else tuple(str(n) for n in range(largest + 1))


def _file(root: Any, name: str, size: int) -> Path:
    """The file of that size, or the smallest larger one, where it lies; else the official one, fetched."""
    around = os.environ.get("SIGCONV_DATA") if root is None else root
    wanted = [f"{name}mnist3d{'' if n == 28 else f'_{n}'}.npz" for n in PUBLISHED if n >= size]
    if not wanted:
        raise ValueError(f"size {size} is more than the {PUBLISHED[-1]} samples that are published")
    if around is not None:
        places = [Path(around) / "volumes" / "medmnist3d", Path(around) / "medmnist3d", Path(around)]
        for file in wanted:
            for place in places:
                if (place / file).is_file():
                    return place / file
    if root is not None:
        raise FileNotFoundError(f"no {' and no '.join(wanted)} under {str(root)!r}, nor in volumes/medmnist3d/ of it")
    facts = _roots.facts(MANIFEST)
    if name not in facts["labels"]:
        raise ValueError(f"set {name!r} is not one of {', '.join(facts['labels'])}, and not at hand")
    one = {"url": facts["url"] + wanted[0] + "?download=1", "md5": facts["md5"][wanted[0]], "file": wanted[0]}
    return _roots.fetch("medmnist3d", MANIFEST, around, one)
