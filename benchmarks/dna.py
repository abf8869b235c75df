"""the first layer of a DNA model, convolution, ReLU and maximum of tokens, against torch's of one-hot channels"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import sigconv as sc
from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case
from sigconv.kernels import words

SIZE, FILTERS, TAPS = (64, 1000), 256, 24
Best = Callable[[Tensor], Tensor]  # of the weight


def cases(device: str) -> list[Case]:
    """W3a by the kernel and by its twin in torch alone, W3b; the small layer that recipes train; all windows kept."""
    goals = (6.0, 3.5, 12.0) if device == "cpu" else (3.0, None, 3.0)
    torch.manual_seed(0)
    large, small = _data(SIZE, FILTERS, device), _data((64, 101), 16, device)
    ours, peers = _ours(*large), _peers(*large)
    twin = {"sigconv, torch only": _twin(*large)}
    few, all_of_it = _work(*small, back=True), _work(*large, back=True, kept=True)
    return [
        Case("W3a conv + relu + max, forward", _forward(large, ours | peers), goals[0], work=_work(*large)),
        Case("W3a the same in torch alone", _forward(large, twin | peers), goals[1], work=_work(*large)),
        Case(
            "W3b forward + backward (weights)", _backward(large, ours | peers), goals[2], work=_work(*large, back=True)
        ),
        Case("64 x 101, 16 filters, both passes", _backward(small, _ours(*small) | _peers(*small)), work=few),
        Case("all windows kept, forward", _forward(large, _windows(*large)), work=_work(*large, kept=True)),
        Case("all windows kept, both passes", _backward(large, _windows(*large)), work=all_of_it),
    ]


def _work(tokens: Tensor, weight: Tensor, bias: Tensor, back: bool = False, kept: bool = False) -> Work:
    """Tokens and weights read, a number of every filter written, or of every window; the products of one-hot channels.

    Back: gradients as many as were written are read with the tokens, the weight's are written; as many products.
    """
    windows = tokens.shape[1] - TAPS + 1
    written = tokens.shape[0] * size(bias) * (windows if kept else 1)
    flops = 2.0 * tokens.shape[0] * windows * weight.numel()
    if back:
        return Work(2 * (size(tokens, weight) + written) + size(bias), 2 * flops)
    return Work(size(tokens, weight, bias) + written, flops)


def _data(shape: tuple[int, int], filters: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, a weight and a bias."""
    tokens = torch.randint(0, 4, shape, device=device).to(torch.uint8)
    return tokens, torch.randn(filters, 4, TAPS, device=device), torch.randn(filters, device=device)


def _channels(tokens: Tensor) -> Tensor:
    """Made before the clock starts, in torch's favour."""
    return F.one_hot(tokens.long(), 4).movedim(-1, 1).float().contiguous()


def _ours(tokens: Tensor, weight: Tensor, bias: Tensor) -> dict[str, Best]:
    return {"sigconv": lambda weight: sc.conv_max(tokens, weight, bias)}


def _twin(tokens: Tensor, weight: Tensor, bias: Tensor) -> Best:
    return lambda weight: words.twin(tokens, weight, bias, 1, 0, 0, 1).relu()


def _peers(tokens: Tensor, weight: Tensor, bias: Tensor) -> dict[str, Best]:
    """The maximum first, for the ReLU of all windows costs more; max and amax, whose gradients cost differently."""
    hot = _channels(tokens)
    return {
        "torch conv1d, amax": lambda weight: F.conv1d(hot, weight, bias).amax(2).relu(),
        "torch conv1d, max": lambda weight: F.conv1d(hot, weight, bias).max(2).values.relu(),
    }


def _windows(tokens: Tensor, weight: Tensor, bias: Tensor) -> dict[str, Best]:
    hot = _channels(tokens)
    return {
        "sigconv": lambda weight: sc.conv(tokens, weight, bias),
        "torch conv1d": lambda weight: F.conv1d(hot, weight, bias),
    }


def _forward(data: tuple[Tensor, ...], runners: dict[str, Best]) -> dict[str, Callable[[], Any]]:
    return {name: partial(best, data[1]) for name, best in runners.items()}


def _backward(data: tuple[Tensor, ...], runners: dict[str, Best]) -> dict[str, Callable[[], Any]]:
    """The gradient of the weight, for one of the answer that is there before the clock starts."""
    leaf = data[1].clone().requires_grad_()
    g = torch.ones_like(next(iter(runners.values()))(leaf))
    return {name: partial(_slope, best, leaf, g) for name, best in runners.items()}


def _slope(best: Best, leaf: Tensor, g: Tensor) -> Tensor:
    return torch.autograd.grad(best(leaf), leaf, g)[0]
