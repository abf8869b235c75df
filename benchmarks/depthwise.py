"""a filter to each channel of volumes there and back, float32 and bfloat16, against torch's own (cuDNN on CUDA)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import sigconv as sc
from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case

SHAPE = (2, 32, 64, 64, 64)
SMALL = (1, 8, 24, 24, 24)  # bfloat16 on a CPU: where that has no such unit, torch takes minutes over the other
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}


def cases(device: str) -> list[Case]:
    """Forward, and forward and backward (of input and weight), each as its peers are fastest."""
    torch.manual_seed(0)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        shape = SMALL if device == "cpu" and dtype == torch.bfloat16 else SHAPE
        for taps in (3, 5, 7):
            found += [_case(taps, dtype, shape, device, back) for back in (False, True)]
    return found


def _case(taps: int, dtype: torch.dtype, shape: tuple[int, ...], device: str, back: bool) -> Case:
    """Ours on what lies as usual in memory and on channels last; torch's on both."""
    x = torch.randn(shape, device=device).to(dtype)
    weight = torch.randn(shape[1], 1, taps, taps, taps, device=device).to(dtype)
    last = x.to(memory_format=torch.channels_last_3d)
    ours = lambda x, w: sc.conv(x, w, padding=taps // 2, groups=shape[1])
    theirs = lambda x, w: F.conv3d(x, w, None, 1, taps // 2, 1, shape[1])
    ways: dict[str, tuple[Any, Tensor]] = {"sigconv": (ours, x), "torch": (theirs, x)}
    ways["torch channels last"] = (theirs, last)
    runners = {
        name: _both(way, given, weight) if back else _forward(way, given, weight) for name, (way, given) in ways.items()
    }
    passes, copies = (3, 5) if back else (1, 2)  # back: the gradient and x read, that of x written
    flops = 2.0 * passes * x.numel() * taps**3
    work = Work(copies * size(x) + (2 if back else 1) * size(weight), flops, str(dtype)[6:])
    name = f"{taps}^3 {str(dtype)[6:]}, {'both passes' if back else 'forward'}"
    goal = 3.0 if device == "cuda" and back else None
    return Case(name, runners, goal, tolerance=TOLERANCE[dtype], work=work)


def _forward(way: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> Callable[[], Any]:
    return torch.no_grad()(lambda: way(x, weight))


def _both(way: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> Callable[[], Any]:
    """The gradients of x and weight, for one of the answer that is there before the clock starts."""
    leaves = [x.detach().requires_grad_(), weight.detach().clone().requires_grad_()]
    g = torch.ones_like(way(*leaves))
    return lambda: torch.autograd.grad(way(*leaves), leaves, g)
