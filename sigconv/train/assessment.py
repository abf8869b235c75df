"""assess: what a classifier's scores say, for the report: mistakes, classes, whether it knows how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import plot
from sigconv.train import intervals, metrics
from sigconv.train.job import Job

TOP = 5  # answers that may hold the right one, where there are many classes
BINS = 15  # of confidence


def assess(
    job: Job, scores: Any, targets: Any, classes: Sequence[Any], *, name: str = "test", probabilities: bool = False
) -> dict[str, float]:
    """Put a classifier's confusion matrix, calibration and tables into the report; the figures, flat.

    scores (n, classes) are logits, or with probabilities=True what softmax gives; (n,) or (n, 1) is one score an item,
    of the second of two classes. targets (n,) are whole numbers, classes their names. Nothing is drawn at random.

    Pictures "confusion" and "calibration" (with the name after it, unless that is "test"), tables "name" and "name by
    class". Returns accuracy and its 95 % interval (Wilson), accuracy_low and accuracy_high; balanced_accuracy, the mean
    recall of the classes that have items; top_5_accuracy, with more than ten classes; log_loss, in nats; brier; ece.

    The Brier score is the mean over items of Σ (probability - truth)² over classes, halved for two, as scikit-learn has
    it; ece the expected calibration error of Guo et al. 2017 in 15 bins (metrics.calibration).

    ValueError, in one line, where scores and targets do not fit, are NaN, or are no classes at all.

    >>> job = Job()
    >>> found = assess(job, torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]), ["no", "yes"])
    >>> found["accuracy"], sorted(job.pictures)
    (0.5, ['calibration', 'confusion'])
    """
    names = [str(label) for label in classes]
    scores, targets = _checked(torch.as_tensor(scores), torch.as_tensor(targets), len(names))
    shares = metrics.shares_of(scores, probabilities=probabilities)
    labels = scores.argmax(1) if scores.ndim == 2 and scores.shape[1] > 1 else shares.argmax(1)
    counts = metrics.confusion(labels, targets, classes=len(names))
    bins = metrics.calibration(shares, targets, bins=BINS, probabilities=True)
    found = figures(shares, labels, targets) | {"ece": bins.ece}

    after = "" if name == "test" else f"_{name}"
    size = f"{len(targets):,} items"
    job.picture(f"confusion{after}", plot.confusion(counts.numpy(), names, title=f"{name}: {size}")[0])
    drawn = plot.calibration(bins.edges, bins.counts, bins.confidence, bins.accuracy, title=f"{name}: {size}")[0]
    job.picture(f"calibration{after}", drawn)
    job.table(name, _overall(found, len(targets)), ("", "value", "what it is"))
    rows = [
        (names[n], row.items, row.precision, row.recall, row.f1, "" if row.taken_for is None else names[row.taken_for])
        for n, row in enumerate(metrics.per_class(labels, targets, classes=len(names)))
    ]
    job.table(f"{name} by class", rows, ("class", "items", "precision", "recall", "F1", "most often taken for"))
    return found


def figures(shares: Tensor, labels: Tensor, targets: Tensor) -> dict[str, float]:
    """All that assess returns but ece: of probabilities (n, classes) and labels (n,), against targets (n,)."""
    n, classes = shares.shape
    right = int((labels == targets).sum())
    low, high = intervals.wilson(right, n)
    own = shares[torch.arange(n), targets]
    off = (shares.square().sum(1) - 2 * own + 1).mean().item()  # Σ (share - truth)², and truth is 1 once and else 0
    recalls = [row.recall for row in metrics.per_class(labels, targets, classes=classes) if row.items]
    found = {"accuracy": metrics.accuracy(labels, targets), "accuracy_low": low, "accuracy_high": high}
    found["balanced_accuracy"] = sum(recalls) / len(recalls)
    if classes > 2 * TOP:
        found[f"top_{TOP}_accuracy"] = (shares.topk(TOP, 1).indices == targets[:, None]).any(1).double().mean().item()
    found["log_loss"] = -own.clamp_min(torch.finfo(own.dtype).eps).log().mean().item()
    found["brier"] = off / 2 if classes == 2 else off
    return found


EXPLAINED = {
    "accuracy": "share of items labelled right",
    "balanced_accuracy": "mean of the classes' recalls",
    f"top_{TOP}_accuracy": f"right among the {TOP} likeliest answers",
    "log_loss": "mean of -log(probability of the truth), in nats",
    "brier": "mean squared error of the probabilities",
    "ece": "expected calibration error: how far confidence and accuracy are apart",
}


def _overall(found: dict[str, float], items: int) -> list[tuple[str, float, str]]:
    """One line a figure, with what it is."""
    interval = f"95 % interval {found['accuracy_low']:.4f} to {found['accuracy_high']:.4f} (Wilson, {items:,} items)"
    explained = EXPLAINED | {"accuracy": f"{EXPLAINED['accuracy']}; {interval}"}
    return [(key.replace("_", " "), found[key], says) for key, says in explained.items() if key in found]


def _checked(scores: Tensor, targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Scores and whole-numbered targets on the CPU, or one line that says why they are no classification."""
    whole = not (targets.is_floating_point() or targets.is_complex())
    if not whole and not bool((targets == targets.round()).all()):
        raise ValueError(f"targets of {targets.dtype} are not whole numbers: assess takes classes, not regression")
    per_item = 1 if scores.ndim == 1 else scores.shape[-1]
    if scores.ndim not in (1, 2) or per_item not in ({1, 2} if classes == 2 else {classes}) or classes < 2:
        shape = tuple(scores.shape)
        raise ValueError(f"scores of shape {shape} for {classes} classes: expected (n, {classes}), two classes or more")
    targets = targets.cpu().flatten().long()
    if len(scores) != len(targets) or not len(targets):
        raise ValueError(f"{len(scores)} scores for {len(targets)} targets: expected as many, at least one")
    if int(targets.min()) < 0 or int(targets.max()) >= classes:
        worst = int(targets.min() if targets.min() < 0 else targets.max())
        raise ValueError(f"target {worst} is not one of {classes} classes")
    return scores.detach().cpu(), targets
