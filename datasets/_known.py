"""What is known of scans with label maps before any is used: each looked at, held against the others and the tested."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sigconv.datasets import _pairs
from sigconv.datasets._pairs import Case
from sigconv.readers import bids, nifti

ALIKE = 0.02  # how much spacings may differ and count as one
FAR = 20.0  # times the usual spacing, from where on a header is wrong about it
MOST = 1 << 29  # samples of an item that scans are resampled to: 2 GB

Lost = list[tuple[str, str]]  # (name, why)


class Known(NamedTuple):
    """What is known of a case: voxels and mm between them along x, y, z; the labels it shows; channels."""

    case: Case
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    labels: tuple[int, ...]
    channels: int


def checked(
    cases: Sequence[Case], read: bool, values: Sequence[int] = (), channels: int = 0
) -> tuple[list[Known], Lost]:
    """What can be used, and (name, why) of what cannot: files that are broken, or whose values tell nothing.

    All have as many channels as said, or as the first has, and no labels but these, where any are given. read says
    whether voxels of scans are looked at.
    """
    known: list[Known] = []
    lost = []
    for case in cases:
        try:
            one = _looked_at(case)
            unknown = set(one.labels) - set(values or one.labels)
            if unknown:
                expected = ", ".join(map(str, values))
                raise ValueError(f"{str(case.label)!r} has a label {min(unknown)}: expected {expected}")
            if one.channels != (channels or one.channels):
                raise ValueError(
                    f"{str(case.image)!r} has {one.channels} channels, others {channels}: expected as many"
                )
            if read:
                _varied(case.image)
        except (OSError, ValueError) as error:
            lost.append((case.name, str(error)))
        else:
            channels = one.channels
            known.append(one)
    return known, lost


def _looked_at(case: Case) -> Known:
    image, _ = _pairs.headers(case)
    labels = () if case.label is None else tuple(np.flatnonzero(np.bincount(_pairs.labels_of(case.label).ravel())))
    (a, b, c), (x, y, z) = in_ras(image.affine, image.shape), in_ras(image.affine)
    shape = (int(a), int(b), int(c))
    return Known(case, shape, (x, y, z), tuple(map(int, labels)), 1 if len(image.shape) == 3 else image.shape[3])


def _varied(path: Path) -> None:
    """ValueError unless a scan can be read to its end and has two values that are numbers."""
    low, high = math.inf, -math.inf
    for block in nifti.slices(path):
        if not low < high:
            numbers = block[np.isfinite(block)]
            if numbers.size:
                low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
    if low > high:
        raise ValueError(f"{str(path)!r} has no voxel that is a number")
    if low == high:
        raise ValueError(f"{str(path)!r} holds {low:g} everywhere: there is nothing to see")


def sized(known: Sequence[Known], spacing: Sequence[float], others: Sequence[float]) -> tuple[list[Known], Lost]:
    """What can be had at a spacing, and (name, why) of what cannot: too far from the others', or too large."""
    kept, lost = [], []
    for one in known:
        size, path = resampled(one.shape, one.spacing, spacing), str(one.case.image)
        if why := strange(one.case.image, one.spacing, others):
            lost.append((one.case.name, why))
        elif size != one.shape and one.channels * math.prod(size) > MOST:
            told = f"{' x '.join(map(str, size))} voxels at a spacing of {_mm(spacing)}"
            lost.append((one.case.name, f"{path!r} has {told}: expected {MOST} at most, by a larger --spacing"))
        else:
            kept.append(one)
    return kept, lost


def usual(spacings: Sequence[Sequence[float]]) -> list[float]:
    """The median of spacings along each axis; 1 mm where there are none.

    >>> usual([(1, 1, 3), (1, 2, 3), (1, 2, 9)])
    [1.0, 2.0, 3.0]
    """
    return [float(step) for step in np.median(spacings, axis=0)] if spacings else [1.0, 1.0, 1.0]


