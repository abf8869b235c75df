"""Changes of sounds, each of a batch by its own numbers: another throat, tempo, room, microphone, loudness.

Waves are (batch, 1, samples); what says how much is (batch,). Nothing here draws: see uniforms and normals.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv.transforms.augment._signals import sampled

SLOW = 0.08  # of a window: up to there a cepstrum is of the throat, 2.5 of 32 ms; a pitch below 400 Hz lies beyond
SHORTEST = 1e-12  # a silent clip's loudness: nothing is divided by 0


def voice(
    x: Tensor,
    throat: Tensor,
    duration: Tensor,
    shift: Tensor | float = 0.0,
    *,
    pitch: Tensor | None = None,
    n_fft: int = 256,
) -> Tensor:
    """The same words by another throat, at another tempo, at another moment: a phase vocoder that warps both axes.

    x         (batch, 1, samples)
    throat    (batch,) multiplies every frequency, pitch and formants alike (vocal tract length perturbation); or
              (batch, knots), evenly spaced from 0 Hz to fs / 2, for throats of another shape
    duration  (batch,) multiplies durations about the middle of the clip; or (batch, knots) along it
    shift     (batch,) in whole samples, towards the end
    pitch     (batch,) multiplies the pitch alone, throat then the formants alone: the envelope of the spectrum, told by
              its cepstrum up to 2.5 ms (at n_fft of 32 ms)
    n_fft     a window of about 30 ms (256 at 8 kHz)

    What leaves the clip is lost, silence comes in; what a longer throat leaves empty below fs / 2 mirrors the spectrum
    beneath. With 1, 1 and 0 the clip is itself to rounding. Float32 or float64, any device, differentiable. ValueError
    for other shapes.

    >>> ones = torch.ones(1)
    >>> voice(torch.randn(1, 1, 8000), 1.1 * ones, 0.9 * ones).shape
    torch.Size([1, 1, 8000])

    Source: Flanagan & Golden 1966 (vocoder); Jaitly & Hinton 2013 (vocal tract length perturbation).
    """
    if x.ndim != 3 or x.shape[1] != 1:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, 1, samples)")
    n, hop = x.shape[-1], n_fft // 4
    window = torch.hann_window(n_fft, dtype=x.dtype, device=x.device)
    options: dict[str, Any] = {"n_fft": n_fft, "hop_length": hop, "window": window, "center": True}
    spectra = torch.stft(x[:, 0], **options, pad_mode="constant", return_complex=True)
    bins, frames = spectra.shape[1:]
    factor = _along(throat, bins, x)
    own = factor if pitch is None else _along(pitch, bins, x)
    pace = 1 / _along(duration, frames, x)
    when = pace.cumsum(1) - pace / 2  # the middle of each frame, and the clip's own middle where it was
    when = when - when.mean(1, keepdim=True) + (frames - 1) / 2

    def heard(values: Tensor, at_ends: str, factor: Tensor = own) -> Tensor:
        """What (batch, bins, frames) is at each bin and frame of the new clip."""
        places = torch.arange(bins).to(x) / factor
        values = sampled(values, places.expand(len(x), -1), axis=-2, padding_mode="reflect")
        return sampled(values, when.expand(len(x), -1), axis=-1, padding_mode=at_ends)

    phase = spectra.angle()
    steady = math.pi / 2 * (torch.arange(bins).to(x)[:, None] % 4)  # how a bin's own frequency turns in a hop
    strayed = torch.remainder(phase.diff(dim=-1) - steady + math.pi, 2 * math.pi) - math.pi
    step = steady + heard(F.pad(strayed, (0, 1)), "replicate")[..., :-1] * own[..., None]
    turned = torch.cat([phase[..., :1], step], -1).cumsum(-1)
    if pitch is None:
        loud = heard(spectra.abs(), "zeros")
    else:
        formants, harmonics = _parted(spectra.abs())
        loud = heard(formants, "zeros", factor) * heard(harmonics, "replicate")
    again = torch.polar(loud, turned)
    said = torch.istft(again, **options, length=n).unsqueeze(1)
    later = torch.as_tensor(shift).to(x).round().expand(len(x))
    return sampled(said, torch.arange(n).to(x) - later[:, None], padding_mode="zeros")


def _parted(magnitude: Tensor) -> tuple[Tensor, Tensor]:
    """A spectrum (batch, bins, frames) as envelope times what is left: the slow part of its logarithm, and the rest."""
    level = magnitude.clamp_min(1e-5 * magnitude.amax((-2, -1), keepdim=True).clamp_min(SHORTEST)).log()
    cepstrum = torch.fft.irfft(level, dim=-2)
    n = cepstrum.shape[-2]
    kept = torch.arange(n, device=magnitude.device)
    slow = (torch.minimum(kept, n - kept) <= SLOW * n).to(level)[:, None]
    envelope = torch.fft.rfft(cepstrum * slow, dim=-2).real.exp()
    return envelope, magnitude / envelope


def _along(values: Tensor, n: int, like: Tensor) -> Tensor:
    """Numbers (batch,) or of evenly spaced knots (batch, knots), as (batch, n) by linear interpolation."""
    values = values.to(like)
    if values.ndim == 1 or values.shape[1] == 1:
        return values.reshape(-1, 1).expand(-1, n)
    return F.interpolate(values[:, None], n, mode="linear", align_corners=True)[:, 0]


def equalize(x: Tensor, decibels: Tensor, fs: float = 8000.0) -> Tensor:
    """Another microphone, line or room: gains (batch, knots) in dB, in even steps of mel from 0 Hz to fs / 2.

    Linear in dB between the knots. The filter delays nothing; its answer wraps around no end. -60 dB in some knots
    leaves a band out.

    >>> equalize(torch.ones(1, 1, 64), torch.zeros(1, 2)).allclose(torch.ones(1, 1, 64), atol=1e-6)
    True
    """
    n, knots = x.shape[-1], decibels.shape[-1]
    long = 2 * n
    share = torch.linspace(0, 1, long // 2 + 1, dtype=x.dtype, device=x.device)
    top = fs / 2 / 700
    place = torch.log1p(share * top) / math.log1p(top) * (knots - 1)
    below = place.floor().long().clamp_max(max(knots - 2, 0))
    levels = decibels.to(x)
    curve = torch.lerp(levels[:, below], levels[:, (below + 1).clamp_max(knots - 1)], place - below)
    gain = torch.pow(10.0, curve / 20).unsqueeze(1)
    return torch.fft.irfft(torch.fft.rfft(x, long) * gain, long)[..., :n]


def loudness(x: Tensor, frame: int = 256) -> Tensor:
    """Root mean square of the loudest frame of each clip: (batch, 1, 1); frames of so many samples, half overlapping.

    A frame that the end cuts short is filled with silence.

    >>> loudness(torch.ones(2, 1, 1000)).flatten()
    tensor([1., 1.])
    """
    power, half = x.square(), max(frame // 2, 1)
    if x.shape[-1] > frame:
        power = F.pad(power, (0, -(x.shape[-1] - frame) % half)).unfold(-1, frame, half)
    return power.mean(-1, keepdim=True).flatten(2).amax(-1, keepdim=True).clamp_min(SHORTEST).sqrt()


def noisy(x: Tensor, noise: Tensor, decibels: Tensor, frame: int = 256) -> Tensor:
    """Add noise (batch, 1, samples), its mean power so many dB (batch,) below the power of the loudest frame.

    >>> noisy(torch.zeros(1, 1, 4), torch.ones(1, 1, 4), torch.tensor([20.0])).shape
    torch.Size([1, 1, 4])
    """
    level = noise.square().mean(-1, keepdim=True).clamp_min(SHORTEST).sqrt()
    wanted = loudness(x, frame) * torch.pow(10.0, -decibels.to(x) / 20).reshape(-1, 1, 1)
    return x + noise * (wanted / level)
