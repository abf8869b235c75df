"""Ways to compute one convolution: a file each, all with one signature, all equal to windows.py.

    correlate(x, weight, bias, *, stride, margins, dilation, groups) -> y     margins are of zeros
    cost(problem) -> seconds                                                  predicted, from shapes alone
    EXACT                                                                     meets the direct error gate for any values

A newcomer adds a file with these three names; it is found, tested against the definition and offered to the planner.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from sigconv import nd
from sigconv.methods._problem import Plan, Problem

METHODS: Mapping[str, ModuleType] = {
    found.name: importlib.import_module(f"{__name__}.{found.name}")
    for found in pkgutil.iter_modules(__path__)
    if not found.name.startswith("_")
}
HALVES = (torch.float16, torch.bfloat16)


# What auto may take: methods that keep the direct error gate whatever the values are. A Fourier transform's error is
# relative to the loudest sample of its block, so a quiet stretch beside a loud one loses its digits (N1): it is taken
# when asked for by name. So is the definition, which writes every window out.
AUTOMATIC = tuple(name for name in METHODS if METHODS[name].EXACT and name != "windows")


def choose(problem: Problem) -> str:
    """The cheapest of the automatic methods by prediction; nothing is predicted where there is but one."""
    if len(AUTOMATIC) == 1:
        return AUTOMATIC[0]
    return min(AUTOMATIC, key=lambda name: METHODS[name].cost(problem))


def plan(problem: Problem) -> Plan:
    """What auto takes, beside the predicted cost of every method."""
    seconds = {name: method.cost(problem) for name, method in METHODS.items()}
    why = f"the cheapest by prediction of those exact for any values ({', '.join(AUTOMATIC)})"
    return Plan(choose(problem), seconds, why)


def correlate(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
    method: str,
) -> Tensor:
    """Cross-correlation by the method named; half precision is summed in float32 and rounded once."""
    options = {"stride": stride, "margins": margins, "dilation": dilation, "groups": groups}
    dtype = x.dtype
    empty = 0 in x.shape or 0 in weight.shape
    chosen = METHODS["windows" if empty else method]  # torch's own conv answers an empty input with a wrong shape (N13)
    if dtype in HALVES and (x.device.type == "cpu" or chosen is not METHODS["direct"]):
        x, weight, bias = x.float(), weight.float(), None if bias is None else bias.float()
    y = chosen.correlate(x, weight, bias, **options)
    if not chosen.EXACT and _readable(y) and not torch.isfinite(y).all():
        y = METHODS["direct"].correlate(x, weight, bias, **options)  # one NaN or Inf spreads over a whole block (N2)
    return y.to(dtype)


def _readable(y: Tensor) -> bool:
    """Whether a value may be looked at: not under compile, export, vmap or CUDA graph capture, not on meta or fake."""
    if torch.compiler.is_compiling() or y.is_meta or isinstance(y, FakeTensor):
        return False
    if torch._C._functorch.is_functorch_wrapped_tensor(y):
        return False
    return not (y.is_cuda and torch.cuda.is_current_stream_capturing())
