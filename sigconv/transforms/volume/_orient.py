"""The axes of a volume put in order: which way they run, turned by flips and permutations alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.transforms.volume._space import opened

LETTERS = ("LR", "PA", "IS")  # the ends of the world's three axes: lower mm, higher mm


def reorient(x: Any, affine: Any = None, codes: str = "RAS", *, axes: Sequence[int] | None = None) -> Any:
    """Flip and permute the three axes of space so that they run towards these ends; the affine follows, exactly.

    x, affine, axes  as resample takes them; the affine is (4, 4)
    codes            three letters, one of L R, one of P A, one of I S: where the axes' indices grow

    An oblique axis counts as the world axis it runs along most, as nibabel.orientations has it. Returns what x is: a
    Volume, or (x, affine). ValueError for letters that name no three axes.

    >>> y, place = reorient(np.array([1, 2, 3]).reshape(3, 1, 1), np.diag([-2.0, 2.0, 2.0, 1.0]), "RAS")
    >>> y.ravel(), place[0].tolist()
    (array([3, 2, 1]), [2.0, 0.0, 0.0, -4.0])
    """
    wanted = _ends(codes)
    here = opened(x, affine, axes)
    if here.ndim != 3:
        raise ValueError(f"affine {here.affine.shape} has no letters to its axes: expected (4, 4)")
    now = _directions(here.affine)
    source = [next(axis for axis, (world, _) in enumerate(now) if world == w) for w, _ in wanted]
    flipped = [now[axis][1] != sign for axis, (_, sign) in zip(source, wanted, strict=True)]
    lead = here.x.ndim - 3
    y = here.x.permute(*range(lead), *[lead + axis for axis in source])
    y = y.flip([lead + place for place, turned in enumerate(flipped) if turned])
    back = np.zeros((4, 4))  # indices of the answer to those of x
    back[3, 3] = 1
    for place, (axis, turned) in enumerate(zip(source, flipped, strict=True)):
        back[axis, place] = -1 if turned else 1
        back[axis, 3] = here.space[axis] - 1 if turned else 0
    return here.close(y, here.affine @ back)


def _ends(codes: str) -> list[tuple[int, int]]:
    """The world axis and the sense of each letter."""
    found = [(axis, 1 if end else -1) for c in codes for axis, pair in enumerate(LETTERS) if (end := pair.find(c)) >= 0]
    if len(codes) != 3 or sorted(axis for axis, _ in found) != [0, 1, 2]:
        raise ValueError(f"codes {codes!r} are not three letters, one of L R, one of P A, one of I S")
    return found


def _directions(affine: np.ndarray) -> list[tuple[int, int]]:
    """For each axis the world axis it runs along most, each taken once, and its sense: the strongest choose first.

    By the nearest matrix without shear, so that a sheared grid's axes do not quarrel.
    """
    columns = affine[:3, :3] / np.sqrt(np.square(affine[:3, :3]).sum(0))
    left, _, right = np.linalg.svd(columns)
    straight = left @ right
    found = [(0, 1)] * 3
    for axis in np.argsort(np.min(-(straight**2), axis=0), kind="stable"):
        world = int(np.argmax(np.abs(straight[:, axis])))
        found[axis] = (world, 1 if straight[world, axis] > 0 else -1)
        straight[world] = 0
    return found
