"""Segmentation: which voxel is of what? Scans with label maps of any study, each in a folder, one name for both.

    {root}/volumes/{name}/images/{case}.nii.gz, labels/{case}.nii.gz       or root itself, or root/{name}
    …/imagesTr, labelsTr, dataset.json                                     as the Medical Segmentation Decathlon has it

Cases are of any size, order of axes and spacing: an item is turned to RAS, resampled where the spacings of the cases
differ, and of mean 0 and deviation 1; restored takes an answer back to the file's own grid. A third of the cases,
drawn by the seed whatever their names are, is held back to test on, a tenth of the rest to choose by; scans of one
subject, where names say so (BIDS), stay together. Simpson et al. 2019, arXiv:1902.09063; http://medicaldecathlon.com.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.datasets import _pairs
from sigconv.datasets._pairs import Case
from sigconv.datasets._parts import Parts
from sigconv.readers import bids, nifti
from sigconv.transforms import volume

UNKNOWN = 255  # y of a scan without a label map
HELD = 4 << 30  # bytes of items that are kept in memory
ALIKE = 0.02  # how much spacings may differ and count as one


class Cases:
    """Scans x float32 (channels, x, y, z) and label maps y uint8 (x, y, z), each of a size of its own, in RAS.

    names     of the cases; cases the files; bad what was left out, each (name, why)
    classes   what the labels 0, 1, … mean
    spacing   mm along x, y, z that all items have; fs is 1 / spacing, for whatever is given in mm
    channels  of every scan

    Without a label map y is UNKNOWN everywhere. Items are kept in memory where all of them take no more than 4 GB.
    """

    def __init__(
        self, cases: Sequence[Case], classes: Sequence[str], spacing: Sequence[float], bad: Any = (), channels: int = 1
    ) -> None:
        self.cases, self.classes, self.bad, self.channels = list(cases), tuple(classes), list(bad), channels
        self.names = [case.name for case in self.cases]
        self.spacing = tuple(float(step) for step in spacing)
        sizes = [math.prod(nifti.header(case.image).shape) for case in self.cases]
        self.memory: dict[int, tuple[Tensor, Tensor]] | None = {} if 5 * sum(sizes) <= HELD else None

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def fs(self) -> tuple[float, ...]:
        """Samples per mm along each axis of space."""
        return tuple(1 / step for step in self.spacing)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Samples of each item along x, y, z, as its file's header has it."""
        found = []
        for case in self.cases:
            header = nifti.header(case.image)
            sizes, steps = _in_ras(header.affine, header.shape), _in_ras(header.affine)
            ratio = np.ones(3) if _alike(steps, self.spacing) else np.divide(steps, self.spacing)
            x, y, z = (max(1, math.floor(n * r + 0.5)) for n, r in zip(sizes, ratio, strict=True))
            found.append((x, y, z))
        return found

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One scan and its label map."""
        if self.memory is not None and index in self.memory:
            return self.memory[index]
        x, place = self._placed(nifti.read(self.cases[index].image), self.cases[index])
        pair = _levelled(x), self._map(index, tuple(x.shape[1:]), place)
        if self.memory is not None:
            self.memory[index] = pair
        return pair

    def subset(self, indices: Tensor) -> Cases:
        """Some of the cases."""
        chosen = [self.cases[index] for index in indices.tolist()]
        return Cases(chosen, self.classes, self.spacing, self.bad, self.channels)

    def image(self, index: int) -> nifti.Volume:
        """The scan as its file has it."""
        return nifti.read(self.cases[index].image)

    def truth(self, index: int) -> np.ndarray | None:
        """The label map as its file has it, uint8 (x, y, z); None where there is none."""
        label = self.cases[index].label
        return None if label is None else _pairs.labels_of(label)

    def restored(self, index: int, shares: Tensor) -> np.ndarray:
        """The labels that shares (classes, x, y, z) of an item give most to, on the grid of its file: uint8 (i, j, k).

        Where nothing was resampled this is the arg max itself, its axes turned back.
        """
        header = nifti.header(self.cases[index].image)
        x = np.zeros((1, *header.shape[:3]), np.float32)
        place = self._grid(x, header.affine)[1]
        back, _ = volume.resample(shares.float().cpu(), place, like=(header.shape[:3], header.affine))
        return back.argmax(0).numpy().astype(np.uint8)

    def _placed(self, scan: nifti.Volume, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """A scan's channels in RAS, at the common spacing, and the affine of that."""
        data = scan.data[None] if scan.data.ndim == 3 else np.moveaxis(scan.data, -1, 0)
        if len(data) != self.channels:
            raise ValueError(f"{str(case.image)!r} has {len(data)} channels, others {self.channels}: expected as many")
        return self._grid(data.astype(np.float32), scan.affine)

    def _grid(self, x: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, place = volume.reorient(x, affine)
        if _alike(nifti.spacing(place), self.spacing):
            return x, place
        return volume.resample(x, place, spacing=self.spacing)

    def _map(self, index: int, shape: tuple[int, ...], place: np.ndarray) -> Tensor:
        labels = self.truth(index)
        if labels is None:
            return torch.full(shape, UNKNOWN, dtype=torch.uint8)
        if labels.max() >= len(self.classes):
            where = str(self.cases[index].label)
            raise ValueError(f"{where!r} has a label {labels.max()}: expected 0 to {len(self.classes) - 1}")
        y, own = volume.reorient(labels, nifti.header(self.cases[index].image).affine)
        if y.shape != shape or not _alike(nifti.spacing(own), self.spacing):
            y, _ = volume.resample(y, own, like=(shape, place), order=0)
        return torch.from_numpy(np.ascontiguousarray(y))


def load(
    root: Any = None,
    *,
    name: str = "hippocampus",
    test_root: Any = None,
    labels: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    check: bool = True,
    seed: int = 0,
) -> Parts:
    """Cases to train with, to choose by and to test on, of a folder; pairs that do not fit are left out, and told.

    root       the folder of volumes/{name}, of {name}, or of images/ and labels/; without it $SIGCONV_DATA
    test_root  all of its cases are tested on, with label maps or without, and none of root's
    labels     names of labels 1, 2, …, where there is no dataset.json and they are as many
    spacing    mm along x, y, z; without it the median of the cases
    check      whether every scan is read once before; if not, one that is cut short is an error when it is asked for

    Each part's .bad lists what was left out of its folder, (name, why): no partner, unreadable, sizes or affines that
    do not agree, values that are no labels. Raises FileNotFoundError where there are no scans, ValueError where fewer
    than three pairs are left.
    """
    home = _home(root, name)
    cases, bad = _pairs.found(home)
    known, lost = _checked(cases, check)
    bad += lost
    if len(known) < 3:
        first = f": {bad[0][1]}" if bad else ""
        raise ValueError(f"{str(home)!r} has {len(known)} usable pairs, {len(bad)} that are not{first}; 3 are needed")
    names = _pairs.named_labels(home, max(one.highest for one in known), labels)
    steps = _steps(spacing) if spacing else np.median([one.spacing for one in known], axis=0)
    shape: dict[str, Any] = {"classes": names, "spacing": steps, "channels": known[0].channels}
    whole = Cases([one.case for one in known], bad=bad, **shape)
    train, valid, test = (whole.subset(part) for part in split(whole.names, seed, tested=test_root is None))
    if test_root is not None:
        cases, bad = _pairs.found(Path(test_root), _pairs.TESTED, alone=True)
        rest, lost = _checked(cases, check, len(names) - 1, known[0].channels)
        if not rest:
            raise ValueError(f"{str(test_root)!r} has no case to test on{f': {lost[0][1]}' if lost else ''}")
        test = Cases([one.case for one in rest], bad=bad + lost, **shape)
    return Parts(train, valid, test)


def split(names: Sequence[str], seed: int, *, tested: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Indices to train with, to choose by and to test on: by a permutation of subjects that the seed alone draws.

    names are in order, and say nothing else: a third is tested on (nothing, where tested is False), a tenth of the rest
    chosen by, at least one. Names of BIDS with one subject stay together. ValueError for fewer than three subjects.

    >>> [len(part) for part in split([f"case_{n}" for n in range(30)], seed=0)]
    [18, 2, 10]
    """
    subjects = [found.entities["sub"] if (found := bids.parse(f"{name}.nii")) else name for name in names]
    groups = sorted(set(subjects))
    if len(groups) < 3:
        raise ValueError(f"{len(groups)} subjects cannot be split to train with, to choose by and to test on")
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    ordered = [[i for i, subject in enumerate(subjects) if subject == groups[place]] for place in order]
    third = round(len(names) / 3) if tested else 0
    wanted = [third, max((len(names) - third) // 10, 1)]
    parts: list[list[int]] = [[], []]
    for part, many in zip(parts, wanted, strict=True):
        while len(part) < many and len(ordered) > 1:
            part += ordered.pop()
    rest = [i for group in ordered for i in group]
    return torch.tensor(rest), torch.tensor(parts[1]), torch.tensor(parts[0], dtype=torch.int64)


class Known(NamedTuple):
    """What is known of a case before it is used: spacing in RAS, highest label, channels."""

    case: Case
    spacing: list[float]
    highest: int
    channels: int


def _checked(
    cases: Sequence[Case], check: bool, most: int = _pairs.MOST_LABEL, channels: int = 0
) -> tuple[list[Known], list[tuple[str, str]]]:
    """What can be used, and (name, why) of what cannot. All have as many channels as said, or as the first has."""
    known: list[Known] = []
    lost = []
    for case in cases:
        try:
            image, _ = _pairs.headers(case)
            highest = 0 if case.label is None else int(_pairs.labels_of(case.label).max())
            if highest > most:
                raise ValueError(f"{str(case.label)!r} has a label {highest}: expected 0 to {most}")
            number = 1 if len(image.shape) == 3 else image.shape[3]
            if number != (channels or number):
                raise ValueError(f"{str(case.image)!r} has {number} channels, others {channels}: expected as many")
            for _ in nifti.slices(case.image) if check else ():
                pass
        except (OSError, ValueError) as error:
            lost.append((case.name, str(error)))
        else:
            channels = number
            known.append(Known(case, _in_ras(image.affine), highest, number))
    return known, lost


def _steps(spacing: Sequence[float]) -> list[float]:
    """mm along x, y, z as the user gives them."""
    if len(spacing) != 3 or not all(0 < step < math.inf for step in spacing):
        raise ValueError(f"spacing {list(spacing)} is not 3 numbers of mm above 0")
    return [float(step) for step in spacing]


def _in_ras(affine: np.ndarray, along: Sequence[int] | None = None) -> list[float]:
    """Spacings, or other numbers along a file's axes, along x, y and z of the world."""
    letters, steps = nifti.orientation(affine), nifti.spacing(affine) if along is None else along
    return [float(steps[next(a for a in range(3) if letters[a] in pair)]) for pair in ("LR", "PA", "IS")]


def _alike(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=ALIKE, atol=0))


def _levelled(x: np.ndarray) -> Tensor:
    """Each channel of mean 0 and deviation 1; what is no number becomes 0."""
    tensor = torch.from_numpy(np.ascontiguousarray(x))
    flat = ~tensor.isfinite().flatten(1).any(1)  # a channel without a number has nothing to go by
    tensor[flat] = 0.0
    return torch.nan_to_num(volume.zscore(tensor, ndim=3), 0.0, 0.0, 0.0)


def _home(root: Any, name: str) -> Path:
    """The folder of a set."""
    around = os.environ.get("SIGCONV_DATA") if root is None else root
    if around is None:
        raise FileNotFoundError(f"no scans at hand: give --data-root DIR, with volumes/{name}/, or set SIGCONV_DATA")
    for place in (Path(around) / "volumes" / name, Path(around) / name, Path(around)):
        if any((place / images).is_dir() for images, _ in _pairs.FOLDERS):
            return place
    raise FileNotFoundError(
        f"no scans under {str(around)!r}: expected images/ and labels/, or volumes/{name}/ with them"
    )
