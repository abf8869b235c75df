"""Which front end, fixed or learned, and which sharing of weights along frequency, understand an unheard speaker?

Question  whether filters that train beat the same filters fixed, and whether weights should be shared by all bands
Data      Free Spoken Digit Dataset; each speaker in turn is left out and tested on
Model     a front end of six, its picture levelled clip by clip, then Abdel-Hamid's net: one convolution along frequency
          over static, Δ and ΔΔ with 9 frames of context, its weights shared by all bands, by sections of them, or by
          none; pooling, a hidden layer, mean over time. All are trained alike, for the same few epochs
Training  every recording is said in six other ways, the same six for all; fixed front ends look at them once
Answer    accuracy, mean over the speakers left out and the worst of them; how far the learned filters moved
Source    Abdel-Hamid et al. 2014, doi:10.1109/TASLP.2014.2339736; Zeghidour et al. 2021, arXiv:2101.08596; Anderson et
          al. 2024, arXiv:2404.06702 (learned filters hardly move)

  sigconv run front_end_study                            180 trainings; stopped, it goes on with --resume
  sigconv run front_end_study --front-ends log_mel,gabor --sharings full
"""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.datasets import spoken_digits as data
from sigconv.datasets._parts import held_back
from sigconv.recipes import _speech
from sigconv.recipes._study import Quiet, finished, spreads
from sigconv.train import evaluate, fit, run, seeds
from sigconv.train.devices import threads
from sigconv.train.fingerprint import fingerprint
from sigconv.train.job import Job
from sigconv.transforms.speech import FRONT_ENDS, Drift, drift, front_end

MODES = ("frozen", "learned")
PART = 64  # recordings that are varied, or looked at, at once


def front_end_study(
    job: Job,
    *,
    front_ends: str = ",".join(FRONT_ENDS),
    modes: str = ",".join(MODES),
    sharings: str = ",".join(_speech.SHARING),
    ways: int = 6,
    seconds: float = 0.8,
    data_root: Path | None = None,
    epochs: int = 8,
    lr: float = 4e-3,
    batch_size: int = 32,
) -> dict[str, Any]:
    """Train every cell of the table with every speaker left out, in turn; finished trainings stay finished.

    Args:
        front_ends: some of log_mel, gabor, leaf, sinc, raw, scattering, with commas between
        modes: frozen, learned or both
        sharings: some of full, limited, none
        ways: in which every recording is said to train with, beside its own
        seconds: of a recording that are looked at
        data_root: folder that holds fsdd/ (recordings.zip or recordings/); else $SIGCONV_DATA, the cache, a download
        epochs: passes over the training set, each recording in one of its ways
        lr: highest learning rate of the one-cycle schedule
        batch_size: recordings a step
    """
    rows = [chosen(front_ends, tuple(FRONT_ENDS), "front end"), chosen(modes, MODES, "mode")]
    columns = chosen(sharings, _speech.SHARING, "sharing")
    nd.count(ways, "ways")
    whole = data.everything(data_root, seconds=seconds)
    speakers = sorted(set(whole.speakers))
    job.tested_on(whole)
    marked = fingerprint(whole)["sha256"][:16]
    cells = finished(job, "front_end", "mode", "sharing", "speaker", data=marked)
    total = len(rows[0]) * len(rows[1]) * len(columns) * len(speakers)
    waves = said(whole, ways, job.seed)
    options = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    with threads(1):  # nets this small lose by being shared between cores
        for kind, mode in itertools.product(*rows):
            keys = [(kind, mode, sharing, who) for sharing in columns for who in speakers]
            missing = [key for key in keys if key not in cells]
            if not missing:
                continue
            pool = waves if mode == "learned" else looked_at(waves, kind, whole.fs, job)
            for key in missing:
                row = cell(job, key, pool, whole, options)
                cells[key] = (
                    dict(zip(("front_end", "mode", "sharing", "speaker"), key, strict=True)) | row | {"data": marked}
                )
                job.record({"model": f"{len(cells)} of {total}: {' '.join(key)}"} | cells[key], epochs)
    wanted = [row for key, row in cells.items() if key[0] in rows[0] and key[1] in rows[1] and key[2] in columns]
    return summary(job, wanted)


