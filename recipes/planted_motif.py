"""Planted motifs: does a network read a known motif as well as can be, and can its filters be read back?

Question  which of two random sequences holds a site; how near to the best score there is, and how like the motif the
          filter that matters most is
Data      made: random letters, in every other sequence one site drawn from the motif, anywhere, on either strand
Model     DeepBind's: detectors on both strands, the best match of each, a hidden layer. With --front-end a bank of
          filters stands before the detectors: Gabor or Haar on each letter's channel, or detectors made from motifs
Baseline  the likelihood ratio, which nothing beats (Neyman and Pearson); with --front-end, the network without it
Source    Alipanahi et al. 2015 (DeepBind), doi:10.1038/nbt.3300; Ploenzke and Irizarry 2018, doi:10.1101/411934 (motifs
          as filters)

  sigconv run planted_motif                                  TGACTCAGCA, 0.85 of its letter in every column
  sigconv run planted_motif --motifs JASPAR.txt --motif USF1 a known motif
  sigconv run planted_motif --front-end gabor --learned      filters before the detectors, beside none
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sigconv import explain, models, nd, plot
from sigconv.blocks import BothStrands
from sigconv.convolution import Conv
from sigconv.datasets import planted_motif as data
from sigconv.pooling import GlobalMaxPool
from sigconv.readers import motif as motif_file
from sigconv.readers.motif import Motif
from sigconv.recipes import _banks, _binding
from sigconv.train import auroc, fit, predict, run, seeds
from sigconv.train.devices import threads
from sigconv.train.intervals import auroc_interval
from sigconv.train.job import Job
from sigconv.transforms import dna

FRONT_ENDS = ("none", *_banks.STILL, "pwm")
UNSEEN = 0.25  # counts more in every cell of a motif that never has some letter somewhere
DECOYS = 15  # random motifs beside the planted one, where a front end of motifs is asked for without a file


def planted_motif(
    job: Job,
    *,
    samples: int = 20_000,
    length: int = 100,
    motifs: Path | None = None,
    motif: str | None = None,
    front_end: str = "none",
    learned: bool = False,
    kernels: int = 16,
    kernel_size: int = 20,
    activation: str = "relu",
    epochs: int = 6,
    lr: float = 2e-3,
    batch_size: int = 128,
) -> dict[str, Any]:
    """Train on made sequences, and compare scores with the best there are and filters with the motif.

    Args:
        samples: sequences to train with, half of them with a site
        length: letters of each
        motifs: MEME, JASPAR or TRANSFAC text to plant a motif of
        motif: which, by its name or gene (MA0093.4, USF1); the first
        front_end: none, gabor, haar or pwm (detectors made from the motifs of the file, or the planted one and others)
        learned: whether the front end's filters train
        kernels: detectors
        kernel_size: letters each looks at
        activation: of the hidden layer: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        epochs: passes over the training set
        lr: highest learning rate of the one-cycle schedule
        batch_size: sequences a step
    """
    nd.one_of(front_end, FRONT_ENDS, "front_end")
    if motif is not None and motifs is None:
        raise ValueError(f"motif {motif!r} is one of a file: give --motifs FILE too")
    if learned and front_end == "none":
        raise ValueError("learned is for a front end: give --front-end gabor, haar or pwm too")
    known = motif_file.read(motifs) if motifs else []
    planted = _chosen(known, motif) if known else data.USUAL
    parts = data.load(samples=samples, motif=planted, length=length, seed=job.seed)
    job.tested_on(parts.test)
    options = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    shape: dict[str, Any] = {"kernels": kernels, "kernel_size": kernel_size, "activation": activation}
    plain = lambda: models.build("dna:deepbind", classes=1, **shape)
    builders = {"model" if front_end == "none" else "without": plain}
    if front_end != "none":
        fronted = lambda: behind(front_end, learned, planted, known, kernels, kernel_size, job.seed)
        builders = {"model": fronted} | builders
    found: dict[str, Any] = {}
    for name, build in builders.items():
        model, figures = _trained(job, name, build, parts, options)
        found |= figures
        if build is plain:
            found |= _read(job, model.cpu(), parts.train, planted)
    found["auroc_oracle"] = auroc(data.oracle(parts.test.x, planted), parts.test.y)
    return found


def _trained(
    job: Job, name: str, build: Callable[[], nn.Module], parts: Any, options: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """A network of this name, trained, and its figures of the test part."""
    seeds.everything(job.seed)
    model = build()
    options = dict(options) | {"schedule": "one-cycle", "average": 0.99, "scores": {"auroc": auroc}}
    with threads(1):  # nets this small lose by being shared between cores
        fit(model, parts.train, parts.valid, job=job, loss=_binding.surprise, name=name, **options)
        scores = predict(model, parts.test, job=job)[0].squeeze(1)
    low, high = auroc_interval(scores, parts.test.y)
    found = {"auroc": auroc(scores, parts.test.y), "auroc_low": low, "auroc_high": high}
    if name == "without":
        return model, {key.replace("auroc", "auroc_without_front_end"): value for key, value in found.items()}
    return model, found | {"parameters": sum(p.numel() for p in model.parameters() if p.requires_grad)}


class OneHot(nn.Module):
    """Tokens as four channels, for filters that take no tokens."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.is_floating_point() else dna.one_hot(x)


