"""Laws' texture filters: outer products of five short masks, level, edge, spot, wave and ripple.

bank("E5L5S5")      a filter per name, a letter per axis            every(ndim)     all names of some letters
energy(y)           how strongly filters respond around each place

Source: Laws 1980; IBSI 2 (arXiv:2006.05470), which fixes the signs and the norm: Σ taps² = 1 for each mask.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters._bank import FilterBank
from sigconv.filters.masks import Mask, box

MASKS = {
    "L3": (1, 2, 1),
    "E3": (-1, 0, 1),
    "S3": (-1, 2, -1),
    "L5": (1, 4, 6, 4, 1),
    "E5": (-1, -2, 0, 2, 1),
    "S5": (-1, 0, 2, 0, -1),
    "W5": (-1, 2, 0, -2, 1),
    "R5": (1, -4, 6, -4, 1),
}
NAME = re.compile("([A-Z][0-9]+)")


def bank(names: str | Sequence[str], *, fs: Any = 1.0) -> FilterBank:
    """A filter per name; letter i works on axis i, and how many there are is the number of dimensions.

    names  "E5L5S5", or a list of such names of one length; masks are L level, E edge, S spot, of 3 or 5 taps, W wave
           and R ripple of 5, in any mixture ("E3W5R5")

    Each mask has Σ taps² = 1, and so has each filter. ValueError for a mask that Laws has not.

    >>> bank("L3E5").kernel_size
    (3, 5)
    >>> bank(["E5L5", "L5E5"])(torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 2, 16, 16])
    """
    names = [names] if isinstance(names, str) else list(names)
    words = [_masks(name) for name in names]
    if len({len(word) for word in words}) != 1:
        raise ValueError(f"names {names} are not of one number of dimensions: a mask per axis, as in 'E5L5'")
    terms = []
    for masks in zip(*words, strict=True):  # axis after axis
        widest = max(len(MASKS[mask]) for mask in masks)
        terms.append(torch.stack([_taps(mask, widest) for mask in masks]).unsqueeze(1))
    return Mask(terms, names, fs)


def _masks(name: str) -> list[str]:
    """The masks of a name, in the order of the axes."""
    if not isinstance(name, str):
        raise TypeError(f"name {name!r} is not a text such as 'E5L5'")
    found = NAME.findall(name)
    unknown = [mask for mask in found if mask not in MASKS]
    if unknown or not found or "".join(found) != name:
        raise ValueError(f"name {name!r}: {(unknown or [name])[0]!r} is not one of {', '.join(MASKS)}")
    return found


def _taps(mask: str, width: int) -> Tensor:
    """A mask of norm 1, in the middle of so many taps."""
    taps = torch.tensor(MASKS[mask], dtype=torch.float64)
    side = (width - len(taps)) // 2
    return nd.pad(taps / math.sqrt(taps.square().sum()), ((side, side),))


def every(ndim: int, *, taps: int = 5, letters: str | None = None, fs: Any = 1.0) -> FilterBank:
    """All filters that some letters make in so many dimensions: len(letters) ** ndim of them.

    taps 3 or 5; letters default to all there are of that length, "LES" or "LESWR".

    >>> len(every(2)), len(every(3, taps=3))
    (25, 27)
    """
    letters = "".join(mask[0] for mask in MASKS if mask[1:] == str(taps)) if letters is None else letters
    words = itertools.product([f"{letter}{taps}" for letter in letters], repeat=nd.count(ndim, "ndim"))
    return bank(["".join(word) for word in words], fs=fs)


def energy(y: Any, radius: Any = 7, *, padding_mode: Any = "zeros", value: float = 0.0) -> Any:
    """The mean of |y| over the window of `radius` samples to every side: responses become texture energy.

    y (batch, channels, *space), tensor or array, real or complex -> its shape, real; radius one number or one per axis.
    Where responses are pooled over rotations, pool first: the energy comes after (IBSI 2).

    >>> energy(torch.ones(1, 2, 9, 9), 1).amax()
    tensor(1.)
    """
    ndim = y.ndim - 2
    if ndim < 1:
        raise ValueError(f"y has shape {tuple(y.shape)}: expected (batch, channels, *space)")
    size = [2 * r + 1 for r in nd.ntuple(radius, ndim, "radius", least=0)]
    window = box(size, ndim)
    window = window.to(y.device) if isinstance(y, Tensor) else window
    return window(abs(y), padding_mode=padding_mode, value=value)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """All filters of level, edge and spot, of 5 taps: 3 ** ndim."""
    return every(ndim, letters="LES", fs=fs)
