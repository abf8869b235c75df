"""Modules of foreign make are not believed unseen: noise that changes only beyond a position's field must not move it,
and the end of noise must be answered as the whole is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from sigconv.summary._locality import Refused, Use

NEAR = 1e-3  # of the largest answer
SIZES = (8, 32, 64, 128, 256)  # of the other axes
MOST = 1 << 24  # numbers of an input


def local(work: Any, channels: int, dtype: torch.dtype, use: Use) -> None:
    """Refused where answers move when only far samples do; nothing where no input of a sensible size is taken."""
    for axis in range(work.ndim):
        reach = work.reaches[axis]
        for x, y in _tried(work, axis, 4 * reach.size, 0, channels, dtype):
            place = y.shape[2 + axis] // 2
            middle = place // reach.each * reach.stride
            far = 5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x) + 3
            first, last = max(middle - reach.before, 0), middle + reach.after + 1
            far.narrow(2 + axis, first, last - first).copy_(x.narrow(2 + axis, first, last - first))
            moved = (work.model(far).select(2 + axis, place) - y.select(2 + axis, place)).abs().max()
            if moved > NEAR * y.abs().max():
                what = "answers otherwise where only far samples change"
                raise Refused(f"the model ({type(work.model).__name__}) {what}: {use.remedy}")


def ends(work: Any, left: Sequence[int], channels: int, dtype: torch.dtype) -> bool:
    """Whether a crop of the end answers as the whole does, where so many samples are left over."""
    for axis, over in enumerate(left):
        reach, step = work.reaches[axis], work.lattice[axis]
        for x, y in _tried(work, axis, 4 * reach.size, over, channels, dtype) if over else ():
            low = (x.shape[2 + axis] - 2 * reach.size) // step * step
            first = -(-(low + reach.before) // reach.stride) * reach.each
            begin = first - low // reach.stride * reach.each
            part = work.model(x.narrow(2 + axis, low, x.shape[2 + axis] - low).clone())
            one = part.narrow(2 + axis, begin, part.shape[2 + axis] - begin)
            other = y.narrow(2 + axis, first, y.shape[2 + axis] - first)
            if one.shape != other.shape or (one - other).abs().max() > NEAR * y.abs().max():
                return False
    return True


def _tried(
    work: Any, axis: int, least: int, over: int, channels: int, dtype: torch.dtype
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Noise that is long along an axis, and the answer to it; the other axes are as short as the model takes them."""
    step = work.lattice[axis]
    for other in SIZES:
        space = [-(-other // s) * s for s in work.lattice]
        space[axis] = -(-(least + 4 * step + 16) // step) * step + over
        shape = (1, channels, *space)
        if math.prod(shape) > MOST:
            return
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(work.device, dtype)
        try:
            y = work.model(x.clone())
        except (ValueError, RuntimeError, IndexError):
            continue  # too small for it
        yield x, y
        return
