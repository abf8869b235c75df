"""Random DNA, half of it with one site of a known motif planted: what a perfect reader would score is known exactly.

Letters are drawn from a background; in every other sequence one site, drawn column by column from the motif, takes the
place of as many letters, anywhere, on either strand. The likelihood ratio of the two is then a sum over places and
strands, and no score can order the sequences better (Neyman and Pearson).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.datasets._parts import Arrays, Parts
from sigconv.readers.motif import UNIFORM, Motif
from sigconv.transforms import dna

CLASSES = ("without", "with the motif")


def consensus(letters: str, share: float = 0.85, name: str = "planted") -> Motif:
    """A motif that has a letter in each column with so much probability, and the other three alike.

    >>> consensus("AC", 0.7).matrix.round(2).tolist()
    [[0.7, 0.1], [0.1, 0.7], [0.1, 0.1], [0.1, 0.1]]
    """
    if not 0.25 <= share < 1:
        raise ValueError(f"share {share} must be at least 0.25 and below 1")
    matrix = np.full((4, len(letters)), (1 - share) / 3)
    for column, letter in enumerate(letters.upper()):
        matrix[dna.LETTERS.index(nd.one_of(letter, dna.LETTERS, "letter")), column] = share
    return Motif(name, letters, matrix, counts=False)


MOST_LETTERS = 1 << 28
USUAL = consensus("TGACTCAGCA")


def generate(
    samples: int,
    *,
    motif: Motif = USUAL,
    length: int = 100,
    background: Sequence[float] = UNIFORM,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """x (samples, length) of tokens, uint8, and y (samples,), float32: whether the motif is in it, for every other one.

    A pure function of its arguments. ValueError for a motif longer than the sequences, or a background that is none.

    >>> x, y = generate(4, length=30)
    >>> x.shape, y.tolist()
    (torch.Size([4, 30]), [1.0, 0.0, 1.0, 0.0])
    """
    if nd.count(samples, "samples") * nd.count(length, "length") > MOST_LETTERS:
        raise ValueError(f"{samples} samples of {length} letters are more than the {MOST_LETTERS} made at once")
    if nd.count(length, "length") < motif.width:
        raise ValueError(f"length {length} is less than the motif's {motif.width} letters")
    chances = np.asarray(background, np.float64)
    if chances.shape != (4,) or not (chances > 0).all() or abs(chances.sum() - 1) > 1e-6:
        raise ValueError(f"background {list(background)} is not four probabilities above 0 that add up to 1")
    rng = np.random.default_rng(seed)
    x = rng.choice(4, (samples, length), p=chances / chances.sum()).astype(np.uint8)
    bound = np.arange(0, samples, 2)
    rows = np.cumsum(motif.probabilities(), 0)  # each column's letter by the inverse of its distribution
    sites = (rng.random((len(bound), 1, motif.width)) > rows[None]).sum(1).clip(max=3).astype(np.uint8)
    turned = rng.random(len(bound)) < 0.5
    sites[turned] = 3 - sites[turned, ::-1]
    starts = rng.integers(0, length - motif.width + 1, len(bound))
    x[bound[:, None], starts[:, None] + np.arange(motif.width)] = sites
    return torch.from_numpy(x), torch.arange(samples).remainder(2).eq(0).float()


def oracle(x: Tensor, motif: Motif = USUAL, background: Sequence[float] = UNIFORM) -> Tensor:
    """The logarithm of the likelihood ratio of each sequence, (samples,), float64, in nats: the best score there is.

    The mean over all places and both strands of the odds of a site there.
    """
    columns = motif.probabilities()
    strands = [dna.log_odds(one, background, pseudocount=0.0) for one in (columns, columns[::-1, ::-1])]
    odds = torch.cat([torch.as_tensor(dna.match_scores(x, one)) for one in strands], -1)
    return torch.logsumexp(odds.double() * np.log(2), -1) - np.log(odds.shape[-1])


def load(
    root: Any = None,
    *,
    samples: int = 8000,
    motif: Motif = USUAL,
    length: int = 100,
    background: Sequence[float] = UNIFORM,
    seed: int = 0,
) -> Parts:
    """Sequences to train with, a tenth as many to choose by, 10,000 to test on; each part has a seed."""
    sizes = (samples, max(samples // 10, 2), 10_000)
    made = [
        generate(n, motif=motif, length=length, background=background, seed=3 * seed + part)
        for part, n in enumerate(sizes)
    ]
    return Parts(*(Arrays(x, y, CLASSES) for x, y in made))
