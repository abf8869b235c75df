"""Blur pooling: smoothed before samples are dropped, so that a small shift changes little (PL13)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.pooling._derive import Pool, layer
from sigconv.pooling._windows import real, resolve


class Weights(Pool):
    """A layer whose weights are known when it is built."""

    def hold(self) -> None:
        """Refuse weights that no x could make right."""
        size, taps = self.options.get("kernel_size", 3), self.options.get("taps")
        if taps is not None:
            normalized(taps)
        else:
            for k in size if isinstance(size, Sequence) else (size,):
                binomial(k)


@layer("BlurPool", Weights)
@nd.numpy_too
def blur_pool(
    x: Tensor,
    kernel_size: Any = 3,
    stride: Any = None,
    *,
    padding: Any = "same",
    dilation: Any = 1,
    ceil_mode: bool = False,
    padding_mode: Any = "reflect",
    value: float = 0.0,
    taps: Sequence[float] | None = None,
) -> Tensor:
    """x smoothed along every axis by binomial weights and then subsampled: anti-aliased, in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *positions), floating; channels stay apart. Weights are those of
    kernel_size, 1 to 7 per axis: 3 gives [1, 2, 1] / 4, 5 gives [1, 4, 6, 4, 1] / 16; taps gives them instead, the same
    for every axis, divided by their sum. stride is 2 unless given. "same" adds the extra sample of an even kernel
    after; what hangs over in ceil_mode continues the border. Halves are summed in float32.
    Raises ValueError for windows larger than the padded input, and for taps whose sum is 0. Source: Zhang 2019.

    >>> import torch
    >>> blur_pool(torch.tensor([[[0.0, 0.0, 4.0, 0.0, 0.0]]]))
    tensor([[[0., 2., 0.]]])
    """
    if x.ndim < 3:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, channels, *space)")
    ndim = x.ndim - 2
    weights = [binomial(k) for k in nd.ntuple(kernel_size, ndim, "kernel_size")] if taps is None else None
    weights = weights or [normalized(taps)] * ndim
    size = tuple(len(w) for w in weights)
    windows = resolve(x, size, 2 if stride is None else stride, padding, dilation, ceil_mode)
    around = tuple((b, a + over) for (b, a), (_, over) in zip(windows.margins, windows.overhang, strict=True))
    y = nd.pad(real(x, "blur_pool"), around, padding_mode, value)
    rows = zip(weights, windows.positions, windows.stride, windows.dilation, strict=True)
    for axis, (weight, positions, step, gap) in enumerate(rows, start=2):
        before: Any = (slice(None),) * axis
        seen = [y[(*before, slice(t * gap, t * gap + (positions - 1) * step + 1, step))] for t in range(len(weight))]
        y = sum((tap * w for tap, w in zip(seen[1:], weight[1:], strict=True)), seen[0] * weight[0])
    return y.to(x.dtype)


def binomial(size: int) -> list[float]:
    """The binomial weights of so many taps, of sum 1.

    >>> binomial(3)
    [0.25, 0.5, 0.25]
    """
    if not 1 <= size <= 7:
        raise ValueError(f"kernel_size {size} is not between 1 and 7: give the weights as taps")
    return [math.comb(size - 1, tap) / 2 ** (size - 1) for tap in range(size)]


def normalized(taps: Any) -> list[float]:
    """Taps divided by their sum."""
    weights = [float(tap) for tap in taps]
    if not weights or not math.isfinite(total := sum(weights)) or total == 0:
        raise ValueError(f"taps {weights} have no finite sum other than 0 to be divided by")
    return [weight / total for weight in weights]
