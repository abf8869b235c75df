"""Which category of object does someone see? Runs of 4-D fMRI with blocks of pictures, as OpenfMRI and BIDS have them.

    fmri/haxby2001/{subject}/BOLD/{run}/bold_{series}.nii.gz, bold_events.tsv
    fmri/haxby2001/{subject}/func/…_bold.nii.gz, …_events.tsv            BIDS

Haxby et al. 2001, doi:10.1126/science.1063736; OpenfMRI ds000105, whose files any subject's, run's and category's may
be. A run's events name a category, when its block begins and how long it lasts, in seconds. Runs are never split: what
is tested on was measured apart from what is trained on.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv import files
from sigconv.datasets import _pairs
from sigconv.datasets._parts import Arrays, Parts
from sigconv.readers import nifti
from sigconv.transforms import volume

MOST_EVENTS = 1 << 20  # bytes of a table of them
ENDINGS = (".nii.gz", ".nii")  # of a run in both the first counts
BEFORE, AFTER = 5.0, 7.5  # seconds beside a block that belong to its window: the answer of blood comes late
APART = 0.5  # of a voxel: how far runs may lie from each other by their affines
TRENDS = 4  # of a run, powers of time from 0 on, that are taken out of every voxel


class Run(NamedTuple):
    """One run: x float32 (x, y, z, t) without trends, of standard deviation 1; its events; seconds between volumes.

    A voxel that is no number at some time is 0 in x, and NaN in mean.
    """

    name: str
    x: np.ndarray
    mean: np.ndarray
    events: tuple[tuple[float, float, str], ...]
    step: float
    affine: np.ndarray


class Blocks(Arrays):
    """Windows about blocks: x float32 (blocks, 1, x, y, z, t), y the category, runs the number of each one's run."""

    def __init__(self, x: Any, y: Any, classes: Sequence[str], runs: Any) -> None:
        super().__init__(x, y, classes)
        self.runs = torch.as_tensor(runs)

    def subset(self, indices: Tensor) -> Blocks:
        """Some of the blocks."""
        return Blocks(self.x[indices], self.y[indices], self.classes, self.runs[indices])

    def to(self, device: Any) -> Blocks:
        """The same blocks on a device."""
        return Blocks(self.x.to(device), self.y.to(device), self.classes, self.runs)


class Study(NamedTuple):
    """All runs of a subject as blocks, the runs' names, seconds between volumes, and where the voxels are.

    notes are sentences on what of the files was not used.
    """

    blocks: Blocks
    runs: tuple[str, ...]
    step: float
    affine: np.ndarray
    before: int  # volumes of a window that lie before its block
    length: int  # volumes of the longest block
    notes: tuple[str, ...] = ()


def load(root: Any = None, *, subject: str | None = None, series: str = "1slice", seed: int = 0) -> Parts:
    """Blocks to train with, of one run to choose by, of another to test on: the last but one and the last.

    everything gives all of them, for other splits. seed is taken as every set's load takes it, and not needed.
    """
    found = everything(root, subject=subject, series=series)
    last = len(found.runs) - 1
    return Parts(*(found.blocks.subset(chosen) for chosen in split(found, [last], [last - 1])))


