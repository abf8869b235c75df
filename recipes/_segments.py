"""Label maps: a loss to learn them by, answers to whole scans, how far they are from the truth, and a mean map."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv.datasets.segmentation import UNKNOWN
from sigconv.train import confusion
from sigconv.transforms import volume

SMOOTH = 1.0  # voxels, of what nobody predicts and what is not there


def dice_and_cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """What is missing of the overlap, mean of all labels and scans, and the cross-entropy: the loss of nnU-Net.

    outputs (batch, classes, *space) are logits, y (batch, *space) labels. Each scan's part depends on it alone, so that
    the loss is a mean over scans. Sources: Milletari et al. 2016, arXiv:1606.04797; Isensee et al. 2021.

    >>> sure = torch.tensor([[[9.0, 9, -9], [-9, -9, 9]]]) * 9
    >>> dice_and_cross_entropy(sure, torch.tensor([[0, 0, 1]])).item() < 1e-6
    True
    """
    target = y.long()
    shares = outputs.float().softmax(1)
    truth = F.one_hot(target, outputs.shape[1]).movedim(-1, 1)
    both, either = (shares * truth).flatten(2).sum(2), (shares + truth).flatten(2).sum(2)
    overlap = (2 * both[:, 1:] + SMOOTH) / (either[:, 1:] + SMOOTH)
    return 1 - overlap.mean() + F.cross_entropy(outputs.float(), target)


def overlaps(labels: Any, truth: Any, classes: int) -> list[float]:
    """Dice of labels 1 … of one scan: 2|A and B| / (|A| + |B|), NaN for a label that is in neither.

    >>> overlaps(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 4)
    [0.6666666666666666, 0.6666666666666666, nan]
    """
    counts = confusion(
        *(torch.as_tensor(np.ascontiguousarray(part)).long() for part in (labels, truth)), classes=classes
    )
    return (2 * counts.diagonal().double() / (counts.sum(0) + counts.sum(1)))[1:].tolist()


def mean_dice(outputs: Tensor, y: Tensor) -> float:
    """Mean Dice over scans (batch, classes, *space) and labels, the score a training is chosen by.

    >>> mean_dice(torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[1, 0]]))
    1.0
    """
    pairs = zip(outputs.argmax(1), y, strict=True)
    return mean([share for labels, truth in pairs for share in overlaps(labels, truth, outputs.shape[1])])


def mean(numbers: Sequence[float]) -> float:
    """The mean of what is a number; NaN if nothing is.

    >>> mean([1.0, math.nan, 2.0])
    1.5
    """
    known = [number for number in numbers if not math.isnan(number)]
    return sum(known) / len(known) if known else math.nan


def hausdorff(one: np.ndarray, other: np.ndarray, spacing: Sequence[float], part: float = 95.0) -> float:
    """How far the surfaces of two masks (x, y, z) are apart in mm: the 95th percentile, of the worse direction.

    A surface is the voxels of a mask with a neighbour outside it, across a face. NaN where one of the masks is empty.

    >>> hausdorff(np.eye(5)[1] > 0, np.eye(5)[4] > 0, [2.0])
    6.0
    """
    from scipy import ndimage

    if not (one.any() and other.any()):
        return math.nan
    rims = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    far = [ndimage.distance_transform_edt(~rim, sampling=spacing) for rim in rims]
    return float(max(np.percentile(far[1][rims[0]], part), np.percentile(far[0][rims[1]], part)))


def shares_of(net: nn.Module, x: Tensor, size: Sequence[int], overlap: float, mirrored: Sequence[int] = ()) -> Tensor:
    """Probabilities (classes, *space) of a scan (channels, *space) of any size, from overlapping patches of this size.

    mirrored are axes of space: the answers to the scan as it is and mirrored along any of them are averaged.
    """
    device = next(net.parameters()).device
    total: Tensor | None = None
    turns = [turn for count in range(len(mirrored) + 1) for turn in itertools.combinations(mirrored, count)]
    for turn in turns:
        axes = [axis + 1 for axis in turn]
        said = volume.sliding(net, x.flip(axes)[None], size, overlap=overlap, device=device)[0]
        found = said.float().softmax(0).flip(axes) if axes else said.float().softmax(0)
        total = found if total is None else total + found
    assert total is not None  # the empty turn is one of them
    return total / len(turns)


class Whole:
    """Scans of a data set in windows of one size, to choose by: what fits about the middle of what is labelled."""

    def __init__(self, dataset: Any, size: Sequence[int]) -> None:
        self.dataset, self.size, self.classes = dataset, tuple(size), dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One scan's window and its label map's; filled up with 0."""
        x, y = self.dataset.item(index, generator)
        known = ((y > 0) & (y < UNKNOWN)).nonzero()
        middle = known.double().mean(0) if len(known) else (torch.tensor(y.shape).double() - 1) / 2
        centre = [
            float(min(max(place, (m - 1) / 2), n - 1 - (m - 1) / 2)) if n > m else (n - 1) / 2
            for place, n, m in zip(middle, y.shape, self.size, strict=True)
        ]
        cut = lambda part: volume.crop_pad(part, np.eye(4), shape=self.size, centre=centre)[0]
        return cut(x), cut(y)


def mean_map(dataset: Any, size: Sequence[int]) -> Tensor:
    """How often each label is at each place of a data set's scans, stretched to one size: (classes, *size)."""
    total = torch.zeros(len(dataset.classes), *size)
    for index in range(len(dataset)):
        y = dataset.item(index)[1]
        total += stretched(F.one_hot(y.long(), len(dataset.classes)).movedim(-1, 0).float(), size)
    return total / len(dataset)


def stretched(x: Tensor, size: Sequence[int]) -> Tensor:
    """x (channels, x, y, z) over the same box in another number of samples.

    >>> stretched(torch.ones(1, 2, 2, 2), (3, 4, 5)).shape
    torch.Size([1, 3, 4, 5])
    """
    return volume.resample(x, np.eye(4), shape=tuple(size))[0]
