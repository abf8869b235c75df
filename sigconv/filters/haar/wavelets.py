"""The Haar wavelet transform and its packets: every block of 2^N neighbours becomes 2^N subbands, half the size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters.haar import _common as common
from sigconv.kernels import haar as kernel


def dwt(x: Any, level: int | None = None, axes: Any = None, padding_mode: Any = "symmetric") -> list[Any]:
    """The Haar wavelet transform along any axes: what pywt.wavedecn(x, "haar") returns, value by value.

    x any array -> [approximation, {coarsest details}, …, {finest details}], a detail named by a letter for each axis
    in the order of `axes`: "da" is detail along the first and approximation along the second. Each level halves the
    sizes, ceil(n / 2); along one axis a = (x0 + x1) / √2 and d = (x0 - x1) / √2, so energy is kept.

    level          halvings, floor(log2 n) of the shortest axis if None, which is also the limit
    axes           all, if None
    padding_mode   what stands after the last sample of an odd axis: "symmetric", "replicate", "reflect", "circular" or
                   "zeros", one or one per axis; pywt calls them symmetric, constant, reflect, periodic and zero

    A tensor gives tensors, a NumPy array arrays, of the same kind and device; halves are computed in float32, integers
    and booleans become float64. NaN stays in the coefficients whose blocks hold it. Differentiable. ValueError for
    a level above the limit, axes x has not, and empty axes.

    >>> approximation, details = dwt(torch.tensor([3.0, 1.0, 2.0, 2.0]), 1)
    >>> approximation, details["d"]
    (tensor([2.8284, 2.8284]), tensor([1.4142, 0.0000]))

    Haar 1910; Mallat 1989. Requirements FB4, FB5, E19 of the lectures: Haar the wavelet, not the rectangle feature.
    """
    found = analysed(x, level, axes, padding_mode)
    details = common.words(len(common.axes_of(axes, x.ndim)))[1:]
    each = len(details)
    levels = [found[first : first + each] for first in range(1, len(found), each)]
    return [found[0], *(dict(zip(details, pieces, strict=True)) for pieces in levels)]


def idwt(coefficients: Sequence[Any], axes: Any = None, size: Any = None) -> Any:
    """The array that has these coefficients: what pywt.waverecn returns, the inverse of dwt.

    coefficients as dwt returns them; details that are missing, or None, count as zeros. The coefficients of 2h - 1 and
    of 2h samples look alike: `size`, one number for each of the axes, says which it is; without it the finest level
    gives 2h, as in PyWavelets, and inner levels what the next finer details fit. ValueError for coefficients whose
    shapes do not fit one another or size.

    >>> x = torch.arange(15.0).reshape(3, 5)
    >>> torch.allclose(idwt(dwt(x), size=x.shape), x)
    True
    """
    if not isinstance(coefficients, list | tuple) or not coefficients:
        raise TypeError(f"coefficients are a {type(coefficients).__name__}: expected a list as dwt returns it")
    approximation, *levels = coefficients
    ndim = len(common.axes_of(axes, getattr(approximation, "ndim", 0)))
    for details in levels:
        for word in details or ():
            common.letters(word, ndim)
            if len(word) != ndim or word == "a" * ndim:
                raise ValueError(f"subband {word!r} is no detail along {ndim} axes")
    pieces = [(details or {}).get(word) for details in levels for word in common.words(ndim)[1:]]
    return synthesised(approximation, axes, size, *pieces)


def packets(x: Any, level: int | None = None, axes: Any = None, padding_mode: Any = "symmetric") -> dict[str, Any]:
    """The Haar wavelet packets: every subband split on, 2^(N·level) leaves by the path that leads to them.

    x any array -> {path: leaf}; a path is the words of dwt one after the other, first level first, as the leaves of
    pywt.WaveletPacketND have it: "aadd" is the approximation's detail along both of two axes. Options, kinds and
    errors as in dwt.

    >>> list(packets(torch.ones(4), 2))
    ['aa', 'ad', 'da', 'dd']
    """
    leaves = split(x, level, axes, padding_mode)
    ndim = len(common.axes_of(axes, x.ndim))
    paths = [""]
    while len(paths) < len(leaves):
        paths = [path + word for path in paths for word in common.words(ndim)]
    return dict(zip(paths, leaves, strict=True))


def ipackets(leaves: Mapping[str, Any], axes: Any = None, size: Any = None) -> Any:
    """The array that has these packets, all of one level; leaves that are missing count as zeros.

    size as in idwt: without it, every level gives 2h samples for h. ValueError for paths of different lengths.

    >>> x = torch.arange(6.0)
    >>> torch.allclose(ipackets(packets(x, 2), size=6), x)
    True
    """
    if not isinstance(leaves, Mapping) or not leaves:
        raise TypeError(f"leaves are a {type(leaves).__name__}: expected a dict as packets returns it, not empty")
    first = next(iter(leaves.values()))
    ndim = len(common.axes_of(axes, getattr(first, "ndim", 0)))
    for path in leaves if set(leaves) != {""} else ():  # level 0 has one leaf, and no letters
        common.letters(path, ndim)
    lengths = {len(path) for path in leaves}
    if len(lengths) > 1:
        raise ValueError(f"paths of {sorted(lengths)} letters are of more than one level: give the leaves of one")
    return merged(first, axes, size, lengths.pop() // ndim, list(leaves), *leaves.values())


@common.known_as("dwt")
def analysed(x: Tensor, level: Any, axes: Any, padding_mode: Any) -> tuple[Tensor, ...]:
    """The approximation and all details, coarsest first."""
    x, axes, level, modes, kind = _read(x, level, axes, padding_mode)
    found: list[Tensor] = []
    for _ in range(level):
        x, details = kernel.analysis(x, modes)
        found = [*details.unbind(0), *found]
    return tuple(common.home(piece, axes).to(kind) for piece in (x if level else x.clone(), *found))


@common.known_as("packets")
def split(x: Tensor, level: Any, axes: Any, padding_mode: Any) -> tuple[Tensor, ...]:
    """All leaves, in the order of their paths."""
    x, axes, level, modes, kind = _read(x, level, axes, padding_mode)
    leaves = [x if level else x.clone()]
    for _ in range(level):
        pairs = [kernel.analysis(leaf, modes) for leaf in leaves]
        leaves = [piece for low, details in pairs for piece in (low, *details.unbind(0))]
    return tuple(common.home(leaf, axes).to(kind) for leaf in leaves)


def _read(x: Tensor, level: Any, axes: Any, padding_mode: Any) -> tuple[Any, ...]:
    axes = common.axes_of(axes, x.ndim)
    modes = common.borders(padding_mode, len(axes))
    level = common.depth(level, x, axes)
    (x,) = common.floating(x)
    return common.last(common.wide(x), axes), axes, level, modes, x.dtype


@common.known_as("idwt")
def synthesised(approximation: Tensor, axes: Any, size: Any, *pieces: Tensor | None) -> Tensor:
    """Level by level, from the coarsest; pieces are all details in the order of their words, None for zeros."""
    axes = common.axes_of(axes, approximation.ndim)
    given = common.floating(approximation, *pieces)
    x, *moved = (common.last(common.wide(piece), axes) for piece in given)
    each = 2 ** len(axes) - 1
    levels = [moved[first : first + each] for first in range(0, len(moved), each)]
    shapes = [next((piece.shape for piece in level if piece is not None), None) for level in levels]
    for number, level in enumerate(levels):
        x = _cut(x, shapes[number], len(axes))
        half = x.shape[-len(axes) :]
        finer = shapes[number + 1] if number + 1 < len(levels) else None
        goal = None if finer is None else finer[-len(axes) :]
        if number + 1 == len(levels) and size is not None:
            goal = nd.ntuple(size, len(axes), "size")
        x = kernel.synthesis(x, _zeros_for_none(level, x), _fitting(goal, half))
    return common.home(x if levels else x.clone(), axes).to(given[0].dtype)


def _cut(x: Tensor, shape: Any, ndim: int) -> Tensor:
    """An approximation without the sample that its level's details do not have."""
    if shape is None or x.shape == shape:
        return x
    kept = x.ndim - ndim
    fits = x.ndim == len(shape) and x.shape[:kept] == shape[:kept]
    if not fits or any(n - m not in (0, 1) for n, m in zip(x.shape[kept:], shape[kept:], strict=True)):
        raise ValueError(f"details {tuple(shape)} do not fit an approximation {tuple(x.shape)}: they need its sizes")
    return x[tuple(slice(n) for n in shape)]


