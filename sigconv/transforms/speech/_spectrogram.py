"""Speech as pictures: spectrograms, their bands on the ear's scales, and decibels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import auditory


class Spectrogram(nn.Module):
    """Magnitudes of short-time spectra as a layer: waves (…, samples) -> (…, n_fft // 2 + 1, frames).

    n_fft, hop_length (n_fft // 4 by default) and win_length (n_fft) in samples; window a word or a tuple, as
    auditory.window takes it; power 2 squares the magnitudes, 1 leaves them, any other is their power. With center,
    frame i is centred on sample i·hop_length, ends are extended by padding_mode, and there are 1 + samples //
    hop_length frames (of an even n_fft). Differentiable, on any device; half precisions are computed in float32.
    Equal to librosa's. An hour needs no memory but its answer's and a few megabytes.

    >>> Spectrogram(256, 80)(torch.zeros(2, 8000)).shape
    torch.Size([2, 129, 101])
    """

    window: Tensor

    def __init__(
        self,
        n_fft: int = 256,
        hop_length: int | None = None,
        *,
        win_length: int | None = None,
        window: Any = "hann",
        power: float = 2.0,
        center: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        self.n_fft, self.center, self.power = nd.count(n_fft, "n_fft"), center, float(power)
        self.hop_length = nd.count(max(n_fft // 4, 1) if hop_length is None else hop_length, "hop_length")
        self.padding_mode = nd.one_of(padding_mode, nd.PADDING_MODES, "padding_mode")
        if not power > 0:
            raise ValueError(f"power {power} must be above 0: 1 is the magnitude, 2 the power")
        over = auditory.window(window, n_fft if win_length is None else win_length, n_fft)
        self.register_buffer("window", over.float(), persistent=False)

    def gathered(self, power: Tensor) -> Tensor:
        """What is kept of (…, bins, frames): here all."""
        return power

    def forward(self, x: Tensor) -> Tensor:
        """The spectrogram of a wave, or of a batch of waves."""
        parts = auditory.spectra(x, self.n_fft, self.hop_length, self.window, self.center, self.padding_mode)
        found = [self.gathered(_power(part, self.power).mT) for part in parts]
        return (found[0] if len(found) == 1 else torch.cat(found, -1)).to(x.dtype)

    @property
    def reach(self) -> Any:
        """What a frame sees of the wave."""
        before = self.n_fft // 2 if self.center else 0
        return nd.Reach(self.hop_length, before, self.n_fft - 1 - before)

    def extra_repr(self) -> str:
        """What print(layer) says."""
        return f"n_fft={self.n_fft}, hop_length={self.hop_length}"


def _power(spectrum: Tensor, power: float) -> Tensor:
    """|spectrum|^power: squares alone for 2, which are quicker than a modulus and have derivatives at 0."""
    if power != 2:
        return spectrum.abs() if power == 1 else spectrum.abs().pow(power)
    return spectrum.real.square() + spectrum.imag.square()


class MelSpectrogram(Spectrogram):
    """Power in bands of the ear as a layer: waves (…, samples) -> (…, n_mels, frames).

    fs, fmin and fmax (fs / 2 by default) in Hz; kind "mel" "bark" "erb" "octave", htk and norm as auditory.weights has
    them; other options are Spectrogram's. Of mel, equal to librosa.feature.melspectrogram. Raises ValueError for
    frequencies above fs / 2, and for a band that meets no bin.

    >>> MelSpectrogram(8000, kind="erb", fmin=50)(torch.zeros(2, 8000)).shape
    torch.Size([2, 40, 101])
    """

    weights: Tensor

    def __init__(
        self,
        fs: float,
        *,
        n_mels: int = 40,
        n_fft: int = 256,
        hop_length: int = 80,
        fmin: float = 20.0,
        fmax: float | None = None,
        kind: str = "mel",
        htk: bool = False,
        norm: str | None = "slaney",
        **options: Any,
    ) -> None:
        super().__init__(n_fft, hop_length, **options)
        self.fs = float(fs)
        weights = auditory.weights(kind, fs, n_fft, n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm)
        self.register_buffer("weights", weights, persistent=False)

    def gathered(self, power: Tensor) -> Tensor:
        """The bands."""
        return self.weights.to(power) @ power


class LogMel(MelSpectrogram):
    """Log-mel spectrogram as a layer: waves (…, samples) -> (…, n_mels, frames), log10 of the power in each mel band.

    fs, fmin and fmax in Hz; n_fft and hop_length in samples; floor is the power below which all is silence; other
    options are MelSpectrogram's. Frames are centred on multiples of hop_length, 1 + samples // hop_length of them.
    Differentiable, on any device; float32 or float64. Raises ValueError for frequencies above fs / 2.

    >>> LogMel(8000, n_mels=40, n_fft=256, hop_length=80)(torch.zeros(2, 8000)).shape
    torch.Size([2, 40, 101])
    """

    def __init__(self, fs: float, *, floor: float = 1e-7, **options: Any) -> None:
        super().__init__(fs, **options)
        if not floor > 0:
            raise ValueError(f"floor {floor} must be above 0: silence has no logarithm")
        self.floor = floor

    def gathered(self, power: Tensor) -> Tensor:
        """The bands' logarithms."""
        return torch.log10(super().gathered(power).clamp_min(self.floor))


@nd.numpy_too
def spectrogram(x: Tensor, **options: Any) -> Tensor:
    """The power spectrogram of waves (…, samples); options as Spectrogram's.

    >>> spectrogram(torch.zeros(8000), n_fft=512, power=1).shape
    torch.Size([257, 63])
    """
    return torch.as_tensor(Spectrogram(**options).to(x.device)(x))


@nd.numpy_too
def mel_spectrogram(x: Tensor, fs: float, **options: Any) -> Tensor:
    """The power in bands of the ear of waves (…, samples) at fs Hz; options as MelSpectrogram's.

    >>> mel_spectrogram(torch.zeros(8000), fs=8000, n_mels=32).shape
    torch.Size([32, 101])
    """
    return torch.as_tensor(MelSpectrogram(fs, **options).to(x.device)(x))


@nd.numpy_too
def log_mel(x: Tensor, fs: float, **options: Any) -> Tensor:
    """The log-mel spectrogram of waves (…, samples) at fs Hz; options as LogMel's.

    >>> log_mel(torch.zeros(8000), fs=8000, n_mels=32).shape
    torch.Size([32, 101])
    """
    return torch.as_tensor(LogMel(fs, **options).to(x.device)(x))


@nd.numpy_too
def power_to_db(x: Tensor, *, ref: Any = 1.0, amin: float = 1e-10, top_db: float | None = 80.0) -> Tensor:
    """Decibels of powers, librosa's: 10·log10(x / ref), x and ref at least amin, none more than top_db below the top.

    ref is a number, or "max": the loudest of each spectrogram, which is the last two axes of (…, bands, frames); the
    top of top_db is its loudest too, so that no item of a batch depends on another. None leaves the range open. What is
    not finite is nobody's top. Raises ValueError for amin not above 0 and a negative top_db.

    >>> power_to_db(torch.tensor([1.0, 100.0, 0.0])).tolist()
    [0.0, 20.0, -60.0]
    """
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}: power_to_db takes real floating values")
    if not amin > 0 or (top_db is not None and not top_db >= 0):
        raise ValueError(f"amin={amin}, top_db={top_db}: expected amin above 0 and top_db at least 0, or None")
    if isinstance(ref, str):
        nd.one_of(ref, ("max",), "ref")
    work = x.to(torch.promote_types(x.dtype, torch.float32))
    least = torch.as_tensor(_loudest(work) if isinstance(ref, str) else ref, dtype=work.dtype, device=work.device)
    found = 10 * (torch.log10(work.clamp_min(amin)) - torch.log10(least.abs().clamp_min(amin)))
    if top_db is not None and found.numel():
        found = torch.maximum(found, _loudest(found) - top_db)
    return found.to(x.dtype)


def _loudest(x: Tensor) -> Tensor:
    """The largest finite value of each spectrogram."""
    axes = tuple(range(-min(x.ndim, 2), 0))
    return torch.where(torch.isfinite(x), x, -torch.inf).amax(axes, keepdim=True)


@nd.numpy_too
def amplitude_to_db(x: Tensor, *, ref: Any = 1.0, amin: float = 1e-5, top_db: float | None = 80.0) -> Tensor:
    """Decibels of magnitudes, librosa's: power_to_db of their squares, ref and amin in magnitudes too.

    >>> amplitude_to_db(torch.tensor([1.0, 10.0, 0.0])).tolist()
    [0.0, 20.0, -60.0]
    """
    work = x.to(torch.promote_types(x.dtype, torch.float32)) if x.is_floating_point() else x
    ref = ref if isinstance(ref, str) else ref**2
    found = power_to_db(work.square(), ref=ref, amin=amin**2, top_db=top_db)
    return torch.as_tensor(found, dtype=x.dtype)
