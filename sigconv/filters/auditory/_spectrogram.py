"""Short-time spectra, and the weights that gather their bins into the ear's bands, in torch and on any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters.auditory._scales import bands


@nd.numpy_too
def stft(
    x: Tensor,
    n_fft: int = 512,
    hop_length: int | None = None,
    *,
    center: bool = True,
    padding_mode: str = "zeros",
    window: Tensor | None = None,
) -> Tensor:
    """Short-time Fourier transform, librosa's: (…, samples) -> complex (…, n_fft // 2 + 1, frames).

    hop_length defaults to n_fft // 4, the window to a periodic Hann. With center, frame i is centred on sample
    i · hop_length and the ends are extended by padding_mode, of any width. Real x of any dtype torch transforms, on any
    device; differentiable. Raises ValueError where the signal is shorter than a frame and not centred.

    >>> stft(torch.zeros(2, 1000), 256, 100).shape
    torch.Size([2, 129, 11])
    """
    hop_length = n_fft // 4 if hop_length is None else hop_length
    if n_fft < 1 or hop_length < 1:
        raise ValueError(f"n_fft={n_fft}, hop_length={hop_length}: expected at least 1 sample each")
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}: stft takes real floating values; convert it, for example by x.float()")
    window = torch.hann_window(n_fft, dtype=x.dtype, device=x.device) if window is None else window
    if center:
        x = nd.pad(x, ((n_fft // 2, n_fft // 2),), padding_mode)
    if x.shape[-1] < n_fft:
        raise ValueError(f"{x.shape[-1]} samples are fewer than n_fft={n_fft}: give center=True, or a shorter n_fft")
    return torch.fft.rfft(nd.windows(x, (n_fft,), (hop_length,), (1,)) * window).mT


def weights(
    kind: str,
    fs: float,
    n_fft: int,
    n: int = 40,
    *,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: str | None = "slaney",
) -> Tensor:
    """Triangles spaced evenly on a scale of the ear: float32 (n, n_fft // 2 + 1), to multiply a power spectrogram with.

    kind         "mel" (Slaney's, or HTK's with htk), "bark" (Traunmüller's), "erb" or "octave"
    fs fmin fmax in Hz, fmax fs / 2 by default; octaves need fmin above 0
    norm         "slaney" gives every triangle the same area, None a peak of 1

    Of mel, equal to librosa.filters.mel. Raises ValueError for frequencies above fs / 2, and for a band too narrow to
    meet any bin of the spectrum.

    >>> weights("erb", 16000, 512, 30, fmin=50).shape
    torch.Size([30, 257])

    Source: C.2.
    """
    low, centre, high = (edge[:, None] for edge in bands(kind, n, fmin, fmax, fs, htk))
    bins = np.arange(n_fft // 2 + 1) * (fs / n_fft)
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    found = np.maximum(0, np.minimum(rising, falling))
    if nd.one_of(norm or "none", ("slaney", "none"), "norm") == "slaney":
        found *= 2.0 / (high - low)
    empty = np.flatnonzero(found.max(1) == 0)
    if len(empty):
        raise ValueError(
            f"{kind} band {empty[0]} of {n} meets no bin of n_fft={n_fft}: take fewer bands or a longer n_fft"
        )
    return torch.from_numpy(found).float()


def mel_weights(
    fs: float,
    n_fft: int,
    n_mels: int = 128,
    *,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: str | None = "slaney",
) -> Tensor:
    """Weights of the mel scale under librosa's names: float32 (n_mels, n_fft // 2 + 1); see weights.

    >>> mel_weights(16000, 512, 40).shape
    torch.Size([40, 257])
    """
    return weights("mel", fs, n_fft, n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm)
