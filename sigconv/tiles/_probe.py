"""Modules of foreign make are not believed unseen: noise that changes only beyond a position's field must not move it,
a crop of noise must be answered as the whole is wherever it lies in it, and so must the end of noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.summary._locality import Refused, Use

NEAR = 1e-3  # of the largest answer
ROUNDINGS = 16  # of the answer's dtype, where these are more
FEW = 1e-3  # of a crop's answers that may differ: those that a threshold in the model takes to either side
SIZES = (8, 32, 64, 128, 256)  # of the other axes
MOST = 1 << 24  # numbers of an input


def local(work: Any, channels: int, dtype: torch.dtype, use: Use) -> None:
    """Refused where answers move when only far samples do, or when a crop lies elsewhere; nothing where no input of a
    sensible size is taken."""
    for axis in range(work.ndim):
        reach = work.reaches[axis]
        for x, y in _tried(work, axis, 4 * reach.size, 0, channels, dtype):
            place = y.shape[2 + axis] // 2
            middle = place // reach.each * reach.stride
            far = 5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x) + 3
            first, last = max(middle - reach.before, 0), middle + reach.after + 1
            far.narrow(2 + axis, first, last - first).copy_(x.narrow(2 + axis, first, last - first))
            one, other = (answer.select(2 + axis, place) for answer in (work.model(far), y))
            if _moved(one, other, y).any():
                what = "answers otherwise where only far samples change"
                raise Refused(f"the model ({type(work.model).__name__}) {what}: {use.remedy}")
            _anywhere(work, axis, x, y)


def _anywhere(work: Any, axis: int, x: Tensor, y: Tensor) -> None:
    """Refused where crops are answered otherwise than the whole: one a step shorter on either side, which tells what
    changes from step to step, and one a quarter shorter, which tells what changes slowly."""
    step, n = work.lattice[axis], x.shape[2 + axis]
    for low in (step, -(-n // (4 * step)) * step):
        moved = _crop_moved(work, axis, x, y, (low, n - step))
        if moved is not None and moved.double().mean() > FEW:
            name = type(work.model).__name__
            raise Refused(f"the model ({name}) knows where it is: give coordinates as channels of the source instead")


def ends(work: Any, left: Sequence[int], channels: int, dtype: torch.dtype) -> bool:
    """Whether a crop of the end answers as the whole does, where so many samples are left over."""
    for axis, over in enumerate(left):
        reach, step = work.reaches[axis], work.lattice[axis]
        for x, y in _tried(work, axis, 4 * reach.size, over, channels, dtype) if over else ():
            n = x.shape[2 + axis]
            moved = _crop_moved(work, axis, x, y, ((n - 2 * reach.size) // step * step, n))
            if moved is None or moved.any():
                return False
    return True


def _crop_moved(work: Any, axis: int, x: Tensor, y: Tensor, span: tuple[int, int]) -> Tensor | None:
    """Which answers to a crop are not the whole's, of those that see nothing beyond it; a crop that ends with the whole
    must end as it does. None where there are fewer, or the crop is not taken."""
    reach, dim, (low, high) = work.reaches[axis], 2 + axis, span
    first = -(-(low + reach.before) // reach.stride) * reach.each
    last = y.shape[dim]
    if high < x.shape[dim]:
        last = ((high - 1 - reach.after) // reach.stride + 1) * reach.each
    begin, count = first - low // reach.stride * reach.each, last - first
    part = _answer(work, x.narrow(dim, low, high - low))
    over = -1 if part is None else part.shape[dim] - begin - count
    if part is None or over < 0 or (over and high == x.shape[dim]):
        return None
    return _moved(part.narrow(dim, begin, count), y.narrow(dim, first, count), y)


def _moved(one: Tensor, other: Tensor, whole: Tensor) -> Tensor:
    """Where two answers differ by more than rounding, beside the largest of the whole."""
    near = max(NEAR, ROUNDINGS * torch.finfo(whole.dtype).eps) if whole.dtype.is_floating_point else NEAR
    one, other, whole = (t if t.is_complex() else t.double() for t in (one, other, whole))
    lost = one.isfinite() != other.isfinite()
    most = whole.nan_to_num(0, 0, 0).abs().max()
    return lost | ((one - other).nan_to_num(0, 0, 0).abs() > near * most)


def _tried(
    work: Any, axis: int, least: int, over: int, channels: int, dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    """Noise that is long along an axis, and the answer to it; the other axes are as short as the model takes them."""
    step = work.lattice[axis]
    for other in SIZES:
        space = [-(-other // s) * s for s in work.lattice]
        space[axis] = -(-(least + 4 * step + 16) // step) * step + over
        shape = (1, channels, *space)
        if math.prod(shape) > MOST:
            return
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(work.device, dtype)
        y = _answer(work, x)
        if y is not None:
            yield x, y
            return


def _answer(work: Any, x: Tensor) -> Tensor | None:
    """What the model says; None where x is too small for it, or of no size that it takes."""
    try:
        return work.model(x.clone())
    except (ValueError, RuntimeError, IndexError):
        return None
