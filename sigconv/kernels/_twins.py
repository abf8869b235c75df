"""What kernels over windows and their torch twins share: taps, room for windows, answers, second derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd

Options = tuple[Sequence[int], Sequence[int], Sequence[int]]  # kernel_size, stride, dilation


def handed_out(y: Tensor) -> Tensor:
    """An answer that whoever gets it may write over: a copy, where the way back reads it."""
    return y.clone() if y.requires_grad else y


def taps(x: Tensor, options: Options, positions: Sequence[int]) -> Iterator[Tensor]:
    """A padded x as each tap of a window sees it: (…, *positions), views, in the order of memory."""
    kernel_size, stride, dilation = options
    rows = list(zip(positions, stride, dilation, strict=True))
    for tap in itertools.product(*map(range, kernel_size)):
        inner = (slice(t * d, t * d + (p - 1) * s + 1, s) for t, (p, s, d) in zip(tap, rows, strict=True))
        at: Any = (..., *inner)
        yield x[at]


def room(size: Sequence[int], options: Options, before: Sequence[int], positions: Sequence[int]) -> nd.Margins:
    """So many samples before and after each axis as windows at these positions see beyond a space of this size."""
    kernel_size, stride, dilation = options
    rows = zip(size, positions, stride, nd.spans(kernel_size, dilation), before, strict=True)
    return tuple((b, max((p - 1) * s + span - n - b, 0)) for n, p, s, span, b in rows)


def around(x: Tensor, margins: nd.Margins, value: float) -> Tensor:
    """x with a value all around, in one pass."""
    sides = [side for margin in reversed(margins) for side in margin]
    return F.pad(x, sides, value=value) if any(sides) else x


def second(twin: Callable[..., Tensor], inputs: Sequence[Tensor], g: Tensor, to: Sequence[Tensor | None]) -> tuple:
    """The derivative of (g, inputs) -> the gradients of twin, by torch: what these have as gradients is `to`."""
    deeper = torch.is_grad_enabled()
    with torch.enable_grad():
        apart = lambda t: t.view_as(t) if deeper and t.requires_grad else t.detach().requires_grad_()
        leaves = [apart(t) for t in (g, *inputs)]  # g hangs on the inputs too: each has its own part here
        slopes = torch.autograd.grad(twin(*leaves[1:]), leaves[1:], leaves[0], create_graph=True)
        pairs = [(slope, t) for slope, t in zip(slopes, to, strict=True) if t is not None]
        met = [slope for slope, _ in pairs], leaves, [t for _, t in pairs]
        return torch.autograd.grad(*met, create_graph=deeper, allow_unused=True)
