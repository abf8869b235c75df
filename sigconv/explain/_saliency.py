"""Which samples of its input an answer depends on: signed maps, and the grey picture that is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_rest
from sigconv.explain._rules import RULES, slope
from sigconv.transforms import dna


def saliency(model: nn.Module, x: Any, target: Any = None, rule: str = "gradient") -> Any:
    """How the answer changes with each sample of x, a signed map of x's shape, dtype and device (VZ1, VZ2, VZ3).

    x (batch, channels, *space), floating; or tokens of DNA (batch, letters), of which the map, of the model's dtype,
    says how the answer changes with the channel of the letter that is there (0 of unknown ones). target is a class or
    one for each item; a model of one output needs none, and of two it is the second less the first. The model answers
    as it is used, not as it is trained, and is left as it was; so are its gradients.

    rule "gradient": the derivative itself. "deconvnet": on its way back through a ReLU the signal passes where it is
    itself positive, whatever the ReLU was given. "guided": where it is positive and so was what the ReLU was given.
    Maxima pass the signal to where they were found, by every rule. A ReLU is one however it is called: nn.ReLU, in
    place, once or many times, relu and relu_ of torch, tensors and torch.nn.functional, clamp and clip with min=0 and
    no max, clamp_min of 0, threshold of 0 by 0. Other activations (ReLU6, LeakyReLU, GELU …) and the ReLU inside
    torch's nn.RNN keep their derivative.

    ValueError for an unknown rule, a target that is no class, outputs other than (batch,) and (batch, classes), an
    answer that cannot be derived, and a rule for ReLU where none is on the way or the model is TorchScript.

    Sources: Simonyan et al. 2013, arXiv:1312.6034; Zeiler and Fergus 2013, arXiv:1311.2901 (deconvnet); Springenberg
    et al. 2014, arXiv:1412.6806 (guided).

    >>> net = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(3, 1, bias=False))
    >>> _ = net[2].weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    >>> x = torch.tensor([[[1.0, 1.0, -1.0]]])
    >>> saliency(net, x), saliency(net, x, rule="deconvnet"), saliency(net, x, rule="guided")
    (tensor([[[ 1., -2.,  0.]]]), tensor([[[1., 0., 3.]]]), tensor([[[1., 0., 0.]]]))
    """
    nd.one_of(rule, RULES, "rule")
    return _map(x if isinstance(x, np.ndarray) else torch.as_tensor(x), model, target, rule)


@nd.numpy_too
def _map(x: Tensor, model: nn.Module, target: Any, rule: str) -> Tensor:
    tokens = not x.is_floating_point()
    if tokens and x.ndim != 2:
        raise ValueError(f"x of shape {tuple(x.shape)} holds integers: expected floating, or tokens (batch, letters)")
    with at_rest(model):
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        found = slope(model, dna.one_hot(x, dtype=dtype) if tokens else x, target, rule)
    if tokens:
        named = (x >= 0) & (x < dna.UNKNOWN)
        there = found.gather(1, torch.where(named, x, 0).long()[:, None]).squeeze(1)
        found = torch.where(named, there, 0)
    return found


def strongest(x: Any) -> Any:
    """The largest magnitude of a map over its channels, (batch, channels, *space) -> (batch, *space) (VZ1).

    The grey picture of a signed map of a coloured one. Tensor or array of NumPy, in any number of axes; NaN wins.
    ValueError for a map without channels.

    Source: Simonyan et al. 2013, arXiv:1312.6034.

    >>> strongest(torch.tensor([[[1.0, -2.0], [-3.0, 0.5]]]))
    tensor([[3., 2.]])
    """
    return _strongest(x)


@nd.numpy_too
def _strongest(x: Tensor) -> Tensor:
    if x.ndim < 2 or x.shape[1] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected a map (batch, channels, *space)")
    return x.abs().amax(1)
