"""Pictures of a bank: its kernels, their spectra, and what they answer to a signal."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sigconv import plot

MOST = 48  # filters that a picture still shows well
GRID = 33  # samples of a kernel made in frequency, where no size is given


def kernels(bank: Any, ax: Any = None, size: Any = None) -> tuple[Any, Any]:
    """The kernels' real parts: curves in units (the imaginary dashed), images, or three slices side by side."""
    shown = _kernels(bank, size)
    names = bank.names[: len(shown)]
    if bank.ndim == 1:
        x = (np.arange(shown.shape[-1]) - shown.shape[-1] // 2) / bank.fs[0]
        lines = {name: (x, k.real) for name, k in zip(names, shown, strict=True)}
        imaginary = {f"{name} imag": (x, k.imag) for name, k in zip(names, shown, strict=True) if np.iscomplexobj(k)}
        return plot.curves(lines | imaginary, xlabel=bank.unit, dashed=list(imaginary), ax=ax, legend=len(names) <= 12)
    return plot.mosaic([plot.flat(k.real) for k in shown], names, ax=ax, symmetric=True)


def spectra(bank: Any, ax: Any = None, size: Any = None) -> tuple[Any, Any]:
    """The gain at every frequency: curves, images with frequency 0 in the middle, or three slices."""
    shown = _kernels(bank, size)
    wide = [max(64, n) for n in shown.shape[1:]]
    gains = np.abs(np.fft.fftn(shown, wide, axes=tuple(range(1, shown.ndim))))
    names = bank.names[: len(shown)]
    if bank.ndim == 1:
        f = np.fft.fftshift(np.fft.fftfreq(wide[0], 1 / bank.fs[0]))
        keep = slice(None) if bank.complex else slice(wide[0] // 2, None)
        lines = {name: (f[keep], np.fft.fftshift(g)[keep]) for name, g in zip(names, gains, strict=True)}
        per = "Hz" if bank.unit == "s" else f"1/{bank.unit}"
        return plot.curves(lines, xlabel=f"frequency, {per}", ylabel="gain", ax=ax, legend=len(names) <= 12)
    return plot.mosaic([plot.flat(np.fft.fftshift(g), "max") for g in gains], names, ax=ax)


def responses(bank: Any, x: np.ndarray, ax: Any = None, **options: Any) -> tuple[Any, Any]:
    """Feature maps of one signal (*space): filters against time, or a picture a filter; magnitudes (FB3, FB5)."""
    with torch.no_grad():
        y = bank(np.ascontiguousarray(x)[None, None], output="magnitude", padding_mode="symmetric", **options)[0]
    y = y[:MOST]
    if bank.ndim == 1:
        figure, ax = plot.axes(ax, (7.0, 0.6 + 0.2 * max(len(y), 6)))
        ax.imshow(
            y, aspect="auto", origin="lower", cmap="magma", extent=(0, x.shape[0] / bank.fs[0], -0.5, len(y) - 0.5)
        )
        ax.set(xlabel=bank.unit, ylabel="filter")
        return figure, ax
    return plot.mosaic([plot.flat(one) for one in y], bank.names[: len(y)], ax=ax)


def _kernels(bank: Any, size: Any) -> np.ndarray:
    with torch.no_grad():
        if bank.kernel_size is None or size is not None:
            found = bank.kernels_for(GRID if size is None else size)
        else:
            found = bank.kernels
    return found[:MOST].cpu().numpy()
