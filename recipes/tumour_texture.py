"""Tumour texture: do filter energies tell tumour from the tissue around it, in patients never seen?

Question  from its neighbourhood alone, is a voxel inside a sarcoma or in the tissue within 20 mm of it? Asked of each
          patient by what was learned from all others; twelve patients make no prognosis, and there are no outcomes
Data      soft-tissue sarcomas, T1-weighted MRI (about 1 x 1 x 3.3 mm) or PET, with masks (volumes/sts by --data-root);
          as many voxels of each kind drawn of every patient, none of air
Model     energies of 3-D Gabor filters, three wavelengths in mm and thirteen directions, or of Haar boxes, and a ridge
          classifier. The filters are fixed, and are in mm however unequal the voxels' sides
Baseline  the same classifier of the voxel's brightness; of that and its Gaussian means, as wide as the filters; and of
          the voxel's place in the scan, for the scans were cut about the tumours
Source    Vallières et al. 2015 (the patients); Bovik et al. 1990 (Gabor energies); IBSI 2, arXiv:2006.05470

Leaves features.tsv (a row for each patient: statistics of every filter inside the mask) and maps/ (NIfTI).

  sigconv run tumour_texture --data-root DIR                                    Gabor, T1
  sigconv run tumour_texture --data-root DIR --modality pet --front-end haar    Haar, PET
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import console, files, plot
from sigconv.datasets import sarcoma as data
from sigconv.readers import nifti
from sigconv.recipes import _patients as by_patient
from sigconv.recipes import _voxels as voxels
from sigconv.recipes._patients import Rows
from sigconv.train import run
from sigconv.train.job import Job
from sigconv.transforms import volume

MAPS = ("none", "mean", "all")
VIEWS = ("texture", "intensity", "blurred", "place", "both")
FEWEST = 3  # patients


def tumour_texture(
    job: Job,
    *,
    data_root: Path | None = None,
    modality: str = "t1",
    front_end: str = "gabor",
    wavelengths: tuple[float, ...] = (),
    directions: int = 13,
    margin: float = 20.0,
    drawn: int = 2000,
    maps: str = "mean",
    epochs: int = 0,
    lr: float = 0.0,
    batch_size: int = 1,
) -> dict[str, Any]:
    """Tell tumour from the tissue around it by texture.

    Args:
        data_root: folder that holds volumes/sts/, or the patients' folders; else $SIGCONV_DATA
        modality: t1, pet, or what the files' names begin with
        front_end: gabor or haar
        wavelengths: of the filters, in mm; by default 2.5, 4.1 and 6.6 times the coarsest spacing of all scans
        directions: of the Gabor filters, over half of the sphere
        margin: mm from the tumour that tissue is compared with it
        drawn: voxels of the tumour, and as many of the tissue around, of each patient
        maps: what is left as NIfTI about each tumour: none, the mean of each size's filters, or all
        epochs: of no use here, as the classifier is solved for
        lr: of no use here
        batch_size: of no use here
    """
    _checked(front_end, maps, {"margin": margin, "drawn": drawn, "directions": directions}, wavelengths)
    patients, lost = data.everyone(data_root, modality)
    tissue, bare = by_patient.tissues(patients, margin)
    patients = [patient for patient in patients if patient.name in tissue]
    lost += bare
    for name, why in lost:
        job.note(f"{name} was left out: {why}")
    if len(patients) < FEWEST:
        raise ValueError(f"{len(patients)} patients are too few to leave one out and learn from the others: {FEWEST}")
    _holding(patients, wavelengths)
    job.tested_on(data.Scans(patients))
    lengths = tuple(wavelengths) or voxels.wavelengths(max(max(patient.spacing) for patient in patients))
    look = lambda patient: voxels.energies(scaled(patient), patient.spacing, front_end, lengths, directions)
    rows, table = [], []
    names: list[str] = []
    for number, patient in enumerate(patients):
        energy, names = look(patient)
        rows.append(_rows(patient, energy, lengths, tissue[patient.name], drawn, job.seed + number))
        table.append(_summary(patient, modality, energy, names))
    job.note(f"{len(patients)} patients; {len(names)} {front_end} filters of {', '.join(_sizes(names))}.")
    if job.folder is not None:
        files.write_text(job.folder / "features.tsv", by_patient.written(table))
    areas, weights = {}, {}
    for view in VIEWS:
        areas[view], weights[view] = by_patient.left_out(rows, view)
    _told(job, [patient.name for patient in patients], areas)
    ends = {int(np.argmin(areas["texture"])): "worst", int(np.argmax(areas["texture"])): "best"}
    for number, patient in enumerate(patients):
        if maps != "none" or number in ends:
            energy, names = look(patient)
            score = voxels.scored(energy.flatten(1).T, weights["texture"][number]).reshape(patient.x.shape)
            if maps != "none" and job.folder is not None:
                _mapped(job.folder / "maps", patient, energy, names, score, margin, maps)
            if number in ends:
                _drawn(job, patient, energy, names, score, margin, f"{ends[number]}_patient")
    return _metrics(areas) | {"patients": len(patients), "features": len(names), "left_out": len(lost)}


def _checked(front_end: str, maps: str, numbers: dict[str, float], wavelengths: Sequence[float]) -> None:
    """UsageError for options that cannot be."""
    for name, word, words in (("front-end", front_end, voxels.FEATURES), ("maps", maps, MAPS)):
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    for name, number in numbers.items():
        if not number >= 1:
            raise console.UsageError(f"--{name} {number} must be at least 1")
    if wavelengths and not min(wavelengths) > 0:
        raise console.UsageError(f"--wavelengths {list(wavelengths)} must be mm above 0, such as [8,16]")


def _holding(patients: Sequence[data.Patient], wavelengths: Sequence[float]) -> None:
    """UsageError for waves that a scan's voxels are too far apart for, or that are longer than a scan."""
    least = 2 * max(max(patient.spacing) for patient in patients)
    most = min(max(n * step for n, step in zip(p.x.shape, p.spacing, strict=True)) for p in patients)
    if not all(least < length <= most for length in wavelengths):
        told = f"above {least:.3g}, two of the coarsest voxels, and {most:.3g} at most, the smallest scan's length"
        raise console.UsageError(f"--wavelengths {list(wavelengths)} must be mm {told}")


