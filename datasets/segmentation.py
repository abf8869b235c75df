"""Segmentation: which voxel is of what? Scans with label maps of any study, each in a folder, one name for both.

    {root}/volumes/{name}/images/{case}.nii.gz, labels/{case}.nii.gz       or root itself, or root/{name}
    …/imagesTr, labelsTr, dataset.json                                     as the Medical Segmentation Decathlon has it

Cases are of any size, order of axes and spacing: an item is turned to RAS, resampled where the spacings of the cases
differ, and of mean 0 and deviation 1; restored takes an answer back to the file's own grid. A third of the cases,
drawn by the seed whatever their names are, is held back to test on, a tenth of the rest to choose by; scans of one
subject, where names say so (BIDS), stay together. Where another folder is tested on, a scan that lies there too, the
same bytes or the same subject, is neither trained with nor chosen by. The spacing is that of the scans to train with
and to choose by. Simpson et al. 2019, arXiv:1902.09063; http://medicaldecathlon.com.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.datasets import _known, _pairs
from sigconv.datasets._pairs import Case
from sigconv.datasets._parts import Parts
from sigconv.readers import nifti
from sigconv.transforms import volume

UNKNOWN = 255  # y of a scan without a label map
HELD = 4 << 30  # bytes of items that are kept in memory


class Cases:
    """Scans x float32 (channels, x, y, z) and label maps y uint8 (x, y, z), each of a size of its own, in RAS.

    names     of the cases; cases the files; bad what was left out, each (name, why)
    classes   what the classes 0, 1, … of items mean; values the numbers that label maps in files have for them; labels
              what these numbers mean
    spacing   mm along x, y, z that all items have; fs is 1 / spacing, for whatever is given in mm
    channels  of every scan

    Without a label map y is UNKNOWN everywhere. Items are kept in memory where all of them take no more than 4 GB.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        labels: Mapping[int, str],
        spacing: Sequence[float],
        bad: Any = (),
        channels: int = 1,
    ) -> None:
        self.cases, self.bad, self.channels = list(cases), list(bad), channels
        self.labels, self.values, self.classes = dict(labels), tuple(labels), tuple(labels.values())
        self.names = [case.name for case in self.cases]
        self.spacing = tuple(float(step) for step in spacing)
        taken = (4 * channels + 1) * sum(math.prod(shape) for shape in self.shapes)
        self.memory: dict[int, tuple[Tensor, Tensor]] | None = {} if taken <= HELD else None

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def fs(self) -> tuple[float, ...]:
        """Samples per mm along each axis of space."""
        return tuple(1 / step for step in self.spacing)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Samples of each item along x, y, z, as its file's header has it."""
        headers = [nifti.header(case.image) for case in self.cases]
        sizes = [[int(n) for n in _known.in_ras(header.affine, header.shape)] for header in headers]
        steps = [_known.in_ras(header.affine) for header in headers]
        return [_known.resampled(size, step, self.spacing) for size, step in zip(sizes, steps, strict=True)]

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
        return Cases(chosen, self.labels, self.spacing, self.bad, self.channels)

    def image(self, index: int) -> nifti.Volume:
        """The scan as its file has it."""
        return nifti.read(self.cases[index].image)

    def truth(self, index: int) -> np.ndarray | None:
        """The label map as its file has it, uint8 (x, y, z); None where there is none."""
        label = self.cases[index].label
        return None if label is None else _pairs.labels_of(label)

    def restored(self, index: int, shares: Tensor) -> np.ndarray:
        """The labels that shares (classes, x, y, z) of an item give most to, on the grid of its file: uint8 (i, j, k).

        They are numbers as files have them. Where nothing was resampled this is the arg max itself, axes turned back.
        """
        header = nifti.header(self.cases[index].image)
        x = np.zeros((1, *header.shape[:3]), np.float32)
        place = self._grid(x, header.affine)[1]
        back, _ = volume.resample(shares.float().cpu(), place, like=(header.shape[:3], header.affine))
        return np.array(self.values, np.uint8)[back.argmax(0).numpy()]

    def _placed(self, scan: nifti.Volume, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """A scan's channels in RAS, at the common spacing, and the affine of that."""
        data = scan.data[None] if scan.data.ndim == 3 else np.moveaxis(scan.data, -1, 0)
        if len(data) != self.channels:
            raise ValueError(f"{str(case.image)!r} has {len(data)} channels, others {self.channels}: expected as many")
        return self._grid(data.astype(np.float32), scan.affine)

    def _grid(self, x: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, place = volume.reorient(x, affine)
        if _known.alike(nifti.spacing(place), self.spacing):
            return x, place
        return volume.resample(x, place, spacing=self.spacing)

    def _map(self, index: int, shape: tuple[int, ...], place: np.ndarray) -> Tensor:
        labels = self.truth(index)
        if labels is None:
            return torch.full(shape, UNKNOWN, dtype=torch.uint8)
        number = np.full(256, UNKNOWN, np.uint8)
        number[list(self.values)] = np.arange(len(self.values))
        classes = number[labels]
        if (classes == UNKNOWN).any():
            where, strange = str(self.cases[index].label), labels[classes == UNKNOWN].min()
            raise ValueError(f"{where!r} has a label {strange}: expected {', '.join(map(str, self.values))}")
        y, own = volume.reorient(classes, nifti.header(self.cases[index].image).affine)
        if y.shape != shape or not _known.alike(nifti.spacing(own), self.spacing):
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
    spacing    mm along x, y, z; without it the median of the cases that are not tested on
    check      whether every scan is read once before; if not, one that is cut short is an error when it is asked for

    Each part's .bad lists what was left out of its folder, (name, why): no partner, unreadable, sizes or affines that
    do not agree, values that are no labels, complex or nowhere different, a spacing that is 20 times the others', a
    place in test_root too. Raises FileNotFoundError where there are no scans, ValueError where fewer than three pairs
    are left, or none to train with has a label.
    """
    asked = _steps(spacing) if spacing else None
    home = _home(root, name)
    cases, bad = _pairs.found(home)
    tested, alone = ([], []) if test_root is None else _pairs.found(Path(test_root), _pairs.TESTED, alone=True)
    cases, both = _known.apart(cases, tested)
    known, lost = _known.checked(cases, check)
    usual = _known.usual([one.spacing for one in known])
    known, odd = _known.sized(known, asked or usual, usual)
    bad += both + lost + odd
    if len(known) < 3:
        first = f": {bad[0][1]}" if bad else ""
        raise ValueError(f"{str(home)!r} has {len(known)} usable pairs, {len(bad)} that are not{first}; 3 are needed")
    parts = split([one.case.name for one in known], seed, tested=test_root is None)
    own = [known[place] for part in parts[:2] for place in part.tolist()]
    if not any(any(known[place].labels) for place in parts[0].tolist()):
        raise ValueError(
            f"{str(home)!r} has no label in the maps of the {len(parts[0])} scans to train with: all are 0"
        )
    steps = asked or _known.usual([one.spacing for one in own])
    names = _pairs.named_labels(home, (n for one in known for n in one.labels), labels)
    shape: dict[str, Any] = {"labels": names, "spacing": steps, "channels": known[0].channels}
    train, valid, test = (Cases([known[n].case for n in part.tolist()], bad=bad, **shape) for part in parts)
    if test_root is not None:
        rest, lost = _known.checked(tested, check, tuple(names), known[0].channels)
        rest, odd = _known.sized(rest, steps, usual)
        bad = alone + lost + odd
        if not rest:
            raise ValueError(f"{str(test_root)!r} has no case to test on{f': {bad[0][1]}' if bad else ''}")
        test = Cases([one.case for one in rest], bad=bad, **shape)
    return Parts(train, valid, test)


def split(names: Sequence[str], seed: int, *, tested: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Indices to train with, to choose by and to test on: by a permutation of subjects that the seed alone draws.

    names are in order, and say nothing else: a third is tested on (nothing, where tested is False), a tenth of the rest
    chosen by, at least one. Names of BIDS with one subject stay together. ValueError for fewer than three subjects.

    >>> [len(part) for part in split([f"case_{n}" for n in range(30)], seed=0)]
    [18, 2, 10]
    """
    subjects = [_known.subject(name) or name for name in names]
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


def _steps(spacing: Sequence[float]) -> list[float]:
    """mm along x, y, z as the user gives them."""
    if len(spacing) != 3 or not all(0 < step < math.inf for step in spacing):
        raise ValueError(f"spacing {list(spacing)} is not 3 numbers of mm above 0")
    return [float(step) for step in spacing]


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
