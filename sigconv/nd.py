"""The only file that counts dimensions: sizes, margins, borders and windows over any number of axes.

Shapes are (batch, channels, *space). "axis 0" in a message is the first axis of space.
A margin is what is added around an axis: one pair (before, after) per axis, in samples.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Margins = tuple[tuple[int, int], ...]

PADDINGS = ("valid", "same", "causal", "full", "half")
PADDING_MODES = ("zeros", "constant", "replicate", "reflect", "symmetric", "circular")

# A border is a map from any position to the sample that stands there: i any integers, n samples a b c d.
EXTEND: dict[str, Callable[[Tensor, int], Tensor]] = {
    # a a a|a b c d|d d d
    "replicate": lambda i, n: i.clamp(0, n - 1),
    # b c d|a b c d|a b c
    "circular": lambda i, n: i % n,
    # d c b|a b c d|c b a
    "reflect": lambda i, n: _fold(i % (2 * n - 2), 2 * n - 2) if n > 1 else torch.zeros_like(i),
    # c b a|a b c d|d c b
    "symmetric": lambda i, n: _fold(i % (2 * n), 2 * n - 1),
}


def _fold(i: Tensor, last: int) -> Tensor:
    """Walk up and back down again: 0 1 2 … 2 1 0."""
    return torch.minimum(i, last - i)


def one_of(value: str, options: Sequence[str], name: str) -> str:
    """The value, if it is one of the words known; an error that lists them otherwise."""
    if value not in options:
        raise ValueError(f"{name} {value!r} is not one of {sorted(options)}")
    return value


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
    if ndim == 1 and isinstance(padding, Sequence) and len(padding) == 2 and all(isinstance(p, int) for p in padding):
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


def border_modes(padding_mode: Any, ndim: int) -> tuple[str, ...]:
    """One border for every axis, or one per axis, checked."""
    if not isinstance(padding_mode, str | Sequence):
        raise TypeError(f"padding_mode {padding_mode!r} is not one of {sorted(PADDING_MODES)}, nor one per axis")
    modes = (padding_mode,) * ndim if isinstance(padding_mode, str) else tuple(padding_mode)
    if len(modes) != ndim:
        raise ValueError(f"padding_mode {padding_mode} has {len(modes)} entries for {ndim} spatial axes")
    return tuple(one_of(mode, PADDING_MODES, "padding_mode") for mode in modes)


def pad(x: Tensor, margins: Margins, padding_mode: Any = "zeros", value: float = 0.0) -> Tensor:
    """Extend the last axes of x by their margins, of any width; each axis may have a border of its own.

    zeros and constant (value) fill; the others are those of EXTEND. Where a corner lies beyond a filled and a zero
    axis, zero wins. numpy.pad calls replicate edge and circular wrap; scipy.ndimage calls symmetric reflect.

    >>> pad(torch.arange(3.0), ((2, 4),), "symmetric")
    tensor([1., 0., 0., 1., 2., 2., 1., 0., 0.])
    """
    ndim = len(margins)
    zeros = [0] * (2 * ndim)
    for axis, (mode, (before, after)) in enumerate(zip(border_modes(padding_mode, ndim), margins, strict=True)):
        if mode == "zeros":
            zeros[2 * (ndim - 1 - axis) : 2 * (ndim - axis)] = before, after
        elif before or after:
            x = _extend(x, axis - ndim, before, after, mode, value)
    return F.pad(x, zeros) if any(zeros) else x


def _extend(x: Tensor, dim: int, before: int, after: int, mode: str, value: float) -> Tensor:
    if mode == "constant":
        return F.pad(x, [0, 0] * (-dim - 1) + [before, after], value=value)
    n = x.shape[dim]
    if n == 0:
        raise ValueError(f"padding_mode {mode!r} cannot extend an axis of 0 samples: use 'zeros'")
    return x.index_select(dim, EXTEND[mode](torch.arange(-before, n + after, device=x.device), n))


def windows(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Every position's window over the last axes: (…, *space) -> (…, *positions, *kernel_size), a view.

    >>> windows(torch.arange(6.0), (3,), (1,), (2,))
    tensor([[0., 2., 4.],
            [1., 3., 5.]])
    """
    first = x.ndim - len(kernel_size)
    rows = zip(spans(kernel_size, dilation), stride, dilation, strict=True)
    for dim, (span, step, gap) in enumerate(rows, start=first):
        x = x.unfold(dim, span, step)[..., ::gap]
    return x


def primitive(name: str, ndim: int) -> Callable[..., Tensor] | None:
    """torch's own function for this many axes, "conv" -> F.conv2d, or None: it has them for one, two and three."""
    return getattr(F, f"{name}{ndim}d", None)


def count(value: Any, name: str, least: int = 1) -> int:
    """One whole number, at least so much.

    >>> count(2.5, "groups")
    Traceback (most recent call last):
    TypeError: groups 2.5 is not a whole number
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} {value!r} is not a whole number")
    if operator.index(value) < least:
        raise ValueError(f"{name} {value} must be at least {least}")
    return operator.index(value)


def symmetric(margins: Margins) -> list[int] | None:
    """The margins as torch's own functions take them, one number per axis, or None where the sides differ."""
    return [before for before, _ in margins] if all(before == after for before, after in margins) else None


def per_channel(values: Tensor, ndim: int) -> Tensor:
    """(channels,) -> (channels, 1, … 1): ready to meet (batch, channels, *space)."""
    return values.reshape(-1, *[1] * ndim)


def numpy_too(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that takes NumPy arrays as well: what kind the first argument is, the answer is too."""

    @functools.wraps(function)
    def either(x: Any, *args: Any, **options: Any) -> Any:
        if isinstance(x, Tensor):
            return function(x, *args, **options)
        if not isinstance(x, np.ndarray):
            raise TypeError(f"{function.__name__} takes a tensor or a NumPy array, not {type(x).__name__}")
        args = tuple(_tensor(a) if isinstance(a, np.ndarray) else a for a in args)
        options = {name: _tensor(a) if isinstance(a, np.ndarray) else a for name, a in options.items()}
        answer = function(_tensor(x), *args, **options)
        return tuple(map(_array, answer)) if isinstance(answer, tuple) else _array(answer)

    return either


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor of the array's values; copied where torch cannot share them (read-only, byte-swapped, reversed)."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(step < 0 or step % array.itemsize for step in array.strides):
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except TypeError:
        raise TypeError(
            f"an array of {array.dtype} has no tensor: convert it, for example by astype('float64')"
        ) from None


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy() if isinstance(tensor, Tensor) else tensor
