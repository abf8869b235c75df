"""What the binding recipes share: networks with settings drawn at random or given, trained, chosen, told in figures."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import explain, models
from sigconv.datasets import chip_seq as data
from sigconv.readers import motif as motif_file
from sigconv.readers.motif import Motif
from sigconv.recipes import _kmers
from sigconv.recipes._study import Quiet
from sigconv.train import auprc, auroc, fit, predict, seeds
from sigconv.train.intervals import auprc_interval, auroc_interval
from sigconv.train.job import Job

USUAL: dict[str, Any] = {"kernels": 64, "kernel_size": 11, "layers": 3, "hidden": 32, "dropout": 0.3}
TRAINING: dict[str, Any] = {"schedule": "one-cycle", "average": 0.99, "weight_decay": 0.01}
CHOICES: dict[str, Sequence[Any]] = {  # of a random search; rates and decays are drawn between two ends
    "kernels": (32, 64, 96),
    "kernel_size": (8, 11, 15, 20),
    "layers": (1, 2, 3, 4),
    "hidden": (0, 32, 64),
    "dropout": (0.1, 0.3, 0.5),
    "tilt": (100.0, 300.0, 1000.0),
}
ENDS = {"lr": (1e-3, 1e-2), "weight_decay": (1e-4, 1e-1)}
SEARCHED = 4  # a trial of the search has so many times fewer epochs
RIDGED = 2500  # windows, the strongest, that the ridge may be trained with in place of all
SHOWN = 1000  # bound windows, the strongest, that motifs are taken from
COMPARED = 16  # motifs, those that matter most, that are compared with known ones


class Settings(NamedTuple):
    """How a network is built and trained: options of models.build("dna:residual"), and those of fit and of drawing."""

    build: dict[str, Any]
    train: dict[str, Any]
    tilt: float


def check(trials: int, restarts: int, members: int, windows: int, tilt: float) -> None:
    """ValueError for what cannot be meant, before anything is read."""
    for name, value, least, most in (
        ("trials", trials, 0, 10_000),
        ("restarts", restarts, 1, 1000),
        ("members", members, 1, restarts),
        ("windows", windows, 1, 1 << 24),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} {value} must be {least} to {most}")
    if not tilt >= 0:
        raise ValueError(f"tilt {tilt} must be 0 (all alike) or more")


def drawn(generator: torch.Generator, tilt: float) -> Settings:
    """Settings by lot."""
    lot = lambda many: int(torch.randint(many, (), generator=generator))
    chosen = {name: values[lot(len(values))] for name, values in CHOICES.items()}
    rates = {
        name: math.exp(math.log(low) + math.log(high / low) * float(torch.rand((), generator=generator)))
        for name, (low, high) in ENDS.items()
    }
    return Settings({k: v for k, v in chosen.items() if k != "tilt"}, rates, chosen["tilt"] if tilt else tilt)


def built(parts: Any, settings: Settings, activation: str) -> nn.Module:
    """The network, before any training."""
    return models.build("dna:residual", classes=1, size=parts.train.x.shape[1], activation=activation, **settings.build)


def trained(
    job: Job, name: str, parts: Any, settings: Settings, options: Mapping[str, Any], seed: int
) -> tuple[nn.Module, float]:
    """A network trained on windows drawn by their strength, and its area under the curve of the validation part."""
    seeds.everything(seed)
    options = dict(options)
    model = built(parts, settings, options.pop("activation"))
    windows = options.pop("windows")
    shown = parts.train
    if shown.fresh:
        bound = shown.x[shown.y == 1]
        shown = data.Drawn(bound, windows, settings.tilt)
    options = TRAINING | options
    fit(model, shown, parts.valid, job=job, loss=surprise, scores={"auroc": auroc}, name=name, **options)
    return model, auroc(said(job, model, parts.valid), parts.valid.y)


def surprise(logits: Tensor, bound: Tensor) -> Tensor:
    """The mean log loss of (windows, 1) logits."""
    return F.binary_cross_entropy_with_logits(logits.squeeze(1), bound)


def said(job: Job, model: nn.Module, part: Any) -> Tensor:
    """The logit of each window."""
    return predict(model, part, job=job)[0].squeeze(1).double()


def searched(job: Job, parts: Any, trials: int, options: Mapping[str, Any], usual: Settings) -> Settings:
    """The best by validation of so many settings drawn at random and the usual ones, each trained shortly."""
    if trials <= 0:
        return usual
    generator = seeds.generator(job.seed, 0, 0)
    tried = [usual, *(drawn(generator, usual.tilt) for _ in range(trials))]
    short = dict(options) | {"epochs": max(options["epochs"] // SEARCHED, 1)}
    found = []
    for number, settings in enumerate(tried):
        quiet = Quiet(seed=job.seed, device=job.device)
        found.append(trained(quiet, "trial", parts, settings, short | settings.train, job.seed)[1])
        job.say(f"trial {number} of {trials}: validation AUROC {found[-1]:.4f}  {told(settings)}")
    rows = [(number, value, told(settings)) for number, (value, settings) in enumerate(zip(found, tried, strict=True))]
    job.table("settings tried", rows, ("trial", "validation AUROC", "settings"))
    return tried[max(range(len(found)), key=found.__getitem__)]


def told(settings: Settings) -> str:
    """Settings in one line."""
    shown = settings.build | settings.train | {"tilt": settings.tilt}
    return "  ".join(f"{name} {value:.3g}" for name, value in shown.items())


def ranked(
    job: Job, parts: Any, settings: Settings, options: Mapping[str, Any], restarts: int
) -> list[tuple[nn.Module, float]]:
    """Networks trained from so many seeds and their areas under the curve of the validation part, the best first."""
    options, names = dict(options) | settings.train, [f"model_{n}" if n else "model" for n in range(restarts)]
    nets = [trained(job, n, parts, settings, options, job.seed + 1000 * i) for i, n in enumerate(names)]
    job.note("validation AUROC of the networks: " + ", ".join(f"{valid:.4f}" for _, valid in nets))
    best = sorted(nets, key=lambda pair: -pair[1])
    for name, (net, _) in zip(names, best, strict=True):
        job.keep_weights(name, net)
    return [(net.cpu().eval(), valid) for net, valid in best]


def keep(folder: Path, nets: Sequence[tuple[nn.Module, float]]) -> None:
    """Each network as a folder that models.from_pretrained reads: network/, network_1/ …"""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (net, valid) in enumerate(nets):
        place = folder / (f"network_{number}" if number else "network")
        models.save_pretrained(net, place, metrics={"validation AUROC": valid})


def figures(scores: Tensor, bound: Tensor) -> dict[str, float]:
    """Areas under both curves, with the ends of their intervals."""
    found = {"auroc": auroc(scores, bound), "auprc": auprc(scores, bound)}
    for name, interval in (("auroc", auroc_interval), ("auprc", auprc_interval)):
        found[f"{name}_low"], found[f"{name}_high"] = interval(scores, bound)
    return found


def baseline(
    root: Any, factor: str, task: str, seed: int, parts: Any, strongest: int | None = None
) -> dict[str, float]:
    """Ridge regression on words of six letters, of the strongest 2,500 windows or of all: as validation says."""
    some = data.load(root, factor=factor, task=task, strongest=min(strongest or RIDGED, RIDGED), seed=seed)
    best = max((_kmers.ridge(part) for part in (some, parts)), key=lambda one: one.valid)
    return {"auroc_ridge": auroc(best.scores, parts.test.y), "auprc_ridge": auprc(best.scores, parts.test.y)}


def own(factor: str, known: Sequence[Motif]) -> list[str]:
    """Names of the known motifs of a factor, by its gene: the first word of USF1_HepG2."""
    gene = factor.split("_")[0].upper()
    return [motif.name for motif in known if gene in motif.alternate.upper().replace("(VAR.2)", "").split("::")]


class Reading(NamedTuple):
    """What networks look for: motifs, those that matter most first; a table of the likest known ones; figures."""

    motifs: list[Motif]
    table: list[tuple[Any, ...]]
    figures: dict[str, Any]


def read(folder: Path | None, nets: Sequence[nn.Module], parts: Any, known: Sequence[Motif], factor: str) -> Reading:
    """What the networks look at in the strongest bound windows, written to motifs.meme, and what is known like it;
    the motifs of their filters in filters.meme."""
    seen = parts.train.x[parts.train.y == 1][:SHOWN]
    motifs = [pattern.motif for pattern in explain.patterns(list(nets), seen)]
    filters = explain.motifs(list(nets), seen)
    for name, written in (("motifs.meme", motifs), ("filters.meme", filters)):
        if folder is not None and written:
            motif_file.write(folder / name, written)
    if not motifs:
        return Reading([], [], {})
    found: dict[str, Any] = {"motif": motifs[0].consensus}
    if not known:
        return Reading(motifs, [], found)
    every = explain.matches(motifs[:COMPARED], known, most=1)
    names, best = {motif.name: motif.alternate for motif in known}, {match.query: match for match in every}
    table = [
        (m.name, m.consensus, round(m.sites), f"{names[b.target]} {b.target}", b.pvalue, b.qvalue)
        for m in motifs[:COMPARED]
        if (b := best.get(m.name)) is not None
    ]
    first = best[motifs[0].name]
    found |= {"motif_match": f"{names[first.target]} {first.target}", "motif_qvalue": first.qvalue}
    if mine := own(factor, known):
        to_all = explain.matches(motifs[:1], known)
        found["motif_own_qvalue"] = min(match.qvalue for match in to_all if match.target in mine)
    return Reading(motifs, table, found)


def known_motifs(path: Path | None, root: Path | None) -> list[Motif]:
    """The motifs of a file, or of jaspar/ in the data folder, if it has some."""
    around = root or os.environ.get("SIGCONV_DATA")
    places = sorted((Path(around) / "jaspar").glob("*_jaspar.txt")) if around else []
    return motif_file.read(path) if path else motif_file.read(places[0]) if places else []
