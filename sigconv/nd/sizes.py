"""Whole numbers per axis: options read and checked, margins from words, sizes from windows."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Margins = tuple[tuple[int, int], ...]

PADDINGS = ("valid", "same", "causal", "full", "half")
MOST = 2**38  # values that no memory holds


def one_of(value: str, options: Sequence[str], name: str) -> str:
    """The value, if it is one of the words known; an error that lists them otherwise."""
    if value not in options:
        raise ValueError(f"{name} {value!r} is not one of {sorted(options)}")
    return value


def count(value: Any, name: str, least: int = 1) -> int:
    """One whole number, at least so much.

    >>> count(2.5, "groups")
    Traceback (most recent call last):
    TypeError: groups 2.5 is not a whole number
    """
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None:
        raise TypeError(f"{name} {value!r} is not a whole number")
    if whole < least:
        raise ValueError(f"{name} {value} must be at least {least}")
    return whole


def ntuple(value: Any, ndim: int, name: str, least: int = 1) -> tuple[int, ...]:
    """One number for every axis, or one number per axis.

    >>> ntuple(3, 2, "kernel_size")
    (3, 3)
    >>> ntuple((3, 5), 3, "kernel_size")
    Traceback (most recent call last):
    ValueError: kernel_size (3, 5) has 2 entries for 3 spatial axes
    """
    if isinstance(value, np.ndarray | Tensor):
        value = value.tolist()
    entries = tuple(value) if isinstance(value, Sequence) else (value,) * ndim
    if isinstance(value, str | bytes) or any(isinstance(entry, bool | np.bool_) for entry in entries):
        raise TypeError(f"{name} {value!r} is not a whole number, nor one per axis")
    if len(entries) != ndim:
        raise ValueError(f"{name} {value} has {len(entries)} entries for {ndim} spatial axes")
    try:
        numbers = tuple(operator.index(entry) for entry in entries)
    except TypeError:
        raise TypeError(f"{name} {value!r} is not a whole number, nor one per axis") from None
    if any(number >= 2**63 for number in numbers):
        raise ValueError(f"{name} {value} is more than any axis has")
    if any(number < least for number in numbers):
        raise ValueError(f"{name} {value} must be at least {least} on every axis")
    return numbers


def spans(kernel_size: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """Samples from the first to the last tap of a dilated kernel, per axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True))


def margins(padding: Any, kernel_size: Sequence[int], dilation: Sequence[int]) -> Margins:
    """Samples added before and after each axis: padding is a word, a number, or per axis a word, a number or a pair.

    valid adds nothing; same keeps the size (an even kernel's extra sample comes after, as in torch); causal adds all
    before, so that no output looks ahead; full keeps every overlap; half adds (span - 1) / 2 on both sides (PD1-PD3).

    >>> margins("same", (5, 4), (1, 1))
    ((2, 2), (1, 2))
    >>> margins(("causal", (0, 7)), (3, 3), (2, 1))
    ((4, 0), (0, 7))
    """
    ndim = len(kernel_size)
    if isinstance(padding, np.ndarray | Tensor):
        padding = padding.tolist()
    if (
        ndim == 1
        and isinstance(padding, Sequence)
        and len(padding) == 2
        and all(hasattr(p, "__index__") for p in padding)
    ):
        padding = (padding,)  # one axis: a bare pair can only mean (before, after)
    per_axis = isinstance(padding, Sequence) and not isinstance(padding, str | bytes)
    entries = padding if per_axis else [padding] * ndim
    if len(entries) != ndim:
        raise ValueError(f"padding {padding} has {len(entries)} entries for {ndim} spatial axes")
    return tuple(_margin(entry, span - 1) for entry, span in zip(entries, spans(kernel_size, dilation), strict=True))


def _margin(entry: Any, reach: int) -> tuple[int, int]:
    """One axis: reach is how many samples a kernel covers beyond its first."""
    if isinstance(entry, str):
        if entry not in PADDINGS:
            words = sorted(PADDINGS)
            raise ValueError(
                f"padding {entry!r} is not one of {words}, a number of samples, or one (before, after) per axis"
            )
        if entry == "half" and reach % 2:
            raise ValueError(f"padding 'half' needs a kernel of odd span, not {reach + 1}: use 'same'")
        half = reach // 2
        words_to_margins = {
            "valid": (0, 0),
            "same": (half, reach - half),
            "causal": (reach, 0),
            "full": (reach, reach),
            "half": (half, half),
        }
        return words_to_margins[entry]
    pair = ntuple(entry, 2, "padding", least=0)
    return pair[0], pair[1]


def tf_same(size: Any, kernel_size: Any, stride: Any = 1, dilation: Any = 1) -> Margins:
    """The margins TensorFlow's SAME adds: they depend on the size, and shift the phase of a strided layer.

    >>> tf_same((8,), 3, stride=2)
    ((0, 1),)
    """
    size = (size,) if isinstance(size, int) else tuple(size)
    ndim = len(size)
    kernel_size, stride = ntuple(kernel_size, ndim, "kernel_size"), ntuple(stride, ndim, "stride")
    totals = [
        max((-(-n // s) - 1) * s + span - n, 0)
        for n, s, span in zip(size, stride, spans(kernel_size, ntuple(dilation, ndim, "dilation")), strict=True)
    ]
    return tuple((total // 2, total - total // 2) for total in totals)


def output_size(
    size: Sequence[int],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    margins: Margins,
    *,
    strict: bool = False,
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Positions a window takes on each axis: floor((size + margins - span) / stride) + 1 (PD6).

    strict refuses a stride that leaves samples over. ceil_mode lets a last window hang over the end, as torch does:
    only if it starts inside the input or its margin before.
    """
    result = []
    rows = zip(size, kernel_size, stride, spans(kernel_size, dilation), margins, strict=True)
    for axis, (n, k, s, span, (before, after)) in enumerate(rows):
        room = n + before + after - span
        if room < 0:
            taps = f"kernel {k}" if span == k else f"kernel {k} dilated to {span}"
            raise ValueError(
                f"{taps} is larger than the padded input {n + before + after} on axis {axis} (input {n}): "
                "pad more, or take a smaller kernel or dilation"
            )
        if strict and room % s:
            raise ValueError(
                f"stride {s} does not divide {room} (padded input {n + before + after} - span {span}) on axis {axis}: "
                "change the padding, or drop strict"
            )
        positions = room // s + 1
        if ceil_mode and room % s and positions * s < n + before:
            positions += 1
        result.append(positions)
    return tuple(result)


def holdable(shape: Sequence[int], what: str, check: str) -> None:
    """Refuse what no memory could hold, before anything is asked for.

    >>> holdable((2, 10**12), "output", "size")
    Traceback (most recent call last):
    ValueError: the output (2, 1000000000000) would have 2.0e+12 values: check size
    """
    if not torch.compiler.is_compiling() and math.prod(shape) >= MOST:  # sizes may be symbols there
        raise ValueError(f"the {what} {tuple(shape)} would have {math.prod(shape):.1e} values: check {check}")


def symmetric(margins: Margins) -> list[int] | None:
    """The margins as torch's own functions take them, one number per axis, or None where the sides differ."""
    return [before for before, _ in margins] if all(before == after for before, after in margins) else None