def strange(path: Path, spacing: Sequence[float], others: Sequence[float]) -> str:
    """Why a scan's spacing cannot be, beside that of others; nothing, where it can.

    >>> strange(Path("a.nii"), (1000, 1000, 1000), (1, 1, 1))
    "'a.nii' has voxels of 1e+03 x 1e+03 x 1e+03 mm, others of 1 x 1 x 1 mm: expected no more than 20 times apart"
    """
    if max(max(a / b, b / a) for a, b in zip(spacing, others, strict=True)) <= FAR:
        return ""
    told = f"voxels of {_mm(spacing)}, others of {_mm(others)}"
    return f"{str(path)!r} has {told}: expected no more than {FAR:g} times apart"


def _mm(steps: Sequence[float]) -> str:
    return f"{' x '.join(f'{step:.3g}' for step in steps)} mm"


def apart(cases: Sequence[Case], tested: Sequence[Case]) -> tuple[list[Case], Lost]:
    """Cases that are none of the tested ones, and (name, why) of the others: the same bytes, or one subject of BIDS."""
    lengths = {_length(case.image) for case in cases} & {_length(case.image) for case in tested} - {-1}
    seen = {mark: case for case in tested for mark in _marks(case, lengths)}
    kept, lost = [], []
    for case in cases:
        mark = next((mark for mark in _marks(case, lengths) if mark in seen), None)
        if mark is None:
            kept.append(case)
        else:
            lost.append((case.name, f"{str(case.image)!r} is {mark[0]} {str(seen[mark].image)!r}, which is tested on"))
    return kept, lost


def _marks(case: Case, lengths: set[int]) -> Iterator[tuple[str, str]]:
    """What a scan may have in common with another: how that is said, and what it is."""
    if _length(case.image) in lengths:
        with _voxels_at(case.image).open("rb") as file:
            yield "the same scan as", hashlib.file_digest(file, "sha256").hexdigest()
    if name := subject(case.name):
        yield "of one subject with", name


def _length(path: Path) -> int:
    """Bytes of the file with a scan's voxels; -1 where there is none that could be read."""
    file = _voxels_at(path)
    return file.stat().st_size if file.is_file() else -1


def _voxels_at(path: Path) -> Path:
    """The file that has the voxels: of a pair the second, for scans of one size have one header."""
    stem, ending = next((path.name[: -len(end)], end) for end in (".hdr.gz", ".hdr", "") if path.name.endswith(end))
    halves = [path.with_name(stem + half) for half in (".img", ".img.gz")] if ending else []
    return next((half for half in halves if half.is_file()), path)


def subject(name: str) -> str | None:
    """The subject that a case's name tells by BIDS.

    >>> subject("sub-01_T1w"), subject("hippocampus_001")
    ('01', None)
    """
    found = bids.parse(f"{name}.nii")
    return found.entities["sub"] if found else None


def in_ras(affine: np.ndarray, along: Sequence[int] | None = None) -> list[float]:
    """Spacings, or other numbers along a file's axes, along x, y and z of the world."""
    letters, steps = nifti.orientation(affine), nifti.spacing(affine) if along is None else along
    return [float(steps[next(a for a in range(3) if letters[a] in pair)]) for pair in ("LR", "PA", "IS")]


def alike(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> bool:
    """Whether spacings are one."""
    return bool(np.allclose(one, other, rtol=ALIKE, atol=0))


def resampled(shape: Sequence[int], steps: Sequence[float], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Voxels along each axis of a scan of these, once they are so far apart.

    >>> resampled((10, 10, 10), (1, 1, 3), (1, 1, 1)), resampled((10, 10, 10), (1, 1, 1.01), (1, 1, 1))
    ((10, 10, 30), (10, 10, 10))
    """
    ratio = np.ones(3) if alike(steps, spacing) else np.divide(steps, spacing)
    x, y, z = (max(1, math.floor(min(n * float(r) + 0.5, 2.0**62))) for n, r in zip(shape, ratio, strict=True))
    return x, y, z
