"""Scores of predictions. Each takes (scores, targets), or (model, dataset, job=job) and predicts first."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv.train.prediction import predict


def _of_a_model_too(metric: Callable[..., Any]) -> Callable[..., Any]:
    """metric(scores, targets) that also takes metric(model, dataset, job=job)."""

    @functools.wraps(metric)
    def either(scores: Any, targets: Any, *, job: Any = None, **options: Any) -> Any:
        if isinstance(scores, nn.Module):
            scores, targets = predict(scores, targets, job=job)
        scores, targets = torch.as_tensor(scores), torch.as_tensor(targets)
        if len(scores) != len(targets) or not len(targets):
            raise ValueError(
                f"{metric.__name__} of {len(scores)} scores for {len(targets)} targets: expected as many, at least one"
            )
        return metric(scores, targets, **options)

    return either


def _labels(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(labels, targets) as whole numbers of one shape: class scores (n, classes, …) become labels (n, …)."""
    if scores.is_floating_point() and scores.ndim == targets.ndim + 1 and scores.shape[1] > 1:
        scores = scores.argmax(1)
    if scores.is_floating_point() or scores.shape != targets.shape:
        raise ValueError(
            f"scores of shape {tuple(scores.shape)} ({scores.dtype}) for targets {tuple(targets.shape)}: "
            "expected class scores (n, classes, …) of two classes or more, or labels (n, …) as whole numbers"
        )
    return scores.long(), targets.long()


def positives(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """One score per item, of belonging to class 1, and whether it does; ValueError where that ranks nothing."""
    shape = tuple(scores.shape)
    if scores.ndim == 2 and scores.shape[1] <= 2:
        scores = scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores.squeeze(1)
    truth = targets.flatten() > 0.5
    if scores.shape != truth.shape:
        raise ValueError(f"scores of shape {shape} for {len(truth)} targets: expected one or two an item")
    if scores.isnan().any():
        raise ValueError(f"{int(scores.isnan().sum())} of {len(scores)} scores are NaN: they cannot be ranked")
    if bool(truth.all()) or not bool(truth.any()):
        raise ValueError("all targets are of one class: a ranking of two needs both")
    return scores.double(), truth


@_of_a_model_too
def accuracy(scores: Tensor, targets: Tensor) -> float:
    """Share of items labelled right: scores (n, classes), or labels (n,), against targets (n,).

    >>> accuracy(torch.tensor([[0.9, 0.1], [0.8, 0.2]]), torch.tensor([0, 1]))
    0.5
    """
    labels, targets = _labels(scores, targets)
    return (labels == targets).double().mean().item()


@_of_a_model_too
def auroc(scores: Tensor, targets: Tensor) -> float:
    """Probability that a positive scores above a negative, ties counted half: scores (n,), (n, 1) or (n, 2).

    >>> auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    0.75
    """
    scores, truth = positives(scores, targets)
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks = (last - (counts.double() - 1) / 2)[inverse]
    many = int(truth.sum())
    wins = ranks[truth].sum() - many * (many + 1) / 2
    return (wins / (many * (len(truth) - many))).item()


@_of_a_model_too
def auprc(scores: Tensor, targets: Tensor) -> float:
    """Average precision: precision summed over the steps of recall, ties together. Shapes as auroc's.

    >>> round(auprc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])), 4)
    0.8333
    """
    scores, truth = positives(scores, targets)
    ordered, places = scores.sort(descending=True)
    hits = truth[places].double().cumsum(0)
    ends = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool, device=scores.device)])
    found, seen = hits[ends], torch.arange(1, len(truth) + 1, device=scores.device)[ends]
    recall = found / hits[-1]
    return ((recall - torch.cat([recall.new_zeros(1), recall[:-1]])) * found / seen).sum().item()


@_of_a_model_too
def confusion(scores: Tensor, targets: Tensor, classes: int | None = None) -> Tensor:
    """Counts (true class, predicted class), int64, of any number of labels an item.

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    tensor([[1, 1],
            [0, 1]])
    """
    labels, targets = (part.flatten() for part in _labels(scores, targets))
    n = classes or int(max(labels.max(), targets.max())) + 1
    for name, part in (("label", labels), ("target", targets)):
        if int(part.min()) < 0 or int(part.max()) >= n:
            raise ValueError(f"{name} {int(part.min() if part.min() < 0 else part.max())} is not one of {n} classes")
    return torch.bincount(targets * n + labels, minlength=n * n).reshape(n, n)


class ClassScores(NamedTuple):
    """How one class fares: NaN where a share is of nothing, taken_for None where no item of it is missed."""

    items: int
    precision: float
    recall: float
    f1: float
    taken_for: int | None


