"""layers that every network has, ours against torch's own, forward and both passes: none is to be slower"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case

GOAL = 0.95
Build = Callable[[], nn.Module]
# name, ours, torch's, the shape of an item
ROWS: tuple[tuple[str, Build, Build, tuple[int, ...]], ...] = (
    ("Conv1d 64, 9", lambda: sc.Conv1d(64, 64, 9, padding=4), lambda: nn.Conv1d(64, 64, 9, padding=4), (64, 4000)),
    (
        "Conv1d 64, 3, dilation 4",
        lambda: sc.Conv1d(64, 64, 3, padding=4, dilation=4),
        lambda: nn.Conv1d(64, 64, 3, padding=4, dilation=4),
        (64, 4000),
    ),
    ("Conv2d 64, 3", lambda: sc.Conv2d(64, 64, 3, padding=1), lambda: nn.Conv2d(64, 64, 3, padding=1), (64, 56, 56)),
    ("Conv2d 64, 1", lambda: sc.Conv2d(64, 64, 1), lambda: nn.Conv2d(64, 64, 1), (64, 56, 56)),
    (
        "Conv2d 3->64, 7, stride 2",
        lambda: sc.Conv2d(3, 64, 7, stride=2, padding=3),
        lambda: nn.Conv2d(3, 64, 7, stride=2, padding=3),
        (3, 112, 112),
    ),
    (
        "Conv2d 64 depthwise, 3",
        lambda: sc.Conv2d(64, 64, 3, padding=1, groups=64),
        lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64),
        (64, 56, 56),
    ),
    (
        "Conv3d 16, 3",
        lambda: sc.Conv3d(16, 16, 3, padding=1),
        lambda: nn.Conv3d(16, 16, 3, padding=1),
        (16, 32, 32, 32),
    ),
    (
        "ConvTranspose 2-D 64->32, 2, stride 2",
        lambda: sc.ConvTranspose(64, 32, 2, stride=2, ndim=2),
        lambda: nn.ConvTranspose2d(64, 32, 2, stride=2),
        (64, 28, 28),
    ),
    ("MaxPool 2-D, 2", lambda: sc.MaxPool(2), lambda: nn.MaxPool2d(2), (64, 56, 56)),
    ("MaxPool 2-D, 3, stride 2", lambda: sc.MaxPool(3, 2, padding=1), lambda: nn.MaxPool2d(3, 2, 1), (64, 56, 56)),
    ("MaxPool 3-D, 2", lambda: sc.MaxPool(2), lambda: nn.MaxPool3d(2), (16, 32, 32, 32)),
    ("AvgPool 2-D, 2", lambda: sc.AvgPool(2), lambda: nn.AvgPool2d(2), (64, 56, 56)),
    ("AvgPool 3-D, 2", lambda: sc.AvgPool(2), lambda: nn.AvgPool3d(2), (16, 32, 32, 32)),
    (
        "GlobalAvgPool",
        lambda: sc.GlobalAvgPool(),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (64, 56, 56),
    ),
    ("AdaptiveAvgPool 2-D to 7", lambda: sc.AdaptiveAvgPool(7), lambda: nn.AdaptiveAvgPool2d(7), (64, 56, 56)),
)
BATCH = {"cpu": 4, "cuda": 256}


def cases(device: str) -> list[Case]:
    """A batch of a usual size; bfloat16 on CUDA alone, for on many CPUs it is no faster than one would write it."""
    torch.manual_seed(0)
    kinds = (torch.float32, torch.bfloat16) if device == "cuda" else (torch.float32,)
    return [_case(*row, dtype, back, device) for row in ROWS for dtype in kinds for back in (False, True)]


def _case(
    name: str, ours: Build, theirs: Build, shape: tuple[int, ...], dtype: torch.dtype, back: bool, device: str
) -> Case:
    x = torch.randn(BATCH[device], *shape, device=device).to(dtype)
    one, other = (build().to(device, dtype) for build in (ours, theirs))
    if list(other.parameters()):
        other.load_state_dict(one.state_dict())
    runners = {"sigconv": _run(one, x, back), "torch": _run(other, x, back)}
    if device == "cuda" and len(shape) > 2:
        last: Any = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
        turned: Any = theirs().to(device, dtype)
        turned.load_state_dict(other.state_dict())
        runners["torch channels last"] = _run(turned.to(memory_format=last), x.contiguous(memory_format=last), back)
    told = f"{name}, {'both passes' if back else 'forward'}" + ("" if dtype == torch.float32 else f", {str(dtype)[6:]}")
    tolerance = 1e-4 if dtype == torch.float32 else 5e-2
    return Case(told, runners, GOAL, tolerance=tolerance, work=_work(one, x, back))


def _run(layer: nn.Module, x: Tensor, back: bool) -> Callable[[], Any]:
    """The answer, or the gradients of the input and the parameters for ones."""
    if not back:
        return torch.no_grad()(lambda: layer(x))
    leaves = [x.detach().requires_grad_(), *layer.parameters()]
    g = torch.ones_like(layer(leaves[0]))
    return lambda: torch.autograd.grad(layer(leaves[0]), leaves, g)


@torch.no_grad()
def _work(layer: nn.Module, x: Tensor, back: bool) -> Work:
    """Forward: x and weights read, y written; back: y's gradient, x and weights read, gradients of those written."""
    y, weights = layer(x), list(layer.parameters())
    taps = weights[0].numel() / weights[0].shape[0] if weights else max(x.numel() / y.numel(), 1.0)
    positions = x.numel() if isinstance(layer, sc.ConvTranspose) else y.numel()
    flops = (2.0 if weights else 1.0) * positions * math.ceil(taps)
    traffic = size(x, y, *weights)
    if back:
        return Work(traffic + size(y) + 2 * size(x) + 2 * size(*weights), 3 * flops, str(x.dtype)[6:])
    return Work(traffic, flops, str(x.dtype)[6:])
