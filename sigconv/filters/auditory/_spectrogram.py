"""Short-time spectra, and the weights that gather their bins into the ear's bands, in torch and on any device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.filters.auditory._scales import bands

PLAIN = ("bartlett", "blackman", "cosine", "hamming", "hann", "nuttall")  # torch has them; SciPy has them all
BLOCK = 1 << 19  # numbers transformed at a time: what a processor's cache holds


def window(name: Any, n: int, n_fft: int | None = None) -> Tensor:
    """A periodic window of n samples, float64, with zeros on both sides up to n_fft.

    name is a word ("hann" "hamming" "blackman" "boxcar" …) or, where a window has a parameter, a tuple as SciPy takes
    it, ("kaiser", 8.0); a tensor of n or of n_fft samples is its own window. ValueError for any other.

    >>> window("bartlett", 4, 6).tolist()
    [0.0, 0.0, 0.5, 1.0, 0.5, 0.0]
    """
    n_fft = n if n_fft is None else n_fft
    if not 1 <= n <= n_fft:
        raise ValueError(f"a window of {n} samples does not fit n_fft={n_fft}: expected 1 … {n_fft}")
    if isinstance(name, Tensor):
        if name.ndim != 1 or len(name) not in (n, n_fft):
            raise ValueError(f"window has shape {tuple(name.shape)}: expected ({n},), or ({n_fft},) with its zeros")
        found = name
    elif name in PLAIN:
        found = getattr(torch.signal.windows, name)(n, sym=False, dtype=torch.float64)
    else:
        found = _scipys(name, n)
    before = (n_fft - len(found)) // 2
    return F.pad(found, (before, n_fft - len(found) - before)) if len(found) < n_fft else found


def _scipys(name: Any, n: int) -> Tensor:
    from scipy import signal

    try:
        return torch.from_numpy(np.asarray(signal.get_window(name, n), np.float64))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(
            f"window {name!r} is not one of {', '.join(PLAIN)}, nor one of scipy.signal.get_window"
        ) from None


def _over(name: Any, n: int | None, n_fft: int) -> Tensor:
    """The window of a transform, whose length is n_fft where none is said."""
    nd.count(n_fft, "n_fft")
    return window(name, n_fft if n is None else nd.count(n, "win_length"), n_fft)


def spectra(
    x: Tensor,
    n_fft: int,
    hop_length: int,
    over: Tensor,
    center: bool = True,
    padding_mode: str = "zeros",
) -> Iterator[Tensor]:
    """The spectra of x's frames under a window (n_fft,), some at a time: complex (…, frames, n_fft // 2 + 1) each.

    Blocks begin at frame 0 and are as long for a day as for an hour, so that what is made of them needs no memory but
    its own (a second is one block); frames are cut from x as it lies, and nothing is padded whole. Options and errors
    are stft's.
    """
    x = _checked(x, n_fft, hop_length, center)
    n, before = x.shape[-1], n_fft // 2 if center else 0
    frames = 1 + (n + 2 * before - n_fft) // hop_length
    most, size = BLOCK if x.device.type == "cpu" else BLOCK << 6, n_fft * max(x[..., 0].numel(), 1)
    small = torch.compiler.is_compiling() or frames * size <= 8 * most
    each = frames if small else max(most // size, 1)
    for first in range(0, frames, each):
        last = min(first + each, frames) - 1
        part = nd.section(x, first * hop_length - before, last * hop_length - before + n_fft, padding_mode)
        seen = nd.windows(part, (n_fft,), (hop_length,), (1,)) * over.to(x)
        if seen.numel():
            yield torch.fft.rfft(seen)
        else:  # an empty batch, which no library transforms
            yield seen.new_zeros(*seen.shape[:-1], n_fft // 2 + 1).to(seen.dtype.to_complex())


def _checked(x: Tensor, n_fft: int, hop_length: int, center: bool) -> Tensor:
    """x as it is transformed, float32 or float64, if it is a wave that has a frame."""
    nd.count(n_fft, "n_fft")
    nd.count(hop_length, "hop_length")
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}: expected real floating samples, about -1 to 1; divide 16-bit ones by 32768")
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (…, samples), one sample at least")
    if not center and x.shape[-1] < n_fft:
        raise ValueError(f"{x.shape[-1]} samples are fewer than n_fft={n_fft}: give center=True, or a shorter n_fft")
    return x.to(torch.promote_types(x.dtype, torch.float32))


@nd.numpy_too
def stft(
    x: Tensor,
    n_fft: int = 512,
    hop_length: int | None = None,
    *,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    padding_mode: str = "zeros",
) -> Tensor:
    """Short-time Fourier transform, librosa's: (…, samples) -> complex (…, n_fft // 2 + 1, frames).

    hop_length defaults to n_fft // 4; the window is a word, a tuple or a tensor as `window` takes them, win_length
    (n_fft by default) its samples. With center, frame i is centred on sample i · hop_length and the ends are extended
    by padding_mode, of any width. Real x on any device, differentiable; half precisions have no complex numbers of
    their own and give complex64. What is not finite stays in the frames that hold it. Raises ValueError where the
    signal is empty, or shorter than a frame and not centred.

    >>> stft(torch.zeros(2, 1000), 256, 100).shape
    torch.Size([2, 129, 11])
    """
    hop_length = n_fft // 4 if hop_length is None else hop_length
    found = list(spectra(x, n_fft, hop_length, _over(window, win_length, n_fft), center, padding_mode))
    return (found[0] if len(found) == 1 else torch.cat(found, -2)).mT


@nd.numpy_too
def istft(
    spectrum: Tensor,
    n_fft: int | None = None,
    hop_length: int | None = None,
    *,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    length: int | None = None,
) -> Tensor:
    """The wave of a spectrogram: complex (…, n_fft // 2 + 1, frames) -> (…, samples), the inverse of stft.

    Options as stft's; n_fft defaults to the even one of so many bins. Exact wherever some frame's window is above 0; of
    a spectrogram that is nobody's, the wave whose own is nearest (Griffin & Lim 1984). samples is length, cut or filled
    with zeros, by default hop_length · (frames - 1) + n_fft, less what center added: librosa's rule. ValueError for a
    number of bins that is not n_fft's.

    >>> x = torch.randn(2, 1000)
    >>> torch.allclose(istft(stft(x, 256, 64), 256, 64, length=1000), x, atol=1e-5)
    True
    """
    if not spectrum.is_complex() or spectrum.ndim < 2 or 0 in spectrum.shape[-2:]:
        raise ValueError(f"spectrum is {spectrum.dtype} {tuple(spectrum.shape)}: expected complex (…, bins, frames)")
    bins, frames = spectrum.shape[-2:]
    n_fft = max(2 * (bins - 1), 1) if n_fft is None else nd.count(n_fft, "n_fft")
    if bins != n_fft // 2 + 1:
        raise ValueError(f"{bins} bins are not those of n_fft={n_fft}: expected {n_fft // 2 + 1}")
    hop_length = nd.count(max(n_fft // 4, 1) if hop_length is None else hop_length, "hop_length")
    span, before = hop_length * (frames - 1) + n_fft, n_fft // 2 if center else 0
    length = span - 2 * before if length is None else nd.count(length, "length")
    parts = torch.fft.irfft(spectrum.mT, n_fft)
    over = _over(window, win_length, n_fft).to(parts)
    wave = _overlapped((parts * over).mT, span, hop_length)
    weight = _overlapped(over.square()[:, None].expand(-1, frames), span, hop_length)
    wave = wave / torch.where(weight > torch.finfo(weight.dtype).tiny, weight, 1)
    return nd.section(wave, before, before + length)


def _overlapped(parts: Tensor, span: int, hop_length: int) -> Tensor:
    """Frames laid over each other and added: (…, n_fft, frames) -> (…, span)."""
    flat = parts.reshape(-1, *parts.shape[-2:])
    found = F.fold(flat, (1, span), (1, parts.shape[-2]), stride=(1, hop_length))
    return found.reshape(*parts.shape[:-2], span)


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
