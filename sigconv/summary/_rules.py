"""What torch's functions and ours do to receptive fields, and what they cost: a rule for every kind of function.

A rule reads a Call and returns what the answer sees, and multiply-accumulates. _names says which rule is whose.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sigconv import nd
from sigconv.summary._calls import Call
from sigconv.summary._fields import Axis, Seen, union

Found = tuple[Seen | None, int]


def conv(call: Call) -> Found:
    """Convolution, torch's or ours: an answer costs the taps of its filter."""
    weight = call.get("weight")
    ndim = weight.ndim - 2
    change = _windowed(call, weight.shape[2:], (1,) * ndim)
    return _moved(call, change, ndim, layers=1), call.answer.numel() * math.prod(weight.shape[1:])


def conv_transpose(call: Call) -> Found:
    """Its transpose: a sample of x costs the taps of its filters."""
    weight = call.get("weight")
    ndim, taps = weight.ndim - 2, weight.shape[2:]
    stride, gaps = (nd.ntuple(call.get(name, 1), ndim, name) for name in ("stride", "dilation"))
    margins = nd.margins(call.get("padding", 0), taps, gaps)
    change = lambda axis, a: axis.transposed(taps[a], stride[a], gaps[a], margins[a][0])
    return _moved(call, change, ndim, layers=1), call.x.numel() * math.prod(weight.shape[1:])


def conv_max(call: Call) -> Found:
    """Convolution, then the maximum over all its positions."""
    weight = call.get("weight")
    ndim, taps = weight.ndim - 2, weight.shape[2:]
    stride, gaps = (nd.ntuple(call.get(name, 1), ndim, name) for name in ("stride", "dilation"))
    margins = nd.margins(call.get("padding", 0), taps, gaps)
    positions = nd.output_size(call.x.shape[-ndim:], taps, stride, gaps, margins)
    look = _windowed(call, taps, (1,) * ndim)
    seen = _moved(call, lambda axis, a: look(axis, a).whole(positions[a]), ndim, layers=1)
    return seen, call.answer.numel() * math.prod(weight.shape[1:]) * math.prod(positions)


def pool(call: Call) -> Found:
    """Pooling over windows: stride is the window unless given."""
    ndim = call.x.ndim - 2
    if "kernel_size" not in call.named:
        return other(call)
    taps = nd.ntuple(call.get("kernel_size"), ndim, "kernel_size")
    return _moved(call, _windowed(call, taps, taps), ndim), 0


def blur(call: Call) -> Found:
    """A maximum at every position where one is asked for, then weights at every second position."""
    ndim, weights, options = call.x.ndim - 2, call.get("taps"), call.named
    smooth = len(weights) if weights is not None else call.get("blur", call.get("kernel_size"))
    taps, steps = nd.ntuple(smooth, ndim, "blur"), nd.ntuple(call.get("stride", 2), ndim, "stride")
    largest = nd.ntuple(call.get("kernel_size") if "blur" in options else 1, ndim, "kernel_size")
    gaps = nd.ntuple(call.get("dilation", 1), ndim, "dilation")
    first, then = (largest, gaps, call.get("padding")), (taps, (1,) * ndim, "same")
    if "blur" not in options:
        first, then = (largest, (1,) * ndim, 0), (taps, gaps, call.get("padding"))

    def change(axis: Axis, a: int) -> Axis:
        for (size, spread, padding), step in ((first, 1), (then, steps[a])):
            axis = axis.window(size[a], step, spread[a], nd.margins(padding, size, spread)[a][0])
        return axis

    return _moved(call, change, ndim), 0


