"""Where a volume lies: affines from indices to mm, their spacing and directions, and what a stride makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FLAT = 1e-6  # the volume that three axes of length 1 must span; float32 places them to 1e-7
LETTERS = ("LR", "PA", "IS")  # down and up each axis of the world: left right, posterior anterior, inferior superior


def checked(affine: Any, what: str = "affine") -> np.ndarray:
    """An affine as float64 (4, 4), once found finite, regular and an affine; else ValueError, which calls it what."""
    found = affine.detach().cpu() if hasattr(affine, "detach") else affine
    place = np.asarray(found, np.float64)
    if place.shape != (4, 4) or not np.isfinite(place).all():
        values = "" if place.shape != (4, 4) else " with values that are NaN or infinite"
        raise ValueError(f"{what} has shape {place.shape}{values}: expected (4, 4) finite numbers")
    if not np.array_equal(place[3], [0, 0, 0, 1]):
        raise ValueError(f"{what} ends in the row {place[3].tolist()}: expected [0, 0, 0, 1]")
    if singular(place):
        raise ValueError(f"{what} is singular: its columns {place[:3, :3].T.tolist()} span no volume")
    return place


def singular(affine: np.ndarray) -> bool:
    """Whether the axes of an affine span no volume, to what float32 holds, whatever their lengths."""
    with np.errstate(all="ignore"):  # what is no number in the end spans none
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        return not (np.isfinite(axes).all() and abs(np.linalg.det(axes)) >= FLAT)


def strided(affine: Any, stride: float | Sequence[float]) -> np.ndarray:
    """The affine of every stride-th sample along each axis: its columns times the stride, the origin at sample 0.

    affine (4, 4); stride a positive number, or one per axis: the first three are the affine's, a scan's further axes
    (time) have no part in it, missing ones are 1. Returns float64 (4, 4). ValueError for a stride that is not positive,
    and for an affine that is singular.

    >>> strided(np.diag([1.0, 1, 2, 1]), (2, 2, 1, 5)).diagonal()
    array([2., 2., 2., 1.])
    """
    steps = np.atleast_1d(np.asarray(stride, np.float64))
    if steps.ndim != 1 or not len(steps) or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError(f"stride {stride!r} is not a positive number, nor one per axis")
    steps = np.full(3, steps[0]) if np.ndim(stride) == 0 else np.append(steps, np.ones(3))[:3]
    return checked(affine) * np.append(steps, 1.0)


def spacing(affine: Any) -> np.ndarray:
    """The distance between samples along each of the three axes, in mm: the lengths of the affine's columns.

    affine (4, 4). Returns float64 (3,); a filter's fs per mm is 1 / spacing. ValueError for a singular affine.

    >>> spacing([[0, 0, 3, -50], [-2, 0, 0, 90], [0, 4, 0, 7], [0, 0, 0, 1]])
    array([2., 4., 3.])
    """
    return np.asarray(np.linalg.norm(checked(affine)[:3, :3], axis=0))


def orientation(affine: Any) -> str:
    """Where each of the three axes leads, one letter each: "RAS" is right, anterior, superior; "LPS", "PIR" …

    affine (4, 4), from indices to mm in NIfTI's world (x to the right, y to the front, z up). An oblique axis is called
    by the direction it follows most, the straightest axis first, so that every direction is used once, as nibabel's
    aff2axcodes does. ValueError for a singular affine.

    >>> orientation([[0, 0, 3, -50], [-2, 0, 0, 90], [0, 4, 0, 7], [0, 0, 0, 1]])
    'PSR'
    """
    place = checked(affine)[:3, :3]
    left, _, right = np.linalg.svd(place / np.linalg.norm(place, axis=0))
    turned = left @ right  # the nearest rotation, without shear
    answer = [""] * 3
    for axis in np.argsort(-(turned**2).max(0), kind="stable"):
        towards = int(np.argmax(np.abs(turned[:, axis])))
        answer[axis] = LETTERS[towards][int(turned[towards, axis] > 0)]
        turned[towards] = 0
    return "".join(answer)


def centred(shape: Sequence[int], zooms: Any, unit: float = 1.0) -> np.ndarray:
    """The affine of a file that tells spacings alone: x to the left, the origin in the middle of the volume.

    Along an axis of space that the file leaves out a step is one unit of so many mm.
    """
    sizes, steps = np.ones(3), np.full(3, unit)
    sizes[: min(len(shape), 3)] = shape[:3]
    steps[: min(len(shape), 3)] = np.asarray(zooms, np.float64)[: min(len(shape), 3)]
    steps[0] *= -1
    answer = np.diag(np.append(steps, 1.0))
    answer[:3, 3] = -(sizes - 1) / 2 * steps
    return answer


def from_quaternion(bcd: Any, offset: Any, zooms: Any, handed: float) -> np.ndarray:
    """The affine of NIfTI's qform: a unit quaternion's b, c, d, an offset, spacings, -1 for a left-handed volume.

    What b, c and d leave for a is taken as 0 where it is within the rounding of their type; ValueError where their
    squares exceed 1 by more than float32's, which numbers of float64 may have been before.
    """
    b, c, d = (float(value) for value in bcd)
    rest = 1.0 - (b * b + c * c + d * d)
    if not rest > -3 * float(np.finfo(np.float32).eps):
        raise ValueError(f"its quaternion {(b, c, d)} is longer than 1")
    a = 0.0 if rest < 3 * float(np.finfo(np.asarray(bcd).dtype).eps) else rest**0.5
    unit = (a * a + b * b + c * c + d * d) ** 0.5
    a, b, c, d = a / unit, b / unit, c / unit, d / unit
    turn = [
        [1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)],
    ]
    answer = np.eye(4)
    answer[:3, :3] = np.array(turn) * (np.asarray(zooms, np.float64) * [1, 1, handed])
    answer[:3, 3] = offset
    return answer


def quaternion(affine: np.ndarray) -> tuple[np.ndarray, float]:
    """(b, c, d) of the rotation nearest to an affine's axes, and -1 where they are left-handed, else 1."""
    left, _, right = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    turn = left @ right
    handed = float(np.sign(np.linalg.det(turn)))
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = turn * [1, 1, handed]
    form = [
        [xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, xx - yy - zz, xy + yx, xz + zx],
        [xz - zx, xy + yx, yy - xx - zz, yz + zy],
        [yx - xy, xz + zx, yz + zy, zz - xx - yy],
    ]
    found = np.linalg.eigh(np.array(form))[1][:, -1]  # Bar-Itzhack 2000: exact for rotations, steady near 180 degrees
    return found[1:] * (-1.0 if found[0] < 0 else 1.0), handed
