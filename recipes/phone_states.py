"""Phone states: which of 183 states of phones is a frame of speech, and which phones does a sentence hold?

Question  does a convolution along frequency find phones better than a fully connected net, and how far should its
          weights be shared?
Data      TIMIT, or recordings in its format (--data-root DIR): 61 phones, each cut into three states of equal length,
          for no one has said where they change; a frame every 10 ms. Speakers are of one part only
Model     40 log-mel bands (25 ms, Hamming) with Δ and ΔΔ in 15 frames as 45 channels, mean 0 and deviation 1 over the
          training frames; one convolution along the bands, its weights shared everywhere (full), within 14 sections
          (limited) or nowhere (none), pooling, fully connected layers. Energy is left out
Decoding  posteriors over priors; phones of three states from left to right, a bigram of phones, the likeliest path; the
          bigram's weight is chosen on the development speakers. Errors are counted after folding to 39 phones
Baseline  the fully connected net on the same frames; the most frequent state
Source    Abdel-Hamid et al. 2014, doi:10.1109/TASLP.2014.2339736 (AP1); Lee and Hon 1989 (folding); Halberstadt 1998

  sigconv run phone_states --data-root DIR                      DIR/timit/TRAIN and TEST
  sigconv run phone_states --data-root DIR --sharing limited
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import console, models
from sigconv.datasets import timit as data
from sigconv.datasets._phones import LEFT_OUT, PHONES_39, PHONES_61, fold
from sigconv.recipes import _decoding
from sigconv.recipes._frames import BANDS, CONTEXT, STATES, Frames, Front, framed
from sigconv.train import accuracy, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.job import Job

SHARING = ("full", "limited", "none", "dense")
WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # of the bigram, to choose from


def phone_states(
    job: Job,
    *,
    sharing: str = "full",
    pooling: str = "max",
    activation: str = "sigmoid",
    width: float = 1.0,
    dropout: float = 0.0,
    baseline: bool = True,
    data_root: Path | None = None,
    epochs: int = 10,
    lr: float = 1e-3,
    batch_size: int = 256,
) -> dict[str, Any]:
    """Classify frames of speech, and find the phones of sentences.

    Args:
        sharing: full, limited or none: how far weights are shared along frequency; or dense, the baseline alone
        pooling: max, or softmax, whose window is learned
        activation: of all hidden units: sigmoid as published, relu, maxout and others
        width: of all layers, times 1000 units and 360 (limited, none: 150) maps
        dropout: share of units left out in training
        baseline: whether the fully connected net is trained beside it
        data_root: folder that holds timit/ or is it; else $SIGCONV_DATA
        epochs: passes over the training frames
        lr: highest learning rate of the one-cycle schedule
        batch_size: frames a step
    """
    for name, word, words in (("sharing", sharing, SHARING), ("pooling", pooling, ("max", "softmax"))):
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    if sharing == "dense" and pooling != "max":
        raise console.UsageError(
            f"--sharing dense pools nothing: leave --pooling {pooling} out, or choose a convolution"
        )
    sentences = data.load(data_root, seed=job.seed)
    front: Front | None = None
    parts: list[Frames] = []
    for part in sentences:
        frames, front = framed(part, front)
        parts.append(frames)
    train, valid, test = parts
    sizes = ", ".join(
        f"{len(set(s.speakers))} speakers with {len(s)} sentences {what}"
        for s, what in zip(sentences, ("to train with", "to choose by", "to test on"), strict=True)
    )
    core = "the official core set" if set(sentences.test.speakers) == data.CORE else "not the official core set"
    job.note(f"{sizes}: {core}. The states of a phone are its thirds: no one has said where they change.")
    job.tested_on(test)
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "schedule": "one-cycle"}
    shape: dict[str, Any] = {"width": width, "activation": activation, "dropout": dropout}
    found: dict[str, Any] = {}
    for name in dict.fromkeys([sharing, *(["dense"] if baseline else [])]):
        torch.manual_seed(job.seed)
        net = network(name, **shape, **({} if name == "dense" else {"pooling": pooling}))
        fit(net, train, valid, job=job, name="model" if name == sharing else name, **options)
        after = "" if name == sharing else f"_{name}"
        found |= {f"{key}{after}": value for key, value in scored(job, net, parts, draws=not after).items()}
    usual = train.y.bincount(minlength=len(PHONES_61) * STATES).argmax()
    found["frame_accuracy_most_frequent"] = float((test.y == usual).double().mean())
    return found


def network(sharing: str, **options: Any) -> nn.Module:
    """Frames (batch, 45, 40) -> scores of states (batch, 183)."""
    shape = {"ndim": 1, "in_channels": 3 * CONTEXT, "classes": len(PHONES_61) * STATES, "size": BANDS}
    return models.speech.build(sharing, **shape, **options)


def scored(job: Job, net: nn.Module, parts: list[Frames], draws: bool) -> dict[str, Any]:
    """How many frames a net gets right, and how many phones wrong."""
    train, valid, test = parts
    prior = torch.log((train.y.bincount(minlength=len(PHONES_61) * STATES) + 1) / (len(train) + 1))
    language = _decoding.bigram([[PHONES_61.index(p) for p in said] for said in train.phones], len(PHONES_61))
    outputs = [predict(net, part, job=job)[0].log_softmax(1) for part in (valid, test)]
    if draws:
        _assess(job, outputs[1], test.y)
    rates = {}
    for weight in WEIGHTS:
        states = _decoding.chain(language, train.durations, weight)
        rates[weight] = error_rate(valid, outputs[0] - prior, states)
    best = min(rates, key=lambda weight: rates[weight])
    job.say("phone error rate of development by weight: " + ", ".join(f"{w:g}: {r:.4f}" for w, r in rates.items()))
    return {
        "frame_accuracy": accuracy(outputs[1], test.y),
        "phone_error_rate": error_rate(test, outputs[1] - prior, _decoding.chain(language, train.durations, best)),
        "phone_error_rate_dev": rates[best],
        "language_weight": best,
        "parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
    }


def error_rate(part: Frames, scores: Tensor, states: _decoding.Chain) -> float:
    """Edits over phones of all sentences of a part, both folded to 39; scores (frames, 183)."""
    said = [decoded(rows.numpy(), states) for rows in scores.split(part.lengths)]
    return _decoding.error_rate(said, [fold(phones) for phones in part.phones])


def decoded(scores: np.ndarray, states: _decoding.Chain) -> list[str]:
    """The likeliest phones, of the 39: scores (frames, 183)."""
    path, _ = _decoding.viterbi(scores, states)
    return fold([PHONES_61[place] for place in _decoding.phones_of(path, STATES)])


def _assess(job: Job, scores: Tensor, targets: Tensor) -> None:
    """The report's figures: frames by phones of the 39, probabilities of states summed; q, which is none, left out."""
    place = torch.tensor([PHONES_39.index(fold([p])[0]) if p != LEFT_OUT else -1 for p in PHONES_61])
    place = place.repeat_interleave(STATES)
    kept = place >= 0
    shares = torch.zeros(len(scores), len(PHONES_39), dtype=torch.float64)
    shares.index_add_(1, place[kept], scores[:, kept].double().exp())
    rows = kept[targets]
    shares = shares[rows] / shares[rows].sum(1, keepdim=True)
    assess(job, shares, place[targets[rows]], PHONES_39, probabilities=True)


if __name__ == "__main__":
    run(phone_states)
