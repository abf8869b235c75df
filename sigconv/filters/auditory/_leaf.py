"""LEAF, the learnable front end: Gabor filters, their energy, a low-pass for each, compression."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution import conv
from sigconv.filters import _walls, gabor
from sigconv.filters.auditory._pcen import PCEN
from sigconv.filters.auditory._scales import bands, sigma_in_time

HALF = (
    math.sqrt(2 * math.log(2)) / math.pi
)  # samples of sigma, times the full width at half maximum in cycles per sample


class LowPass(_walls.Held):
    """A Gaussian of its own for each channel, area 1, with a stride: (batch, channels, samples) -> (…, positions).

    sigma in samples, between 1 and a quarter of the window.

    >>> LowPass(2, 401, 160, 80.0)(torch.ones(1, 2, 1600)).shape
    torch.Size([1, 2, 10])
    """

    def __init__(self, channels: int, size: int, stride: int, sigma: float, learnable: bool = True) -> None:
        super().__init__()
        self.size, self.stride = size, nd.count(stride, "stride")
        least, most = (size - 1) / size, (size - 1) / 4  # LEAF's 2/size … 0.5 of half the window
        values = torch.full((channels,), sigma, dtype=torch.float64).clamp(least, most)
        self.hold("sigma", values, least, most, learnable, "sigma {value} samples")

    def kernels(self) -> Tensor:
        """(channels, 1, size)."""
        sigma = self.value("sigma")
        t = torch.arange(self.size, dtype=sigma.dtype, device=sigma.device) - self.size // 2
        window = torch.exp(-0.5 * (t / sigma[:, None]).square())
        return (window / window.sum(1, keepdim=True)).unsqueeze(1)

    @property
    def reach(self) -> nd.Reach:
        """What a position sees of the samples."""
        return nd.Reach(self.stride, (self.size - 1) // 2, self.size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Every stride-th sample of the smoothed channels, the first kept."""
        weight = self.kernels().to(x)
        return torch.as_tensor(conv(x, weight, stride=self.stride, padding="same", groups=len(weight)))

    def extra_repr(self) -> str:
        """What print(layer) says."""
        return f"{len(self.value('sigma'))}, {self.size}, stride={self.stride}"


