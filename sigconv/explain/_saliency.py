"""Which samples of its input an answer depends on: signed maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import answer, asked, at_rest, like
from sigconv.transforms import dna


def saliency(model: nn.Module, x: Any, target: Any = None, rule: str = "gradient") -> Any:
    """How the answer changes with each sample of x, a signed map of x's shape, dtype and device (VZ1).

    x (batch, channels, *space), floating; or tokens of DNA (batch, letters), of which the map, of the model's dtype,
    says how the answer changes with the channel of the letter that is there (0 of unknown ones). target is a class or
    one for each item; a model of one output needs none, and of two it is the second less the first. The model answers
    as it is used, not as it is trained, and is left as it was; so are its gradients.

    rule "gradient": the derivative itself. Source: Simonyan et al. 2013, arXiv:1312.6034. ValueError for an unknown
    rule, a target that is no class, and outputs other than (batch,) and (batch, classes).

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    >>> saliency(net, torch.ones(1, 1, 3))
    tensor([[[ 1., -2.,  3.]]])
    """
    made = RULES[nd.one_of(rule, tuple(RULES), "rule")]
    given = torch.as_tensor(x)
    tokens = not given.is_floating_point()
    if tokens and given.ndim != 2:
        raise ValueError(
            f"x of shape {tuple(given.shape)} holds integers: expected floating, or tokens (batch, letters)"
        )
    with at_rest(model):
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        found = made(model, dna.one_hot(given, dtype=dtype) if tokens else given, target)
    if tokens:
        named = (given >= 0) & (given < dna.UNKNOWN)
        there = found.gather(1, torch.where(named, given, 0).long()[:, None]).squeeze(1)
        found = torch.where(named, there, 0)
    return like(found, x)


def _gradient(model: nn.Module, x: Tensor, target: Any) -> Tensor:
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(answer(asked(model, x), target).sum(), x)
    return found


RULES: dict[str, Callable[[nn.Module, Tensor, Any], Tensor]] = {"gradient": _gradient}
