"""All factors at hand: how well is the binding of each predicted, and is the motif that is read its own?

Question  the recipe dna_binding, with one set of settings for all, factor by factor, beside the k-mer ridge
Data      every factor under the data root, in DeepBind's files or Zeng's folders
Model     dna:residual; of several networks the best by validation answer together
Answer    areas under the ROC and the precision-recall curve with 95 % intervals; the motif that matters most, and how
          like it is to the known one of the factor's gene
Source    Alipanahi et al. 2015 (DeepBind), doi:10.1038/nbt.3300; Zeng et al. 2016, doi:10.1093/bioinformatics/btw255

  sigconv run dna_table                                   a row for every factor; stopped, it goes on with --resume
  sigconv run dna_table --factors USF1_HepG2,MYC_H1-hESC
"""

from __future__ import annotations

import hashlib
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from sigconv import files
from sigconv.datasets import chip_seq as data
from sigconv.recipes import _binding
from sigconv.recipes._study import Quiet, finished, spreads
from sigconv.train import run
from sigconv.train.devices import threads
from sigconv.train.job import Job

HEADER = (
    "factor",
    "AUROC",
    "95 %",
    "AUPRC",
    "95 %",
    "ridge AUROC",
    "ridge AUPRC",
    "motif",
    "most like",
    "own motif, Q",
)


def dna_table(
    job: Job,
    *,
    factors: str = "",
    task: str = "discovery",
    trials: int = 0,
    restarts: int = 3,
    members: int = 3,
    tilt: float = 300.0,
    windows: int = 4000,
    activation: str = "relu",
    jaspar: Path | None = None,
    data_root: Path | None = None,
    epochs: int = 20,
    lr: float = 3e-3,
    batch_size: int = 256,
) -> dict[str, Any]:
    """Train and test networks for every factor, in turn; finished ones stay finished, unusable ones are left out.

    Args:
        factors: names with commas between; all that are at hand
        task: discovery (shuffles are not bound) or occupancy (the files' own windows are not)
        trials: settings drawn at random and tried shortly before, for each factor (0 tries none)
        restarts: networks trained from different seeds, for each factor
        members: of these, how many answer together: the best by validation
        tilt: (discovery) the n-th bound window is drawn as often as 1 / (1 + n / tilt) says; 0 draws all alike, as
            is done where the files (Zeng's) do not say which are the strongest
        windows: (discovery) bound windows drawn an epoch, and as many shuffles; else all of them are an epoch
        activation: of all hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        jaspar: known motifs to compare with, in MEME's, JASPAR's or TRANSFAC's text (jaspar/ of the data folder)
        data_root: folder that holds tfbs/, or any with such files; else $SIGCONV_DATA
        epochs: passes over so many drawn windows
        lr: highest learning rate of the one-cycle schedule
        batch_size: windows a step
    """
    _binding.check(trials, restarts, members, windows, tilt)
    wanted = [name.strip() for name in factors.split(",") if name.strip()]
    names = list(dict.fromkeys(wanted)) or sorted(data.factors(data_root))
    if not names:
        raise FileNotFoundError("no factors at hand: give --data-root DIR, which holds tfbs/, or set SIGCONV_DATA")
    known = _binding.known_motifs(jaspar, data_root)
    marked = {name: _marked(data.found(data_root, name), known) for name in names}
    rows = finished(job, "factor", data=marked)
    options = {"epochs": epochs, "batch_size": batch_size, "windows": windows, "activation": activation}
    with threads(1):  # nets this small lose by being shared between cores
        for name in names:
            if (name,) in rows:
                continue
            began = time.monotonic()
            try:
                parts = data.load(data_root, factor=name, task=task, seed=job.seed)
            except (OSError, ValueError) as error:  # of one among many: the others are no worse for it
                job.note(f"{name} is left out: {error}")
                continue
            usual = _binding.Settings(_binding.USUAL, {"lr": lr}, tilt if data.found(data_root, name).ranked else 0.0)
            row = {"factor": name} | one(job, name, parts, (trials, restarts, members), options, usual, known)
            row |= _binding.baseline(data_root, name, task, job.seed, parts)
            rows[name,] = row | {"epoch": epochs, "data": marked[name], "seconds": time.monotonic() - began}
            job.record({"model": f"{len(rows)} of {len(names)}: {name}"} | rows[name,], epochs)
    table = [rows[name,] for name in names if (name,) in rows]
    if not table:
        raise ValueError(f"none of the {len(names)} factors can be used: {', '.join(names[:9])}")
    job.test_size = sum(row["tested"] for row in table)
    return summary(job, table) | {"left_out": len(names) - len(table)}


