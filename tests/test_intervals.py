"""Intervals of AUROC and average precision: DeLong's variance, and coverage of what they are about."""

import math

import pytest
import torch
from scipy import stats

from sigconv.train import auprc, auroc
from sigconv.train.intervals import auprc_interval, auroc_interval, deviations


def drawn(n, shift, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    return torch.randn(n, generator=generator) + shift * y, y


def test_the_variance_is_delongs_by_its_definition():
    scores, y = drawn(60, 1.0, 0)
    scores = (scores * 3).round()  # with ties
    above, below = scores[y == 1].double(), scores[y == 0].double()
    kernel = (above[:, None] > below).double() + 0.5 * (above[:, None] == below).double()
    variance = kernel.mean(1).var() / len(above) + kernel.mean(0).var() / len(below)
    area = float(kernel.mean())
    half = 1.959963985 * math.sqrt(variance) / (area * (1 - area))
    expected = [1 / (1 + math.exp(-(math.log(area / (1 - area)) + side))) for side in (-half, half)]
    assert auroc_interval(scores, y) == pytest.approx(expected, abs=1e-9)


def test_intervals_hold_the_truth_as_often_as_they_say():
    truth = stats.norm.cdf(1.2 / math.sqrt(2))
    precision = auprc(*drawn(200_000, 1.2, 999))
    held = [0, 0]
    for seed in range(300):
        scores, y = drawn(120, 1.2, seed)
        intervals = auroc_interval(scores, y), auprc_interval(scores, y)
        for i, ((low, high), value) in enumerate(zip(intervals, (truth, precision), strict=True)):
            held[i] += low <= value <= high
            assert low < (auroc, auprc)[i](scores, y) < high
    assert all(270 <= n <= 298 for n in held)


def test_without_a_mistake_the_interval_ends_at_one_and_says_how_few_there_were():
    scores, y = torch.arange(20.0), torch.arange(20) >= 10
    low, high = auroc_interval(scores, y)
    assert (low, high) == (pytest.approx(0.05**0.1), 1.0)
    assert auroc_interval(-scores, y) == (0.0, pytest.approx(1 - 0.05**0.1))
    assert auprc_interval(scores, y)[1] == 1.0
    assert deviations(0.95) == pytest.approx(1.959963985)
    assert auroc_interval(torch.zeros(40), torch.arange(40) % 2) == (0.0, 1.0)
    assert auroc_interval(torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([0, 0, 1, 0])) == (0.0, 1.0)
    with pytest.raises(ValueError, match="level 1 must be between 0 and 1"):
        auroc_interval(scores, y, level=1)
