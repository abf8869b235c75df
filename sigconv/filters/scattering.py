"""Scattering: moduli of wavelets, averaged; and moduli of wavelets of those. Stable features that are not learnt.

S0 = x * φ      S1 = |x * ψ1| * φ      S2 = ||x * ψ1| * ψ2| * φ, ψ2 of a larger scale than ψ1

A composition of FilterBanks in any number of dimensions: Morlets (gabor.bank with dc_free) in Q steps an octave and L
directions, a Gaussian φ, a stride of 2^J. Sizes of the waves are Kymatio's (C.1, C.6).
"""

# ruff: noqa: N803 - J, Q and L are the field's names

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import gabor
from sigconv.filters._bank import FilterBank, rates

__all__ = ["Path", "Scattering", "default", "scatter"]

NARROW = 4  # wavelets an octave from which on a modulus is slower than its scale says
FINER = 4  # how much finer than a kernel's own grid its gain is looked at
MARGIN = 0.995  # of energy: the sum of gains moves by less between points of that grid


class Path(NamedTuple):
    """One output: its wavelets' scales, in octaves (2^scale samples), and directions; None where it has none."""

    order: int
    scale1: float | None = None
    direction1: int | None = None
    scale2: float | None = None
    direction2: int | None = None


class Waves(NamedTuple):
    """The wavelets of one order, the finest first, in cycles per sample and samples."""

    frequency: Tensor  # (scales,)
    sigma: Tensor
    slant: float  # how much longer they are across the wave
    smooth: float  # the low-pass' sigma


def waves(J: int, Q: int, L: int, ndim: int) -> Waves:
    """J·Q scales. On a line as wide as Q an octave makes them, no wider than the low-pass; else 0.3 of a wavelength."""
    octaves = torch.arange(J * Q, dtype=torch.float64) / Q
    if ndim > 1:
        frequency = 0.375 * 2.0**-octaves
        return Waves(frequency, 0.3 / frequency, min(4 / L, 1.0) if ndim == 2 else 1.0, 0.4 * 2.0**J)
    step = 2.0 ** (-1 / Q)
    frequency = max(1 / (1 + 2.0 ** (3 / Q)), 0.35) * 2.0**-octaves
    smooth = 2.0**J / (0.2 * math.pi)
    width = (1 + step) / (1 - step) * math.sqrt(math.log(2)) / (2 * math.pi)
    return Waves(frequency, (width / frequency).clamp_max(smooth), 1.0, smooth)


def morlets(
    made: Waves, first: int, last: int, directions: Tensor, fs: Any, unit: str = "", learnable: bool = False
) -> FilterBank:
    """Scales first … last in every direction, scale-major; fs below 1 for signals that have lost samples."""
    ndim = directions.shape[1]
    frequency = (made.frequency[first:last, None, None] * directions).flatten(0, 1)
    sigma = made.sigma[first:last].repeat_interleave(len(directions))
    along = torch.stack([sigma, *[sigma / made.slant] * (ndim - 1)], 1) if made.slant != 1 else sigma
    names = [f"scale{m}_d{d}" for m in range(first, last) for d in range(len(directions))]
    bank = gabor.bank(frequency, along, fs=fs, dc_free=True, names=names, unit=unit, learnable=learnable)
    bank.get_parameter("phase").requires_grad_(False)  # no modulus sees it
    return bank


