"""Layers that say themselves what they see and cost, for what they call does not tell."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import PartialConv, SectionConv, SectionPool
from sigconv.convolution import LocalConv
from sigconv.filters import FilterBank
from sigconv.summary._fields import Axis


class Own(NamedTuple):
    """Multiply-accumulates, and what the layer does to an axis that moves (None: what it calls has told)."""

    macs: int
    look: Callable[[Axis], Axis] | None
    layers: int = 1  # with weights


def own_rule(module: nn.Module, x: Tensor, out: Tensor) -> Own | None:
    """The rule of a layer, where it has one."""
    if isinstance(module, LocalConv):
        taps, stride, gaps = module.kernel_size, module.stride, module.dilation
        before = [margin for margin, _ in module.margins]
        macs = out.numel() * math.prod(module.weight.shape[1 : 2 + module.ndim])
    elif isinstance(module, FilterBank):
        taps = module.kernel_size or tuple(x.shape[2:])
        stride = tuple(-(-n // m) for n, m in zip(x.shape[2:], out.shape[2:], strict=True))
        gaps, before = (1,) * module.ndim, [(k - 1) // 2 for k in taps]
        macs = out.numel() * math.prod(taps)
    elif isinstance(module, SectionConv):  # where a position has weights of its own, positions are step apart
        taps, stride, gaps = module.kernel_size, module.stride, (1,) * module.ndim
        stride = (module.step if module.share == 1 else 1, *stride[1:])
        before = [margin for margin, _ in module.margins]
        macs = out.numel() * math.prod(module.weight.shape[2:])
    elif isinstance(module, SectionPool):  # sections lie side by side, and what they look at step apart
        return Own(0, lambda axis: axis.window(module.pool, module.step) if axis.dim == 2 else axis, layers=0)
    elif isinstance(module, PartialConv):  # computes with zeros where nothing is joined
        return Own(out.numel() // module.out_channels * module.weight.numel(), None)
    else:
        return None

    def look(axis: Axis) -> Axis:
        a = axis.dim - 2  # type: ignore[operator]
        return axis.window(taps[a], stride[a], gaps[a], before[a])

    return Own(macs, look)


@contextlib.contextmanager
def banks_answer_without_values(model: nn.Module) -> Iterator[None]:
    """A bank's kernels depend on its parameters' values: meanwhile it answers with the shape alone."""
    banks = [module for module in model.modules() if isinstance(module, FilterBank)]
    for bank in banks:
        bank.forward = _shape_only(bank)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for bank in banks:
            del bank.forward


def _shape_only(bank: FilterBank) -> Callable[..., Tensor]:
    def forward(x: Tensor, *, output: str = "auto", stride: Any = 1, **options: Any) -> Tensor:
        steps = nd.ntuple(stride, bank.ndim, "stride")
        positions = [-(-n // s) for n, s in zip(x.shape[2:], steps, strict=True)]
        answer = x.new_empty(x.shape[0], x.shape[1] * len(bank), *positions)
        return answer.to(answer.dtype.to_complex()) if bank.complex and output in ("auto", "complex") else answer

    return forward
