"""Spectro-temporal modulations of speech: a log-mel spectrogram under Gabor filters, as features."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import auditory
from sigconv.transforms.speech._spectrogram import LogMel

HANN = 1 / math.sqrt(1 / 12 - 1 / (2 * math.pi**2))  # a Hann window is so many of its standard deviations wide


class SpectroTemporal(nn.Module):
    """Gabor energies of a log-mel spectrogram as a layer: waves (…, samples) -> (…, features, frames).

    temporal   rates of modulation in Hz          spectral   densities in cycles per band, both at least 0
    bandwidth  octaves; 2 is as wide as the windows of 3.5 half-waves of the source
    output     "energy" "magnitude" "real" "imag" of the complex filters
    subsample  each filter keeps bands a quarter of its own width apart, counted from band n_mels // 2: beside them it
               says little new (the source's critical sampling). Its width is that of a Hann window of its Gaussian's
               spread, 5.53 sigma, its step floor(width / 4) bands, at least 1; False keeps every band
    learnable  the filters' frequencies and widths train; the bands kept are those of the start

    Other options are LogMel's. Features are ordered by filter, then by band: .names has "6.2Hz_0.03_up/12". Every pair
    of a rate and a density but (0, 0) is a filter, or two, up and down, where both are above 0. Ends of time and pitch
    are repeated outwards, so that silence and constants give 0. Raises ValueError for a rate above half the frames a
    second.

    >>> layer = SpectroTemporal(8000)
    >>> layer(torch.zeros(2, 8000)).shape[-1], len(layer.names) == layer(torch.zeros(2, 8000)).shape[1]
    (101, True)

    Source: Schädler, Meyer & Kollmeier 2012, doi:10.1121/1.3699200; FB8.
    """

    kept: Tensor

    def __init__(
        self,
        fs: float,
        *,
        temporal: Any = (0, 6.2, 9.9, 15.7, 25),
        spectral: Any = (0, 0.03, 0.06, 0.12, 0.25),
        bandwidth: float = 2.0,
        output: str = "energy",
        subsample: bool = True,
        learnable: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.output = nd.one_of(output, ("energy", "magnitude", "real", "imag"), "output")
        self.log_mel = LogMel(fs, **options)
        frames = self.log_mel.fs / self.log_mel.hop_length
        self.filters = auditory.spectro_temporal(
            temporal, spectral, fs=(1.0, frames), bandwidth=bandwidth, learnable=learnable
        )
        bands = len(self.log_mel.weights)
        sigma = self.filters.value("sigma")[:, 0].detach().tolist()
        steps = [max(int(HANN * s / 4), 1) if subsample else 1 for s in sigma]
        chosen = [list(range(bands // 2 % step, bands, step)) for step in steps]
        self.register_buffer(
            "kept", torch.tensor([f * bands + b for f, c in enumerate(chosen) for b in c]), persistent=False
        )
        self.names = [f"{name}/{b}" for name, c in zip(self.filters.names, chosen, strict=True) for b in c]

    @property
    def reach(self) -> Any:
        """What a frame sees of the wave."""
        half = (self.filters.kernel_size or (1, 1))[1] // 2
        return self.log_mel.reach.then(nd.Reach(1, half, half))

    def forward(self, x: Tensor) -> Tensor:
        """The energies of a wave, or of a batch of waves."""
        work = x.to(torch.promote_types(x.dtype, torch.float32)) if x.is_floating_point() else x
        bands = self.log_mel(work)
        image = bands.reshape(-1, 1, *bands.shape[-2:])
        found = self.filters(image, output=self.output, padding_mode="replicate").flatten(1, 2)[:, self.kept]
        return found.reshape(*bands.shape[:-2], *found.shape[1:]).to(x.dtype)


@nd.numpy_too
def spectro_temporal(x: Tensor, fs: float, **options: Any) -> Tensor:
    """The spectro-temporal Gabor energies of waves (…, samples) at fs Hz; options as SpectroTemporal's.

    >>> spectro_temporal(torch.zeros(8000), fs=8000, temporal=[0, 10], spectral=[0.1]).shape
    torch.Size([30, 101])
    """
    return torch.as_tensor(SpectroTemporal(fs, **options).to(x.device)(x))