class Leaf(nn.Module):
    """LEAF: waves (batch, 1, samples) -> (batch, n, ceil(samples / hop)), in float32 or float64; see leaf.

    filters    the Gabor bank        lowpass    one Gaussian a channel        compress    PCEN

    Frame i is centred on sample i·hop. The bank counts in samples, as LEAF does, so that one learning rate serves
    frequencies, widths and the network behind; table() says them in Hz and seconds.

    >>> Leaf(16000)(torch.zeros(2, 1, 16000)).shape
    torch.Size([2, 40, 100])
    """

    def __init__(
        self,
        fs: float,
        n: int = 40,
        *,
        window: float = 0.025,
        hop: float = 0.010,
        fmin: float = 60.0,
        fmax: float | None = None,
        kind: str = "mel",
        learnable: bool = True,
        floor: float = 1e-7,
        skip: int = 1,
    ) -> None:
        super().__init__()
        self.fs, self.floor, self.skip = float(fs), float(floor), nd.count(skip, "skip")
        fmax = min(7800.0, 0.4875 * fs) if fmax is None else fmax
        half, step = round(window * fs / 2), round(hop * fs)
        if half < 4 or step < 1:
            raise ValueError(
                f"window={window}, hop={hop} are {2 * half} and {step} samples at fs={fs}: expected 8 and 1"
            )
        if step % self.skip:
            raise ValueError(f"skip {skip} does not divide the hop of {step} samples")
        size = 2 * half + 1
        found = bands(kind, n, fmin, fmax, fs, htk=kind == "mel")
        # The response's width at half maximum between 1/size and 1/4 cycles per sample: LEAF's 2π/W … π/2.
        least, most = 4 * HALF, size * HALF
        sigma = torch.from_numpy(sigma_in_time(kind, found) * fs).clamp(least, most)
        names = [f"{kind}{i}" for i in range(n)]
        self.filters = gabor.bank(found.centre / fs, sigma, size=size, names=names, learnable=learnable)
        centre = torch.from_numpy(found.centre / fs)
        self.filters.hold("sigma", sigma[:, None], least, most, learnable, "sigma {value} samples")
        self.filters.hold("frequency", centre[:, None], 0.0, 0.5, learnable, "frequency {value} cycles/sample")
        self.filters.get_parameter("phase").requires_grad_(False)  # energy does not see it
        fewer = 2 * round(half / self.skip) + 1
        self.lowpass = LowPass(n, fewer, step // self.skip, 0.2 * (fewer - 1), learnable)
        self.compress = PCEN(n, alpha=0.96, delta=2.0, r=2.0, s=0.04, eps=1e-12, learnable=learnable)

    def forward(self, x: Tensor) -> Tensor:
        """The compressed energies of every filter, frame by frame."""
        if x.ndim != 3 or x.shape[1] != 1 or x.shape[2] == 0:
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, 1, samples), one sample at least")
        for step in self.steps():
            x = step(x) if isinstance(step, nn.Module) else step[0](x)
        return x

    def steps(self) -> list[Any]:
        """What forward does, one after the other, with the reach of what is no module: what a stream is made of."""
        half = (self.filters.kernel_size or (1,))[0] // 2
        method = "direct" if self.skip > 1 else "auto"  # there and back again quicker than spectra
        energy = lambda x: self.filters(x, output="energy", stride=self.skip, method=method)
        audible = lambda x: x.clamp_min(self.floor)  # silence, not the rounding of silence
        return [(energy, nd.Reach(self.skip, half, half)), self.lowpass, (audible, nd.Reach(1, 0, 0)), self.compress]

    def table(self) -> Any:
        """What every channel is: frequency in Hz, widths of filter and low-pass in seconds, PCEN's parameters."""
        from sigconv.filters._table import Table

        columns = {"name": self.filters.names, "frequency": self.filters.value("frequency")[:, 0] * self.fs}
        columns |= {
            "sigma": self.filters.value("sigma")[:, 0] / self.fs,
            "sigma_lowpass": self.lowpass.value("sigma") * self.skip / self.fs,
        }
        columns |= {name: self.compress.value(name) for name in ("alpha", "delta", "r", "s")}
        rows = zip(*(c.tolist() if isinstance(c, Tensor) else c for c in columns.values()), strict=True)
        return Table([dict(zip(columns, row, strict=True)) for row in rows], "s")


def leaf(fs: float, n: int = 40, *, learnable: bool = True, **options: Any) -> Leaf:
    """The LEAF front end: n complex Gabor filters, squared modulus, Gaussian low-pass with a stride, PCEN.

    fs           samples per second
    window, hop  seconds: 0.025 (401 taps at 16 kHz) and 0.010
    fmin, fmax   Hz: 60 and 7800 (or as much as fs holds); kind "mel" (HTK's) "bark" "erb" "octave"
    floor        energy below which all is silence
    skip         energies are taken at every so many samples: 1 is LEAF's; they are slow, and training is quicker
    learnable    centre frequencies, widths, low-passes and PCEN train, within LEAF's constraints; with False all are
                 fixed as they start: the control that learning is measured against

    Filters start on the mel scale with the widths of bank(…); the low-pass has area 1 where LEAF's has peak 1, so that
    energies are means. ValueError for frequencies above fs / 2.

    >>> frontend = leaf(16000)
    >>> frontend(torch.zeros(2, 1, 16000)).shape
    torch.Size([2, 40, 100])

    Source: Zeghidour et al. 2021, arXiv:2101.08596; C.1, C.2.
    """
    return Leaf(fs, n, learnable=learnable, **options)
