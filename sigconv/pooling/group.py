"""Pooling over a group of transforms: what is largest over all of them does not change under any (PL12)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.pooling._derive import layer

Transform = Callable[[Tensor], Tensor]


@layer("GroupMaxPool")
@nd.numpy_too
def group_max_pool(x: Tensor, f: Callable[[Tensor], Tensor], group: Any = "rot90") -> Tensor:
    """max over t in a group T of f(t(x)): a feature that is the same for x and any t(x), whatever f is.

    x (batch, channels, *space), any number of axes; f any function or module of it, whose answers have one shape for
    all t. group is "rot90", the rotations of the grid (4 in 2-D, 24 in 3-D, N!·2^(N-1) in N-D); "flip", all
    reflections (2^N); "shift", all circular shifts (as many as samples of space: f is called as often); or transforms
    of your own, which must form a group for the answer to be invariant. The gradient goes to the first of equal values.
    Raises ValueError for an unknown group, for rotations of a single axis, and for answers of several shapes.
    Source: science.md PL12, "Proposition 1".

    >>> import torch
    >>> edge = lambda x: (x[..., 1:, :] - x[..., :-1, :]).amax((1, 2, 3))
    >>> x = torch.rand(1, 1, 5, 5)
    >>> bool(group_max_pool(x, edge) == group_max_pool(x.rot90(1, (2, 3)), edge))
    True
    """
    if not callable(f):
        raise TypeError(f"f {f!r} is no function or module: it is what the maximum is taken of, over the group")
    transforms = list(_named(x, group)) if isinstance(group, str) else list(group)
    best: Tensor | None = None
    for transform in transforms:
        answer = f(transform(x))
        if best is not None and best.shape != answer.shape:
            raise ValueError(
                f"f answers with shapes {tuple(best.shape)} and {tuple(answer.shape)} over the group: "
                "pool over space inside f, or give x equal axes"
            )
        best = answer if best is None else torch.where((answer > best) | answer.isnan(), answer, best)
    if best is None:
        raise ValueError("group is empty: it needs the identity at least")
    return best


def _named(x: Tensor, group: str) -> Iterator[Transform]:
    """The transforms of a group by its name, the identity first."""
    nd.one_of(group, ("flip", "rot90", "shift"), "group")
    axes = range(2, x.ndim)
    if x.ndim < 3 or (group == "rot90" and x.ndim < 4):
        raise ValueError(f"x has shape {tuple(x.shape)}: {group!r} needs (batch, channels, *space), two axes to rotate")
    if group == "shift":
        for steps in itertools.product(*(range(x.shape[axis]) for axis in axes)):
            yield partial(torch.roll, shifts=steps, dims=tuple(axes))
        return
    for order in itertools.permutations(axes) if group == "rot90" else [tuple(axes)]:
        odd = sum(a > b for a, b in itertools.combinations(order, 2)) % 2
        for turned in itertools.product((False, True), repeat=len(axes)):
            if group == "flip" or (odd + sum(turned)) % 2 == 0:  # a permutation and flips of determinant 1
                flips = [axis for axis, flip in zip(axes, turned, strict=True) if flip]
                yield partial(_turned, order=order, flips=flips)


def _turned(x: Tensor, order: tuple[int, ...], flips: list[int]) -> Tensor:
    return x.permute(0, 1, *order).flip(flips)
