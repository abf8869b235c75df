"""Speech as pictures: the log-mel spectrogram."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import auditory


class LogMel(nn.Module):
    """Log-mel spectrogram as a layer: waves (…, samples) -> (…, n_mels, frames), log10 of the power in each mel band.

    fs, fmin and fmax in Hz; n_fft and hop_length in samples; floor is the power below which all is silence. Frames are
    centred on multiples of hop_length, 1 + samples // hop_length of them. Differentiable, on any device; float32 or
    float64. Raises ValueError for frequencies above fs / 2.

    >>> LogMel(8000, n_mels=40, n_fft=256, hop_length=80)(torch.zeros(2, 8000)).shape
    torch.Size([2, 40, 101])
    """

    weights: Tensor
    window: Tensor

    def __init__(
        self,
        fs: float,
        *,
        n_mels: int = 40,
        n_fft: int = 256,
        hop_length: int = 80,
        fmin: float = 20.0,
        fmax: float | None = None,
        floor: float = 1e-7,
    ) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.floor = n_fft, hop_length, floor
        self.register_buffer("weights", auditory.mel_weights(fs, n_fft, n_mels, fmin=fmin, fmax=fmax), persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The spectrogram of a wave, or of a batch of waves."""
        power = auditory.stft(x, self.n_fft, self.hop_length, window=self.window.to(x.dtype)).abs().square()
        return torch.log10((self.weights.to(x.dtype) @ power).clamp_min(self.floor))


@nd.numpy_too
def log_mel(x: Tensor, fs: float, **options: float) -> Tensor:
    """The log-mel spectrogram of waves (…, samples) at fs Hz; options as LogMel's.

    >>> log_mel(torch.zeros(8000), fs=8000, n_mels=32).shape
    torch.Size([32, 101])
    """
    return LogMel(fs, **options).to(x.device)(x)  # type: ignore[arg-type]