def _zeros_for_none(pieces: Sequence[Tensor | None], like: Tensor) -> list[Tensor]:
    found = [torch.zeros_like(like) if piece is None else piece for piece in pieces]
    wrong = next((piece for piece in found if piece.shape != like.shape), None)
    if wrong is not None:
        raise ValueError(f"details {tuple(wrong.shape)} and {tuple(like.shape)} are of one level: they need one shape")
    return found


def _fitting(goal: Sequence[int] | None, half: Sequence[int]) -> list[int]:
    """The size to come back to: 2h, or the goal where it is 2h or 2h - 1."""
    if goal is None or any(2 * h - n not in (0, 1) for n, h in zip(goal, half, strict=True)):
        if goal is not None:
            raise ValueError(f"size {tuple(goal)} has not {tuple(half)} pairs: expected 2h or 2h - 1 along every axis")
        return [2 * h for h in half]
    return list(goal)


@common.known_as("ipackets")
def merged(first: Tensor, axes: Any, size: Any, level: int, paths: list[str], *given: Tensor) -> Tensor:
    """Level by level, from the leaves, which are all of one shape."""
    axes = common.axes_of(axes, first.ndim)
    given = common.floating(*given)
    leaves = [common.last(common.wide(leaf), axes) for leaf in given]
    _zeros_for_none(leaves, leaves[0])
    sizes = _sizes(size, level, leaves[0].shape[-len(axes) :])
    found = dict(zip(paths, leaves, strict=True))
    words = common.words(len(axes))
    for depth in range(level - 1, -1, -1):
        joined = {}
        for path in map("".join, itertools.product(words, repeat=depth)):
            low, *details = _zeros_for_none([found.get(path + word) for word in words], next(iter(found.values())))
            joined[path] = kernel.synthesis(low, details, sizes[depth])
        found = joined
    return common.home(found[""], axes).to(given[0].dtype)


def _sizes(size: Any, level: int, leaf: Sequence[int]) -> list[list[int]]:
    """What every level comes back to, the whole first."""
    if size is None:
        return [[h << (level - depth) for h in leaf] for depth in range(level)]
    goals = [nd.ntuple(size, len(leaf), "size")]
    for _ in range(level):
        goals.append(tuple((n + 1) // 2 for n in goals[-1]))
    if goals[-1] != tuple(leaf):
        raise ValueError(f"size {goals[0]} has leaves {goals[-1]} at level {level}, not {tuple(leaf)}")
    return [list(goal) for goal in goals[:-1]]
