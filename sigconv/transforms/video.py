"""Video made ready: which frames make a clip, its frames cut to size, what changes between them, slices through time.

    clip, clips, segments       which frames: indices, as functions of a generator and nothing else
    resize, crop, normalize     what of them, at what size and on what scale
    difference, slices          what moves: one frame after another; space and time as one picture

Video is (…, channels, frames, height, width), tensor or NumPy array; clips are taken as x[:, clip(x.shape[1], 16)].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.transforms.volume._limits import affordable

SHORT = ("loop", "hold", "refuse")
METHODS = ("bilinear", "area", "nearest")
NEXT = {  # whole numbers in which differences of these do not wrap
    torch.bool: torch.int8,
    torch.int8: torch.int16,
    torch.uint8: torch.int16,
    torch.int16: torch.int32,
    torch.uint16: torch.int32,
    torch.int32: torch.int64,
    torch.uint32: torch.int64,
    torch.uint64: torch.int64,
}
EXACT = 1 << 48  # up to which means in float64 miss a whole number by far less than a half
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)  # of Kinetics-400, as torchvision's nets expect


def clip(
    frames: int, length: int, *, stride: int = 1, generator: torch.Generator | None = None, short: str = "loop"
) -> Tensor:
    """The frames of one clip, every stride-th of a video: int64 (length,).

    frames      of the video
    generator   says where the clip begins, every place alike; without one it is the middle
    short       what a video too short for it gives: "loop" begins it again, "hold" repeats its last frame (nothing is
                drawn then: the clip begins at frame 0), "refuse" is a ValueError

    >>> clip(10, 4).tolist(), clip(10, 4, stride=3).tolist(), clip(3, 5).tolist()
    ([3, 4, 5, 6], [0, 3, 6, 9], [0, 1, 2, 0, 1])
    """
    room = _room(frames, length, stride, short)
    if generator is None:
        first = max(room, 0) // 2
    else:
        first = int(torch.randint(room + 1, (), generator=generator)) if room > 0 else 0
    return _placed(torch.tensor([first]), frames, length, stride, short)[0]


def clips(frames: int, length: int, count: int, *, stride: int = 1, short: str = "loop") -> Tensor:
    """Clips spread evenly over a video, the first at its beginning, the last at its end: int64 (count, length).

    One is the middle. Options as clip's; many of a short video are all the same.

    >>> clips(10, 4, 3).tolist()
    [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    """
    room = max(_room(frames, length, stride, short), 0)
    count = nd.count(count, "count")
    affordable((count, length), 8, f"count {count}")
    firsts = torch.tensor([room // 2] if count == 1 else [room * n // (count - 1) for n in range(count)])
    return _placed(firsts, frames, length, stride, short)


def segments(frames: int, length: int, *, generator: torch.Generator | None = None) -> Tensor:
    """One frame of each of so many equal parts of a video: int64 (length,), rising.

    With a generator any frame of a part, else its middle one. Where there are fewer frames than parts, some stand
    for several. Source: Wang et al. 2016 (temporal segment networks), arXiv:1608.00859.

    >>> segments(10, 5).tolist(), segments(2, 4).tolist()
    ([1, 3, 5, 7, 9], [0, 0, 1, 1])
    """
    frames, length = nd.count(frames, "frames"), nd.count(length, "length")
    affordable((length,), 8, f"length {length}")
    place = torch.full((length,), 0.5) if generator is None else torch.rand(length, generator=generator)
    wide = frames / length
    return ((torch.arange(length) + place.double()) * wide).long().clamp_max(frames - 1)


def _room(frames: int, length: int, stride: int, short: str) -> int:
    """Frames that a clip may be moved by; below 0 where there are too few for it."""
    frames, span = nd.count(frames, "frames"), (nd.count(length, "length") - 1) * nd.count(stride, "stride") + 1
    if nd.one_of(short, SHORT, "short") == "refuse" and frames < span:
        raise ValueError(f"{frames} frames are too few for a clip of {length}, every {stride}-th: it spans {span}")
    affordable((length,), 8, f"length {length}")
    return frames - span


def _placed(firsts: Tensor, frames: int, length: int, stride: int, short: str) -> Tensor:
    places = firsts[:, None] + stride * torch.arange(length)
    return places.clamp_max(frames - 1) if short == "hold" else places % frames


@nd.numpy_too
def resize(x: Any, size: int | Sequence[int], *, method: str = "bilinear") -> Any:
    """Frames of another size: (…, height, width) -> (…, new height, new width), of x's type.

    size     (height, width), or one number: the shorter side's, the other keeping its share
    method   "bilinear" and "area" look at all that becomes one pixel when there are fewer; "nearest" makes no new
             values. Integers are rounded; those beyond 2^48 have no exact means, and are a ValueError

    >>> resize(torch.zeros(3, 8, 120, 160), 60).shape
    torch.Size([3, 8, 60, 80])
    """
    nd.one_of(method, METHODS, "method")
    height, width = _extent(x)
    if isinstance(size, int):
        short = nd.count(size, "size")
        scale = short / min(height, width)
        new = tuple(short if n == min(height, width) else max(round(n * scale), 1) for n in (height, width))
    else:
        new = nd.ntuple(size, 2, "size", least=1)
    if new == (height, width):
        return x.clone()
    affordable((*x.shape[:-2], *new), x.itemsize, f"size {size}")
    if method == "nearest":
        for axis, (m, n) in enumerate(zip(new, (height, width), strict=True), x.ndim - 2):
            place = (torch.arange(m, dtype=torch.float64) + 0.5) * n / m
            x = x.index_select(axis, place.long().to(x.device))
        return x
    if x.is_complex():
        return torch.complex(*(_resized(part, new, method) for part in (x.real, x.imag)))
    return _resized(x, new, method)


def _resized(x: Tensor, new: tuple[int, ...], method: str) -> Tensor:
    """Means of real numbers, as numbers of the same kind again."""
    rows = _summable(x).reshape(-1, 1, *x.shape[-2:])
    options: dict[str, Any] = {"mode": "bilinear", "antialias": True} if method == "bilinear" else {"mode": "area"}
    found = F.interpolate(rows, new, **options)
    if not x.is_floating_point():
        low, high = (0, 1) if x.dtype == torch.bool else (torch.iinfo(x.dtype).min, torch.iinfo(x.dtype).max)
        found = found.round().clamp(low, high)
    return found.to(x.dtype).reshape(*x.shape[:-2], *new)


def _summable(x: Tensor) -> Tensor:
    """Real numbers in a precision that holds them."""
    if x.is_floating_point() or x.dtype.itemsize < 4:
        return x.to(torch.promote_types(x.dtype, torch.float32))
    if x.dtype.itemsize == 8:
        low, high = _ends(x)
        if max(-low, high) > EXACT:
            raise ValueError(f"x of {x.dtype} reaches from {low} to {high}, beyond exact means: take method 'nearest'")
    return x.double()


def _ends(x: Tensor) -> tuple[int, int]:
    """The least and the largest of whole numbers of 64 bits."""
    zero = -(1 << 63) if x.dtype == torch.uint64 else 0  # torch compares signed numbers only
    low, high = (x.long() ^ zero).aminmax()
    return int(low) - zero, int(high) - zero


@nd.numpy_too
def crop(x: Any, size: int | Sequence[int], *, generator: torch.Generator | None = None) -> Any:
    """The same window of all frames: (…, height, width) -> (…, *size); its place from a generator, else the middle.

    ValueError where frames are smaller than size, a number or (height, width).

    >>> crop(torch.arange(25).reshape(1, 5, 5), 3)[0, 0].tolist()
    [6, 7, 8]
    """
    wanted = nd.ntuple(size, 2, "size", least=1)
    extent = _extent(x)
    if any(w > n for w, n in zip(wanted, extent, strict=True)):
        raise ValueError(f"size {wanted} is larger than the frames, which are {extent}: resize them first")
    rooms = [n - w for w, n in zip(wanted, extent, strict=True)]
    draw = lambda room: room // 2 if generator is None else int(torch.randint(room + 1, (), generator=generator))
    top, left = map(draw, rooms)
    return x[..., top : top + wanted[0], left : left + wanted[1]]


def _extent(x: Tensor) -> tuple[int, int]:
    if x.ndim < 3 or 0 in x.shape:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected frames (…, frames, height, width)")
    return x.shape[-2], x.shape[-1]


@nd.numpy_too
def normalize(x: Any, mean: Any = MEAN, std: Any = STD) -> Any:
    """(x - mean) / std of each channel: (…, channels, frames, height, width), floating; uint8 becomes float32 / 255.

    mean and std are a number or one per channel, by default those of Kinetics-400.

    >>> normalize(torch.full((1, 2, 2, 2), 255, dtype=torch.uint8), 0.5, 0.25).unique()
    tensor([2.])
    """
    if x.dtype == torch.uint8:
        x = x.float() / 255
    if x.ndim < 4 or not x.is_floating_point():
        raise ValueError(f"x is {x.dtype} of shape {tuple(x.shape)}: expected (…, channels, frames, height, width)")
    each = []
    for name, value in (("mean", mean), ("std", std)):
        number = torch.as_tensor(value, dtype=x.dtype, device=x.device)
        if number.ndim > 1 or number.numel() not in (1, x.shape[-4]) or not bool(torch.isfinite(number).all()):
            raise ValueError(f"{name} {value} must be a finite number, or {x.shape[-4]} of them, one per channel")
        each.append(number.reshape(-1, 1, 1, 1))
    if not bool((each[1] > 0).all()):
        raise ValueError(f"std {std} must be above 0")
    return (x - each[0]) / each[1]


@nd.numpy_too
def difference(x: Any) -> Any:
    """Each frame minus the one before: (…, frames, height, width) -> (…, frames - 1, height, width).

    Whole numbers become signed ones twice as wide, bytes int16, so that none wraps; ValueError where 64 bits do not do.

    >>> difference(torch.tensor([3, 1, 4], dtype=torch.uint8).reshape(3, 1, 1)).flatten().tolist()
    [-2, 3]
    """
    _extent(x)
    if x.shape[-3] < 2:
        raise ValueError(f"x of shape {tuple(x.shape)} has 1 frame: between at least 2 there is a difference")
    if x.dtype in (torch.int64, torch.uint64):
        low, high = _ends(x)
        if max(high - low, high) >= 1 << 63:
            raise ValueError(f"x of {x.dtype} reaches from {low} to {high}: make it floating, differences would wrap")
    return x.to(NEXT.get(x.dtype, x.dtype)).diff(dim=-3)


class Slices(NamedTuple):
    """Pictures of space and time, time downwards: across (…, frames, width), down (…, frames, height)."""

    across: Any
    down: Any


def slices(x: Any, row: int | None = None, column: int | None = None) -> Slices:
    """What one row and one column of pixels show over time, by default the middle ones: motion is a slant there.

    x (…, frames, height, width). A speed of v pixels a frame leans by v pixels a line.

    >>> moving = torch.eye(6).flip(1)[:, None]  # one pixel that goes left
    >>> slices(moving).across.argmax(-1).tolist()
    [5, 4, 3, 2, 1, 0]
    """
    height, width = _extent(x)
    row, column = height // 2 if row is None else row, width // 2 if column is None else column
    for name, place, n in (("row", row, height), ("column", column, width)):
        if not (isinstance(place, int) and -n <= place < n):
            raise ValueError(f"{name} {place} is none of {n}")
    return Slices(x[..., row, :], x[..., :, column])