def resize(call: Call) -> Found:
    """Adaptive pooling and interpolation: the two sizes say it."""
    mode = str(call.get("mode", ""))
    neighbours = 4 if mode == "bicubic" else 2 if "linear" in mode or mode == "transposed" else 1
    binned = call.name.startswith("adaptive") or mode == "area"

    def change(axis: Axis, a: int) -> Axis:
        n, m = call.x.shape[2 + a], call.answer.shape[2 + a]
        if binned and m == 1:
            return axis.whole(n)._replace(dim=axis.dim)
        taps = 1 if n == m else neighbours
        if binned:
            taps = max(-(-(i + 1) * n // m) - i * n // m for i in range(m))
        elif call.name.startswith("fractional"):
            taps = nd.ntuple(call.get("kernel_size"), call.x.ndim - 2, "kernel_size")[a]
        elif call.get("antialias") and m < n:
            taps = math.ceil(neighbours * n / m) + 1
        return axis.resized(n, m, taps, corners=bool(call.get("align_corners")))

    return _moved(call, change, call.x.ndim - 2), 0


def dense(call: Call) -> Found:
    """A matrix times the last dimension, which is summed over; of two products of the input, all is seen."""
    factors = [x for x in (call.x, call.get("weight", call.get("other"))) if isinstance(x, Tensor)]
    several = [(x, seen) for x, seen in ((x, call.see(x)) for x in factors) if seen is not None]
    macs = call.answer.numel() * call.x.shape[-1]
    if not several:
        return None, macs
    if len(several) > 1:
        together = union([whole(seen, x) for x, seen in several])
        return together._replace(depth=together.depth + 1), macs
    x, seen = several[0]
    summed_over = x.ndim - 1 if x is call.x else x.ndim - 2  # of a second factor, the last but one
    axes = (_all(axis, x) if axis.dim == summed_over else axis for axis in seen.axes)
    return Seen(tuple(axes), seen.depth + 1), macs


def pad(call: Call) -> Found:
    """Positions begin earlier."""
    before = {call.x.ndim - 1 - place: side for place, side in enumerate(list(call.get("pad", ()))[::2])}
    return _each(call, lambda axis, n: axis.window(1, before=before.get(axis.dim or 0, 0))), 0


def cut(call: Call) -> Found:
    """Slices with steps keep their place; lists of indices may take from anywhere."""
    keys = call.get("index")
    keys = list(keys) if isinstance(keys, tuple) else [keys]
    if any(isinstance(key, Tensor | list | tuple) for key in keys):
        return everything(call)
    if not all(isinstance(key, slice) or key is Ellipsis for key in keys):
        return other(call)
    at = next((place for place, key in enumerate(keys) if key is Ellipsis), len(keys))
    keys[at : at + 1] = [slice(None)] * (call.x.ndim - len(keys) + (at < len(keys)))

    def change(axis: Axis, n: int) -> Axis:
        first, _, step = keys[axis.dim].indices(n)  # type: ignore[index]
        return axis.window(1, step, before=-first)

    return _each(call, change), 0


def turned(call: Call) -> Found:
    """Dimensions in another order: their numbers, sent the same way as sizes of a tensor, come out in it."""
    probe = call.function(torch.empty(tuple(range(call.x.ndim)), device="meta"), *call.args[1:], **call.options)
    place = {dim: where for where, dim in enumerate(probe.shape)}
    return _each(call, lambda axis, n: axis._replace(dim=place[axis.dim])), 0


def mixing(call: Call) -> Found:
    """Functions along a dimension whose length stays, though every position sees all of it."""
    wanted = range(call.x.ndim) if len(call.args) > 3 else _dims(call)  # x.flip(2, 3)
    return _each(call, lambda axis, n: axis.whole(n) if axis.dim in wanted else axis), 0


def summed(call: Call) -> Found:
    """Means, sums and maxima along dimensions, which go, or stay as 1."""
    if isinstance(call.get("dim"), Tensor):
        return other(call)
    gone, stays = _dims(call), call.answer.ndim == call.x.ndim

    def change(axis: Axis, n: int) -> Axis:
        if axis.dim in gone:
            return axis.whole(n)
        return axis if stays else axis._replace(dim=axis.dim - sum(dim < axis.dim for dim in gone))  # type: ignore[operator]

    return _each(call, change), 0


def everything(call: Call) -> Found:
    """Whatever nobody knows, and what is known to mix: every position sees all of all there is."""
    several = [(x, seen) for x, seen in ((x, call.see(x)) for x in call.tensors) if seen is not None]
    return (union([whole(seen, x) for x, seen in several]) if several else None), 0


def whole(seen: Seen, x: Tensor) -> Seen:
    """What all positions of x see together."""
    return Seen(tuple(_all(axis, x) for axis in seen.axes), seen.depth)


def _all(axis: Axis, x: Tensor) -> Axis:
    return axis if axis.dim is None else axis.whole(x.shape[axis.dim])


def other(call: Call) -> Found:
    """Anything else, of one tensor or of several."""
    several = []
    for x in call.tensors:
        seen = call.see(x)
        if seen is not None:
            several.append(Seen(tuple(_kept(axis, x, call.answer) for axis in seen.axes), seen.depth))
    return (union(several) if several else None), 0


def _windowed(call: Call, taps: tuple[int, ...], stride: tuple[int, ...]) -> Callable[[Axis, int], Axis]:
    """What looking through the call's windows does to an axis; torch says no stride by None or []."""
    ndim = len(taps)
    steps = nd.ntuple(call.get("stride") or stride, ndim, "stride")
    gaps = nd.ntuple(call.get("dilation", 1), ndim, "dilation")
    margins = nd.margins(call.get("padding", 0), taps, gaps)
    return lambda axis, a: axis.window(taps[a], steps[a], gaps[a], margins[a][0])


def _moved(call: Call, change: Callable[[Axis, int], Axis], ndim: int, layers: int = 0) -> Seen | None:
    """The last ndim dimensions of x are space; the answer's too, whatever stands before."""
    if call.seen is None:
        return None
    first, shift = call.x.ndim - ndim, call.answer.ndim - call.x.ndim
    axes = []
    for axis in call.seen.axes:
        if axis.dim is not None and axis.dim >= first:
            changed = change(axis, axis.dim - first)
            axis = changed if changed.dim is None else changed._replace(dim=axis.dim + shift)
        axes.append(axis)
    return Seen(tuple(axes), call.seen.depth + layers)


def _each(call: Call, change: Callable[[Axis, int], Axis]) -> Seen | None:
    """Every axis that still moves along a dimension, changed; change hears that dimension's length."""
    if call.seen is None:
        return None
    axes = (axis if axis.dim is None else change(axis, call.x.shape[axis.dim]) for axis in call.seen.axes)
    return Seen(tuple(axes), call.seen.depth)


def _dims(call: Call) -> set[int]:
    dims = call.get("dim", call.get("dims", call.get("axis", range(call.x.ndim))))
    return {dim % call.x.ndim for dim in ([dims] if isinstance(dims, int) else dims)}


def _kept(axis: Axis, x: Tensor, answer: Tensor) -> Axis:
    """The same dimension of the answer: as long, and at the same place or behind as many values."""
    if axis.dim is None:
        return axis
    n, ahead = x.shape[axis.dim], math.prod(x.shape[: axis.dim])
    if x.ndim == answer.ndim and answer.shape[axis.dim] == n:
        return axis
    for dim, m in enumerate(answer.shape):
        if m == n and math.prod(answer.shape[:dim]) == ahead:
            return axis._replace(dim=dim)
    return axis.whole(n)
