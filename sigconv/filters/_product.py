"""Gabor filters on axes of different kinds (time and space, pitch and time): an envelope with a sigma for every axis.

Round in no sense that matters, as a second is not a millimetre; separable always. The first axis may be time that has
only been so far: then its envelope is a gamma function, zero before the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.filters import _terms, _walls
from sigconv.filters._bank import RESOLVABLE, FilterBank, odd
from sigconv.filters._terms import Terms

SHAPE = 4  # of the gamma function: t³·exp(-t), the order of a gammatone


class ProductGabor(FilterBank):
    """exp(-½ Σ (x_i / sigma_i)²)·exp(2πi f·x), gain 1 at f: complex, a product over axes.

    frequency (filters, ndim) in cycles per unit of each axis, sigma (filters, ndim) in its units. Both are held in
    samples: one learning rate then serves axes of whatever units, and the layers beside them.
    """

    def __init__(
        self,
        frequency: Tensor,
        sigma: Tensor,
        fs: tuple[float, ...],
        *,
        names: Sequence[str],
        size: Any = None,
        truncate: float = 3.0,
        causal: bool = False,
        dc_free: bool = False,
        learnable: bool = False,
        unit: str = "",
    ) -> None:
        ndim, rate = frequency.shape[1], torch.tensor(fs, dtype=torch.float64)
        why = f"frequency {{value}} is above half the sampling rate (fs={fs[0] if len(set(fs)) == 1 else fs})"
        _walls.inside(frequency.abs(), torch.zeros(()), rate / 2, why)
        widths = sigma * rate
        reach = [math.floor(truncate * width + 0.5) for width in widths.amax(0).tolist()]
        if causal:  # the gamma function's mean lies sqrt(SHAPE) sigmas late, and its tail is longer
            reach[0] = math.ceil((math.sqrt(SHAPE) + 1.5 * truncate) * widths[:, 0].max().item())
        kernel_size = tuple(2 * r + 1 for r in reach) if size is None else odd(size, ndim)
        super().__init__(names, ndim, fs, kernel_size=kernel_size, complex=True, rank=1 + dc_free, unit=unit)
        self.causal, self.dc_free = bool(causal), bool(dc_free)
        self.hold("frequency", frequency / rate, -0.5, 0.5, learnable, why)
        half = torch.tensor([k / 4 for k in kernel_size], dtype=torch.float64)
        why = f"sigma {{value}} samples is too small for the grid, which holds {RESOLVABLE}"
        self.hold("sigma", widths, RESOLVABLE, torch.maximum(widths, half), learnable, why)

    def _envelope(self, axis: int, x: Tensor, sigma: Tensor) -> Tensor:
        if axis or not self.causal:
            return torch.exp(-0.5 * (x / sigma).square())
        t = x.clamp_min(0) * math.sqrt(SHAPE) / sigma  # a gamma function of this standard deviation
        return t.pow(SHAPE - 1) * torch.exp(-t)

    def terms(self) -> Terms:
        """A wave under its envelope along every axis; free of its mean, a second product is taken away."""
        frequency, sigma = self.value("frequency"), self.value("sigma")
        waves, envelopes = [], []
        for axis, k in enumerate(self.kernel_size or ()):
            x = torch.arange(k, dtype=sigma.dtype, device=sigma.device) - k // 2
            envelopes.append(self._envelope(axis, x, sigma[:, axis, None]))
            waves.append(torch.polar(envelopes[-1], 2 * math.pi * frequency[:, axis, None] * x))
        terms = _terms.without_mean(waves, envelopes) if self.dc_free else [w.unsqueeze(1) for w in waves]
        gain = _terms.gain(terms, frequency)
        return _terms.scaled(
            terms, (1 / gain.abs().clamp_min(1e-12)).to(gain)
        )  # learned to be nothing, it must come back

    def waves(self) -> Tensor:
        """The wave vectors as they are now, (filters, ndim) in cycles per unit of each axis."""
        return self.value("frequency").detach().cpu() * torch.tensor(self.fs, dtype=torch.float64)

    def columns(self) -> dict[str, list[Any]]:
        """Frequency and sigma along every axis, in its units."""
        sigma = self.value("sigma").detach().cpu() / torch.tensor(self.fs, dtype=torch.float64)
        return {"waves": [tuple(f) for f in self.waves().tolist()], "widths": [tuple(s) for s in sigma.tolist()]}
