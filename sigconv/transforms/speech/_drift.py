"""What training did to a front end's filters: how far their centres moved, how their widths and responses changed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Drift(NamedTuple):
    """Means over the filters; frozen ones have 0 everywhere.

    moved     by how many Hz the centre of what a filter passes went, up or down
    furthest  the same of the filter that went furthest
    widened   octaves by which the width of what it passes changed, either way
    turned    1 - cosine of what it passes before and after: 0 the same, 1 nothing in common
    """

    moved: float
    furthest: float
    widened: float
    turned: float


def spans(gains: Tensor, fs: float) -> tuple[Tensor, Tensor]:
    """Centre and width in Hz of what each filter passes: mean and deviation of frequency, weighed by gains (bands, n).

    >>> spans(torch.tensor([[0.0, 1.0, 2.0, 1.0, 0.0]]), fs=8000)
    (tensor([2000.]), tensor([707.1068]))
    """
    frequency = torch.linspace(0, fs / 2, gains.shape[1], dtype=gains.dtype)
    share = gains / gains.sum(1, keepdim=True)
    centre = share @ frequency
    width = (share * (frequency - centre[:, None]).square()).sum(1).sqrt()
    return centre, width


def drift(before: Tensor, after: Tensor, fs: float) -> Drift:
    """How filters changed, by their power gains (bands, n) from 0 to fs / 2 before and after: FrontEnd.gains().

    >>> same = torch.eye(3)
    >>> drift(same, same, fs=8000)
    Drift(moved=0.0, furthest=0.0, widened=0.0, turned=0.0)

    Source: B.2, caveats: a learned bank is reported beside its frozen control.
    """
    (here, narrow), (there, wide) = spans(before.double(), fs), spans(after.double(), fs)
    moved = (there - here).abs()
    least = fs / 2 / before.shape[1]  # a width below the grid of frequencies is none
    widened = (wide.clamp_min(least) / narrow.clamp_min(least)).log2().abs()
    turned = 1 - torch.nn.functional.cosine_similarity(before.double(), after.double(), dim=1)
    values = (moved.mean(), moved.max(), widened.mean(), turned.mean().clamp_min(0))
    return Drift(*(round(float(value), 6) for value in values))
