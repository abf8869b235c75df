"""What each sample adds to an answer on the straight way from a baseline to the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_rest, wanted
from sigconv.explain._given import filled, items_at_once, signals
from sigconv.explain._rules import slope


def integrated_gradients(
    model: nn.Module, x: Any, target: Any = None, baseline: Any = 0.0, steps: int = 64, *, batch_size: int = 64
) -> Any:
    """How much of the answer each sample adds, from a baseline on: a signed map of x's shape, dtype and device.

    The mean derivative on the straight way from the baseline to x, times what differs. An item's map sums to its answer
    less that to the baseline: to rounding where the answer is a polynomial of the way, of degree 2·steps at most (a
    linear model needs one step), nearly so where it is smooth, and where a ReLU or a maximum bends it, within 1.6/steps
    of each jump of the derivative along the way. x (batch, channels, *space), floating; baseline is a number or an
    array that broadcasts to x: silence, black, the mean. target is as for saliency. The steps are the nodes of Gauss
    and Legendre; batch_size points are answered at once, fewer of large items.

    ValueError for a baseline that does not fit, and as for saliency.

    Source: Sundararajan et al. 2017, arXiv:1703.01365.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    >>> integrated_gradients(net, torch.full((1, 1, 3), 2.0), baseline=1.0, steps=1)
    tensor([[[ 1., -2.,  3.]]])
    """
    return _integrated(
        x if isinstance(x, np.ndarray) else torch.as_tensor(x), model, target, baseline, steps, batch_size
    )


@nd.numpy_too
def _integrated(x: Tensor, model: nn.Module, target: Any, baseline: Any, steps: Any, batch_size: Any) -> Tensor:
    steps, x = nd.count(steps, "steps"), signals(x)
    away = x - filled(baseline, x, "baseline")
    most = items_at_once(batch_size, x)
    targets = None if target is None else wanted(target, len(x))
    # from -1 … 1 to how much of the way is left, 1 … 0
    nodes, weights = ((part.to(x) / 2) for part in map(torch.from_numpy, np.polynomial.legendre.leggauss(steps)))
    mean = torch.zeros_like(x)
    with at_rest(model):
        for start in range(0, len(x), most):
            rows = slice(start, start + most)
            items = len(x[rows])
            for some in torch.arange(steps).split(max(most // items, 1)):
                left = (0.5 - nodes[some]).view(-1, *[1] * x.ndim)
                points = (x[rows] - left * away[rows]).flatten(0, 1)
                chosen = None if targets is None else targets[rows].repeat(len(some))
                slopes = slope(model, points, chosen).unflatten(0, (len(some), items))
                mean[rows] += torch.tensordot(weights[some], slopes, 1)
    return mean * away
