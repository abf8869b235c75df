"""Values between the samples: images at any places, in any number of dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sigconv import nd

ORDERS = (0, 1, 3)  # the nearest sample, linear, cubic
_Axis = list[tuple[Tensor, Tensor | None]]  # an axis's neighbours: which sample, and whether it is inside


def at_points(x: Tensor, places: Sequence[Tensor], *, order: int = 1, padding_mode: str = "zeros") -> Tensor:
    """The values of x at places between its samples, by the nearest sample, linear or cubic interpolation.

    x             (*rest, *space)
    places        one tensor for each axis of space, all of one shape (or broadcast to it), in samples: 0 is the first
    order         0 the nearest (the later of two as near), which keeps labels; 1 linear; 3 cubic (Keys, a = -1/2)
    padding_mode  "zeros", or a border of sigconv.nd: what lies beyond the ends

    Returns (*rest, *places' shape) of x's dtype and device. At the samples themselves x comes back to the bit (where
    it is finite), and so does a constant anywhere. Differentiable in x and, but for order 0, in the places.
    ValueError for an order or border that is none, for numbers that are not floating with order 1 or 3, for an axis of
    no samples. Source of the cubic: Keys 1981, doi:10.1109/TASSP.1981.1163711.

    >>> at_points(torch.tensor([0.0, 10.0, 20.0]), [torch.tensor([0.5, 2.0, 2.5])])
    tensor([ 5., 20., 10.])
    """
    ndim = len(places)
    if order not in ORDERS:
        raise ValueError(f"order {order!r} is not one of {list(ORDERS)}")
    if order and not (x.is_floating_point() or x.is_complex()):
        raise ValueError(f"x of {x.dtype} has no values between its samples: take order 0, or floating numbers")
    nd.one_of(padding_mode, ("zeros", *nd.EXTEND), "padding_mode")
    space = x.shape[x.ndim - ndim :]
    if 0 in space:
        raise ValueError(f"x {tuple(x.shape)} has no samples to take values from")
    whole = torch.broadcast_tensors(*places)
    rows = x.reshape(-1, space.numel())
    steps = [space[axis + 1 :].numel() for axis in range(ndim)]
    below = [(p + 0.5).floor() if order == 0 else p.floor() for p in places]
    reach = {0: (0,), 1: (0, 1), 3: (-1, 0, 1, 2)}[order]
    sides = [[_neighbour(low + step, n, padding_mode) for step in reach] for low, n in zip(below, space, strict=True)]
    parts = [(p - low).to(x.real.dtype) for p, low in zip(places, below, strict=True)]

    def found(axis: int, flat: Tensor | int, inside: Tensor | None) -> Tensor:
        """What lies at places whose axes before this one are settled: the others are interpolated from the last on."""
        if axis == ndim:
            index = torch.as_tensor(flat, device=x.device).expand(whole[0].shape).reshape(-1)
            values = rows.index_select(1, index).reshape(len(rows), *whole[0].shape)
            return values if inside is None else torch.where(inside, values, torch.zeros_like(values[:1]))
        near = [found(axis + 1, flat + index * steps[axis], both(inside, here)) for index, here in sides[axis]]
        return _BETWEEN[order](near, parts[axis])

    return found(0, 0, None).reshape(*x.shape[: x.ndim - ndim], *whole[0].shape)


def both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Where both hold; None holds everywhere.

    >>> both(None, torch.tensor([True, False]))
    tensor([ True, False])
    """
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _neighbour(index: Tensor, n: int, padding_mode: str) -> tuple[Tensor, Tensor | None]:
    """Which sample stands at an index, and whether there is one: None where there always is."""
    index = index.long()
    if padding_mode == "zeros":
        return index.clamp(0, n - 1), (index >= 0) & (index < n)
    return nd.EXTEND[padding_mode](index, n), None


def _cubic(near: list[Tensor], t: Tensor) -> Tensor:
    """Keys's cubic through the two samples around, its slopes those of their neighbours: a constant stays itself."""
    before, first, second, after = near
    slope, next_slope = (second - before) / 2, (after - first) / 2
    rise = second - first
    bend = 3 * rise - 2 * slope - next_slope
    return first + t * (slope + t * (bend + t * (slope + next_slope - 2 * rise)))


_BETWEEN: dict[int, Callable[[list[Tensor], Tensor], Tensor]] = {
    0: lambda near, t: near[0],
    1: lambda near, t: torch.lerp(near[0], near[1], t.to(near[0].dtype)),
    3: _cubic,
}
