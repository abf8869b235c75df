"""Front ends: what stands between a wave and a network, one choice of six, fixed or learned, with what was learned.

All answer (batch, 1, samples) with (batch, channels, bands, frames), the lowest band first, and are made of the same
three parts: filters and their energy, a low-pass with a stride, compression.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution import Conv
from sigconv.filters import auditory, sinc
from sigconv.transforms.speech._front_parts import FLOOR, Energy, Log, MelEnergy, Scattered, kernels, passed

WINDOW = 0.032  # seconds that a frame sees


class FrontEnd(nn.Sequential):
    """A front end's parts in a row: (batch, 1, samples) -> (batch, channels, bands, ceil(samples / hop)).

    kind fs bands channels   as asked for; hop in samples; learnable, whether its filters train
    gains(n)                 how much of the power each filter passes: (bands, n), at n frequencies from 0 to fs / 2
    """

    def __init__(self, kind: str, fs: float, bands: int, hop: int, learnable: bool, parts: list[nn.Module]) -> None:
        picture = isinstance(parts[0], Scattered)
        super().__init__(*parts, *([] if picture else [nn.Unflatten(1, (1, bands))]))
        self.kind, self.fs, self.hop, self.learnable = kind, float(fs), hop, learnable
        self.bands, self.channels = bands, parts[0].order.shape[0] if isinstance(parts[0], Scattered) else 1

    @property
    def reach(self) -> Any:
        """What a frame sees of the wave; AttributeError of leaf, whose gain remembers all that was."""
        seen: list[Any] = [part for part in self if not isinstance(part, nn.Unflatten)]
        return reduce(lambda one, other: one.then(other), (part.reach for part in seen))

    def gains(self, n: int = 513) -> Tensor:
        """(bands, n), each band's largest being 1, without gradient."""
        first = self[0]
        with torch.no_grad():
            if isinstance(first, MelEnergy):
                found = nn.functional.interpolate(first.weights()[None], n, mode="linear", align_corners=True)[0]
            elif isinstance(first, Scattered):
                found = torch.cat([passed(kernels(bank), n) for bank in first.filters.first])
                found = found[: self.bands].flip(0)  # the finest wavelet is the highest band
            else:
                found = passed(kernels(first.get_submodule("filters")), n)
            return (found / found.amax(1, keepdim=True)).cpu()


def front_end(
    kind: str,
    fs: float,
    *,
    bands: int = 40,
    hop: float = 0.0125,
    learnable: bool = False,
    fmin: float | None = None,
    fmax: float | None = None,
) -> FrontEnd:
    """What stands between a wave and a network, by name: (batch, 1, samples) -> (batch, channels, bands, frames).

    log_mel      power spectra of 32 ms in mel bands; edges and centres of the triangles train
    gabor        complex Gabor filters on the mel scale, energy, Gaussian low-pass; frequencies and widths train
    leaf         the same with a low-pass a band and PCEN, and these train too (Zeghidour et al. 2021)
    sinc         SincNet's band-pass filters, energy, low-pass; both edges of each train
    raw          as many filters of 32 ms drawn at random, energy, low-pass; every tap trains
    scattering   moduli of wavelets (channel 0) and moduli of wavelets of those, by scale; frequencies and widths train

    fs, fmin (40) and fmax (fs / 2) in Hz, which raw and scattering do not take; hop in seconds, for scattering the
    nearest power of two of samples. Waves whose loudest frame has power 1 are expected: what is 60 dB below is silence.
    All but leaf answer in decibels, of weights and a scale of their own (log_mel is librosa's). learnable=False is the
    control: the same filters, as they start. Float32 or float64, any device. Raises ValueError for another kind, and
    where bands or frequencies do not fit.

    >>> front_end("gabor", 8000)(torch.zeros(2, 1, 8000)).shape
    torch.Size([2, 1, 40, 80])

    Source: B.2, C.2, C.6.
    """
    maker = FRONT_ENDS[nd.one_of(kind, tuple(FRONT_ENDS), "front end")]
    if kind in UNBOUND and not fmin is fmax is None:
        raise ValueError(f"fmin={fmin}, fmax={fmax}: front end {kind!r} has no such limits, leave them out")
    step, bands = round(hop * fs), nd.count(bands, "bands")
    if step < 1:
        raise ValueError(f"hop {hop} s is {hop * fs:.3g} samples at fs={fs}: expected at least 1")
    step, parts = maker(
        float(fs), bands, step, FMIN if fmin is None else fmin, fs / 2 if fmax is None else fmax, learnable
    )
    return FrontEnd(kind, fs, bands, step, learnable, parts)


