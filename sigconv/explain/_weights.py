"""A motif as a filter and a filter as a motif, both exactly: what a filter sums are log-odds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sigconv.readers.motif import Motif
from sigconv.transforms.dna._scores import PSEUDOCOUNT, Background, frequencies, log_odds


def filter_of(
    motif: Motif, *, background: Background | None = None, pseudocount: float | None = None, threshold: float = 0.0
) -> tuple[np.ndarray, float]:
    """The filter whose answer to a window is the motif's score less a threshold: weight (4, width) float64, and bias.

    The score is the sum of log2(probability / background's), in bits, as `sigconv scan` has it; background is the
    motif's own unless given. So relu(conv(x, weight[None], bias)) is above 0 where the score is above the threshold.
    pseudocount, a cell, is 0.25 of counts and 0 of probabilities unless given; ValueError where a letter would then
    have probability 0, for which no finite weight stands.

    Source: Ploenzke and Irizarry 2018, doi:10.1101/411934.

    >>> weight, bias = filter_of(Motif("M", "", [[8, 0], [0, 8], [0, 0], [0, 0]]), pseudocount=1, threshold=3)
    >>> weight[:, 0].round(2).tolist(), bias
    ([1.58, -1.58, -1.58, -1.58], -3.0)
    """
    if pseudocount is None:
        pseudocount = PSEUDOCOUNT if motif.counts else 0.0
    weight = log_odds(motif, motif.background if background is None else background, pseudocount)
    if not np.isfinite(weight).all():
        place = int(np.flatnonzero(~np.isfinite(weight).all(0))[0]) + 1
        raise ValueError(f"motif {motif.name} never has some letter at place {place}: give pseudocount= above 0")
    return weight, -float(threshold)


def motif_of(weight: Any, *, background: Background | None = None, name: str = "filter") -> Motif:
    """The motif whose log-odds rank windows as a filter (4, width), in bits, does: background times 2**weight, to 1.

    filter_of undoes it where it is one of motif_of's or log_odds's; of any other weight it gives the same less a
    constant in each column, the logarithm of what that column sums to, which belongs to the bias: the sum of those and
    the bias is how far the filter's answer is above the score. A filter in other units is multiplied first.

    >>> motif_of([[2.0, 0.0], [-9, 0], [-9, 0], [-9, 0]]).matrix.round(3).tolist()
    [[0.999, 0.25], [0.0, 0.25], [0.0, 0.25], [0.0, 0.25]]
    """
    values = weight.detach().cpu().numpy() if isinstance(weight, torch.Tensor) else weight
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) != 4 or values.shape[1] == 0 or not np.isfinite(values).all():
        raise ValueError(f"weight of shape {values.shape} is not (4, width), finite, with rows A C G T")
    base = frequencies(background)
    odds = base[:, None] * np.exp2(values - values.max(0))
    a, c, g, t = base.tolist()
    return Motif(name, "", odds / odds.sum(0), counts=False, background=(a, c, g, t))