def scaled(patient: data.Patient) -> Tensor:
    """A scan of mean 0 and deviation 1, whatever its unit: (x, y, z)."""
    found: Tensor = volume.zscore(patient.x)
    return found


def _rows(
    patient: data.Patient, energy: Tensor, lengths: Sequence[float], tissue: Tensor, count: int, seed: int
) -> Rows:
    """What there is to see of voxels drawn inside the tumour and beside it."""
    generator = torch.Generator().manual_seed(seed)
    inside = voxels.drawn(patient.mask, count, generator)
    outside = voxels.drawn(tissue, count, generator)
    some = torch.cat([inside, outside])
    bright = voxels.around(scaled(patient), patient.spacing, [length / 2 for length in lengths])
    at = lambda x: x.flatten(1)[:, some].T.double()
    squared = torch.cat([bright, bright.square()])
    views = {"texture": at(energy), "intensity": at(squared[:: len(bright)]), "blurred": at(squared)}
    views |= {"place": at(voxels.places(patient.x.shape)), "both": torch.cat([at(energy), at(squared)], 1)}
    return Rows(views, torch.arange(len(some)) < len(inside))


def _summary(patient: data.Patient, modality: str, energy: Tensor, names: Sequence[str]) -> dict[str, object]:
    """A patient's row of features.tsv."""
    voxel = float(np.prod(patient.spacing)) / 1000
    count = int(patient.mask.sum())
    row: dict[str, object] = {
        "patient": patient.name,
        "modality": modality,
        "voxels": count,
        "volume_ml": count * voxel,
    }
    for name, x in zip(("intensity", *names), (patient.x, *energy), strict=True):
        numbers = by_patient.statistics(x[patient.mask])
        row |= {f"{name}_{word}": number for word, number in zip(by_patient.STATISTICS, numbers, strict=True)}
    return row