class Ways:
    """Recordings in so many ways: x (ways, items, …), one of which the generator chooses."""

    ready = True

    def __init__(self, x: Tensor, y: Tensor, varied: bool = False) -> None:
        self.x, self.y, self.varied, self.classes = x, y, varied, data.CLASSES

    def __len__(self) -> int:
        return len(self.y)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One recording, in one way."""
        x, y = self.batch(torch.tensor([index]), [generator or torch.default_generator])
        return x[0], y[0]

    def batch(self, indices: Tensor, generators: Any = None) -> tuple[Tensor, Tensor]:
        """Many at once."""
        way = torch.zeros(len(indices), dtype=torch.long)
        if self.varied:
            way = torch.stack([torch.randint(len(self.x), (), generator=g) for g in generators])
        return self.x[way, indices].float(), self.y[indices]

    def of(self, indices: Tensor, varied: bool = False) -> Ways:
        """Some of the recordings."""
        return Ways(self.x[:, indices], self.y[indices], varied)


def said(whole: data.Clips, ways: int, seed: int) -> Ways:
    """Every recording as it is, and in so many other ways, the loudest frame of each of power 1."""
    frame = _speech.framed(whole.fs)
    found = [whole.x / _speech.loudness(whole.x, frame)]
    for way in range(ways):
        generators = [seeds.generator(seed, way, index) for index in range(len(whole))]
        parts = zip(whole.x.split(PART), range(0, len(whole), PART), strict=True)
        said = [_speech.varied(x, generators[i : i + PART], whole.fs) for x, i in parts]
        found.append(torch.cat([x / _speech.loudness(x, frame) for x in said]))
    return Ways(torch.stack(found), whole.y)


def looked_at(waves: Ways, kind: str, fs: int, job: Job) -> Ways:
    """The levelled pictures of all waves by a fixed front end."""
    seeds.everything(job.seed)
    eye = _speech.Classifier(front_end(kind, fs), nn.Identity())
    with torch.inference_mode():
        found = [torch.cat([eye.picture(x.float()).half() for x in way.split(PART)]) for way in waves.x]
    return Ways(torch.stack(found), waves.y)


def cell(job: Job, key: tuple[str, ...], pool: Ways, whole: data.Clips, options: dict[str, Any]) -> dict[str, Any]:
    """One training, its weights chosen by the validation part: accuracies, and what became of the filters."""
    kind, mode, sharing, who = key
    there = torch.tensor([speaker == who for speaker in whole.speakers])
    rest = (~there).nonzero().flatten()
    train, valid = held_back(len(rest), job.seed)
    quiet = Quiet(seed=job.seed, device=job.device)
    seeds.everything(job.seed)  # all cells of a column start from the same network, and a row's from the same filters
    eye = front_end(kind, whole.fs, learnable=mode == "learned")
    network = _speech.network(eye, len(data.CLASSES), sharing)
    model = _speech.Classifier(eye, network) if mode == "learned" else network
    before = eye.gains()
    fixed: dict[str, Any] = {"schedule": "one-cycle", "weight_decay": 0.02, "average": 0.98}
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    parts = {"valid": pool.of(rest[valid]), "test": pool.of(there.nonzero().flatten())}
    measured = fit(model, pool.of(rest[train], varied=True), parts["valid"], job=quiet, loss=loss, **fixed, **options)
    row: dict[str, Any] = {"epoch": options["epochs"], "seconds": measured[-1]["seconds"] if measured else 0.0}
    row |= {f"{part}_accuracy": evaluate(model, found, job=quiet)["accuracy"] for part, found in parts.items()}
    row["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return row | drift(before, eye.gains(), whole.fs)._asdict()


def summary(job: Job, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the speakers and the worst of them, as metrics and as the table; how far filters moved."""
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["front_end"], row["mode"], row["sharing"]), []).append(row)
    metrics: dict[str, Any] = {}
    for key, found in cells.items():
        accuracies = [row["test_accuracy"] for row in found]
        metrics["_".join(key)] = statistics.fmean(accuracies)
        metrics["_".join(key) + "_worst"] = min(accuracies)
    sharings = list(dict.fromkeys(sharing for *_, sharing in cells))
    table = []
    for kind, mode in dict.fromkeys(key[:2] for key in cells):
        shown = [
            f"{100 * metrics[f'{kind}_{mode}_{s}']:.1f} ({100 * metrics[f'{kind}_{mode}_{s}_worst']:.1f})"
            for s in sharings
        ]
        moved = [row for key, found in cells.items() if key[:2] == (kind, mode) for row in found]
        means = {name: statistics.fmean(row[name] for row in moved) for name in Drift._fields}
        metrics |= {f"{kind}_{mode}_{name}": value for name, value in means.items()} if mode == "learned" else {}
        table.append(
            (kind, mode, *shown, f"{means['moved']:.1f}", f"{means['furthest']:.1f}", f"{means['widened']:.3f}")
        )
    whole = lambda found: [100 * row["test_accuracy"] for row in found]
    spread = lambda found: (min(whole(found)), statistics.fmean(whole(found)), max(whole(found)))
    drawn = {s: [spread(cells[*key, s]) for key in dict.fromkeys(key[:2] for key in cells)] for s in sharings}
    label = "test accuracy, %: worst, mean and best speaker"
    job.picture("accuracy_by_speaker", spreads([f"{kind}\n{mode}" for kind, mode, *_ in table], drawn, label))
    header = ("front end", "filters", *sharings, "moved, Hz", "furthest, Hz", "widened, octaves")
    job.table("accuracy, % (of the worst speaker)", table, header)
    lines = ["  ".join(f"{cell:>13}" for cell in row) for row in (header, *table)]
    job.note("\n".join([*lines, "accuracy in %, mean over the speakers left out, and of the worst one"]))
    return metrics


def chosen(text: str, known: tuple[str, ...], name: str) -> list[str]:
    """Some of the known words, with commas between."""
    return [nd.one_of(word.strip(), known, name) for word in dict.fromkeys(text.split(","))]


if __name__ == "__main__":
    run(front_end_study)
