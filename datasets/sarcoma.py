"""Tumours: scans of soft-tissue sarcomas, or of any others, each with a mask of its tumour on its own grid.

    {root}/volumes/sts/{patient}/{kind}_image.nii.gz, {kind}_mask.nii.gz       kinds MR_T1 and PET, and any other

Vallières et al. 2015, doi:10.1088/0031-9155/60/14/5471; cut about the tumours by the Image Biomarker Standardisation
Initiative, https://github.com/theibsi/data_sets. T1 is about 1 x 1 x 3.3 mm, PET 3.9 to 5.5 mm; a scan is turned to RAS
and keeps its own spacing. There are no outcomes here: what can be asked is where the tumour is, patient by patient.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.datasets import _known, _pairs
from sigconv.datasets._parts import Parts
from sigconv.readers import nifti
from sigconv.transforms import volume

KINDS = {"t1": "MR_T1", "pet": "PET"}  # of scans, and what their files' names begin with
ENDINGS = (".nii.gz", ".nii")
CLASSES = ("outside", "tumour")


class Patient(NamedTuple):
    """One patient's scan: x float32 (x, y, z) in the file's unit, mask bool (x, y, z), affine, mm between voxels."""

    name: str
    x: Tensor
    mask: Tensor
    affine: np.ndarray
    spacing: tuple[float, float, float]
    image: Path


class Scans:
    """Patients as items: x float32 (1, x, y, z), each of its own size, and y uint8 (x, y, z), 1 inside the tumour."""

    ready, classes = True, CLASSES

    def __init__(self, patients: Sequence[Patient]) -> None:
        self.patients = list(patients)
        self.names = [patient.name for patient in patients]

    def __len__(self) -> int:
        return len(self.patients)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One scan and its mask."""
        patient = self.patients[index]
        return patient.x[None], patient.mask.to(torch.uint8)


def load(root: Any = None, *, modality: str = "t1", seed: int = 0) -> Parts:
    """Patients to train with, to choose by (one) and to test on (a quarter), by a permutation that the seed draws.

    everyone gives all of them, for other splits.
    """
    patients, _ = everyone(root, modality)
    if len(patients) < 3:
        raise ValueError(f"{len(patients)} patients cannot be split to train with, to choose by and to test on")
    order = torch.randperm(len(patients), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled, tested = [patients[place] for place in order], max(len(patients) // 4, 1)
    return Parts(Scans(shuffled[tested + 1 :]), Scans(shuffled[tested : tested + 1]), Scans(shuffled[:tested]))


def everyone(root: Any = None, modality: str = "t1") -> tuple[list[Patient], list[tuple[str, str]]]:
    """All patients with such a scan and its mask, in the order of their names; and (name, why) of those left out.

    modality is t1, pet, or what the files' names begin with. root is a folder with volumes/sts/, or with the patients'
    folders; without it $SIGCONV_DATA is looked at. A patient is left out whose files cannot be read, do not lie over
    each other, whose mask is empty or everything, or whose spacing is 20 times the others'. FileNotFoundError where
    there is no such scan at all.
    """
    home, prefix = _home(root), KINDS.get(modality, modality)
    patients, lost = [], []
    for folder in sorted(path for path in home.iterdir() if path.is_dir()):
        image, mask = (_file(folder / f"{prefix}_{part}") for part in ("image", "mask"))
        if image is None and mask is None:
            continue
        try:
            patients.append(_patient(folder, prefix, image, mask))
        except (OSError, ValueError) as error:
            lost.append((folder.name, str(error)))
    usual = _known.usual([patient.spacing for patient in patients])
    odd = {patient.name: why for patient in patients if (why := _known.strange(patient.image, patient.spacing, usual))}
    lost += odd.items()
    patients = [patient for patient in patients if patient.name not in odd]
    if not patients:
        why = f": {lost[0][1]}" if lost else ""
        raise FileNotFoundError(
            f"{str(home)!r} has no patient with {prefix}_image.nii.gz and {prefix}_mask.nii.gz{why}"
        )
    return patients, lost


def _patient(folder: Path, prefix: str, image: Path | None, mask: Path | None) -> Patient:
    if image is None or mask is None:
        raise FileNotFoundError(f"{str(folder)!r} has only one of {prefix}_image.nii.gz and {prefix}_mask.nii.gz")
    header, _ = _pairs.headers(_pairs.Case(folder.name, image, mask))
    if len(header.shape) != 3:
        raise ValueError(f"{str(image)!r} has shape {header.shape}: expected (x, y, z)")
    scan = nifti.read(image)
    data = torch.from_numpy(np.ascontiguousarray(scan.data, np.float32))
    inside = torch.from_numpy(_pairs.labels_of(mask)) > 0
    if not 0 < int(inside.sum()) < inside.numel():
        raise ValueError(f"{str(mask)!r} marks {'all' if bool(inside.any()) else 'none'} of the voxels: expected some")
    if not bool(data.isfinite().all()):
        raise ValueError(f"{str(image)!r} has values that are NaN or infinite")
    x, place = volume.reorient(data, scan.affine)
    marked, _ = volume.reorient(inside, scan.affine)
    a, b, c = nifti.spacing(place)
    return Patient(folder.name, x.contiguous(), marked.contiguous(), place, (float(a), float(b), float(c)), image)


def _file(stem: Path) -> Path | None:
    return next((path for ending in ENDINGS if (path := stem.with_name(stem.name + ending)).is_file()), None)


def _home(root: Any) -> Path:
    around = os.environ.get("SIGCONV_DATA") if root is None else root
    if around is None:
        raise FileNotFoundError(
            "no scans of tumours at hand: give --data-root DIR, with volumes/sts/, or set SIGCONV_DATA"
        )
    for place in (Path(around) / "volumes" / "sts", Path(around) / "sts", Path(around)):
        if place.is_dir() and any(place.glob("*/*_mask.nii*")):
            return place
    raise FileNotFoundError(f"no scans of tumours under {str(around)!r}: expected volumes/sts/PATIENT/…_mask.nii.gz")
