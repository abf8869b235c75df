"""What every picture begins and ends with: colours, axes to draw into, the bytes of a file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # told apart by every eye (Okabe-Ito)


def array(values: Any, dtype: Any = None) -> np.ndarray:
    """What is drawn, as an array: a tensor's values too, whatever graph, device and precision they are of."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() and values.element_size() < 4 else values
        values = values.resolve_conj().numpy()
    return np.asarray(values, dtype)


def axes(ax: Any = None, size: tuple[float, float] = (6.4, 4.0)) -> tuple[Any, Any]:
    """A figure and its axes; those given, where some are."""
    if ax is not None:
        return ax.figure, ax
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def png(figure: Any, dpi: int = 120) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
