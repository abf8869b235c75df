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

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sigconv import explain, models, nd, plot
from sigconv.datasets import chip_seq as data
from sigconv.readers import motif as motif_file
from sigconv.recipes import _binding
from sigconv.train import run
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
    tilt: float = 1000.0,
    windows: int = 4000,
    activation: str = "relu",
    jaspar: Path | None = None,
    data_root: Path | None = None,
    epochs: int = 10,
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
        tilt: the n-th bound window is drawn as often as 1 / (1 + n / tilt) says; 0 draws all alike
        windows: bound windows drawn an epoch, and as many shuffles
        activation: of all hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        jaspar: known motifs to compare with, in MEME's, JASPAR's or TRANSFAC's text (jaspar/ of the data folder)
        data_root: folder that holds tfbs/, or any with such files; else $SIGCONV_DATA, the cache, a download
        epochs: passes over so many drawn windows
        lr: highest learning rate of the one-cycle schedule
        batch_size: windows a step
    """
    if nd.count(members, "members") > nd.count(restarts, "restarts"):
        raise ValueError(f"members {members} are more than the {restarts} restarts they are chosen from")
    known = motif_file.read(place) if (place := jaspar or _jaspar(data_root)) else []
    parts = data.load(data_root, factor=factor, task=task, strongest=strongest, seed=job.seed)
    sizes = f"{len(parts.train)} windows to train with, {len(parts.valid)} to choose by, {len(parts.test)} to test on"
    job.note(f"{factor}, {task}: {sizes}")
    options = {"epochs": epochs, "batch_size": batch_size, "windows": windows, "activation": activation}
    usual = _binding.Settings(_binding.USUAL, {"lr": lr}, tilt)
    with threads(1):  # nets this small lose by being shared between cores
        settings = _binding.searched(job, parts, trials, options, usual)
        chosen = best_of(job, parts, settings, options | settings.train, restarts, members)
        scores = torch.stack([_binding.said(job, net, parts.test) for net in chosen]).mean(0)
        found = _binding.figures(scores, parts.test.y)
        found |= _binding.baseline(data_root, factor, task, job.seed, parts)
        job.tested_on(parts.test)
        assess(job, scores, parts.test.y.long(), data.CLASSES)
        found |= read(job, chosen, parts.train.x[parts.train.y == 1][: _binding.SHOWN], known, factor)
    return found | {"parameters": sum(p.numel() for p in chosen[0].parameters())}


def best_of(
    job: Job, parts: Any, settings: _binding.Settings, options: dict[str, Any], restarts: int, members: int
) -> list[nn.Module]:
    """So many of the networks trained from different seeds: the best by validation, which the run folder keeps."""
    names = [f"model_{number}" if number else "model" for number in range(restarts)]
    nets = [_binding.trained(job, n, parts, settings, options, job.seed + 1000 * i) for i, n in enumerate(names)]
    ranked = sorted(nets, key=lambda pair: -pair[1])
    job.note("validation AUROC of the networks: " + ", ".join(f"{valid:.4f}" for _, valid in nets))
    chosen = [net.cpu().eval() for net, _ in ranked[:members]]
    if job.folder is not None:
        for number, (name, (net, valid)) in enumerate(zip(names, ranked, strict=True)):
            job.keep_weights(name, net)
            if number < members:
                folder = job.folder / (f"network_{number}" if number else "network")
                models.save_pretrained(net, folder, metrics={"validation AUROC": valid})
    return chosen


def read(job: Job, nets: list[nn.Module], bound: torch.Tensor, known: list[Any], factor: str) -> dict[str, Any]:
    """The motifs the networks look for, those that matter most first: a file, logos, what known ones are like them."""
    motifs = explain.motifs(nets, bound)
    if not motifs:
        job.note("no detector answers to the bound windows: there are no motifs to write")
        return {}
    if job.folder is not None:
        motif_file.write(job.folder / "motifs.meme", motifs)
    titles = [f"{one.name}, {round(one.sites)} sites" for one in motifs[:LOGOS]]
    job.picture("motifs", plot.logo([one.matrix for one in motifs[:LOGOS]], titles)[0])
    found: dict[str, Any] = {"motif": motifs[0].consensus}
    if known:
        rows, figures = _binding.matched(motifs[: 2 * LOGOS], known, factor)
        job.table("motifs", rows, ("motif", "consensus", "sites", "most like", "P", "Q"))
        found |= figures
    return found


def _jaspar(root: Path | None) -> Path | None:
    """The known motifs of the data folder, if it has some."""
    around = root or os.environ.get("SIGCONV_DATA")
    places = sorted((Path(around) / "jaspar").glob("*_jaspar.txt")) if around else []
    return places[0] if places else None


if __name__ == "__main__":
    run(dna_binding)
