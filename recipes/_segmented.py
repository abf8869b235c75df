"""A segmentation tried on scans: label maps written, held against the truth and two baselines, drawn and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv import files, plot
from sigconv.readers import nifti
from sigconv.recipes import _segments as segments
from sigconv.recipes import _voxels as voxels
from sigconv.train.job import Job

SAMPLED = 300  # voxels of each label of each scan that the linear classifier learns from
MOST_SCANS = 60  # that it learns from
WIDTHS = (1.5, 3.0)  # of its means of brightness, in spacings of the coarsest axis
OFFSETS = tuple(n / 10 for n in range(-10, 21))  # for the background, chosen by the validation scans
OTHERS = {"linear", "mean_map", "worst_case"}  # what metrics of Dice are called that are of no label
HEADER = ("case", "dice", "surfaces apart, mm", "by the mean map", "by fixed filters")


class Result(NamedTuple):
    """What came out for one case: Dice of each label, distances in mm, the two baselines' mean Dice."""

    case: int
    dice: list[float]
    distance: list[float]
    by_place: float
    by_filters: float


def tried(job: Job, parts: Any, size: Sequence[int], answer: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Every test scan answered for: its label map under predictions/, scores, tables and pictures; the metrics.

    size is what the mean map of the training scans is stretched to; answer gives a scan's probabilities.
    """
    train, _, test = parts
    average, linear = segments.mean_map(train, size), Linear(parts, job.seed)
    found = []
    for index, case in enumerate(test.cases):
        x, y = test.item(index)
        labels = test.restored(index, answer(x))
        scan = test.image(index)
        if job.folder is not None:
            (job.folder / "predictions").mkdir(exist_ok=True)
            path = job.folder / "predictions" / named(case.image.name, case.name)
            nifti.write(path, labels, scan.affine, like=scan, intent="label")
        truth = test.truth(index)
        if truth is None:
            continue
        kinds = test.values[1:]
        far = [segments.hausdorff(labels == n, truth == n, nifti.spacing(scan.affine).tolist()) for n in kinds]
        guesses = [segments.stretched(average, y.shape).argmax(0), linear(x)]
        by_place, by_filters = (segments.mean(segments.overlaps(g, y, len(test.classes))) for g in guesses)
        shares = segments.overlaps(labels, truth, max(test.values) + 1)
        found.append(Result(index, [shares[n - 1] for n in kinds], far, by_place, by_filters))
    if not found:
        job.note("The test scans have no label maps: predictions were made, nothing was measured.")
        return {}
    return _told(job, test, found)


def named(file: str, case: str) -> str:
    """The name of a label map: its scan's, as NIfTI.

    >>> named("a.nii.gz", "a"), named("b.1.mgz", "b.1")
    ('a.nii.gz', 'b.1.nii.gz')
    """
    return file if file.endswith((".nii", ".nii.gz")) else f"{case}.nii.gz"


def called(label: str) -> str:
    """A label's name within a metric's.

    >>> called("Left Lung (upper)")
    'left_lung_upper'
    """
    return "_".join("".join(c if c.isalnum() else " " for c in label).lower().split()) or "label"


def keys(labels: Mapping[int, str]) -> list[str]:
    """What labels are called within metrics, the background left out: each otherwise, and as no other metric is.

    >>> keys({0: "background", 1: "Left"}), keys({0: "background", 1: "T1+", 2: "T1-"}), keys({0: "none", 3: "linear"})
    (['left'], ['t1_1', 't1_2'], ['linear_3'])
    """
    words = {number: called(label) for number, label in list(labels.items())[1:]}
    if len(set(words.values()) | OTHERS) == len(words) + len(OTHERS):
        return list(words.values())
    return [f"{word}_{number}" for number, word in words.items()]


class Linear:
    """A linear classifier of voxels by brightness, energies of a fixed Haar bank, and place: the baseline.

    Trained on some voxels of each label, of as many scans as MOST_SCANS; how willing it is to see none of the labels
    is chosen by the validation scans. Called with a scan (channels, x, y, z), of which it sees the first channel.
    """

    def __init__(self, parts: Any, seed: int) -> None:
        train, valid, _ = parts
        self.spacing, self.classes = train.spacing, len(train.classes)
        generator = torch.Generator().manual_seed(seed)
        rows, labels = [], []
        for index in range(min(len(train), MOST_SCANS)):
            x, y = train.item(index)
            table = self._table(x)
            for n in range(self.classes):
                some = voxels.drawn(y == n, SAMPLED, generator)
                rows.append(table[some])
                labels.append(torch.full((len(some),), n))
        joined, kinds = torch.cat(rows), torch.cat(labels)
        self.weights = [voxels.ridge(joined, kinds == n) for n in range(self.classes)]
        self.offset, best = 0.0, -1.0
        known = [(self._scores(x), y) for x, y in (valid.item(index) for index in range(len(valid)))]
        for offset in OFFSETS:
            reached = segments.mean([o for scores, y in known for o in self._overlaps(scores, y, offset)])
            if reached > best:
                self.offset, best = offset, reached

    def __call__(self, x: Tensor) -> Tensor:
        """Labels (x, y, z)."""
        return self._labels(self._scores(x), self.offset)

    def _table(self, x: Tensor) -> Tensor:
        """A row for each voxel."""
        step = max(self.spacing)
        energy, _ = voxels.energies(x[0], self.spacing, "haar", (3 * step,))
        bright = voxels.around(x[0], self.spacing, [width * step for width in WIDTHS])
        return torch.cat([bright, energy, voxels.places(x.shape[1:])]).flatten(1).T

    def _scores(self, x: Tensor) -> Tensor:
        table = self._table(x)
        return torch.stack([voxels.scored(table, weights) for weights in self.weights]).reshape(-1, *x.shape[1:])

    def _labels(self, scores: Tensor, offset: float) -> Tensor:
        lifted = scores.clone()
        lifted[0] += offset
        return lifted.argmax(0)

    def _overlaps(self, scores: Tensor, y: Tensor, offset: float) -> list[float]:
        return segments.overlaps(self._labels(scores, offset), y, self.classes)


def _told(job: Job, test: Any, found: list[Result]) -> dict[str, float]:
    """Metrics, a table of all cases, pictures of the worst and the best."""
    ranked = sorted(found, key=lambda result: -1.0 if math.isnan(m := segments.mean(result.dice)) else m)
    rows = [_row(test.names[result.case], result) for result in ranked]
    job.table("test cases, the worst first", rows, HEADER)
    if job.folder is not None:
        _written(job, test, found)
    for word, result in (("worst", ranked[0]), ("best", ranked[-1])):
        job.picture(f"{word}_case", _drawn(job, test, result, word))
    per_label = {
        label: (segments.mean([r.dice[n] for r in found]), segments.mean([r.distance[n] for r in found]))
        for n, label in enumerate(keys(test.labels))
    }
    metrics = {f"dice_{label}": dice for label, (dice, _) in per_label.items()}
    metrics["dice"] = segments.mean(list(metrics.values()))
    metrics |= {f"hausdorff95_{label}": far for label, (_, far) in per_label.items()}
    metrics["dice_worst_case"] = segments.mean(ranked[0].dice)
    metrics["dice_mean_map"] = segments.mean([r.by_place for r in found])
    metrics["dice_linear"] = segments.mean([r.by_filters for r in found])
    return metrics


def _row(name: str, result: Result) -> tuple[str, ...]:
    numbers = lambda values, digits: ", ".join(f"{value:.{digits}f}" for value in values)
    fixed = (f"{result.by_place:.3f}", f"{result.by_filters:.3f}")
    return (name, numbers(result.dice, 3), numbers(result.distance, 1), *fixed)


def _written(job: Job, test: Any, found: list[Result]) -> None:
    """cases.tsv: a row for each case, to be read by other programs."""
    labels = keys(test.labels)
    columns = [
        "case",
        *(f"dice_{n}" for n in labels),
        *(f"hausdorff95_{n}" for n in labels),
        "dice_mean_map",
        "dice_linear",
    ]
    lines = ["\t".join(columns)]
    for result in found:
        numbers = [*result.dice, *result.distance, result.by_place, result.by_filters]
        lines.append("\t".join([test.names[result.case], *(f"{n:.6g}" for n in numbers)]))
    assert job.folder is not None
    files.write_text(job.folder / "cases.tsv", "\n".join(lines) + "\n")


def _drawn(job: Job, test: Any, result: Result, word: str) -> Any:
    """Three slices of a case with the lines of its labels, true and predicted."""
    scan, truth = test.image(result.case), test.truth(result.case)
    image = scan.data if scan.data.ndim == 3 else scan.data[..., 0]
    guess = None
    if job.folder is not None:
        case = test.cases[result.case]
        guess = nifti.read(job.folder / "predictions" / named(case.image.name, case.name)).data
    title = f"{word}: {test.names[result.case]}, Dice {', '.join(f'{share:.2f}' for share in result.dice)}"
    shown = {"labels": truth, "predicted": guess, "names": test.labels}
    return plot.slices(np.asarray(image), affine=scan.affine, title=title, **shown)[0]
