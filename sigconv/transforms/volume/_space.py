"""Where a volume lies: its axes of space, the affine from their indices to mm, and the kind it is given back as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.readers import nifti

WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}  # torch does little with them


class Placed(NamedTuple):
    """A volume taken up: x (*rest, *space), affine (n + 1, n + 1), and close(x, affine) that gives it back.

    Unsigned integers that torch does little with are taken up as wider ones; kind says what they were.
    """

    x: Tensor
    affine: np.ndarray
    close: Callable[[Tensor, np.ndarray], Any]
    kind: torch.dtype

    @property
    def ndim(self) -> int:
        """How many axes the affine knows."""
        return len(self.affine) - 1

    @property
    def space(self) -> tuple[int, ...]:
        """Their lengths."""
        return tuple(self.x.shape[self.x.ndim - self.ndim :])


def opened(x: Any, affine: Any = None, axes: Sequence[int] | None = None) -> Placed:
    """A Volume, an image with an affine, or an array and its affine, with the axes of space last.

    axes names them, in the affine's order: the first of a Volume, the last of a tensor or array, unless said.
    What x was, the answer is: a Volume, or the pair (x, affine), x of its own kind.

    >>> opened(np.zeros((4, 5, 6, 2)), np.eye(4), axes=(0, 1, 2)).space
    (4, 5, 6)
    """
    if not isinstance(x, np.ndarray | Tensor | nifti.Volume):
        x = nifti.volume_of(x)
    if isinstance(x, nifti.Volume):
        if affine is not None:
            raise ValueError("a Volume has an affine of its own: give its data with another one")
        x = _filled(x)
        data, meta, whole = tensor_of(x.data), x.meta, True
        affine = x.affine
    else:
        data, meta, whole = tensor_of(x), {}, False
        affine = getattr(x, "affine", None) if affine is None else affine
        if affine is None:
            raise ValueError(f"x {tuple(x.shape)} comes without an affine: give one, (4, 4) for three axes")
    place = checked(affine)
    n = len(place) - 1
    if data.ndim < n:
        raise ValueError(
            f"x {tuple(data.shape)} has fewer axes than the {n} of its affine {place.shape}: give it axes of length 1"
        )
    last = tuple(range(data.ndim - n, data.ndim))
    chosen = tuple(range(n)) if whole and axes is None else last if axes is None else _axes(axes, n, data.ndim)
    array = isinstance(x, np.ndarray)

    def close(y: Tensor, there: np.ndarray) -> Any:
        y = y.movedim(last, chosen).to(data.dtype if data.dtype in WIDER and not y.is_floating_point() else y.dtype)
        if not whole:
            return (y.detach().numpy() if array else y), there
        told = [*meta.get("spacing", ()), *[1.0] * y.ndim][: x.ndim]
        for axis, size in zip(chosen, spacings(there), strict=True):
            told[axis] = float(size)
        return nifti.Volume(np.ascontiguousarray(y.numpy()), there, _moved(meta, tuple(told), place, there))

    return Placed(data.to(WIDER.get(data.dtype, data.dtype)).movedim(chosen, last), place, close, data.dtype)


def _filled(x: nifti.Volume) -> nifti.Volume:
    """The same volume with all axes that its affine knows: those a file leaves out are of length 1."""
    lacking = len(x.affine) - 1 - x.ndim
    if lacking <= 0:
        return x
    shape = tuple(x.data.shape)
    return x._replace(data=x.data.reshape(*shape[: x.ndim], *[1] * lacking, *shape[x.ndim :]))


def _moved(meta: dict[str, Any], steps: tuple[float, ...], old: np.ndarray, new: np.ndarray) -> dict[str, Any]:
    """What is said of a volume, said of it on another grid: its qform, which may lead to a world of its own, leads the
    new indices there as it led the old ones."""
    answer = {**meta, "spacing": steps}
    if meta.get("qform") is not None and len(old) == 4:
        answer["qform"] = tuple(map(tuple, (np.array(meta["qform"]) @ np.linalg.inv(old) @ new).tolist()))
    return answer


def checked(affine: Any) -> np.ndarray:
    """An affine as float64, if it takes indices somewhere and back.

    >>> checked(np.zeros((4, 4)))
    Traceback (most recent call last):
    ValueError: affine [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]] is \
singular, or no square matrix whose last row is 0 … 0 1
    """
    place = np.array(affine.detach().cpu().numpy() if isinstance(affine, Tensor) else affine, np.float64)
    n = len(place) - 1 if place.ndim == 2 else 0
    right = n >= 1 and place.shape == (n + 1, n + 1) and bool(np.isfinite(place).all())
    if not (right and np.array_equal(place[n], np.eye(n + 1)[n]) and np.linalg.matrix_rank(place[:n, :n]) == n):
        raise ValueError(f"affine {place.tolist()} is singular, or no square matrix whose last row is 0 … 0 1")
    return place


def spacings(affine: np.ndarray) -> np.ndarray:
    """The distance in mm from one sample to the next along each axis.

    >>> spacings(np.diag([-2.0, 2.0, 3.0, 1.0]))
    array([2., 2., 3.])
    """
    return np.sqrt(np.square(affine[:-1, :-1]).sum(0))


def numbers(value: Any, n: int, name: str) -> tuple[float, ...]:
    """One number above 0 for every axis, or one for each.

    >>> numbers((1, 2), 3, "spacing")
    Traceback (most recent call last):
    ValueError: spacing (1, 2) is neither one number above 0 nor 3 of them
    """
    try:
        found = np.broadcast_to(np.asarray(value, np.float64), (n,))
    except (TypeError, ValueError):
        found = np.zeros(n)
    if np.ndim(value) > 1 or not (np.isfinite(found) & (found > 0)).all():
        raise ValueError(f"{name} {value} is neither one number above 0 nor {n} of them")
    return tuple(map(float, found))


def moved(affine: np.ndarray, offset: Sequence[float]) -> np.ndarray:
    """The affine of a grid whose first sample is at these indices of the old one.

    >>> moved(np.diag([2.0, 1.0]), [3])
    array([[2., 6.],
           [0., 1.]])
    """
    shifted = affine.copy()
    shifted[:-1, -1] += affine[:-1, :-1] @ np.asarray(offset, np.float64)
    return shifted


def _axes(axes: Sequence[int], n: int, ndim: int) -> tuple[int, ...]:
    """n different axes of ndim, counted from the front."""
    if len(axes) != n or any(not -ndim <= axis < ndim for axis in axes) or len({a % ndim for a in axes}) != n:
        raise ValueError(f"axes {tuple(axes)} are not {n} different axes of {ndim}")
    return tuple(axis % ndim for axis in axes)


def tensor_of(x: Any) -> Tensor:
    """A tensor of an array's values, copied where torch cannot share them.

    >>> tensor_of(np.array([1, 2], ">i2"))
    tensor([1, 2], dtype=torch.int16)
    """
    if isinstance(x, Tensor):
        return x.as_subclass(Tensor)
    native = x.astype(x.dtype.newbyteorder("="), copy=False)
    shares = native.flags.writeable and all(step >= 0 and step % native.itemsize == 0 for step in native.strides)
    try:
        return torch.from_numpy(native if shares else native.copy())
    except TypeError:
        raise TypeError(f"an array of {x.dtype} has no tensor: convert it, for example by astype('float32')") from None
