"""A convolution as it happens: the kernel slides, products are added up, the output fills. As a GIF."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sigconv.plot._flat import numbers
from sigconv.plot._gif import MOST_FRAMES, gif
from sigconv.plot._stages import Integral, Window

MOST_SAMPLES, MOST_PLACES = 2000, 100_000  # of a signal and its kernel, and of a window: more could not be told apart
DPI = 80


class Sliding(NamedTuple):
    """An animation: the bytes of its GIF, the output that its last frame shows whole, the place each frame shows."""

    gif: bytes
    output: np.ndarray
    places: list[int]


def sliding(
    x: Any, weight: Any, *, fs: float = 1.0, flip: bool = False, frames: int = 40, rate: float = 8.0, title: str = ""
) -> Sliding:
    """An animation of a convolution, made from data, as the bytes of a GIF (VZ8). Its numbers are the true ones.

    x (samples,), weight (taps,): true convolution as an integral, y(t) = ∫ x(τ) h(t - τ) dτ. The kernel turned round
    moves over the signal, their product is shaded, and its integral traced: scipy.signal.convolve(x, weight) / fs.

    x (channels, *space), weight (channels, *size) of two or three axes of space: one output channel of a layer without
    padding. The window moves over each channel, row by row; its products with the kernel, added up over the channels,
    fill the output: a cross-correlation, or with flip=True a convolution. Up to 4 channels are drawn; of volumes the
    first, middle and last of the slices that the window covers, and the output's slice.

    frames   places at most that are drawn, evenly spread from the first to the last; all of them where they are fewer
    rate     frames a second; the last is held

    Bytes are written whole or not at all by sigconv.files.writing. ValueError for other shapes and numbers.

    >>> gif, output, places = sliding([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    >>> output, places
    (array([0. , 1. , 2.5, 4. , 1.5]), [0, 1, 2, 3, 4])
    """
    if not 1 <= frames <= MOST_FRAMES:
        raise ValueError(f"frames {frames} must be from 1 to {MOST_FRAMES}")
    stage = _stage(x, weight, fs, flip, title)
    count = stage.output.size
    places = [int(n) for n in np.unique(np.linspace(count - 1, 0, min(frames, count)).round())]
    pictures = _played(stage, places)
    return Sliding(gif(pictures, fs=rate), _as_given(stage.output, x), places)


def _stage(x: Any, weight: Any, fs: float, flip: bool, title: str) -> Integral | Window:
    """What is to be played, for these shapes."""
    expected = "(samples,), or (channels, *space) of two or three axes of space"
    signal = numbers(x, "x", (1, 3, 4), expected)
    kernel = numbers(weight, "weight", (signal.ndim,), f"of {signal.ndim} axes, as x of shape {signal.shape} has")
    if signal.ndim == 1:
        if not 0 < float(fs) < math.inf:
            raise ValueError(f"fs {fs} must be above 0 samples per unit")
        if flip:
            raise ValueError("flip=True for a signal (samples,): that is a convolution already")
        if len(signal) + len(kernel) > MOST_SAMPLES:
            raise ValueError(
                f"x and weight have {len(signal)} and {len(kernel)} samples: at most {MOST_SAMPLES} in all"
            )
        return Integral(signal, kernel, float(fs), title)
    if fs != 1:
        raise ValueError(f"fs {fs} for x of shape {signal.shape}: only signals (samples,) are integrated over time")
    pairs = zip(signal.shape, kernel.shape, strict=True)
    if len(signal) != len(kernel) or any(k > n for n, k in pairs):
        raise ValueError(f"weight has shape {kernel.shape}: expected (channels, *size) within x's, {signal.shape}")
    if math.prod(signal.shape[1:]) > MOST_PLACES:
        raise ValueError(f"x has shape {signal.shape}: at most {MOST_PLACES} samples a channel, take a smaller part")
    if flip:
        kernel = np.flip(kernel, tuple(range(1, kernel.ndim)))
    if signal.ndim == 3:
        signal, kernel = signal[:, None], kernel[:, None]
    return Window(signal, kernel, title)


def _played(stage: Integral | Window, places: list[int]) -> list[np.ndarray]:
    """Every frame as an array of bytes (height, width, 3), laid out alike."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(stage.figure)
    stage.figure.set_dpi(DPI)
    stage.show(places[-1])
    canvas.draw()
    stage.figure.set_layout_engine("none")  # what was laid out stays where it is
    pictures = []
    for n in places:
        stage.show(n)
        canvas.draw()
        pictures.append(np.array(np.asarray(canvas.buffer_rgba())[..., :3]))
    return pictures


def _as_given(output: np.ndarray, x: Any) -> np.ndarray:
    """Without the axis of slices, where x had none."""
    return output[0] if np.ndim(x) == 3 else output
