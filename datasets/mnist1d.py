"""MNIST-1D: ten drawn shapes, stretched, shifted, sheared and drowned in noise, forty samples long.

Greydanus and Kobak 2020, "Scaling down deep learning with MNIST-1D", arXiv:2011.14439 (Apache-2.0). Nothing is
fetched: the published set is made from its recipe and seed, to the last digit but rounding, and so is any other of its
kind. Facts: D.1 of the requirements.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.datasets._parts import Arrays, Parts, held_back

CLASSES = tuple("0123456789")
TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
KNOTS = 12  # of a template
CANVAS = 72  # samples on which a template is placed, before the signal is cut down to its length
PADDINGS = (36, 60)  # zeros added after a template: how much it is stretched
SHIFTS = 48
SCALE, SHEAR = 0.4, 0.75


class Split(NamedTuple):
    """What generate returns: float64 (items, length) and int64 (items,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Draws(NamedTuple):
    """The random numbers of many samples: uniforms in [0, 1), a shift, and two rows of normal noise each."""

    padding: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    correlated: np.ndarray
    white: np.ndarray
    shear: np.ndarray


def generate(
    samples: int = 5000,
    *,
    length: int = 40,
    correlated_noise: float = 0.25,
    white_noise: float = 0.02,
    shuffle: bool = False,
    train_share: float = 0.8,
    seed: int = 42,
) -> Split:
    """A set of any size, as the published generator makes it; its defaults give the published set.

    samples        in all; a multiple of ten, as many of each class
    length         samples of a signal
    correlated_noise, white_noise   standard deviations, relative to a template's height of about a third
    shuffle        put the samples of every signal in one random order: what convolution cannot exploit (CV20)
    train_share    the first so many are the training set, the rest the test set

    x is standardised over all samples at once, test set included, as published. Raises ValueError for a size that
    does not divide.

    >>> generate(50).x_train.shape
    (40, 40)
    """
    if samples < 10 or samples % 10:
        raise ValueError(f"samples {samples} must be a multiple of 10, for there are as many of each class")
    if length < 2 or not 0 <= train_share <= 1:
        raise ValueError(f"length {length} must be at least 2, and train_share {train_share} between 0 and 1")
    _noise(correlated_noise, white_noise)
    random = np.random.RandomState(seed)
    y = np.repeat(np.arange(10), samples // 10)
    draws = [_legacy_draw(random) for _ in range(samples)]
    x = render(y, Draws(*map(np.array, zip(*draws, strict=True))), length, correlated_noise, white_noise)
    order = random.permutation(samples)
    x, y = x[order], y[order]
    x = (x - x.mean()) / x.std()
    if shuffle:
        x = x[:, random.permutation(length)]
    kept = int(train_share * samples)
    return Split(x[:kept], y[:kept], x[kept:], y[kept:])


def _noise(*deviations: float) -> None:
    for deviation in deviations:
        if not (math.isfinite(deviation) and deviation >= 0):
            raise ValueError(f"noise {deviation} must be a finite number, at least 0")


def _legacy_draw(random: np.random.RandomState) -> tuple[Any, ...]:
    """One sample's numbers in the order the published generator draws them."""
    return (
        random.rand(),
        random.rand(),
        random.choice(SHIFTS),
        random.randn(CANVAS),
        random.randn(CANVAS),
        random.rand(),
    )


def render(y: np.ndarray, draws: Draws, length: int, correlated_noise: float, white_noise: float) -> np.ndarray:
    """Signals (items, length) of the classes y with these random numbers: one place for every way to draw them."""
    low, high = PADDINGS
    stretched = _stretched()[y, (draws.padding * (high - low + 1)).astype(np.int64)]
    stretched = stretched * (1 + SCALE * (draws.scale - 0.5))[:, None]
    places = (np.arange(CANVAS) - draws.shift[:, None]) % CANVAS
    x = np.take_along_axis(stretched, places, axis=1)
    x = np.where(x == 0, correlated_noise * draws.correlated @ _blur(), x) + white_noise * draws.white
    x = x - SHEAR * (draws.shear - 0.5)[:, None] * np.linspace(-0.5, 0.5, CANVAS)
    return x @ _resampling(CANVAS, length).T


@functools.cache
def _stretched() -> np.ndarray:
    """Every template under every padding, resampled to the canvas: (10, paddings, CANVAS)."""
    shapes = TEMPLATES - TEMPLATES.mean(1, keepdims=True)
    shapes /= shapes.std(1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6 + 1e-8  # not zero: zero is where noise will stand
    low, high = PADDINGS
    padded = [np.pad(shapes, [(0, 0), (0, p)]) @ _resampling(KNOTS + p, CANVAS).T for p in range(low, high + 1)]
    return np.stack(padded, 1)


@functools.cache
def _resampling(old: int, new: int) -> np.ndarray:
    """Linear interpolation of old samples at new points, first to first and last to last: (new, old)."""
    return np.stack([np.interp(np.linspace(0, 1, new), np.linspace(0, 1, old), row) for row in np.eye(old)], 1)


@functools.cache
def _blur() -> np.ndarray:
    """Gaussian smoothing of a canvas by two samples, to multiply rows with."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(np.eye(CANVAS), 2.0, axis=1)


class Unlimited:
    """Samples made as they are asked for, standardised as the published set: item i is of class i mod 10.

    shuffle puts the samples of every signal in one order, drawn from order_seed.
    """

    def __init__(
        self,
        samples: int,
        *,
        length: int = 40,
        correlated_noise: float = 0.25,
        white_noise: float = 0.02,
        shuffle: bool = False,
        order_seed: int = 42,
    ) -> None:
        if samples < 1 or length < 2:
            raise ValueError(f"samples {samples} must be at least 1, and length {length} at least 2")
        _noise(correlated_noise, white_noise)
        self.samples, self.length, self.noise = samples, length, (correlated_noise, white_noise)
        self.classes = CLASSES
        places = np.random.RandomState(order_seed).permutation(length) if shuffle else np.arange(length)
        self.places = torch.from_numpy(places)

    def __len__(self) -> int:
        return self.samples

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """x (1, length) float32 and its class, from a generator of its own."""
        if not 0 <= index < self.samples:
            raise IndexError(f"item {index} of {self.samples}")
        x, y = self.batch(torch.tensor([index]), [generator or torch.default_generator])
        return x[0], y[0]

    def batch(self, indices: Tensor, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Many at once: each drawn from its own generator, all rendered together."""
        uniforms = np.empty((len(indices), 4))
        normals = np.empty((len(indices), 2 * CANVAS))
        for row, generator in enumerate(generators):
            uniforms[row] = torch.rand(4, generator=generator, dtype=torch.float64)
            normals[row] = torch.randn(2 * CANVAS, generator=generator)
        shift = (uniforms[:, 2] * SHIFTS).astype(np.int64)
        draws = Draws(uniforms[:, 0], uniforms[:, 1], shift, normals[:, :CANVAS], normals[:, CANVAS:], uniforms[:, 3])
        y = (indices % 10).numpy()
        mean, deviation = _standard()
        x = (render(y, draws, self.length, *self.noise) - mean) / deviation
        return torch.from_numpy(x).float()[:, None, self.places], torch.from_numpy(y)

    def fixed(self, seed: int) -> Arrays:
        """These many samples made once, from one seed: to choose by, or to test on."""
        x, y = self.batch(torch.arange(self.samples), [torch.Generator().manual_seed(seed)] * self.samples)
        return Arrays(x, y, self.classes)


@functools.cache
def _standard() -> tuple[float, float]:
    """Mean and standard deviation of the published set before it was standardised."""
    random = np.random.RandomState(42)
    draws = [_legacy_draw(random) for _ in range(5000)]
    x = render(np.repeat(np.arange(10), 500), Draws(*map(np.array, zip(*draws, strict=True))), 40, 0.25, 0.02)
    return float(x.mean()), float(x.std())


def load(root: Any = None, *, seed: int = 0, shuffle: bool = False) -> Parts:
    """The published set: 3,600 items to train with, 400 to choose by (drawn by seed), 1,000 to test.

    x is float32 (1, 40), y its class. Nothing is read: root is taken as every set's load takes it, and not needed.
    """
    made = generate(shuffle=shuffle)
    whole = Arrays(torch.from_numpy(made.x_train).float()[:, None], made.y_train, CLASSES)
    train, valid = held_back(len(whole), seed)
    test = Arrays(torch.from_numpy(made.x_test).float()[:, None], made.y_test, CLASSES)
    return Parts(whole.subset(train), whole.subset(valid), test)
