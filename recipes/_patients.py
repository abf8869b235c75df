"""Scores and texture by patient: each is tested by what was learned from the others, and counts as one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.datasets.sarcoma import Patient
from sigconv.recipes import _voxels as voxels
from sigconv.train import auroc

AIR = 0.1  # of the tumour's median brightness: what is darker is no tissue
STATISTICS = ("mean", "std", "skewness", "kurtosis", "p10", "median", "p90")


class Rows(NamedTuple):
    """Voxels drawn of one patient: what each way of looking sees of them (n, features), and which are of the tumour."""

    views: dict[str, Tensor]
    tumour: Tensor


def surroundings(patient: Patient, margin: float) -> Tensor:
    """Voxels outside a tumour, no farther than so many mm from it, that are tissue: bool (x, y, z).

    ValueError, with the patient's name, where there is none.
    """
    from scipy import ndimage

    far = ndimage.distance_transform_edt(~patient.mask.numpy(), sampling=patient.spacing)
    tissue = patient.x >= AIR * patient.x[patient.mask].median()
    found = torch.from_numpy((far > 0) & (far <= margin)) & tissue
    if not bool(found.any()):
        raise ValueError(
            f"patient {patient.name!r} has no tissue within {margin:g} mm of the tumour: a larger --margin"
        )
    return found


def tissues(patients: Sequence[Patient], margin: float) -> tuple[dict[str, Tensor], list[tuple[str, str]]]:
    """Each patient's surroundings by name, and (name, why) of those who have none."""
    found, lost = {}, []
    for patient in patients:
        try:
            found[patient.name] = surroundings(patient, margin)
        except ValueError as error:
            lost.append((patient.name, str(error)))
    return found, lost


def left_out(patients: Sequence[Rows], view: str) -> tuple[list[float], list[Tensor]]:
    """For each patient the area under the ROC curve of its voxels by a classifier of all others', and its weights.

    Features count as they differ from the mean of their patient's voxels, for scanners differ; each patient weighs as
    much as its voxels are many.
    """
    rows = [patient.views[view] - patient.views[view].mean(0) for patient in patients]
    areas, weights = [], []
    for place, patient in enumerate(patients):
        others = [k for k in range(len(patients)) if k != place]
        learned = voxels.ridge(torch.cat([rows[k] for k in others]), torch.cat([patients[k].tumour for k in others]))
        areas.append(auroc(voxels.scored(rows[place], learned), patient.tumour))
        weights.append(learned)
    return areas, weights


def interval(numbers: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of one number a patient, and the interval that holds it with this confidence: Student's t over patients.

    Voxels of one patient are no independent witnesses; patients are. With a single one nothing is known: NaN.

    >>> [round(number, 3) for number in interval([0.0, 1.0, 2.0])]
    [1.0, -1.484, 3.484]
    """
    from scipy.special import stdtrit

    values = np.asarray(numbers, np.float64)
    middle, n = float(values.mean()), len(values)
    if n < 2:
        return middle, math.nan, math.nan
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(values.std(ddof=1)) / math.sqrt(n)
    return middle, middle - half, middle + half


def statistics(values: Tensor) -> list[float]:
    """First-order statistics of the numbers inside a mask, as STATISTICS names them; kurtosis is 0 for normal ones.

    As IBSI defines them: population moments. Source: Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145.

    >>> [round(value, 2) for value in statistics(torch.tensor([0.0, 0.0, 3.0]))]
    [1.0, 1.41, 0.71, -1.5, 0.0, 0.0, 2.4]
    """
    x = values.double().flatten().numpy()
    away = x - x.mean()
    spread = math.sqrt(float(np.mean(away**2)))
    skewness, kurtosis = (float(np.mean((away / spread) ** k)) if spread else 0.0 for k in (3, 4))
    percentiles = [float(number) for number in np.percentile(x, (10, 50, 90))]
    return [float(x.mean()), spread, skewness, kurtosis - 3 if spread else 0.0, *percentiles]


def written(rows: Sequence[Mapping[str, object]]) -> str:
    """A table of tab-separated values with a header; all rows have the first's columns.

    >>> written([{"a": 1, "b": 0.123456789}])
    'a\\tb\\n1\\t0.123457\\n'
    """
    shown = lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)
    lines = ["\t".join(rows[0]), *("\t".join(shown(row[column]) for column in rows[0]) for row in rows)]
    return "\n".join(lines) + "\n"
