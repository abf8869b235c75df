"""Transforms of a batch together with what they are to a layer's answers: shifts, turns, scalings, contrast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.summary import ReceptiveField
from sigconv.transforms.augment import rotation, transformed
from sigconv.transforms.augment._options import axes_of

INSIDE = 1 - 1e-6  # of a sample: no part of it comes from beyond the ends


class Setting(NamedTuple):
    """What a transform is to be done in: the samples of the input's axes, the answer's positions, where those look."""

    space: tuple[int, ...]
    positions: tuple[int, ...]
    field: ReceptiveField | None
    axes: tuple[int, ...]

    def jump(self, axis: int) -> float:
        """Samples from one position to the next."""
        jump = None if self.field is None or self.field.jump is None else self.field.jump[axis]
        return float(jump) if jump else self.space[axis] / self.positions[axis]

    def off(self, axis: int) -> float:
        """How far the middle of the input lies from that of the answer's positions, in positions."""
        if self.field is None:
            return 0.0
        return ((self.space[axis] - 1) / 2 - self.field.start[axis]) / self.jump(axis) - (self.positions[axis] - 1) / 2

    def whole(self, good: Tensor) -> Tensor:
        """Positions (*positions) that see good samples (*space) alone, and no end of a moved axis; all if unknown."""
        if self.field is None:
            return torch.ones(self.positions, dtype=torch.bool)
        for axis, n in enumerate(self.space):
            middle = torch.arange(self.positions[axis], dtype=torch.float64) * self.jump(axis) + self.field.start[axis]
            reach = (self.field.size[axis] - 1) / 2
            first, last = (middle - reach).ceil().long(), (middle + reach).floor().long()
            bad = F.pad((~good).movedim(axis, -1).cumsum(-1), (1, 0))
            none = bad[..., (last + 1).clamp(0, n)] == bad[..., first.clamp(0, n)]
            if axis in self.axes:
                none &= (first >= 0) & (last < n)
            good = none.movedim(-1, axis)
        return good


class Transform(NamedTuple):
    """What is done to inputs; what is done to answers with axes of space; where (*positions) both may be compared."""

    inputs: Callable[[Tensor], Tensor]
    answers: Callable[[Tensor], Tensor]
    compared: Callable[[], Tensor]
    axes: tuple[int, ...] | None = None  # those that are moved, where it is known


def shift(amount: Any, setting: Setting) -> Transform:
    """Samples moved towards the end of axes, what leaves an end entering at the other."""
    steps = [0] * len(setting.space)
    for axis, step in zip(setting.axes, nd.ntuple(amount, len(setting.axes), "amount", least=-(2**62)), strict=True):
        steps[axis] = step
    dims = tuple(range(2, 2 + len(steps)))

    def answers(y: Tensor) -> Tensor:
        for axis in setting.axes:
            low, part = divmod(steps[axis] / setting.jump(axis), 1)
            before, after = (y.roll(int(low) + step, 2 + axis) for step in (0, 1))
            y = torch.lerp(before, after, part) if part else before
        return y

    def compared() -> Tensor:
        good = torch.ones(setting.space, dtype=torch.bool)
        for axis in setting.axes if setting.positions else ():
            far = math.ceil(abs(steps[axis]) / setting.jump(axis)) * setting.jump(axis)
            come = math.ceil(min(far, setting.space[axis]))  # so many samples came in, or see what went out
            good.narrow(axis, 0 if steps[axis] > 0 else setting.space[axis] - come, come).fill_(False)
        return setting.whole(good)

    return Transform(lambda x: x.roll(steps, dims), answers, compared)


def turn(amount: Any, setting: Setting) -> Transform:
    """Degrees by which the first of two axes is turned towards the second: quarter turns exactly, on any grid."""
    if len(setting.axes) != 2:
        raise ValueError(
            f"a rotation turns one axis towards another: axes {setting.axes} are {len(setting.axes)}, give two"
        )
    if float(amount) % 90:
        one, other = setting.axes
        return _resampled(rotation(float(amount), (one, other), len(setting.space)), setting)
    turned = lambda x: x.rot90(int(amount // 90), [2 + axis for axis in setting.axes])
    return Transform(turned, turned, lambda: turned(torch.ones(1, 1, *setting.positions, dtype=torch.bool))[0, 0])


def scale(amount: Any, setting: Setting) -> Transform:
    """A factor by which axes are made larger about the middle; what does not fit is cut off."""
    if not float(amount) > 0:
        raise ValueError(f"amount {amount} scales nothing: expected a factor above 0")
    return _resampled(
        np.diag([float(amount) if a in setting.axes else 1.0 for a in range(len(setting.space))]), setting
    )


def contrast(amount: Any, setting: Setting) -> Transform:
    """A gain and an offset of every value: (a, b) makes a x + b, a number alone a x."""
    gain, offset = (float(amount), 0.0) if np.ndim(amount) == 0 else map(float, amount)
    changed = lambda x: x * gain + offset
    return Transform(changed, changed, lambda: torch.ones(setting.positions, dtype=torch.bool))


def _resampled(matrix: np.ndarray, setting: Setting) -> Transform:
    """Points taken to matrix @ point about the middle of the input, wherever the answer's positions lie in it."""
    ratios = np.array([setting.jump(axis) if n else 1.0 for axis, n in enumerate(setting.positions)])
    there = matrix * (ratios[None] / ratios[:, None]) if len(ratios) else matrix
    off = np.array([setting.off(axis) for axis in range(len(setting.positions))])

    def moved(x: Tensor, by: np.ndarray, far: Any, padding_mode: str = "reflect") -> Tensor:
        return transformed(x.flatten(0, 1), by, far, order=1, padding_mode=padding_mode).reshape(x.shape)

    def answers(y: Tensor) -> Tensor:
        return moved(y, there, off - there @ off)

    def compared() -> Tensor:
        everything = torch.ones(setting.space, dtype=torch.bool)
        inner = setting.whole(everything).double()[None, None]
        source = moved(inner, there, off - there @ off, "zeros")[0, 0] > INSIDE
        there_is = moved(everything.double()[None, None], matrix, 0.0, "zeros")[0, 0] > INSIDE
        return source & setting.whole(there_is)

    return Transform(lambda x: moved(x, matrix, 0.0), answers, compared)


KINDS = {"shift": shift, "rotation": turn, "scale": scale, "contrast": contrast}
AMOUNTS = {"shift": 1, "rotation": 90, "scale": 1.25, "contrast": (1.5, 0.5)}


def of(kind: str, amount: Any, setting: Setting, axes: Sequence[int] | None) -> Transform:
    """The transform of that name; axes all unless given, and the last two for a rotation."""
    made = KINDS[nd.one_of(kind, tuple(KINDS), "transform")]
    chosen = axes_of(axes, len(setting.space))
    if kind == "rotation" and axes is None:
        chosen = chosen[-2:]
    amount = AMOUNTS[kind] if amount is None else amount
    if not np.isfinite(np.asarray(amount, dtype=float)).all():
        raise ValueError(f"amount {amount} of a {kind} is no finite number")
    return made(amount, setting._replace(axes=chosen))._replace(axes=chosen)