@_of_a_model_too
def per_class(scores: Tensor, targets: Tensor, classes: int | None = None) -> list[ClassScores]:
    """Precision, recall and F1 of every class, its items, and the class that its items are most often taken for.

    Takes what confusion takes. Precision is the share of right ones among the items called so (NaN if none is), recall
    the share found of its items (NaN without items), F1 their harmonic mean; equal mistakes go to the first class.

    >>> [round(row.recall, 2) for row in per_class(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))]
    [0.5, 1.0]
    """
    counts = confusion(scores, targets, classes=classes)
    right, found, items = counts.diagonal().double(), counts.sum(0), counts.sum(1)
    missed = counts - counts.diagonal().diag()
    shares = (part.tolist() for part in (right / found, right / items, _overlaps(counts)))
    others = [int(row.argmax()) if row.any() else None for row in missed]
    return [ClassScores(*row) for row in zip(items.tolist(), *shares, others, strict=True)]


@_of_a_model_too
def f1(scores: Tensor, targets: Tensor) -> float:
    """Mean over classes of the harmonic mean of precision and recall; a class neither there nor predicted is left out.

    >>> f1(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    0.6666666666666666
    """
    shares = _overlaps(confusion(scores, targets))
    return shares[shares.isfinite()].mean().item()


@_of_a_model_too
def dice(scores: Tensor, targets: Tensor) -> dict[int, float]:
    """Overlap 2|A∩B| / (|A|+|B|) for each label but 0, the background; NaN where a label is in neither.

    >>> dice(torch.tensor([[0, 1, 1, 2]]), torch.tensor([[0, 1, 2, 2]]))
    {1: 0.6666666666666666, 2: 0.6666666666666666}
    """
    shares = _overlaps(confusion(scores, targets))
    return {label: shares[label].item() for label in range(1, len(shares))}


class Calibration(NamedTuple):
    """Bins of confidence: how many items, how sure on average, how often right (NaN in an empty bin); and the ECE."""

    ece: float
    edges: Tensor  # (bins + 1,)
    counts: Tensor  # (bins,)
    confidence: Tensor
    accuracy: Tensor


@_of_a_model_too
def calibration(scores: Tensor, targets: Tensor, *, bins: int = 15, probabilities: bool = False) -> Calibration:
    """Whether a model is right as often as it is sure: expected calibration error over equal bins of confidence.

    scores (n, classes) are logits, or with probabilities=True what softmax gives; (n,) or (n, 1) is the second of two
    classes. An item's confidence is its largest probability; bin m holds those in ((m - 1) / bins, m / bins]. The error
    is the sum over bins of items / n · |accuracy - mean confidence|. ValueError where scores are NaN.

    Source: Guo, Pleiss, Sun and Weinberger 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599, eq. 3.

    >>> calibration(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]), probabilities=True).ece
    0.25
    """
    if bins < 1:
        raise ValueError(f"bins {bins} must be at least 1")
    shares = shares_of(scores, probabilities=probabilities)
    sure, labels = shares.max(1)
    right = (labels == targets.flatten().to(labels.device)).double()
    edges = torch.arange(bins + 1, dtype=torch.float64, device=sure.device) / bins
    place = torch.bucketize(sure, edges[1:-1])
    counts = torch.bincount(place, minlength=bins)
    confidence, accuracy = (torch.bincount(place, part, minlength=bins) / counts for part in (sure, right))
    gaps = ((accuracy - confidence).abs() * counts).nan_to_num(0.0)
    return Calibration((gaps.sum() / len(sure)).item(), edges, counts, confidence, accuracy)


def shares_of(scores: Tensor, *, probabilities: bool = False) -> Tensor:
    """Probabilities (n, classes) in float64 of scores (n, classes), or of one score an item: the second of two classes.

    >>> shares_of(torch.tensor([0.0]))
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    shape = tuple(scores.shape)
    if not scores.is_floating_point() or not 1 <= scores.ndim <= 2 or 0 in shape:
        raise ValueError(f"scores of shape {shape} ({scores.dtype}): expected (n, classes), (n, 1) or (n,), floating")
    scores = scores.double().reshape(len(scores), -1)
    if scores.isnan().any():
        raise ValueError(
            f"{int(scores.isnan().any(1).sum())} of {len(scores)} items have NaN scores: look at the model"
        )
    if scores.shape[1] == 1:
        scores = torch.cat([1 - scores if probabilities else torch.zeros_like(scores), scores], 1)
    shares = scores if probabilities else scores.softmax(1)
    wrong = int((((shares.sum(1) - 1).abs() > 1e-3) | (shares < 0).any(1) | shares.isnan().any(1)).sum())
    if wrong:
        reason = "are no probabilities: give logits as they are" if probabilities else "are infinite: look at the model"
        raise ValueError(f"scores of {wrong} of {len(scores)} items {reason}")
    return shares


def _overlaps(counts: Tensor) -> Tensor:
    return 2 * counts.diagonal().double() / (counts.sum(0) + counts.sum(1))
