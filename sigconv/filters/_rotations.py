"""Responses that do not depend on how the subject lay: pooled over the right-angle rotations of the grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters._bank import FilterBank


def rotations(ndim: int, reflections: bool = False) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The right-angle rotations of a grid, each (order of the axes, axes turned over afterwards), the identity first.

    2^(ndim-1)·ndim! proper ones: 1, 4, 24, 192 in 1 to 4 dimensions; with reflections twice as many.

    >>> [sum(1 for _ in rotations(ndim)) for ndim in (1, 2, 3, 4)]
    [1, 4, 24, 192]
    """
    for order in itertools.permutations(range(ndim)):
        swaps = sum(a > b for a, b in itertools.combinations(order, 2))
        for signs in itertools.product((0, 1), repeat=ndim):
            if reflections or (swaps + sum(signs)) % 2 == 0:
                yield order, tuple(axis for axis, sign in enumerate(signs) if sign)


def rotation_pool(bank: FilterBank, x: Any, pool: str = "max", *, reflections: bool = False, **options: Any) -> Any:
    """A bank's responses, pooled over all right-angle rotations of its filters: IBSI 2's rotation invariance.

    bank         any, with the same sampling rate on every axis
    x            (batch, channels, *space), tensor or array -> (batch, channels·filters, *positions), as bank(x)
    pool         "max" or "mean" over the rotations; the maximum keeps its sign, and complex responses have only a mean
    reflections  mirror images too, twice as many
    options      bank's own: output, padding_mode (per axis of x), stride, …

    The input is turned, filtered and turned back, one rotation at a time: no more than one set of responses is held
    beside the answer. Proper rotations are 1, 4, 24 in 1, 2, 3 dimensions: a line has only itself, or, with
    reflections, its reverse. A stride is taken at the end. Where texture energy is wanted, it comes after this.

    >>> from sigconv.filters import laws
    >>> rotation_pool(laws.bank("L5S5"), torch.zeros(1, 1, 9, 8)).shape
    torch.Size([1, 1, 9, 8])

    Raises ValueError for unequal sampling rates, TypeError for a maximum of complex responses.
    """
    nd.one_of(pool, ("max", "mean"), "pool")
    if len(set(bank.fs)) > 1:
        raise ValueError(f"fs {bank.fs} differs between axes: a right-angle rotation takes one to another; resample x")
    run = nd.numpy_too(lambda x: _pooled(bank, x, pool, reflections, options))
    return run(x)


def _pooled(bank: FilterBank, x: Tensor, pool: str, reflections: bool, options: dict[str, Any]) -> Tensor:
    if x.ndim != bank.ndim + 2:
        return bank(x, **options)  # which says what is wrong
    modes = nd.border_modes(options.get("padding_mode", "zeros"), bank.ndim)
    stride = nd.ntuple(options.get("stride", 1), bank.ndim, "stride")
    kept: Any = (..., *(slice(None, None, s) for s in stride))
    total, count = None, 0
    for order, over in rotations(bank.ndim, reflections):
        turned = options | {"padding_mode": tuple(modes[axis] for axis in order), "stride": 1}
        y = _turned(bank(_turned(x, order, over), **turned), order, over, back=True)
        y = y[kept]
        if pool == "max" and y.is_complex():
            raise TypeError("complex responses have no maximum: ask for output='magnitude', or pool='mean'")
        total = y if total is None else torch.maximum(total, y) if pool == "max" else total + y
        count += 1
    assert total is not None
    return total if pool == "max" else total / count


def _turned(x: Tensor, order: tuple[int, ...], over: tuple[int, ...], back: bool = False) -> Tensor:
    """Space with its axes in another order, some turned over; or all that undone."""
    flips = [axis + 2 for axis in over]
    if not back:
        return x.permute(0, 1, *(axis + 2 for axis in order)).flip(flips)
    undone = sorted(range(len(order)), key=order.__getitem__)
    return x.flip(flips).permute(0, 1, *(axis + 2 for axis in undone))
