"""IBSI 2: do the filters here give the response maps that the standard for medical images has agreed on?

Question  does every voxel of every map lie within 1 % of the reference map's range?
Data      Image Biomarker Standardisation Initiative, chapter 2: digital phantoms (CC BY 4.0) and 28 agreed response
          maps (CC0), under volumes/ibsi2/{digital_phantom,reference_response_maps}
Model     none: mean, Laplacian of Gaussian, Laws, Gabor, wavelets, Simoncelli and Riesz from the public banks, in
          double and in single precision, and in single on the GPU where there is one
Source    arXiv:2006.05470; Whybra, Zwanenburg et al., Radiology 2024, doi:10.1148/radiol.231319

  sigconv run ibsi2 --data-root DIR      prints a table: |ours - reference| at worst, as a part of the map's range
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import plot
from sigconv.datasets import _roots
from sigconv.readers import nifti
from sigconv.recipes._ibsi2 import ROWS, Row
from sigconv.train import run
from sigconv.train.job import Job

MET = 0.01  # of the range: the standard's own tolerance
WORDS = {"cpu_float64": torch.float64, "cpu_float32": torch.float32, "cuda_float32": torch.float32}
DRAWN = ("2_b", "3_b_3", "4_a_2", "5_a_2", "8_a_2", "10_b_1")
MAPS, PHANTOMS = "reference_response_maps", "digital_phantom"


def ibsi2(
    job: Job,
    *,
    data_root: Path | None = None,
    epochs: int = 0,
    lr: float = 0.0,
    batch_size: int = 1,
) -> dict[str, Any]:
    """Filter the phantoms and compare with every reference map that is there.

    Args:
        data_root: folder that holds volumes/ibsi2/; else $SIGCONV_DATA
        epochs: of no use here, as nothing is trained
        lr: of no use here
        batch_size: of no use here
    """
    folder = place(data_root)
    there = {path.name.split("-")[0]: path for path in sorted((folder / MAPS).glob("*.nii*"))}
    lost = [name for name, row in ROWS.items() if name in there and phantom(folder, row) is None]
    known = [name for name in ROWS if name in there and name not in lost]
    if not known:
        raise FileNotFoundError(
            f"no map of IBSI 2 with its phantom under {str(folder)!r}: expected {MAPS}/1_a_1-….nii.gz"
        )
    ways = [way for way in WORDS if job.device == "cuda" or "cuda" not in way]
    found: list[Any] = []
    pictures: dict[str, Any] = {}
    for name in known:
        row, drawn = compare(name, phantom(folder, ROWS[name]), there[name], ways)
        found.append(row)
        pictures |= drawn
    job.rows.extend(found)  # metrics.csv is the table
    job.test_size = len(found)
    job.note(table(found, ways))
    others = {"missing": sorted(set(ROWS) - set(there)), "unknown": sorted(set(there) - set(ROWS)), "lost": lost}
    says = {"missing": "not there", "unknown": "not defined here", "lost": "without their phantom"}
    for kind, names in others.items():
        if names:
            job.note(f"maps {says[kind]}: {', '.join(names)}")
    job.picture("deviation_of_every_map", drawn_table(found, ways))
    if pictures:
        job.picture("middle_slices", plot.images(list(pictures.values()), list(pictures), columns=6)[0])
    return summary(found, ways) | {f"maps_{kind}": len(names) for kind, names in others.items()}


def place(root: Any) -> Path:
    """The folder with phantoms and maps."""
    root = root or os.environ.get("SIGCONV_DATA")
    if not root:
        raise FileNotFoundError(
            "IBSI 2 is not at hand: give --data-root, or set SIGCONV_DATA, to a folder with volumes/ibsi2 "
            f"({PHANTOMS} of theibsi/data_sets, {MAPS} of theibsi/ibsi_2_reference_data)"
        )
    return _roots.find("volumes/ibsi2", root, "")


def phantom(folder: Path, row: Row) -> Path | None:
    """A row's phantom, if it is there."""
    return next(iter(sorted((folder / PHANTOMS).glob(f"{row.phantom}_image.nii*"))), None)


