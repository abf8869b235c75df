"""Band filters in time: Gabors on the scales of the ear, and gammatones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd, units
from sigconv.filters import gabor
from sigconv.filters._bank import FilterBank, odd, rates
from sigconv.filters.auditory._ripples import spectro_temporal
from sigconv.filters.auditory._scales import bands, sigma_in_time


def bank(
    kind: str,
    n: int,
    fmin: float,
    fmax: float | None,
    fs: float,
    *,
    htk: bool = False,
    learnable: bool = False,
    **options: Any,
) -> FilterBank:
    """Complex Gabor filters on a scale of the ear: n of them, of one axis, frequencies in Hz and widths in seconds.

    kind       "mel" (Slaney's, or HTK's with htk), "bark" (Traunmüller's), "erb" or "octave"
    fmin fmax  Hz: where the first band begins and the last ends, evenly spaced between; fmax None is fs / 2; filter i
               is the same band as row i of weights(kind, …)
    width      of the band's triangle at half amplitude of its root (LEAF), or the ear's bandwidth for "erb"
    learnable  frequency, sigma and phase train; other options (size, normalize, dc_free, truncate) are gabor.bank's

    The response to a tone at a filter's centre has magnitude A / 2 for amplitude A. ValueError for frequencies above
    fs / 2, naming both, and for octaves from 0 Hz.

    >>> ears = bank("mel", 40, 60, 7800, 16000)
    >>> ears(torch.zeros(1, 1, 1600), output="energy", stride=160).shape
    torch.Size([1, 40, 10])

    Source: C.2; Zeghidour et al. 2021, arXiv:2101.08596.
    """
    found = bands(kind, n, fmin, fmax, fs, htk)
    names = [f"{kind}{i}" for i in range(len(found.centre))]
    made: dict[str, Any] = {"fs": fs, "names": names, "unit": "s", "learnable": learnable} | options
    return gabor.bank(found.centre, sigma_in_time(kind, found), **made)


def gammatone(
    n: int,
    fmin: float,
    fmax: float | None,
    fs: float,
    *,
    order: int = 4,
    size: Any = None,
    learnable: bool = False,
) -> FilterBank:
    """Gammatone filters, the ear's impulse responses: t^(order-1)·exp(-2π b t)·cos(2π f t), b = 1.019·ERB(f), real.

    fmin, fmax and spacing as bank("erb", …); order 4 is the ear's. Causal: the kernels are 0 before their middle, so
    that bank(x) answers no sound before it is heard. Gain 1 at each centre. size, odd, is chosen to hold the longest
    response to 1e-5 of its peak. With learnable, frequency and width train, held in cycles per sample.

    >>> gammatone(20, 80, 7000, 16000)(torch.zeros(2, 1, 1000)).shape
    torch.Size([2, 20, 1000])

    Source: Patterson et al. 1987, Glasberg & Moore 1990; C.2.
    """
    return Gammatone(bands("erb", n, fmin, fmax, fs).centre, float(fs), nd.count(order, "order"), size, learnable)


class Gammatone(FilterBank):
    """What gammatone makes."""

    def __init__(self, centre: np.ndarray, fs: float, order: int, size: Any, learnable: bool) -> None:
        width = 1.019 * units.erb_width(centre)
        longest = math.ceil((12 + 2 * order) / (2 * math.pi * width.min()) * fs)  # t^(order-1)·e^-t is over by then
        kernel_size = (2 * longest + 1,) if size is None else odd(size, 1)
        names = [f"gammatone{i}" for i in range(len(centre))]
        super().__init__(names, 1, fs, kernel_size=kernel_size, rank=1, unit="s")
        self.order = order
        least = 1 / kernel_size[0]  # cycles per sample: what the window can hold
        why = "frequency {value} cycles/sample is above half the sampling rate"
        slowest = min(least, float(centre.min()) / fs)  # at 0 a cosine has no slope to learn by
        self.hold("frequency", torch.from_numpy(centre / fs), slowest, 0.5, learnable, why)
        widths = torch.from_numpy(width / fs).clamp_min(least)
        self.hold("width", widths, least, 0.5, learnable, "width {value} cycles/sample")

    def terms(self) -> list[Tensor]:
        """Zeros before the middle, the response from there on, gain 1 at the centre."""
        frequency, width = self.value("frequency")[:, None], self.value("width")[:, None]
        after = (self.kernel_size or (1,))[0] // 2
        t = torch.arange(after + 1, dtype=frequency.dtype, device=frequency.device)
        decay = 2 * math.pi * width * t
        envelope = decay.pow(self.order - 1) * torch.exp(-decay)
        heard = envelope * torch.cos(2 * math.pi * frequency * t)
        turn = 2 * math.pi * frequency * t
        gain = torch.hypot((heard * turn.cos()).sum(1), (heard * turn.sin()).sum(1))
        heard = heard / gain[:, None]
        return [torch.cat([heard.new_zeros(len(heard), after), heard], 1).unsqueeze(1)]

    def columns(self) -> dict[str, list[Any]]:
        """Centre frequency and equivalent rectangular bandwidth, in Hz."""
        rate = self.fs[0]
        frequency, width = (self.value(name).detach() * rate for name in ("frequency", "width"))
        return {"frequency": frequency.tolist(), "erb (Hz)": (width / 1.019).tolist()}


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """One axis: 16 mel bands of speech (60 to 7800 Hz at 16 kHz, in proportion to fs). Two: ripples of a spectrogram.

    ValueError for other numbers of axes: sounds have one, their spectrograms (bands, frames) two.

    >>> default(1, fs=8000.0), default(2)
    (Gabor(16 filters, 1-D, 187, fs=8000.0), ProductGabor(4 filters, 2-D, 27 x 55, fs=1.0))
    """
    if ndim not in (1, 2):
        raise ValueError(f"auditory has banks for 1 axis (sound) and 2 (spectrograms), not for ndim={ndim}")
    rate = rates(fs, ndim)
    if ndim == 2:
        return spectro_temporal([rate[1] / 16, rate[1] / 8], [rate[0] / 8], fs=rate)
    found = bands("mel", 16, 60.0, 7800.0, 16000.0)
    names, scale = [f"mel{i}" for i in range(16)], rate[0] / 16000
    unit = "" if rate[0] == 1 else "s"
    sigma = sigma_in_time("mel", found) / scale
    return gabor.bank(found.centre * scale, sigma, fs=rate, names=names, unit=unit)
