"""How far a measured score may be off, by the items it was measured on alone: intervals, without random numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sigconv.train.metrics import auprc, auroc, positives


def wilson(right: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """The interval that holds a share with this confidence, right of `of` seen: Wilson's score interval.

    Unlike mean ± 1.96 deviations it is never empty and stays between 0 and 1, with one item or with no mistake too.
    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953; Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286.

    >>> [round(x, 4) for x in wilson(9, 10)]
    [0.5958, 0.9821]
    """
    if not 0 <= right <= of or of < 1:
        raise ValueError(f"{right} right of {of}: expected 0 to as many as there are, at least one")
    z = deviations(level)
    middle = (right + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(right * (of - right) / of + z * z / 4)
    return middle - half if right else 0.0, middle + half if right < of else 1.0


def auroc_interval(scores: Tensor, targets: Tensor, level: float = 0.95) -> tuple[float, float]:
    """The interval that holds the area under the ROC curve with this confidence: DeLong's variance, on the logit.

    scores and targets as auroc takes them. On the logit's scale it stays between 0 and 1; where every positive is above
    every negative it ends at 1, and begins where so many items would show no mistake once in twenty such sets. With a
    single item of a class, or scores that are all equal, nothing is known of the variance: (0, 1).
    Source: DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595; Sun and Xu 2014, doi:10.1109/LSP.2014.2337313.

    >>> [round(x, 3) for x in auroc_interval(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))]
    [0.069, 0.992]
    """
    area = auroc(scores, targets)
    scores, truth = positives(torch.as_tensor(scores), torch.as_tensor(targets))
    above, below = scores[truth], scores[~truth]
    beats = _beaten(above, below), 1 - _beaten(below, above)  # of each item the share of the others it is right about
    z, few = deviations(level), min(len(above), len(below))
    if not 0 < area < 1:
        least = (1 - level) ** (1 / few)
        return (least, 1.0) if area > 0.5 else (0.0, 1 - least)
    variance = sum(float(share.var(correction=1)) / len(share) for share in beats) if few > 1 else 0.0
    if variance == 0:
        return 0.0, 1.0
    return _on_the_logit(area, z * math.sqrt(variance) / (area * (1 - area)))


def auprc_interval(scores: Tensor, targets: Tensor, level: float = 0.95) -> tuple[float, float]:
    """The interval that holds the average precision with this confidence, by the number of positives, on the logit.

    Source: Boyd, Eng and Page 2013, doi:10.1007/978-3-642-40994-3_29.

    >>> [round(x, 3) for x in auprc_interval(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))]
    [0.108, 0.995]
    """
    found = auprc(scores, targets)
    _, truth = positives(torch.as_tensor(scores), torch.as_tensor(targets))
    n = int(truth.sum())
    if not 0 < found < 1:
        return (1 - level) ** (1 / n), 1.0
    return _on_the_logit(found, deviations(level) / math.sqrt(n * found * (1 - found)))


def deviations(level: float) -> float:
    """Standard deviations to either side of a normal mean that hold it with this confidence: 1.96 for 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"level {level} must be between 0 and 1")
    return math.sqrt(2) * torch.erfinv(torch.tensor(level, dtype=torch.float64)).item()


def _beaten(scores: Tensor, others: Tensor) -> Tensor:
    """Of each score the share of the others that it is above, those that are equal counted half."""
    ordered = others.sort().values
    sides = [torch.searchsorted(ordered, scores, right=right).double() for right in (False, True)]
    return (sides[0] + sides[1]) / 2 / len(others)


def _on_the_logit(share: float, half: float) -> tuple[float, float]:
    middle = math.log(share / (1 - share))
    low, high = (1 / (1 + math.exp(-(middle + side))) for side in (-half, half))
    return low, high