class Scattering(nn.Module):
    """Scattering of order 2: (batch, channels, *space) -> (batch, channels·paths, *ceil(space / 2^J)), channel-major.

    J             octaves: averages reach over 2^J samples
    ndim          axes of space
    L             directions of the wavelets: 8 in a plane, one on a line, 6 in a volume by default
    Q             wavelets an octave of the first order; the second has 1
    order         1 or 2
    stride        between outputs, 2^J unless given; 1 keeps every position
    oversampling  None: moduli are kept at every sample, exact. A number: those of scale j at every 2^(j - number)-th,
                  up to 3 times quicker on long lines; 1 changes outputs by 3 in 1000 of their norm, 0 by 1 in 100;
                  with Q of 4 and more, whose moduli are slower, 0 by less than that and -1 by 1 in 100
    padding_mode  what lies beyond the ends, at every stage
    learnable     the wavelets' frequencies and widths train (a parametric scattering network, Gauthier et al. 2022)

    paths says what each output is, table() too; 1 + JL + L²·J(J-1)/2 of them for Q = 1: 81 for J=2, L=8 in a plane. The
    sum of all gains is at most 1 at every frequency, so no difference between inputs grows (with padding "zeros" or
    "circular"; others count the border twice), as long as nothing was trained. Differentiable.

    >>> Scattering(2, ndim=2)(torch.zeros(1, 1, 32, 32)).shape
    torch.Size([1, 81, 8, 8])

    Source: Mallat 2012, doi:10.1002/cpa.21413; Andén & Mallat 2014; C.6.
    """

    gain1: Tensor
    gain2: Tensor

    def __init__(
        self,
        J: int,
        *,
        ndim: int,
        L: int | None = None,
        Q: int = 1,
        order: int = 2,
        stride: int | None = None,
        oversampling: int | None = None,
        padding_mode: Any = "symmetric",
        learnable: bool = False,
    ) -> None:
        super().__init__()
        self.J, self.Q, self.ndim = nd.count(J, "J"), nd.count(Q, "Q"), nd.count(ndim, "ndim")
        if order not in (1, 2):
            raise ValueError(f"order {order} is not one of 1, 2: beyond two, next to no energy is left")
        self.L, self.order = _directions(ndim) if L is None else nd.count(L, "L"), order
        self.stride = 2**J if stride is None else nd.count(stride, "stride")
        least = -1 if Q >= NARROW else 0
        if oversampling is not None and (oversampling < least or self.stride % 2**J):
            raise ValueError(
                f"oversampling={oversampling}, stride={self.stride}: expected {least} or more, a multiple of 2^J"
            )
        self.oversampling, self.padding_mode = oversampling, padding_mode
        directions = gabor.directions(self.L, ndim)
        one, two = waves(J, Q, self.L, ndim), waves(J, 1, self.L, ndim)
        lost = [
            0 if oversampling is None else max(j - oversampling, 0) for j in range(J)
        ]  # halvings of scale j's modulus
        self._lost = lost
        self.low = nn.ModuleDict({str(k): _smooth(one, ndim, 0.5**k) for k in {0, *lost}})
        trained: dict[str, Any] = {"learnable": learnable}
        self.first = nn.ModuleList(morlets(one, j * Q, (j + 1) * Q, directions, 1.0, **trained) for j in range(J))
        pairs = range(J - 1) if order == 2 else ()
        self.second = nn.ModuleList(morlets(two, j + 1, J, directions, 0.5 ** lost[j], **trained) for j in pairs)
        gain1 = gains(morlets(one, 0, J * Q, directions, 1.0), self._low(0))
        gain2 = gain1 if Q == 1 else gains(morlets(two, 0, J, directions, 1.0), self._low(0))
        self.register_buffer("gain1", gain1, persistent=False)
        self.register_buffer("gain2", gain2, persistent=False)
        self.paths = self._paths()

    def _low(self, lost: int) -> FilterBank:
        found = self.low[str(lost)]
        assert isinstance(found, FilterBank)
        return found

    def _paths(self) -> list[Path]:
        ways = range(self.L)
        ones = [Path(1, m / self.Q, d) for m in range(self.J * self.Q) for d in ways]
        later = lambda p: range(int(p.scale1) + 1, self.J) if self.order == 2 else ()
        return [
            Path(0),
            *ones,
            *(p._replace(order=2, scale2=j, direction2=d) for p in ones for j in later(p) for d in ways),
        ]

    def forward(self, x: Any) -> Any:
        """All paths, in the order of paths."""
        return nd.numpy_too(self._scatter)(x)

    def _scatter(self, x: Tensor) -> Tensor:
        if x.ndim != self.ndim + 2:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: expected (batch, channels, *space) of {self.ndim} axes of space"
            )
        if min(x.shape[2:]) < 2**self.J:
            raise ValueError(f"x has shape {tuple(x.shape)}: J={self.J} needs {2**self.J} samples along every axis")
        channels, ones, twos = x.shape[1], [], []
        for j, lost in enumerate(self._lost):
            gain = self.gain1.reshape(self.J, -1)[j]
            u = self._modulus(self.first[j], x, gain, 2**lost)
            ones.append(self._averaged(u, lost).unflatten(1, (channels, -1)))
            if j < len(self.second):
                v = self._modulus(self.second[j], u, self.gain2.reshape(self.J, -1)[j + 1 :].flatten(), 1)
                twos.append(self._averaged(v, lost).unflatten(1, (channels, -1)))
        return torch.cat([self._averaged(x, 0).unsqueeze(2), *ones, *twos], 2).flatten(1, 2)

    def _modulus(self, bank: nn.Module, x: Tensor, gain: Tensor, stride: int) -> Tensor:
        """|x * ψ| of every channel and filter."""
        found = bank(x, output="magnitude", stride=stride, padding_mode=self.padding_mode)
        gain = gain.to(found).repeat(x.shape[1]).reshape(-1, *[1] * self.ndim)
        return torch.as_tensor(found * gain)

    def _averaged(self, u: Tensor, lost: int) -> Tensor:
        stride = self.stride // 2**lost
        return torch.as_tensor(self._low(lost)(u, output="real", stride=stride, padding_mode=self.padding_mode))

    @property
    def reach(self) -> nd.Reach:
        """What a position sees along an axis, at the most: a wavelet, one of the second order, the low-pass in turn."""
        half = lambda bank: max(bank.kernel_size or (1,)) // 2
        seen = []
        for j, lost in enumerate(self._lost):
            later = half(self.second[j]) if j < len(self.second) else 0
            seen.append(half(self.first[j]) + (later + half(self._low(lost))) * 2**lost)
        most = max(half(self._low(0)), *seen)
        return nd.Reach(self.stride, most, most)

    def table(self) -> Any:
        """What every path is: its order, scales in octaves and directions."""
        from sigconv.filters._table import Table

        return Table([path._asdict() for path in self.paths], "sample")

    def extra_repr(self) -> str:
        """What print(layer) says."""
        return f"J={self.J}, ndim={self.ndim}, L={self.L}, Q={self.Q}, order={self.order}: {len(self.paths)} paths"


