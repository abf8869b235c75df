"""Options checked as soon as they are known: by a layer when it is built, by a function when it is called."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from sigconv import nd


def checked(options: dict[str, Any]) -> None:
    """Refuse values that no x could make right; entries per axis must agree in number."""
    axes: dict[int, str] = {}
    for name, option in options.items():
        if name in PER_AXIS and option is not None:
            PER_AXIS[name](option, name)
            if isinstance(option, Sequence) and not isinstance(option, str) and name not in LONE:
                axes.setdefault(len(option), name)
        elif name in SINGLE:
            SINGLE[name](option, name)
    if len(axes) > 1:
        (one, first), (two, second) = list(axes.items())[:2]
        raise ValueError(f"{first} has {one} entries and {second} has {two}: expected one per spatial axis in both")


def positive(value: Any, name: str, *, finite: bool = False) -> float:
    """A number above zero."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} {value!r} is not a number")
    if not float(value) > 0 or (finite and math.isinf(value)):
        raise ValueError(f"{name} {value} must be above 0{' and finite' if finite else ''}")
    return float(value)


def sharpness(value: Any, name: str = "beta") -> None:
    """A number that is neither 0 nor infinite, or a tensor of such (which is not looked into)."""
    if isinstance(value, Tensor | np.ndarray):
        if value.ndim > 1:
            raise ValueError(f"{name} has shape {tuple(value.shape)}: expected one number, or one per channel")
        return
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} {value!r} is not a number, nor a tensor of one per channel")
    if not abs(value) < math.inf:  # type: ignore[operator]  # math.isfinite takes no whole number beyond float64
        raise ValueError(f"{name} {value} must be finite: 0 is the mean, and max_pool is the limit")


def ratio(value: Any, name: str) -> None:
    """A number between 0 and 1, or one per axis."""
    for entry in value if isinstance(value, Sequence) else (value,):
        if not 0 < positive(entry, name) < 1:
            raise ValueError(f"{name} {value} is not between 0 and 1")


def flag(value: Any, name: str) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} {value!r} is not True or False")


def _whole(least: int) -> Callable[[Any, str], Any]:
    return lambda value, name: nd.ntuple(value, _entries(value), name, least)


def _entries(value: Any) -> int:
    if isinstance(value, np.ndarray | Tensor):
        value = value.tolist()
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else 1


def _padding(value: Any, name: str) -> None:
    """A word, a number, or one per axis; "half" of an even kernel is found out by the function."""
    entries = _entries(value)
    nd.margins(value, (1,) * (entries if not isinstance(value, str) else 1), (1,) * entries)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)


def _sizes(value: Any, name: str) -> None:
    """A number, or per axis a number or None for the input's own."""
    entries = _listed(value)
    nd.ntuple([1 if entry is None else entry for entry in entries], len(entries), name)


def _bins(value: Any, name: str) -> None:
    """Some numbers of parts, each one number or one per axis."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise TypeError(f"{name} {value!r} is not a list of how many parts an axis has, such as (1, 2, 4)")
    for entry in value:
        _whole(1)(entry, name)


def _weights(value: Any, name: str) -> None:
    """None, or numbers."""
    fits = isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, Real) for v in value)
    if value is not None and not (fits and value):
        raise TypeError(f"{name} {value!r} is not a list of weights, such as (1, 2, 1)")


PER_AXIS: dict[str, Callable[[Any, str], Any]] = {
    "kernel_size": _whole(1),
    "stride": _whole(1),
    "dilation": _whole(1),
    "padding": _padding,
    "padding_mode": lambda value, name: nd.border_modes(value, 1 if isinstance(value, str) else len(value)),
    "output_size": _sizes,
    "size": _sizes,
    "output_ratio": ratio,
    "scale_factor": lambda value, name: [positive(v, name, finite=True) for v in _listed(value)],
}
LONE = ("padding",)  # one axis may have a bare pair
SINGLE: dict[str, Callable[[Any, str], Any]] = {
    "norm_type": positive,
    "kind": lambda value, name: nd.one_of(value, ("avg", "max"), name),
    "overlap": lambda value, name: nd.one_of(value, ("last", "sum"), name),
    "beta": sharpness,
    "bins": _bins,
    "taps": _weights,
    **dict.fromkeys(
        ("ceil_mode", "count_include_pad", "return_indices", "align_corners", "mean", "disjoint", "training"), flag
    ),
}
