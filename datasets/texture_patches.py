"""Texture patches: small cubes of volumes, whose class is the material they are cut from.

phantoms   the IBSI digital phantoms (CC BY 4.0, https://github.com/theibsi/data_sets) that have a texture
tissue     grey matter, white matter and the border between them in the MNI ICBM152 2009a template (free with its
           notice, http://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009)

Cubes do not overlap, and each is a class's own: constant cubes are left out, as they have no texture. Which part a cube
belongs to is said by the slab it lies in along axis 1, front to back: the MNI template mirrors itself from left to
right, so slabs along axis 0 would test what was trained on. A periodic phantom repeats itself: what is equal, voxel for
voxel, to a cube of an earlier part, or of its own part where that is for choosing or testing, is left out. Of a
checkerboard nothing is left to test on then.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sigconv import nd
from sigconv.datasets import _roots
from sigconv.datasets._parts import Arrays, Parts
from sigconv.readers import nifti

SOURCES = ("phantoms", "tissue")
VALID, TEST, TURNS = 3, 4, 5  # of every five slabs the fourth is for choosing, the fifth for testing
PURE, MIXED = 0.7, 0.3  # of a cube's voxels are its tissue's; or are each of both, at least


def load(root: Any = None, *, source: str = "phantoms", size: int = 8, most: int = 400, seed: int = 0) -> Parts:
    """Cubes to train with, to choose by and to test on: x float32 (1, size, size, size), y the class.

    A class has at most so many cubes in a part, chosen by the seed. root is a folder with
    volumes/ibsi2/digital_phantom/*_image.nii* or volumes/mni152/*_{t1,gm,wm}_*.nii*. Raises FileNotFoundError where
    there are none.
    """
    nd.one_of(source, SOURCES, "source")
    size = nd.count(size, "size", 2)
    cubes, slabs, labels, classes = (_phantoms if source == "phantoms" else _tissue)(_folder(root, source), size)
    turns = slabs % TURNS
    numbers = np.random.default_rng(seed)
    parts: list[Arrays] = []
    seen: set[bytes] = set()
    for chosen in (turns < VALID, turns == VALID, turns == TEST):
        if parts:
            chosen = chosen & _unseen(cubes, chosen, seen)
        seen |= {cube.tobytes() for cube in cubes[chosen]}
        kept = []
        for label in range(len(classes)):
            of_class = np.flatnonzero(chosen & (labels == label))
            kept.append(np.sort(numbers.permutation(of_class)[:most]))
        indices = np.concatenate(kept)
        parts.append(Arrays(torch.from_numpy(cubes[indices])[:, None], torch.from_numpy(labels[indices]), classes))
    if not all(len(part) for part in parts):
        raise ValueError(f"size {size} leaves a part without cubes: take smaller ones")
    return Parts(*parts)


def _unseen(cubes: np.ndarray, chosen: np.ndarray, seen: set[bytes]) -> np.ndarray:
    """Which of the chosen cubes are the first of their kind: a periodic phantom repeats itself, slab after slab."""
    met, fresh = set(seen), np.zeros(len(cubes), bool)
    for index in np.flatnonzero(chosen):
        content = cubes[index].tobytes()
        fresh[index] = content not in met
        met.add(content)
    return fresh


def _folder(root: Any, source: str) -> Path:
    place = "volumes/ibsi2" if source == "phantoms" else "volumes/mni152"
    root = root or os.environ.get("SIGCONV_DATA")
    if not root:
        raise FileNotFoundError(
            f"texture patches are cut from {place}: give --data-root, or set SIGCONV_DATA, to its root"
        )
    return _roots.find(place, root, "")


def _phantoms(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """A class for each phantom of which most cubes are not constant."""
    found, classes = [], []
    for path in sorted((folder / "digital_phantom").glob("*_image.nii*")):
        cubes, places = _cut(nifti.read(path).data, size)
        textured = cubes.std((1, 2, 3)) > 0
        if textured.mean() > 0.25:
            found.append((cubes[textured], places[textured, 1]))
            classes.append(path.name.split("_image")[0])
    if len(classes) < 2:
        raise FileNotFoundError(f"fewer than two textured phantoms *_image.nii* under {str(folder)!r}")
    labels = np.concatenate([np.full(len(cubes), label) for label, (cubes, _) in enumerate(found)])
    return np.concatenate([c for c, _ in found]), np.concatenate([s for _, s in found]), labels, tuple(classes)


def _tissue(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """A cube is a tissue's where that is likely in most of its voxels, and the border's where both are in many."""
    volumes = {}
    for kind in ("t1", "gm", "wm"):
        paths = sorted(folder.glob(f"*_{kind}_*.nii*"))
        if not paths:
            raise FileNotFoundError(f"no *_{kind}_*.nii* under {str(folder)!r}")
        volumes[kind] = nifti.read(paths[0]).data
    grey, white = (_cut(volumes[kind], size)[0] / max(float(volumes[kind].max()), 1) for kind in ("gm", "wm"))
    cubes, places = _cut(volumes["t1"], size)
    grey, white = ((p > 0.5).mean((1, 2, 3)) for p in (grey, white))
    labels = np.select([grey >= PURE, white >= PURE, np.minimum(grey, white) >= MIXED], [0, 1, 2], -1)
    kept = labels >= 0
    return cubes[kept], places[kept, 1], labels[kept], ("grey matter", "white matter", "border")


def _cut(volume: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cubes side by side, float32 (n, size, size, size), and where each lies, in cubes (n, 3)."""
    volume = np.asarray(volume, np.float32)
    if volume.ndim != 3 or min(volume.shape) < 2 * size:
        raise ValueError(f"a volume of {volume.shape} has no cubes of {size} voxels")
    start = size // 2  # phantoms are made of blocks: cubes that lie across their edges see them
    counts = [(n - start) // size for n in volume.shape]
    whole = volume[tuple(slice(start, start + c * size) for c in counts)]
    cubes = whole.reshape(counts[0], size, counts[1], size, counts[2], size).transpose(0, 2, 4, 1, 3, 5)
    return np.ascontiguousarray(cubes.reshape(-1, size, size, size)), np.argwhere(np.ones(counts, bool))
