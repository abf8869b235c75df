"""SciPy's convolutions with sigconv behind them: arguments are translated, and nothing else.

What sigconv refuses or does otherwise is left to fail. Four of SciPy's habits count as arguments: integers come back in
the kind they came in (sigconv answers int64), mixed kinds are promoted by NumPy's rules (sigconv uses torch's), ndimage
and fftconvolve compute whole numbers in floating point, and "same" is the middle of the answer also along axes that
were broadcast (sigconv keeps those whole). SciPy's own helpers read ndimage's axes, origin and output: they compute
nothing.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage._ni_support import _check_axes, _get_output, _normalize_sequence

import sigconv as sc

SIGNAL_BORDERS = {"fill": "constant", "wrap": "circular", "symm": "symmetric"}
NDIMAGE_BORDERS = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "mirror": "reflect",
    "nearest": "replicate",
    "constant": "constant",
    "grid-constant": "constant",
    "wrap": "circular",
    "grid-wrap": "circular",
}

kinds: set[str] = set()  # of the arrays that were passed since it was last cleared


def _alike(kind, *arrays):
    """Arrays of one precision, real ones left real."""
    kind = np.dtype(kind)
    real = np.empty(0, kind).real.dtype
    return [a.astype(kind if a.dtype.kind == "c" else real) for a in arrays]


def _signal(function, a, b, mode, spectral=False, **options):
    a, b = np.asarray(a), np.asarray(b)
    kind = np.result_type(a, b)
    kinds.add(kind.char)
    if spectral and kind.kind in "biu" and (a.size > 1 or b.size > 1):
        kind = np.dtype(float)
    given = (a, b) if kind.kind in "biu" else _alike(kind, a, b)
    y = function(*given, mode, **options).astype(kind, copy=False)
    if mode == "same":
        starts = [(n - m) // 2 for n, m in zip(y.shape, a.shape, strict=True)]
        y = y[tuple(slice(start, start + m) for start, m in zip(starts, a.shape, strict=True))]
    return y[()]


def convolve(in1, in2, mode="full", method="auto"):
    return _signal(sc.convolve, in1, in2, mode, method=method)


def correlate(in1, in2, mode="full", method="auto"):
    return _signal(sc.correlate, in1, in2, mode, method=method)


def fftconvolve(in1, in2, mode="full", axes=None):
    return _signal(sc.convolve, in1, in2, mode, spectral=True, axes=axes, method="fft")


def oaconvolve(in1, in2, mode="full", axes=None):
    return _signal(sc.convolve, in1, in2, mode, spectral=True, axes=axes, method="overlap")


def _in_a_plane(function, in1, in2, mode, boundary, fillvalue):
    if np.ndim(in1) != 2 or np.ndim(in2) != 2:
        raise ValueError(f"{function.__name__} takes two arrays of two axes each")
    border = {"padding_mode": SIGNAL_BORDERS.get(boundary, boundary), "value": np.asarray(fillvalue).item()}
    return _signal(function, in1, in2, mode, **({} if mode == "valid" else border))


def convolve2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    return _in_a_plane(sc.convolve, in1, in2, mode, boundary, fillvalue)


def correlate2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    return _in_a_plane(sc.correlate, in1, in2, mode, boundary, fillvalue)


def _ndimage(x, weights, output, mode, cval, origin, axes, turn):
    """ndimage's same-sized filters are sc.conv with margins of their own: size // 2 + origin samples lie before."""
    x, weights = np.asarray(x), np.asarray(weights)
    kind = np.result_type(x, weights)
    kinds.add(kind.char)
    axes = _check_axes(axes, x.ndim)
    pairs = sorted(zip(axes, _normalize_sequence(origin, len(axes)), strict=True))  # weights lie along rising axes
    axes, origins = zip(*pairs, strict=True)
    if np.iscomplexobj(cval) and x.dtype.kind != "c":
        raise ValueError(f"cval {cval} is complex and the array is not")
    if weights.ndim != len(axes):
        raise RuntimeError(f"weights.ndim ({weights.ndim}) must match len(axes) ({len(axes)})")
    output = _get_output(output, x, complex_output=kind.kind == "c")
    before = [(n - 1) // 2 - o if turn else n // 2 + o for n, o in zip(weights.shape, origins, strict=True)]
    margins = [(b, n - 1 - b) for n, b in zip(weights.shape, before, strict=True)]
    x, weights = _alike(np.result_type(kind, np.float32), x, weights)
    weights = weights if turn else weights.conj()
    last = tuple(range(-len(axes), 0))
    rows = np.moveaxis(x, axes, last)
    border = NDIMAGE_BORDERS[mode] if isinstance(mode, str) else [NDIMAGE_BORDERS[m] for m in mode]
    y = sc.conv(
        rows.reshape(math.prod(rows.shape[: -len(axes)]), 1, *rows.shape[-len(axes) :]),
        weights[None, None],
        padding=margins,
        padding_mode=border,
        value=cval,
        flip=turn,
    )
    output[...] = np.moveaxis(y.reshape(rows.shape), last, axes)
    return output


def nd_correlate(input, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):  # noqa: A002
    return _ndimage(input, weights, output, mode, cval, origin, axes, turn=False)


def nd_convolve(input, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):  # noqa: A002
    return _ndimage(input, weights, output, mode, cval, origin, axes, turn=True)


def nd_correlate1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):  # noqa: A002
    return _ndimage(input, weights, output, mode, cval, origin, axis, turn=False)


def nd_convolve1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):  # noqa: A002
    return _ndimage(input, weights, output, mode, cval, origin, axis, turn=True)
