"""Filters of motion: a moving pattern is an orientation in space and time, and Gabors there are tuned to it (FB9).

bank(speeds, directions, fs)    space-time Gabors, each tuned to a velocity
energy(x), AdelsonBergen        Adelson and Bergen's motion energy: what the brain's simple and complex cells do (RF8)

Axes are (time, *space): video is (batch, channels, time, *space), fs (frames per second, samples per unit of space, …),
speeds are in units of space per second. Any number of axes of space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters._bank import FilterBank, rates
from sigconv.filters._cells import SimpleCells, tuning
from sigconv.filters._product import ProductGabor
from sigconv.filters._walls import inside, numbers
from sigconv.filters.gabor import directions as spread
from sigconv.filters.gabor import sigma_of

__all__ = ["AdelsonBergen", "bank", "default", "energy"]


def bank(
    speeds: Any,
    directions: Any,
    fs: Any,
    *,
    ndim: int | None = None,
    frequency: Any = None,
    bandwidth: float = 1.0,
    causal: bool = False,
    size: Any = None,
    truncate: float = 3.0,
    learnable: bool = False,
) -> FilterBank:
    """Space-time Gabor filters, each tuned to a velocity: speeds x frequencies x directions, complex.

    speeds      units of space per second, at least 0
    directions  an even number, spread over the whole circle or sphere (2 along a line: onwards and back), or vectors
                (n, axes of space): where to
    fs          (frames per second, samples per unit, …); ndim, axes of time and space together, where fs is one number
    frequency   cycles per unit of space; by default each speed has the highest that is at most 1/8 cycle per sample and
                flickers at no more than a quarter of the frame rate
    bandwidth   octaves along every axis, which sets the envelopes; those slower than the rest are as long as theirs
    causal      the temporal envelope is a gamma function and sees no frame to come
    learnable   frequencies (and so velocities) and widths train, held in cycles per sample and samples

    Gain 1 for a grating that moves as the filter is tuned, so that a real one of amplitude A gives magnitude A / 2.
    output="energy" is the motion energy. ValueError where speed times frequency is above half the frame rate.

    >>> moving = bank(speeds=[2.0], directions=8, fs=(25.0, 4.0, 4.0))
    >>> moving(torch.zeros(1, 1, 10, 16, 16), output="energy").shape
    torch.Size([1, 8, 10, 16, 16])

    Source: C.3; van Santen & Sperling 1985, Heeger 1987.
    """
    vectors, rate = _around(directions, fs, ndim)
    found = numbers(speeds, "speeds").flatten().tolist()
    if not found or min(found) < 0:
        raise ValueError(f"speeds {speeds} must be at least 0: a direction says which way")
    waves, spaces, names = [], [], []
    for v in found:
        given = [_finest(v, rate)] if frequency is None else numbers(frequency, "frequency").flatten().tolist()
        for f in given:
            _flickers(v, f, rate[0])
            for d, u in enumerate(vectors.tolist()):
                waves.append([-v * f, *(f * c for c in u)])  # cos 2π(f u·x - v f t) goes along +u: tested, not derived
                spaces.append(f)
                names.append(f"v{v:g}_f{f:g}_d{d}")
    frequencies = torch.tensor(waves, dtype=torch.float64)
    flicker = frequencies[:, 0].abs()
    slowest = flicker[flicker > 0].min() if (flicker > 0).any() else torch.tensor(rate[0] / 8)
    in_time = sigma_of(bandwidth, torch.maximum(flicker, slowest))
    in_space = sigma_of(bandwidth, torch.tensor(spaces, dtype=torch.float64))
    sigma = torch.stack([in_time, *[in_space] * (len(rate) - 1)], 1)
    options: dict[str, Any] = {"size": size, "truncate": truncate, "causal": causal, "learnable": learnable}
    return Moving(frequencies, sigma, rate, names=names, **options)


class Moving(ProductGabor):
    """What bank makes."""

    def columns(self) -> dict[str, list[Any]]:
        """What every filter is tuned to, in units, and its sigma along every axis."""
        return tuning(self.waves()) | {"widths": super().columns()["widths"]}


def _around(directions: Any, fs: Any, ndim: int | None) -> tuple[Tensor, tuple[float, ...]]:
    """Unit vectors of space, every way, and the rate of every axis."""
    if np.ndim(directions):
        vectors = numbers(directions, "directions")
        if vectors.ndim != 2 or 0 in vectors.shape or (vectors.abs().amax(1) == 0).any():
            raise ValueError(
                f"directions have shape {tuple(vectors.shape)}: expected (n, axes of space), none of them 0"
            )
        ndim = vectors.shape[1] + 1
        return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True), rates(fs, ndim)
    ndim = np.size(fs) if ndim is None and np.ndim(fs) else ndim
    if ndim is None:
        raise ValueError(f"fs={fs} does not say how many axes there are: give ndim=, or fs for time and each of space")
    if ndim < 2:
        raise ValueError(f"ndim {ndim}: motion needs an axis of time and at least one of space")
    if nd.count(directions, "directions") % 2:
        raise ValueError(f"directions {directions} is odd: motion goes two ways along each, or give unit vectors")
    half = spread(directions // 2, ndim - 1)
    return torch.cat([half, -half]), rates(fs, ndim)


def _finest(speed: float, rate: tuple[float, ...]) -> float:
    """Cycles per unit: 1/8 a sample of the coarsest axis, lower where that would flicker too fast."""
    most = min(rate[1:]) / 8
    return min(most, rate[0] / (4 * speed)) if speed else most


def _flickers(speed: float, frequency: float, frames: float) -> None:
    if not frequency > 0:
        raise ValueError(f"frequency {frequency:g} must be above 0 cycles per unit: nothing else can be seen to move")
    if speed * frequency > frames / 2:
        raise ValueError(
            f"speed {speed:g} at frequency {frequency:g} flickers at {speed * frequency:g}, above half the frame rate "
            f"(fs={frames:g} -> {frames / 2:g}): take a lower frequency"
        )


class AdelsonBergen(nn.Module):
    """Motion energy as a layer: video (batch, channels, time, *space) -> how much more moves onwards than back.

    speed        units of space per second that the cells are tuned to, above 0
    directions   an even number: ways to move, half as many outputs; or vectors (n, axes of space), each an output
    fs ndim frequency bandwidth learnable      as bank's
    opponent     energy onwards minus energy back, (batch, channels·n, time, *space), above 0 for motion along the
                 direction; False gives both, those onwards first: complex cells, (batch, channels·2n, …)
    normalize    divide the difference by the sum, which is the energy of flicker: between -1 and 1 whatever the
                 contrast; saturation (of energy) keeps what is all but still at 0

    Causal. cells are the simple cells, a FilterBank whose real and imaginary parts are quadrature pairs. Directions are
    in the order of gabor.directions.

    >>> AdelsonBergen(1.0, 4, ndim=3)(torch.zeros(1, 1, 12, 16, 16)).shape
    torch.Size([1, 2, 12, 16, 16])

    Source: Adelson & Bergen 1985, doi:10.1364/JOSAA.2.000284; C.3, RF8.
    """

    def __init__(
        self,
        speed: float,
        directions: Any,
        fs: Any = 1.0,
        *,
        ndim: int | None = None,
        frequency: float | None = None,
        bandwidth: float = 1.0,
        opponent: bool = True,
        normalize: bool = False,
        saturation: float = 1e-6,
        learnable: bool = False,
    ) -> None:
        super().__init__()
        vectors, rate = _around(directions, fs, ndim)
        halves = vectors if np.ndim(directions) else vectors[: len(vectors) // 2]
        inside(numbers(speed, "speed"), torch.tensor(1e-12), torch.tensor(math.inf), "speed {value} does not move")
        found = _finest(speed, rate) if frequency is None else float(frequency)
        _flickers(speed, found, rate[0])
        self.cells = SimpleCells(float(speed), halves, rate, found, bandwidth, learnable)
        self.opponent, self.normalize, self.saturation = bool(opponent), bool(normalize), float(saturation)

    def forward(self, x: Any, *, padding_mode: Any = "zeros") -> Any:
        """The energies, or their difference."""
        found = self.cells(x, output="energy", padding_mode=padding_mode)
        return nd.numpy_too(self._opposed)(found) if self.opponent else found

    def _opposed(self, found: Tensor) -> Tensor:
        onwards, back = found.unflatten(1, (-1, 2, len(self.cells) // 2)).unbind(2)
        difference = onwards - back
        if self.normalize:
            difference = difference / (onwards + back + self.saturation)
        return difference.flatten(1, 2)


def energy(x: Any, speed: float | None = None, directions: Any = None, fs: Any = 1.0, **options: Any) -> Any:
    """Adelson & Bergen's motion energy of video (batch, channels, time, *space), as AdelsonBergen gives it.

    speed        one sample a frame by default         directions       by default both ways along every axis of space
    options are AdelsonBergen's (frequency, bandwidth, opponent, normalize, …). Tensor or NumPy array, real, floating.

    >>> energy(torch.zeros(1, 1, 12, 16, 16)).shape
    torch.Size([1, 2, 12, 16, 16])
    """
    if x.ndim < 4:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected video (batch, channels, time, *space)")
    rate = rates(fs, x.ndim - 2)
    speed = rate[0] / min(rate[1:]) if speed is None else speed
    directions = 2 * (x.ndim - 3) if directions is None else directions
    layer = AdelsonBergen(speed, directions, rate, ndim=x.ndim - 2, **options)
    return layer.to(x.device)(x) if isinstance(x, Tensor) else layer(x)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """Patterns of 6 samples that move half a sample a frame: 2 ways along a line, 8 in a plane, both along every axis.

    The first of ndim axes is time. ValueError for a single one.
    """
    if ndim < 2:
        raise ValueError(f"motion has banks for 2 axes (time and space) and more, not for ndim={ndim}")
    rate = rates(fs, ndim)
    ways: Sequence[int] = (0, 0, 2, 8)
    step = 1 / min(rate[1:])
    return bank(
        rate[0] * step / 2,
        ways[ndim] if ndim < len(ways) else 2 * (ndim - 1),
        rate,
        frequency=1 / (6 * step),
        bandwidth=1.5,
        truncate=2.5,
    )