def behind(
    kind: str, learned: bool, planted: Motif, known: list[Motif], kernels: int, kernel_size: int, seed: int
) -> nn.Module:
    """The network behind a front end: what it finds on the better strand, a hidden layer."""
    if kind == "pwm":
        named = known or [planted, *_decoys(planted, seed)]
        found, features = nn.Sequential(motif_layer(named, learned), GlobalMaxPool()), len(named)
    else:
        bank = _banks.Responses(kind, 1, learned)
        conv = Conv(4 * bank.filters, kernels, kernel_size, padding="same", ndim=1)
        if not learned:
            bank.requires_grad_(False)
        found, features = nn.Sequential(OneHot(), bank, conv, nn.ReLU(), GlobalMaxPool()), kernels
    head = [nn.BatchNorm1d(features), nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, 1)]
    return nn.Sequential(BothStrands(found, reduce="max"), *head)


def motif_layer(motifs: list[Motif], learned: bool) -> Conv:
    """A filter for each motif, whose answer is its log-odds score; narrower ones amid columns without information."""
    width = max(one.width for one in motifs)
    conv = Conv(4, len(motifs), width, padding="full", bias=False, ndim=1)
    with torch.no_grad():
        conv.weight.zero_()
        for row, one in zip(conv.weight, motifs, strict=True):
            weight, _ = explain.filter_of(one, pseudocount=UNSEEN if (one.matrix == 0).any() else None)
            start = (width - one.width) // 2
            row[:, start : start + one.width] = torch.as_tensor(weight)
    return conv if learned else conv.requires_grad_(False)


def likeness(found: Motif, planted: Motif) -> float:
    """Pearson's correlation of the two motifs' probabilities, at the best offset and strand, amid even columns."""
    wanted, spare = planted.probabilities(), planted.width
    best = -1.0
    for columns in (found.probabilities(), found.reversed().probabilities()):
        around = np.pad(columns, ((0, 0), (spare, spare)), constant_values=0.25)
        for start in range(around.shape[1] - spare + 1):
            seen = around[:, start : start + spare]
            if seen.std() > 0:
                best = max(best, float(np.corrcoef(seen.ravel(), wanted.ravel())[0, 1]))
    return best


def _read(job: Job, model: nn.Module, train: Any, planted: Motif) -> dict[str, Any]:
    """The motif that matters most to the network, drawn above the planted one, and how like it is."""
    found = explain.motifs(model, train.x[train.y == 1][:4000])
    if not found:
        return {}
    titles = ["planted", *(f"{one.name}, {round(one.sites)} sites" for one in found[:3])]
    drawn = [planted.probabilities(), *(one.matrix for one in found[:3])]
    job.picture("motifs", plot.logo(drawn, titles)[0])
    return {"motif_correlation": likeness(found[0], planted), "motif": found[0].consensus}


def _chosen(known: list[Motif], wanted: str | None) -> Motif:
    """The motif of a name or gene; the first, where none is named."""
    for one in known:
        if wanted is None or wanted.upper() in (one.name.upper(), one.alternate.upper()):
            return one
    raise ValueError(
        f"motif {wanted!r} is none of the {len(known)} of the file: {', '.join(m.name for m in known[:20])}"
    )


def _decoys(planted: Motif, seed: int) -> list[Motif]:
    """Random motifs as wide as the planted one."""
    rng = np.random.default_rng(seed)
    columns = rng.dirichlet([0.2] * 4, (DECOYS, planted.width)).transpose(0, 2, 1)
    return [Motif(f"decoy_{n}", "", one, counts=False) for n, one in enumerate(columns)]


if __name__ == "__main__":
    run(planted_motif)