def one(
    job: Job, name: str, parts: Any, counts: tuple[int, int, int], options: Any, usual: Any, known: Any
) -> dict[str, Any]:
    """One factor: its networks are trained, tested and read; they and their motifs are kept in a folder of its own."""
    trials, restarts, members = counts
    quiet = Quiet(seed=job.seed, device=job.device)
    settings = _binding.searched(quiet, parts, trials, options, usual)
    best = _binding.ranked(quiet, parts, settings, options, restarts)[:members]
    folder = None if job.folder is None else job.folder / "factors" / name
    if folder is not None:
        _binding.keep(folder, best)
    scores = torch.stack([_binding.said(quiet, net, parts.test) for net, _ in best]).mean(0)
    found: dict[str, Any] = _binding.figures(scores, parts.test.y) | {"tested": len(parts.test)}
    return found | _binding.read(folder, [net for net, _ in best], parts, known, name).figures


def summary(job: Job, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the factors, how often ours is not below the ridge, how many read their own motif; the table."""
    metrics: dict[str, Any] = {key: statistics.fmean(row[key] for row in rows) for key in ("auroc", "auprc")}
    metrics |= {f"{key}_ridge": statistics.fmean(row[f"{key}_ridge"] for row in rows) for key in ("auroc", "auprc")}
    metrics["factors"] = len(rows)
    metrics["not_below_ridge"] = sum(row["auroc"] >= row["auroc_ridge"] for row in rows)
    own = [row["motif_own_qvalue"] for row in rows if "motif_own_qvalue" in row]
    metrics |= {"with_known_motif": len(own), "own_motif_first": sum(value < 0.01 for value in own)}
    metrics |= {f"auroc_of_{row['factor']}": row["auroc"] for row in rows}
    between = lambda row, key: f"{row[f'{key}_low']:.3f}-{row[f'{key}_high']:.3f}"
    shown = []
    for row in rows:
        areas = [f"{row['auroc']:.4f}", between(row, "auroc"), f"{row['auprc']:.4f}", between(row, "auprc")]
        ridge = [f"{row['auroc_ridge']:.4f}", f"{row['auprc_ridge']:.4f}"]
        own_q = f"{row['motif_own_qvalue']:.1e}" if "motif_own_qvalue" in row else "none known"
        shown.append((row["factor"], *areas, *ridge, row.get("motif", ""), row.get("motif_match", ""), own_q))
    drawn = {"network, 95 %": [(row["auroc_low"], row["auroc"], row["auroc_high"]) for row in rows]}
    drawn["ridge"] = [(row["auroc_ridge"],) * 3 for row in rows]
    job.picture("auroc_of_every_factor", spreads([row["factor"] for row in rows], drawn, "area under the ROC curve"))
    job.table("factors", shown, HEADER)
    job.note("\n".join("  ".join(f"{cell:>14}" for cell in line) for line in (HEADER, *shown)))
    return metrics


def _marked(places: data.Files, known: list[Any]) -> str:
    """What the files and the known motifs are, in sixteen digits: a row made of others is not gone on with."""
    digest = hashlib.sha256(b"".join(one.name.encode() + one.matrix.tobytes() for one in known))
    for path in places:
        digest.update(hashlib.sha256(files.read_bytes(path)).digest())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    run(dna_table)