def _metrics(areas: dict[str, list[float]]) -> dict[str, float]:
    """Mean areas over patients, with intervals where the question is."""
    found: dict[str, float] = {}
    texture, bright = np.array(areas["texture"]), np.array(areas["intensity"])
    for name, numbers in (("auroc", texture), ("gain_over_intensity", texture - bright)):
        found[name], found[f"{name}_low"], found[f"{name}_high"] = by_patient.interval(numbers.tolist())
    found |= {f"auroc_{view}": float(np.mean(areas[view])) for view in VIEWS[1:]}
    return found | {"gain_of_both_over_blurred": float(np.mean(areas["both"]) - np.mean(areas["blurred"]))}


def _told(job: Job, names: Sequence[str], areas: dict[str, list[float]]) -> None:
    """A table of areas by patient."""
    rows = [(name, *(f"{areas[view][n]:.3f}" for view in VIEWS)) for n, name in enumerate(names)]
    summary = [by_patient.interval(areas[view]) for view in VIEWS]
    rows.append(("mean", *(f"{middle:.3f} ({low:.3f} to {high:.3f})" for middle, low, high in summary)))
    job.table("area under the ROC curve, each patient left out (95 % interval over patients)", rows, ("", *VIEWS))


def _sizes(names: Sequence[str]) -> dict[str, list[int]]:
    """Which filters are of each size."""
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        found.setdefault(next(word for word in name.split("_") if word.endswith("mm")), []).append(number)
    return found


def _by_size(energy: Tensor, names: Sequence[str]) -> tuple[Tensor, list[str]]:
    """The mean of all filters of one size, (sizes, x, y, z), and the sizes' names."""
    sizes = _sizes(names)
    return torch.stack([energy[numbers].mean(0) for numbers in sizes.values()]), list(sizes)


def _mapped(
    folder: Path, patient: data.Patient, energy: Tensor, names: Sequence[str], score: Tensor, margin: float, maps: str
) -> None:
    """Feature maps, scores and mask about the tumour, in one grid, with the affine of that part of the scan."""
    folder.mkdir(exist_ok=True)
    shown, called = (energy, list(names)) if maps == "all" else _by_size(energy, names)
    cut = lambda x: volume.crop_to(x, patient.affine, mask=patient.mask, margin=margin)
    for kind, x in (("features", shown), ("score", score.float()), ("mask", patient.mask.to(torch.uint8))):
        part, place = cut(x)
        options: dict[str, Any] = {"channels": kind == "features", "intent": "label" if kind == "mask" else None}
        nifti.write(folder / f"{patient.name}_{kind}.nii.gz", part, place, **options)
    files.write_text(folder / "features.json", json.dumps({"last axis": called, "values": "log energy"}) + "\n")


def _drawn(
    job: Job, patient: data.Patient, energy: Tensor, names: Sequence[str], score: Tensor, margin: float, name: str
) -> None:
    """Three slices of the score over the scan, where it was asked for, and where each size of filter finds most."""
    asked = patient.mask | by_patient.surroundings(patient, margin)
    far = (score - score[asked].mean()) / score[asked].std()
    over = torch.where(asked, torch.sigmoid(2 * far), torch.nan).numpy()
    options: dict[str, Any] = {"affine": patient.affine, "title": f"{patient.name}: surer of tumour where hotter"}
    labels = patient.mask.numpy().astype(np.uint8)
    job.picture(name, plot.slices(patient.x.numpy(), overlay=over, labels=labels, names={1: "tumour"}, **options)[0])
    if not name.startswith("best"):
        return
    means, sizes = _by_size(energy.exp(), names)
    glass = plot.glass(
        means.numpy(), volume=labels, affine=patient.affine, names=sizes, title=f"{patient.name}: energy"
    )
    job.picture(f"{name}_energy", glass[0])


if __name__ == "__main__":
    run(tumour_texture)