Parts = tuple[int, list[nn.Module]]


def _log_mel(fs: float, bands: int, hop: int, fmin: float, fmax: float, learnable: bool) -> Parts:
    n_fft = round(WINDOW * fs)
    return hop, [MelEnergy(fs, bands, hop, n_fft, fmin, fmax, learnable), Log()]


def _gabor(fs: float, bands: int, hop: int, fmin: float, fmax: float, learnable: bool) -> Parts:
    bank = auditory.bank("mel", bands, fmin, fmax, fs, htk=True, learnable=learnable, size=_taps(fs))
    bank.get_parameter("phase").requires_grad_(False)  # energy does not see it
    skipped = _skipped(fs, hop)
    return hop, [Energy(bank, skipped), _smooth(fs, bands, hop, skipped), Log()]


def _leaf(fs: float, bands: int, hop: int, fmin: float, fmax: float, learnable: bool) -> Parts:
    options: dict[str, Any] = {"window": WINDOW, "hop": hop / fs, "fmin": fmin, "fmax": fmax, "skip": _skipped(fs, hop)}
    return hop, [auditory.leaf(fs, bands, learnable=learnable, floor=FLOOR, **options)]


def _sinc(fs: float, bands: int, hop: int, fmin: float, fmax: float, learnable: bool) -> Parts:
    found = auditory.bands("mel", bands, fmin, fmax, fs, htk=True)
    edges = [torch.from_numpy(edge + found.centre) / 2 for edge in (found.low, found.high)]  # where triangles are half
    names = [f"sinc{i}" for i in range(bands)]
    bank = sinc.bank(*edges, size=_taps(fs), fs=fs, learnable=learnable, names=names, unit="s")
    return hop, [Energy(bank), _smooth(fs, bands, hop), Log()]


def _raw(fs: float, bands: int, hop: int, fmin: float, fmax: float, learnable: bool) -> Parts:
    skipped = next(s for s in (4, 2, 1) if hop % s == 0)  # as strided first layers on waves do
    layer = Conv(1, bands, _taps(fs), skipped, padding="same", bias=False, ndim=1)
    return hop, [Energy(layer.requires_grad_(learnable), skipped), _smooth(fs, bands, hop, skipped), Log()]


def _scattering(fs: float, bands: int, hop: int, fmin: float, fmax: float, learnable: bool) -> Parts:
    octaves = max(hop - 1, 1).bit_length()
    octaves -= hop / 2 ** (octaves - 1) < 2**octaves / hop  # the nearer power of two
    return 2**octaves, [Scattered(bands, octaves, learnable), Log()]


FRONT_ENDS: dict[str, Callable[..., Parts]] = {
    "log_mel": _log_mel,
    "gabor": _gabor,
    "leaf": _leaf,
    "sinc": _sinc,
    "raw": _raw,
    "scattering": _scattering,
}
UNBOUND = ("raw", "scattering")
FMIN = 40.0  # Hz, where nothing else is said
SLOW = 800  # samples per second that hold the energy of any band of speech


def _taps(fs: float) -> int:
    """The odd number of taps nearest to the window."""
    return 2 * round(WINDOW * fs / 2) + 1


def _skipped(fs: float, hop: int) -> int:
    """Of how many samples an energy is taken once."""
    return next(s for s in range(max(int(fs / SLOW), 1), 0, -1) if hop % s == 0)


def _smooth(fs: float, bands: int, hop: int, skipped: int = 1) -> nn.Module:
    """The Gaussian low-pass of every band, fixed, LEAF's at its start."""
    half = round(WINDOW * fs / 2 / skipped)
    return auditory.LowPass(bands, 2 * half + 1, hop // skipped, 0.4 * half, learnable=False)
