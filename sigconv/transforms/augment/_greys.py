"""Grey values varied: noise, contrast, the uneven field of a coil, places left out. Label maps stay what they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from sigconv import nd
from sigconv.transforms.augment._fields import field, knots
from sigconv.transforms.augment._maps import Part, chosen, draws, lengths
from sigconv.transforms.augment._options import amount, axes_of, part_of, rates
from sigconv.transforms.volume._limits import affordable, filling


class Grey(Part):
    """A part that changes grey values alone: changed(x, generator). share is the part of the items it changes."""

    share: float
    any_kind: ClassVar[bool] = False  # whether whole numbers may be changed too

    def __post_init__(self) -> None:
        part_of(self.share)

    def changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """One item (channels, *space) as it becomes."""
        raise NotImplementedError

    def vary(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """x changed, if it is among the share; y as it is."""
        lengths(x, y)
        if not (self.any_kind or x.is_floating_point()):
            raise ValueError(f"x of {x.dtype} has no grey values to change: make them floating")
        return (self.changed(x, generator) if chosen(generator, self.share) else x), y


@dataclass(frozen=True)
class Noise(Grey):
    """Add normal noise, of a deviation anywhere up to sigma, in x's unit.

    kind   "gaussian"; or "rician", as magnitudes of MR images have it: the length of x + noise in two channels
    share  part of the items that get any

    >>> Noise(0.0)(torch.ones(1, 1, 4), [torch.Generator()])
    tensor([[[1., 1., 1., 1.]]])
    """

    sigma: float
    kind: str = "gaussian"
    share: float = 1.0

    def __post_init__(self) -> None:
        amount(self.sigma, "sigma")
        nd.one_of(self.kind, ("gaussian", "rician"), "kind")
        part_of(self.share)

    def changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """x and noise."""
        sigma = self.sigma * (draws(generator, 1)[0] + 1) / 2
        normal = lambda: sigma * torch.randn(x.shape, generator=generator).to(x)
        if not sigma:
            return x
        return x + normal() if self.kind == "gaussian" else torch.hypot(x + normal(), normal())


@dataclass(frozen=True)
class Gamma(Grey):
    """Bend the grey scale of each channel by a power between 1 / (1 + amount) and 1 + amount; its ends stay.

    Values that are not finite are left out of the scale and stay what they are.

    >>> Gamma(1.0)(torch.tensor([[[0.0, 1.0, 4.0]]]), [torch.Generator().manual_seed(0)])
    tensor([[[0.0000, 0.6295, 4.0000]]])
    """

    amount: float
    share: float = 1.0

    def __post_init__(self) -> None:
        amount(self.amount, "amount")
        part_of(self.share)

    def changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Each channel by the same power."""
        power = math.exp(math.log1p(self.amount) * draws(generator, 1)[0])
        if power == 1:
            return x
        rows = x.reshape(len(x), -1).to(
            torch.promote_types(x.dtype, torch.float32)
        )  # half of float16's span is its most
        sound = rows.isfinite()
        low = rows.masked_fill(~sound, math.inf).amin(1, keepdim=True)
        wide = rows.masked_fill(~sound, -math.inf).amax(1, keepdim=True) - low
        moves = sound & (wide > 0)
        share = (rows - low) / torch.where(wide > 0, wide, torch.ones_like(wide))
        bent = torch.where(moves, share, torch.ones_like(rows)).pow(power)
        return torch.where(moves, low + wide * bent, rows).to(x.dtype).reshape(x.shape)


@dataclass(frozen=True)
class Bias(Grey):
    """Multiply by a smooth field, as an uneven coil does: everywhere between exp(-amount) and exp(amount).

    knots   mm from one knot of the field (a cubic B-spline, in the logarithm) to the next
    axes    along which it varies; all unless said; fs samples per mm, one number or one for each axis of space

    >>> Bias(0.0, 50.0)(torch.ones(1, 1, 4), [torch.Generator()])
    tensor([[[1., 1., 1., 1.]]])
    """

    amount: float
    knots: float
    axes: Sequence[int] | None = None
    fs: Any = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        amount(self.amount, "amount")
        part_of(self.share)
        if not self.knots > 0:
            raise ValueError(f"knots {self.knots} mm apart are no grid: expected a number above 0")

    def changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Each channel by the same field."""
        space = tuple(x.shape[1:])
        axes, fs = axes_of(self.axes, len(space)), rates(self.fs, len(space))
        apart = [self.knots * rate if axis in axes else math.inf for axis, rate in enumerate(fs)]
        grid = knots(space, apart)
        affordable(grid, 4, f"a field of knots {self.knots} mm apart", "set them farther apart")
        values = 2 * torch.rand(grid, generator=generator) - 1
        return x * (self.amount * field(values.to(x), space, apart)).exp()


@dataclass(frozen=True)
class Cutout(Grey):
    """Leave boxes out: filled with one value, each side up to so many mm long, anywhere in the space.

    size    mm, the longest side: one number, or one for each axis of space; inf leaves out whole slices
    count   how many boxes
    value   what stands there instead
    fs      samples per mm, one number or one for each axis of space

    Of x of any dtype; label maps stay, for what is hidden is still there. Source: DeVries & Taylor 2017,
    arXiv:1708.04552.

    >>> Cutout(3.0, value=9.0)(torch.zeros(1, 1, 6), [torch.Generator().manual_seed(1)])
    tensor([[[0., 9., 0., 0., 0., 0.]]])
    """

    size: Any
    count: int = 1
    value: float = 0.0
    fs: Any = 1.0
    share: float = 1.0
    any_kind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        nd.count(self.count, "count", least=0)
        part_of(self.share)

    def changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The same boxes in every channel."""
        space = tuple(x.shape[1:])
        longest = self.size if isinstance(self.size, Sequence) else (self.size,) * len(space)
        if len(longest) != len(space) or not all(side >= 0 for side in longest):
            raise ValueError(f"size {self.size} is neither one number of mm, at least 0, nor {len(space)} of them")
        y, value = x.clone(), filling(self.value, x.dtype)
        for _ in range(self.count):
            box: list[Any] = [slice(None)]
            numbers = draws(generator, 2 * len(space))
            for n, most, rate, u, v in zip(
                space, longest, rates(self.fs, len(space)), numbers[::2], numbers[1::2], strict=True
            ):
                wide = n if math.isinf(most) else min(round(most * rate * (u + 1) / 2), n)
                first = math.floor((v + 1) / 2 * (n - wide + 1))
                box.append(slice(first, first + wide))
            y[tuple(box)] = value
        return y