def _directions(ndim: int) -> int:
    return {1: 1, 2: 8, 3: 6}.get(ndim, ndim)


def _smooth(made: Waves, ndim: int, fs: float) -> FilterBank:
    """φ: a Gaussian of gain 1, which is a Gabor of frequency 0."""
    return gabor.bank(torch.zeros(1, ndim), made.smooth, fs=fs, names=["low"])


def gains(bank: FilterBank, low: FilterBank) -> Tensor:
    """A factor for each wavelet: alike in what they pass at their centres, and with φ's energy at most 1 everywhere.

    Littlewood-Paley: |φ|² + ½ Σ (|ψ(ω)|² + |ψ(-ω)|²) <= 1 makes the whole non-expansive for real signals.
    """
    axes = tuple(range(1, bank.ndim + 1))
    assert bank.kernel_size is not None
    assert low.kernel_size is not None
    reach = zip(bank.kernel_size, low.kernel_size, strict=True)
    size = tuple(2 ** math.ceil(math.log2(max(pair) * (FINER if bank.ndim < 4 else 1))) for pair in reach)
    spectra = torch.fft.fftn(bank.kernels_for(size).detach(), dim=axes).abs().square()
    spectra = (spectra + spectra.flip(axes).roll([1] * bank.ndim, axes)) / 2
    passed = torch.fft.fftn(low.kernels_for(size).detach(), dim=axes).abs().square()[0]
    places = [torch.round(f * n).long() % n for f, n in zip(_centres(bank), size, strict=True)]
    level = 1 / spectra.sum(0)[tuple(places)]  # where wavelets stand close, each has less to carry
    total = torch.einsum("f,f...->...", level, spectra)
    room = (1 - passed).clamp_min(0) / total.clamp_min(1e-12)
    return torch.sqrt(MARGIN * room[total > 1e-6 * total.max()].min() * level)


def _centres(bank: FilterBank) -> Any:
    return (bank.value("frequency").detach() / torch.tensor(bank.fs, dtype=torch.float64)).unbind(1)


def scatter(x: Any, J: int, **options: Any) -> Any:
    """Scattering of (batch, channels, *space), its axes counted from x; options are Scattering's.

    >>> scatter(torch.zeros(1, 1, 64), 3, Q=4).shape
    torch.Size([1, 25, 8])
    """
    layer = Scattering(J, ndim=x.ndim - 2, **options)
    return layer.to(x.device)(x) if isinstance(x, Tensor) else layer(x)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """The Morlets of the first order for J = 2: 2 on a line, 16 in a plane, 12 in a volume."""
    rate, ways = rates(fs, ndim), _directions(ndim)
    made = waves(2, 1, ways, ndim)
    coarsest = min(rate)
    made = made._replace(frequency=made.frequency * coarsest, sigma=made.sigma / coarsest)
    return morlets(made, 0, 2, gabor.directions(ways, ndim), rate)
