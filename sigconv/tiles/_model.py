"""A model as work: what its layers see is found out without running it, or it is refused with a layer's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import FilterBank
from sigconv.summary._locality import Refused, Use, culprits, foreign
from sigconv.summary._reaches import Look, look, steady
from sigconv.tiles import _probe
from sigconv.tiles._cropped import Cropped, Staged
from sigconv.tiles._grid import Grid
from sigconv.tiles._meter import peak
from sigconv.tiles._regions import Border
from sigconv.tiles._sources import Source

REMEDY = "take a layer that looks at one place, as norm 'channel' does, or the approximate way, blend="
USE = Use("tiled", REMEDY)


class ModelWork(Cropped):
    """A module over sources of so many channels and such a size."""

    options: dict[str, Any]

    def __init__(self, model: nn.Module, channels: int, space: Sequence[int], dtype: torch.dtype) -> None:
        self.model, self.ndim, self.options = model, len(space), {}
        USE.in_training(model)
        weights = [t for t in model.parameters() if t.is_floating_point() or t.is_complex()]
        self._dtype = weights[0].dtype if weights else None
        self.border = Border(("zeros",) * self.ndim)
        self._channels, self._kind = channels, self.takes(dtype)
        self._rooms: dict[tuple[int, ...], int] = {}
        self._end = self._seen()
        self.lattice, self.reaches = self._end.lattice, tuple(r for r in self._end.reaches if r is not None)
        self._positions = self._count(space)
        self._at_the_end(space)
        if any(foreign(part) for part in model.modules()):
            _probe.local(self, channels, self._kind, USE)

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        return next((t.device for t in tensors), torch.device("cpu"))

    def takes(self, dtype: torch.dtype) -> torch.dtype:
        """The model's own dtype, or the source's where it has none; ValueError for complex values of a real model."""
        if dtype.is_complex and self._dtype is not None and not self._dtype.is_complex:
            raise ValueError("source is complex, and the model's numbers are real: give its parts, or its magnitude")
        return self._dtype or dtype

    def _look(self, space: Sequence[int]) -> Look:
        found = look(self.model, (1, self._channels, *space), self._kind)
        for name, why in found.everywhere.items():
            raise Refused(f"{name} {why}: {REMEDY}")
        return found

    def _seen(self) -> Look:
        """What is seen at sizes of no matter: the same at two of them; ValueError, with a layer's name, if not."""
        looks: dict[int, Look] = {}

        def at(n: int) -> tuple[Any, ...]:
            looks[n] = self._look([n] * self.ndim)
            return looks[n].reaches, looks[n].lattice

        lengths = (64, 512, 4096, 32768)[: 5 - min(self.ndim, 3)]
        try:
            same = steady(at, lengths)
        except Refused:
            raise
        except ValueError as error:
            raise ValueError(f"how far {self._fixed()} sees was not found: {error}") from None
        n = max(looks)
        if same is None or any(reach is None for reach in looks[n].reaches):
            name = self._named(_grown(looks[n // 2], looks[n]))
            raise Refused(f"{name} sees all of space{culprits(self.model)}: {REMEDY}")
        return looks[n]

    def _named(self, name: str) -> str:
        """A layer with its class."""
        module = dict(self.model.named_modules()).get(name) if name else None
        return f"{name} ({type(module).__name__})" if module is not None else f"the model ({type(self.model).__name__})"

    def _fixed(self) -> str:
        """The layer that likely takes inputs of one size only."""
        kinds = (nn.Linear, nn.Bilinear, nn.LayerNorm, nn.RMSNorm, nn.Flatten, nn.RNNBase)
        return next(
            (self._named(name) for name, part in self.model.named_modules() if isinstance(part, kinds)), "the model"
        )

    def _at_the_end(self, space: Sequence[int]) -> None:
        """What is seen where the source's size leaves something over: told by two such sizes, else by trying it."""
        grid = Grid(self._positions, self.block(space))
        rows = zip(space, self.lattice, grid.counts, strict=True)
        last = [n % step if several > 1 else 0 for n, step, several in rows]  # what is taken whole ends as it does
        if not any(last):
            return
        one, other = (self._look_small(last, more) for more in (0, 3))
        if one.reaches == other.reaches and None not in one.reaches:
            self.reaches = tuple(_joined(*pair) for pair in zip(self.reaches, one.reaches, strict=True))
        elif not _probe.ends(self, last, self._channels, self._kind):
            raise Refused(
                f"the model answers {tuple(space)} samples otherwise than a crop of them: cut or pad the source to a "
                f"multiple of {self.lattice}, or take blend="
            )

    def _look_small(self, last: Sequence[int], more: int) -> Look:
        """At the smallest size that is taken, with these samples left over, and so many steps more."""
        error: ValueError | None = None
        for least in (64, 128, 256, 512, 1024, 4096):
            sizes = [(-(-least // step) + more) * step + left for step, left in zip(self.lattice, last, strict=True)]
            try:
                return self._look(sizes)
            except Refused:
                raise
            except ValueError as failed:
                error = failed
        raise ValueError(f"how far the model sees was not found: {error}")

    def _count(self, space: Sequence[int]) -> tuple[int, ...]:
        """Positions of the answer to the whole: those of a small source that leaves over as much, and whole steps."""
        if 0 in space:
            raise ValueError(f"source has {tuple(space)} samples: a model wants one at least")
        small = []
        for n, step, reach in zip(space, self.lattice, self.reaches, strict=True):
            least = max(2 * reach.size, 512) + step
            small.append(n - max(n - least, 0) // step * step)
        shape = self._look(small).shape[2:]
        rows = zip(space, small, shape, self.reaches, strict=True)
        return tuple(made + (n - m) // r.stride * r.each for n, m, made, r in rows)

    def positions(self, space: Sequence[int]) -> tuple[int, ...]:
        """Of the answer to the source."""
        return self._positions

    def answers(self, channels: int, dtype: torch.dtype) -> tuple[int, torch.dtype]:
        """Channels and dtype of the answer."""
        return self._end.shape[1], self._end.dtype

    def run(self, crop: Tensor) -> Iterator[tuple[int, Tensor]]:
        """All channels together."""
        y = self.model(crop.unsqueeze(0))
        if not isinstance(y, Tensor) or y.ndim != self.ndim + 2:
            what = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"the model answered with {what}: expected (batch, channels, *space)")
        yield 0, y[0]

    def room(self, box: Sequence[int], channels: int, dtype: torch.dtype) -> int:
        """Bytes that its layers hold at a time for a crop of this size, and what computing them takes beside."""
        box = tuple(box)
        if box not in self._rooms:
            self._rooms[box] = peak(self.model, (1, channels, *box), dtype)
        return self._rooms[box]


def _joined(one: nd.Reach, other: nd.Reach | None) -> nd.Reach:
    """The reach that holds both."""
    if other is None or (other.stride, other.each) != (one.stride, one.each):
        return one
    return one._replace(before=max(one.before, other.before), after=max(one.after, other.after))


def _grown(one: Look, other: Look) -> str:
    """The first layer whose field is not the same in two looks."""
    for name, fields in other.fields.items():
        if one.fields.get(name) != fields and name:
            return name
    return ""


def work(op: nn.Module, source: Source, options: dict[str, Any], dtype: torch.dtype) -> Any:
    """A model, or a bank that answers in a way of its own, as work on this source."""
    if isinstance(op, FilterBank):
        return Staged(op, options)
    return ModelWork(op, source.shape[0], source.space, dtype)


def ndim_of(op: nn.Module) -> int | None:
    """Axes of space that a module takes, as far as its own number, its weights or its layers' names tell."""
    for part in op.modules():
        own, weight = getattr(part, "ndim", None), getattr(part, "weight", None)
        if isinstance(own, int) and own > 0:
            return own
        if isinstance(weight, Tensor) and weight.ndim > 2:
            return weight.ndim - 2
        ending = type(part).__name__[-2:]
        if type(part).__module__.startswith("torch.nn.") and ending in ("1d", "2d", "3d"):
            return int(ending[0])
    return None
