"""DNA-protein binding: does this protein bind this window of DNA, and which motif does it read?

Question  bound windows against themselves shuffled, every pair of neighbours kept (discovery); or against windows that
          are not bound (occupancy)
Data      ChIP-seq peaks of any factor in DeepBind's files or Zeng's folders
Model     motif detectors on both strands, layers around their matches, the best and the mean of all: dna:residual.
          Several networks are trained; the best of them by validation answer together
Baseline  ridge regression on how often each word of six letters occurs
Source    Alipanahi et al. 2015 (DeepBind), doi:10.1038/nbt.3300; Zeng et al. 2016, doi:10.1093/bioinformatics/btw255

  sigconv run dna_binding --factor USF1_HepG2               trains, reports, leaves motifs.meme
  sigconv run dna_binding --factor NAME --data-root DIR     any factor in these formats
  sigconv run dna_binding --trials 30 --restarts 3 --members 1    DeepBind's way: search, then the best of three
  sigconv motifs RUN -o motifs.meme                         the motifs anew; sigconv variants VCF FASTA RUN: variants
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch

from sigconv import plot
from sigconv.datasets import chip_seq as data
from sigconv.recipes import _binding
from sigconv.train import auroc, run
from sigconv.train.assessment import assess
from sigconv.train.devices import threads
from sigconv.train.job import Job

LOGOS = 8  # motifs drawn


def dna_binding(
    job: Job,
    *,
    factor: str = "USF1_HepG2",
    task: str = "discovery",
    trials: int = 0,
    restarts: int = 3,
    members: int = 3,
    strongest: int | None = None,
    tilt: float = 300.0,
    windows: int = 4000,
    activation: str = "relu",
    jaspar: Path | None = None,
    data_root: Path | None = None,
    epochs: int = 20,
    lr: float = 3e-3,
    batch_size: int = 256,
) -> dict[str, Any]:
    """Train networks for a factor, test them, and write what they look for.

    Args:
        factor: the first two words of its file's name (USF1_HepG2), the whole name, or its folder's
        task: discovery (shuffles are not bound) or occupancy (the file's own windows are not)
        trials: settings drawn at random and tried shortly before; the best by validation are trained (0 tries none)
        restarts: networks trained from different seeds
        members: of these, how many answer together: the best by validation
        strongest: train with the first so many bound windows of the file only
        tilt: (discovery) the n-th bound window is drawn as often as 1 / (1 + n / tilt) says; 0 draws all alike, as
            is done where the files (Zeng's) do not say which are the strongest
        windows: (discovery) bound windows drawn an epoch, and as many shuffles; else all of them are an epoch
        activation: of all hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        jaspar: known motifs to compare with, in MEME's, JASPAR's or TRANSFAC's text (jaspar/ of the data folder)
        data_root: folder that holds tfbs/, or any with such files; else $SIGCONV_DATA, the cache, a download
        epochs: passes over so many drawn windows
        lr: highest learning rate of the one-cycle schedule
        batch_size: windows a step
    """
    _binding.check(trials, restarts, members, windows, tilt)
    known = _binding.known_motifs(jaspar, data_root)
    parts = data.load(data_root, factor=factor, task=task, strongest=strongest, seed=job.seed)
    sizes = f"{len(parts.train)} windows to train with, {len(parts.valid)} to choose by, {len(parts.test)} to test on"
    job.note(f"{factor}, {task}: {sizes}")
    job.tested_on(parts.test)
    options = {"epochs": epochs, "batch_size": batch_size, "windows": windows, "activation": activation}
    usual = _binding.Settings(_binding.USUAL, {"lr": lr}, tilt if data.found(data_root, factor).ranked else 0.0)
    with threads(1):  # nets this small lose by being shared between cores
        settings = _binding.searched(job, parts, trials, options, usual)
        best = _binding.ranked(job, parts, settings, options, restarts)[:members]
        if job.folder is not None:
            _binding.keep(job.folder, best)
        answers = [_binding.said(job, net, parts.test) for net, _ in best]
        scores = torch.stack(answers).mean(0)
        found: dict[str, Any] = _binding.figures(scores, parts.test.y)
        found["auroc_one_member"] = statistics.fmean(auroc(answer, parts.test.y) for answer in answers)
        found |= _binding.baseline(data_root, factor, task, job.seed, parts, strongest)
        assess(job, scores, parts.test.y.long(), data.CLASSES)
        seen = _binding.read(job.folder, [net for net, _ in best], parts, known, factor)
    _report(job, seen)
    return found | seen.figures | {"parameters": sum(p.numel() for p in best[0][0].parameters())}


def _report(job: Job, seen: _binding.Reading) -> None:
    """The motifs as logos, and the known ones that they are most like."""
    if not seen.motifs:
        job.note("the networks look at nothing that bound windows have in common: there are no motifs to write")
        return
    first = seen.motifs[:LOGOS]
    titles = [f"{one.name}, {round(one.sites)} sites" for one in first]
    job.picture("motifs", plot.logo([one.matrix for one in first], titles)[0])
    job.table("motifs", seen.table, ("motif", "consensus", "sites", "most like", "P", "Q"))


if __name__ == "__main__":
    run(dna_binding)
