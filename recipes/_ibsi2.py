"""The maps of IBSI 2: what each phantom goes through, with the public banks, in mm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv.filters import FilterBank, gabor, gaussian, laws, masks, riesz, rotation_pool, wavelet

Respond = Callable[[Tensor, float], Tensor]


class Row(NamedTuple):
    """One map: its phantom, and how that, (1, 1, *space) with fs voxels per mm, becomes (1, 1, *space)."""

    phantom: str
    says: str
    reached: float  # of the range: the deviation that plain NumPy and SciPy have reached
    respond: Respond


def through(bank: FilterBank, x: Tensor, *, rotate: str = "", energy: bool = False, **options: Any) -> Tensor:
    """A bank on a volume, pooled over rotations, made texture energy; 2-D banks slice by slice across the last axis."""
    bank = bank.to(x.device)

    def work(x: Tensor) -> Tensor:
        y = rotation_pool(bank, x, rotate, **options) if rotate else bank(x, **options)
        return laws.energy(y, 7, **options) if energy else y

    return sliced(work, x) if bank.ndim == 2 else work(x)


def sliced(work: Callable[[Tensor], Tensor], x: Tensor, axis: int = 2) -> Tensor:
    """What takes pictures, on a volume (1, 1, *space): slices across an axis are a batch."""
    return work(x[0].movedim(axis + 1, 0)).movedim(0, axis + 1)[None]


def mean(ndim: int, border: str) -> Respond:
    """The mean of 15 voxels along each axis."""
    return lambda x, fs: through(masks.box(15, ndim), x, padding_mode=border)


def laplacian(sigma: float, ndim: int, border: str) -> Respond:
    """Laplacian of Gaussian, sigma in mm."""
    return lambda x, fs: through(gaussian.log(sigma, ndim, fs=fs), x, padding_mode=border)


def texture(name: str, border: str, rotate: str = "", energy: bool = False) -> Respond:
    """Laws' filters; the largest over all rotations; and the mean of that, without sign, around each voxel."""
    return lambda x, fs: through(laws.bank(name), x, rotate=rotate, energy=energy, padding_mode=border)


def gabors(angles: list[float], across: tuple[int, ...]) -> Respond:
    """The mean modulus over angles, and over planes across some axes; lambda 4 mm, sigma 10 mm, gamma 1/2."""

    def respond(x: Tensor, fs: float) -> Tensor:
        waves = [[math.cos(angle) / 4, math.sin(angle) / 4] for angle in angles]
        size = 2 * max(x.shape[2:]) - 1  # no end of the window is seen
        bank = gabor.bank(waves, [[10.0, 10.0 / 0.5]], size=size, fs=fs, normalize="none").to(x.device)
        modulus = lambda x: bank(x, output="magnitude").mean(1, keepdim=True)
        return torch.stack([sliced(modulus, x, axis) for axis in across]).mean(0)

    return respond


def subband(name: str, letters: str, level: int, border: str, rotate: str = "") -> Respond:
    """Undecimated wavelets, and their mean over all rotations."""
    return lambda x, fs: through(wavelet.bank(name, letters, level), x, rotate=rotate, padding_mode=border)


def rings(level: int) -> Respond:
    """Simoncelli's wavelets, periodic as they are."""
    return lambda x, fs: through(riesz.simoncelli(level), x, padding_mode="circular")


def turned(order: tuple[int, ...], bank: Callable[[float], FilterBank], border: str) -> Respond:
    """The Riesz transform of another bank."""
    return lambda x, fs: through(riesz.transform(order, of=bank(fs)), x, padding_mode=border)


CIRCLE = [k * math.pi / 4 for k in range(8)]
_log_3mm = lambda fs: gaussian.log(3.0, 3, fs=fs)
_level_1 = lambda fs: riesz.simoncelli(1, fs=fs)

ROWS: dict[str, Row] = {
    "1_a_1": Row("checkerboard", "mean 15, zero", 2.9e-08, mean(3, "zeros")),
    "1_a_2": Row("checkerboard", "mean 15, nearest", 2.9e-08, mean(3, "replicate")),
    "1_a_3": Row("checkerboard", "mean 15, periodic", 4.0e-05, mean(3, "circular")),
    "1_a_4": Row("checkerboard", "mean 15, mirror", 2.9e-08, mean(3, "symmetric")),
    "1_b_1": Row("impulse", "mean 15, 2-D, zero", 7.0e-09, mean(2, "zeros")),
    "2_a": Row("impulse", "LoG 3 mm, zero", 1.4e-05, laplacian(3.0, 3, "zeros")),
    "2_b": Row("checkerboard", "LoG 5 mm, mirror", 3.3e-04, laplacian(5.0, 3, "symmetric")),
    "2_c": Row("checkerboard", "LoG 5 mm, 2-D, mirror", 2.4e-04, laplacian(5.0, 2, "symmetric")),
    "3_a_1": Row("impulse", "E5L5S5, zero", 1.6e-08, texture("E5L5S5", "zeros")),
    "3_a_2": Row("impulse", "E5L5S5, max", 3.2e-08, texture("E5L5S5", "zeros", "max")),
    "3_a_3": Row("impulse", "E5L5S5, max, energy", 4.1e-08, texture("E5L5S5", "zeros", "max", energy=True)),
    "3_b_1": Row("checkerboard", "E3W5R5, mirror", 2.1e-08, texture("E3W5R5", "symmetric")),
    "3_b_2": Row("checkerboard", "E3W5R5, max", 5.2e-08, texture("E3W5R5", "symmetric", "max")),
    "3_b_3": Row("checkerboard", "E3W5R5, max, energy", 8.5e-08, texture("E3W5R5", "symmetric", "max", energy=True)),
    "3_c_1": Row("checkerboard", "L5S5, mirror", 8.2e-09, texture("L5S5", "symmetric")),
    "3_c_2": Row("checkerboard", "L5S5, max", 8.8e-09, texture("L5S5", "symmetric", "max")),
    "3_c_3": Row("checkerboard", "L5S5, max, energy", 4.6e-08, texture("L5S5", "symmetric", "max", energy=True)),
    "4_a_1": Row("impulse", "Gabor, pi/3", 3.0e-08, gabors([math.pi / 3], (2,))),
    "4_a_2": Row("impulse", "Gabor, 8 angles, 3 planes", 2.9e-08, gabors(CIRCLE, (0, 1, 2))),
    "5_a_1": Row("impulse", "db2 LHL", 1.5e-08, subband("db2", "LHL", 1, "zeros")),
    "5_a_2": Row("impulse", "db2 LHL, mean", 4.0e-08, subband("db2", "LHL", 1, "zeros", "mean")),
    "7_a_1": Row("checkerboard", "Haar LLL level 2, mean", 1.2e-07, subband("haar", "LLL", 2, "symmetric", "mean")),
    "8_a_1": Row("checkerboard", "Simoncelli level 1", 3.8e-03, rings(1)),
    "8_a_2": Row("checkerboard", "Simoncelli level 2", 4.6e-08, rings(2)),
    "8_a_3": Row("checkerboard", "Simoncelli level 3", 3.1e-08, rings(3)),
    "9_a": Row("impulse", "Riesz 100 of LoG 3 mm, zero", 1.2e-04, turned((1, 0, 0), _log_3mm, "zeros")),
    "9_b_1": Row("sphere", "Riesz 020 of LoG 3 mm, zero", 8.5e-04, turned((0, 2, 0), _log_3mm, "zeros")),
    "10_b_1": Row("pattern_1", "Riesz 020 of Simoncelli 1", 7.9e-03, turned((0, 2, 0), _level_1, "replicate")),
}
