"""What all the transforms share: which axes, how deep, which borders, and the names of subbands."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd


def known_as(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function of tensors that takes arrays too, and speaks of itself by the public function's name."""

    def dressed(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__name__ = name
        return nd.numpy_too(function)

    return dressed


def words(ndim: int) -> tuple[str, ...]:
    """The names of 2^ndim subbands, a letter an axis: approximation or detail.

    >>> words(2)
    ('aa', 'ad', 'da', 'dd')
    """
    return tuple("".join(letters) for letters in itertools.product("ad", repeat=ndim))


def axes_of(axes: Any, ndim: int) -> tuple[int, ...]:
    """The axes meant, counted from the end; all of them for None."""
    if axes is None:
        axes = range(ndim)
    named = tuple(axes) if isinstance(axes, tuple | list | range | np.ndarray) else (axes,)
    if any(isinstance(a, bool) or not hasattr(a, "__index__") or not -ndim <= a < ndim for a in named):
        raise ValueError(f"axes {axes} are not axes of an array that has {ndim}")
    found = tuple(int(a) % ndim - ndim for a in named)
    if len(set(found)) != len(found):
        raise ValueError(f"axes {axes} name one axis twice")
    if not found:
        raise ValueError(f"axes {axes} of an array that has {ndim}: there is none to transform")
    return found


def borders(padding_mode: Any, ndim: int) -> tuple[str, ...]:
    """A border for every axis transformed."""
    modes = nd.border_modes(padding_mode, ndim)
    if "constant" in modes:
        raise ValueError("padding_mode 'constant' has no value here: use 'zeros' or 'replicate'")
    return modes


def depth(level: Any, x: Tensor, axes: Sequence[int]) -> int:
    """Levels to go: as many as the shortest axis has halvings, floor(log2 n), unless told."""
    sizes = [x.shape[a] for a in axes]
    n = min(sizes)
    axis = axes[sizes.index(n)]
    if n == 0:
        raise ValueError(f"x {tuple(x.shape)} has no samples on axis {axis}: there is nothing to transform")
    most = n.bit_length() - 1
    level = most if level is None else nd.count(level, "level", least=0)
    if level > most:
        raise ValueError(f"level {level} is above {most}, the halvings that the {n} samples of axis {axis} have")
    return level


def floating(*tensors: Tensor | None) -> tuple[Any, ...]:
    """All in one kind, the widest of theirs; integers and booleans become float64."""
    kinds = [t.dtype if t.is_floating_point() or t.is_complex() else torch.float64 for t in tensors if t is not None]
    dtype = reduce(torch.promote_types, kinds)
    return tuple(None if t is None else t.to(dtype) for t in tensors)


def wide(x: Any) -> Any:
    """Half precision in float32, so that levels are rounded once, at the end."""
    return x.float() if x is not None and x.dtype in (torch.float16, torch.bfloat16) else x


def last(x: Any, axes: Sequence[int]) -> Any:
    """The axes transformed moved to the end."""
    return x if x is None or is_last(axes) else x.movedim(tuple(axes), tuple(range(-len(axes), 0)))


def home(x: Tensor, axes: Sequence[int]) -> Tensor:
    """And back to where they were."""
    return x if is_last(axes) else x.movedim(tuple(range(-len(axes), 0)), tuple(axes))


def is_last(axes: Sequence[int]) -> bool:
    """Whether the axes already stand at the end, in order."""
    return tuple(axes) == tuple(range(-len(axes), 0))


def letters(given: Any, ndim: int) -> None:
    """Refuse a name that is not one of a subband."""
    if not isinstance(given, str) or len(given) % ndim or not given or set(given) - set("ad"):
        raise ValueError(f"subband {given!r} is not named by {ndim} letters a or d, one for each axis transformed")
