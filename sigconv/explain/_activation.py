"""Where in space an answer comes from, as a layer inside the model sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_rest
from sigconv.explain._given import signals
from sigconv.explain._nodes import watched
from sigconv.explain._rules import answers_to, derivative, differentiable
from sigconv.pooling import upsample


def class_activation(model: nn.Module, x: Any, target: Any, node: str, *, signed: bool = False) -> Any:
    """What speaks for the answer at each place, as a layer has it: (batch, channels, *space) -> (batch, *space).

    The layer's channels are summed, each times the mean over space of the answer's derivative by it; what is negative
    counts as 0, unless signed; then the map is interpolated linearly to x's space. node is the layer's name, as
    named_modules has it: one that is called once and answers (batch, channels, *space) in as many axes as x, by custom
    the last before space is pooled away. target is as for saliency. Where a mean over space and a linear layer follow,
    it is the class activation map of Zhou et al. divided by the number of places. dtype and device are x's.

    ValueError for a node there is not, one called never or repeatedly, one without those axes, and as for saliency.

    Sources: Selvaraju et al. 2016, arXiv:1610.02391 (Grad-CAM); Zhou et al. 2015, arXiv:1512.04150.

    >>> net = nn.Sequential(nn.Conv1d(1, 1, 1, bias=False), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    >>> _ = nn.init.ones_(net[0].weight)
    >>> class_activation(net, torch.tensor([[[2.0, -4.0]]]), 0, "0")
    tensor([[1., 0.]])
    """
    return _activation(x if isinstance(x, np.ndarray) else torch.as_tensor(x), model, target, node, signed)


@nd.numpy_too
def _activation(x: Tensor, model: nn.Module, target: Any, node: str, signed: bool) -> Tensor:
    x = signals(x)
    with at_rest(model), differentiable(), watched(model, node) as seen:
        answers = answers_to(model, x.clone().requires_grad_(), target)
        there = _only(seen, node, x.ndim)
        slope = derivative(answers, there, f"node {node!r}")
    there = there.detach()
    weight = slope.mean(tuple(range(2, x.ndim)), keepdim=True)
    found = (there * weight).sum(1, keepdim=True)
    found = found if signed else found.relu()
    return upsample(found, size=tuple(x.shape[2:]), mode="linear").squeeze(1).to(x)


def _only(seen: list[Tensor], node: str, ndim: int) -> Tensor:
    """The one answer of a layer, if it has space."""
    if len(seen) != 1:
        raise ValueError(f"node {node!r} answers {len(seen)} times: expected a layer that is called once")
    if seen[0].ndim != ndim or 0 in seen[0].shape[1:]:
        raise ValueError(f"node {node!r} answers {tuple(seen[0].shape)}: expected (batch, channels, {ndim - 2} axes)")
    return seen[0]