def compare(name: str, image: Any, reference: Path, ways: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """One map in every precision: a row of the table, and, for some, pictures of ours, theirs and the difference."""
    volume, row = nifti.read(image), ROWS[name]
    spacing = volume.meta["spacing"][:3]
    if max(spacing) - min(spacing) > 1e-6:
        raise ValueError(f"{str(image)!r} has voxels of {spacing} mm: IBSI's phantoms are cubes")
    wanted = torch.from_numpy(nifti.read(reference).data.astype(np.float64))
    span = float(wanted.max() - wanted.min())
    line: dict[str, Any] = {"map": name, "phantom": row.phantom, "filter": row.says}
    pictures = {}
    for way in ways:
        x = torch.from_numpy(volume.data.astype(np.float64)).to(way.split("_")[0], WORDS[way])
        ours = answer(row, x, 1 / spacing[0]).double().cpu()
        if ours.shape != wanted.shape:
            raise ValueError(f"{str(reference)!r} has shape {tuple(wanted.shape)}, and its phantom {tuple(ours.shape)}")
        line[way] = float((ours - wanted).abs().max()) / span
        if name in DRAWN and way == "cpu_float64":
            three = {"ours": ours, "reference": wanted, f"difference, {line[way]:.0e}": ours - wanted}
            pictures = {f"{name} {what}": volume[..., wanted.shape[2] // 2] for what, volume in three.items()}
    line["strict"] = min(10 * row.reached, MET)
    return line, pictures


def answer(row: Row, x: Tensor, fs: float) -> Tensor:
    """A phantom (*space) through its row, with every bit of single precision on a GPU."""
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        return row.respond(x[None, None], fs)[0, 0]


def table(found: list[dict[str, Any]], ways: list[str]) -> str:
    """The conformance table, to be read."""
    lines = [["map", "phantom", "filter", *ways, "1 %", "strict"]]
    for row in found:
        met = "met" if max(row[way] for way in ways) <= MET else "NOT MET"
        strict = "met" if row["cpu_float64"] <= row["strict"] else "NOT MET"
        lines.append([row["map"], row["phantom"], row["filter"], *(f"{row[way]:.1e}" for way in ways), met, strict])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    title = "Largest deviation of a voxel, as a part of the reference map's range:\n"
    return title + "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def summary(found: list[dict[str, Any]], ways: list[str]) -> dict[str, Any]:
    """The table in a few numbers; without a suffix those of double precision."""
    counts: dict[str, Any] = {"maps_total": len(found)}
    for way in ways:
        suffix = "" if way == "cpu_float64" else f"_{way}"
        values = [row[way] for row in found]
        counts[f"maps_met{suffix}"] = sum(value <= MET for value in values)
        counts[f"maps_within_1e_4{suffix}"] = sum(value <= 1e-4 for value in values)
        counts[f"worst_deviation{suffix}"] = max(values)
    counts["maps_strict"] = sum(row["cpu_float64"] <= row["strict"] for row in found)
    return counts


def drawn_table(found: list[dict[str, Any]], ways: list[str]) -> Any:
    """Every map's deviation beside what is allowed."""
    figure, ax = plot.axes(None, (7.2, 0.22 * len(found) + 1.2))
    places = range(len(found))
    for way, colour in zip(ways, plot.COLOURS, strict=False):
        ax.plot([max(row[way], 1e-9) for row in found], places, "o", color=colour, label=way.replace("_", " "))
    ax.plot([row["strict"] for row in found], places, "|", color="grey", markersize=12, label="strict goal")
    ax.axvline(MET, color="black", linewidth=1, label="tolerance")
    ax.set_xscale("log")
    ax.set_yticks(places, [f"{row['map']}  {row['filter']}" for row in found], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel("largest deviation / range of the reference map")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=4, fontsize=8)
    return figure


if __name__ == "__main__":
    run(ibsi2)