def split(study: Study, test: Sequence[int], valid: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the blocks to train with, to choose by and to test on, by their runs' numbers."""
    runs = study.blocks.runs
    tested, chosen = (torch.isin(runs, torch.tensor(list(some), dtype=runs.dtype)) for some in (test, valid))
    parts = (~tested & ~chosen, chosen & ~tested, tested)
    if not all(part.any() for part in parts):
        raise ValueError(
            f"{len(study.runs)} runs cannot be split into {len(test)} to test on and {len(valid)} to choose by"
        )
    train, valid_, test_ = (part.nonzero().flatten() for part in parts)
    return train, valid_, test_


def everything(root: Any = None, *, subject: str | None = None, series: str = "1slice") -> Study:
    """All blocks of a subject's runs (the first one's, if none is named), in the order of the runs' names.

    series says which of several resampled ones is read, where there are several. A window reaches 5 s before its block
    and 7.5 s beyond; all have the same number of volumes. Runs are turned to the first one's axes. Voxels outside the
    head are 0, and so is one that is NaN or infinite in some run. Raises FileNotFoundError where there are no runs,
    ValueError where runs do not fit together, or name one category only.
    """
    folder = _subject(root, subject)
    pairs = _runs(folder, series)
    runs = _fitting([_run(*pair) for pair in pairs])
    first = runs[0]
    classes = tuple(sorted({kind for run in runs for _, _, kind in run.events}))
    if len(classes) < 2:
        raise ValueError(f"{str(folder)!r}: the runs' events name {classes[0]!r} only: two categories are needed")
    longest = max(duration for run in runs for _, duration, _ in run.events)
    before, length = math.ceil(BEFORE / first.step), math.ceil((BEFORE + longest + AFTER) / first.step)
    windows, labels, numbers = [], [], []
    for number, run in enumerate(runs):
        for onset, _, kind in run.events:
            windows.append(_window(run.x, round(onset / run.step) - before, length))
            labels.append(classes.index(kind))
            numbers.append(number)
    inside = np.mean([run.mean for run in runs], axis=0)
    known = np.isfinite(inside)
    if not known.any():
        raise ValueError(f"{str(folder)!r}: no voxel has numbers in all {len(runs)} runs")
    notes = (
        () if known.all() else (f"{(~known).sum()} of {known.size} voxels, NaN or infinite somewhere, are left out.",)
    )
    x = np.stack(windows) * (inside > 0.2 * inside[known].max())[..., None]  # outside is noise, of deviation 1
    blocks = Blocks(torch.from_numpy(x)[:, None], torch.tensor(labels), classes, torch.tensor(numbers))
    names = tuple(run.name for run in runs)
    return Study(blocks, names, first.step, first.affine, before, math.ceil(longest / first.step), notes)


def _fitting(runs: list[Run]) -> list[Run]:
    """The runs with the first one's axes; ValueError where one has another grid, or lies elsewhere."""
    first = runs[0]
    codes, turned = nifti.orientation(first.affine), []
    for run in runs:
        if nifti.orientation(run.affine) != codes:
            x, place = volume.reorient(run.x, run.affine, codes, axes=(0, 1, 2))
            run = run._replace(x=x, mean=volume.reorient(run.mean, run.affine, codes)[0], affine=place)
        if run.x.shape[:3] != first.x.shape[:3] or abs(run.step - first.step) > 1e-3:
            raise ValueError(
                f"run {run.name!r} {run.x.shape[:3]}, {run.step:g} s, is not like {first.name!r} "
                f"{first.x.shape[:3]}, {first.step:g} s"
            )
        far = _pairs.farthest(first.x.shape[:3], first.affine, run.affine)
        if far > APART:
            raise ValueError(
                f"run {run.name!r} lies {far:.3g} voxels from {first.name!r} by its affine: expected {APART} at most; "
                "resample the runs to one grid"
            )
        turned.append(run)
    return turned


def _window(x: np.ndarray, start: int, length: int) -> np.ndarray:
    """So many volumes from one on; beyond the run's ends its first and last."""
    return x[..., np.clip(np.arange(start, start + length), 0, x.shape[-1] - 1)]


def _run(name: str, scan: Path, table: Path) -> Run:
    volume = nifti.read(scan)
    data = np.asarray(volume.data, np.float32)
    if data.ndim != 4 or data.shape[-1] <= TRENDS:
        raise ValueError(f"{str(scan)!r} has shape {data.shape}: expected (x, y, z, t) of more than {TRENDS} volumes")
    step = 1 / nifti.rates(volume)[3]
    if not 0.05 <= step <= 60:
        raise ValueError(f"{str(scan)!r} says {step:g} s between volumes: expected 0.05 to 60")
    holes = ~np.isfinite(data).all(-1)
    if holes.all():
        raise ValueError(f"{str(scan)!r} has no voxel that is a number in every volume")
    data[holes] = 0.0
    time = np.linspace(-1, 1, data.shape[-1])
    powers = np.linalg.qr(np.stack([time**n for n in range(TRENDS)], 1))[0].astype(np.float32)
    x = data - (data @ powers) @ powers.T
    deviation = x.std(-1, keepdims=True)
    x = np.divide(x, deviation, out=np.zeros_like(x), where=deviation > 1e-6 * max(float(np.abs(data).max()), 1e-30))
    mean = np.where(holes, np.nan, data.mean(-1))
    return Run(name, x, mean, _events(table, step * data.shape[-1]), step, volume.affine)


def _events(path: Path, seconds: float) -> tuple[tuple[float, float, str], ...]:
    """(onset, duration, category) of each block in a table with these columns, separated by tabs."""
    text = files.read_bytes(path, MOST_EVENTS).decode("utf-8-sig", "replace")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t")
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            onset, duration, kind = float(row["onset"]), float(row["duration"]), row["trial_type"].strip()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError(
                f"{str(path)!r} line {number}: expected onset, duration (seconds) and trial_type"
            ) from None
        if not (0 <= onset < seconds and 0 < duration <= seconds):
            raise ValueError(
                f"{str(path)!r} line {number}: a block at {onset:g} s of {duration:g} s, in a run of {seconds:g}"
            )
        if kind and kind.lower() not in ("rest", "n/a"):
            found.append((onset, duration, kind))
    if not found:
        raise ValueError(f"{str(path)!r} names no blocks")
    return tuple(_merged(sorted(found)))


def _merged(events: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Pictures of one category that follow each other within 3 s are one block."""
    whole: list[tuple[float, float, str]] = []
    for onset, duration, kind in events:
        if whole and whole[-1][2] == kind and onset - sum(whole[-1][:2]) < 3:
            whole[-1] = (whole[-1][0], onset + duration - whole[-1][0], kind)
        else:
            whole.append((onset, duration, kind))
    return whole


def _subject(root: Any, subject: str | None) -> Path:
    """The folder of a subject, the first by name if none is named."""
    around = os.environ.get("SIGCONV_DATA") if root is None else root
    if around is None:
        raise FileNotFoundError(
            "no fMRI runs at hand: give --data-root DIR, which holds fmri/haxby2001/, or set SIGCONV_DATA"
        )
    for place in (Path(around) / "fmri" / "haxby2001", Path(around) / "haxby2001", Path(around)):
        found = sorted(part for part in place.glob("sub*") if part.is_dir())
        if found:
            named = {part.name: part for part in found}
            if subject is not None and subject not in named:
                raise ValueError(f"subject {subject!r} is not one of {', '.join(named)} under {str(place)!r}")
            return named[subject] if subject else found[0]
    raise FileNotFoundError(f"no fMRI runs under {str(around)!r}: expected fmri/haxby2001/sub…/")


def _runs(folder: Path, series: str) -> list[tuple[str, Path, Path]]:
    """(name, scan, events) of every run that has both, in OpenfMRI's layout, else in BIDS's; a run's packed file only.

    ValueError where one run lies in two folders: it would be trained with and tested on.
    """
    found = []
    for place in sorted((folder / "BOLD").glob("*")):
        scans = [path for ending in ENDINGS if (path := place / f"bold_{series}{ending}").is_file()]
        if scans and (place / "bold_events.tsv").is_file():
            found.append((place.name, scans[0], place / "bold_events.tsv"))
    if not found:
        found = _of_bids(folder)
    if len(found) < 3:
        raise FileNotFoundError(
            f"{str(folder)!r} has {len(found)} runs of bold_{series}.nii.gz with bold_events.tsv: expected 3 or more"
        )
    return found


def _of_bids(folder: Path) -> list[tuple[str, Path, Path]]:
    known: dict[str, tuple[str, Path, Path]] = {}
    for ending in ENDINGS:
        for scan in sorted(folder.rglob(f"*_bold{ending}")):
            stem = scan.name.removesuffix(f"_bold{ending}")
            table = scan.with_name(f"{stem}_events.tsv")
            if scan.name.startswith(".") or not table.is_file():
                continue
            if stem in known and known[stem][1].parent != scan.parent:
                raise ValueError(f"{str(known[stem][1])!r} and {str(scan)!r} are one run by their names: remove one")
            known.setdefault(stem, (stem, scan, table))
    return [known[stem] for stem in sorted(known)]
