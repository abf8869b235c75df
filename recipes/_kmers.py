"""The baseline of the DNA recipes: ridge regression on how often a sequence has each word of six letters."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv.train import auroc
from sigconv.transforms import dna

STRENGTHS = tuple(10 ** (power / 2) for power in range(13))  # of the penalty: 1 to a million
PART = 4096  # sequences counted at once


class Ridge(NamedTuple):
    """What the ridge regression chosen by the validation part says of the test part, and how strong its penalty is."""

    scores: Tensor
    strength: float
    valid: float


def ridge(parts: Any, k: int = 6) -> Ridge:
    """Trained on the same windows as the networks, the penalty chosen by the same ones; words count on both strands.

    All penalties come from one decomposition of the words' covariance.
    """
    train, valid, test = parts
    mean, gram, pull = _sums(train, k)
    values, vectors = torch.linalg.eigh(gram)
    tried, seen = [], _words(valid.x, mean, k)
    for strength in STRENGTHS:
        weights = vectors @ ((vectors.mT @ pull) / (values.clamp(min=0) + strength))
        tried.append((auroc(seen @ weights, valid.y), strength, weights))
    best = max(tried, key=lambda one: one[0])
    return Ridge(_words(test.x, mean, k) @ best[2], best[1], best[0])


def _sums(train: Any, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The words' means, their covariance and that with the answer, times the windows: a part at a time."""
    total = torch.zeros(len(dna.kmer_names(k)), dtype=torch.float64)
    gram = torch.zeros(len(total), len(total), dtype=torch.float64)
    pull = torch.zeros_like(total)
    answer = train.y.double() - train.y.double().mean()
    for x, y in zip(train.x.split(PART), answer.split(PART), strict=True):
        words = dna.kmer_counts(x, k).double()
        total += words.sum(0)
        gram += words.mT @ words
        pull += words.mT @ y
    mean = total / len(train)
    return mean, gram - len(train) * torch.outer(mean, mean), pull


def _words(x: Tensor, mean: Tensor, k: int) -> Tensor:
    """How much more often than in the mean each word stands in each window."""
    return torch.cat([dna.kmer_counts(part, k).double() for part in x.split(PART)]) - mean
