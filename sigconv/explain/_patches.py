"""Where in the data a layer's channels answer most: the patches of the inputs that they see there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_rest
from sigconv.explain._given import items_at_once, signals
from sigconv.explain._items import as_given, in_batches
from sigconv.explain._nodes import bare
from sigconv.explain._reached import reached
from sigconv.summary import receptive_field


class Patch(NamedTuple):
    """A channel's strongest answer to an item, and what of the item it sees.

    where is a slice per axis of space, within the input: item[:, *where]. crop (channels, *field) is as large as the
    receptive field, with zeros where that runs over the input's ends; margins is how many of them, before and after.
    """

    channel: int
    item: int
    value: float
    where: tuple[slice, ...]
    crop: Any
    margins: tuple[tuple[int, int], ...] = ()

    def cut(self, values: Any) -> Any:
        """Of a map of the item, (channels, *space), what the crop is of the item itself.

        >>> patch = Patch(0, 0, 1.0, (slice(0, 2),), None, ((1, 0),))
        >>> patch.cut(torch.tensor([[5.0, 6.0, 7.0]]))
        tensor([[0., 5., 6.]])
        """
        inside = nd.as_tensor(values)[(slice(None), *self.where)]
        return as_given(nd.pad(inside, self.margins).clone(), values)


@torch.no_grad()
def top_patches(
    model: nn.Module,
    data: Any,
    node: str,
    channels: Iterable[int] | None = None,
    k: int = 9,
    batch_size: int = 128,
) -> list[list[Patch]]:
    """For each channel of a layer the k patches it answers most strongly, strongest first, one an item (VZ6, VZ7).

    data is a tensor or array of inputs (items, channels, *space), a data set with len and item(index, generator) ->
    (x, y), or anything that gives x, or (x, y), one after the other; sizes may differ. It is gone through once, and no
    more is held than a batch and what is returned. node is a layer's name; its answers are (batch, channels) or
    (batch, channels, *space). channels are all unless given; the lists are in their order. Where items are equally
    strong the earlier one is taken, and an answer that is NaN is none. Fewer than k come of fewer items.

    A patch is the receptive field of sc.receptive_field, so a layer without padding answers a crop, given alone, with
    the very value; of one with padding that is so where the field lies within the input. crops are arrays of NumPy if
    data is one. ValueError for an unknown layer or channel and for data that is empty or not floating.

    Source: Zeiler and Fergus 2013, arXiv:1311.2901.

    >>> found = top_patches(nn.Sequential(nn.Conv1d(1, 1, 3)), torch.eye(8)[:, None], "0", k=2)
    >>> len(found[0]), found[0][0].crop.shape
    (2, torch.Size([1, 3]))
    """
    k, batch_size, best, seen = nd.count(k, "k"), nd.count(batch_size, "batch_size"), None, 0
    views: dict[tuple[int, ...], _View] = {}
    with at_rest(model):
        for given in in_batches(data, batch_size):
            for x in signals(given).split(items_at_once(batch_size, given)) if len(given) else ():
                answers = reached(model, node, x)
                best = best or _Best(channels, answers, node, k)
                shape = tuple(x.shape[1:])
                if shape not in views:
                    views[shape] = _View(model, node, x, answers)
                best.add(x, seen, answers, views[shape])
                seen += len(x)
    if best is None:
        raise ValueError("data holds no items: there is nothing to answer")
    return [[p._replace(crop=as_given(p.crop, data)) for p in found] for found in best.found]


class _View:
    """What each position of a layer sees of inputs of one shape."""

    def __init__(self, model: nn.Module, node: str, x: Tensor, answers: Tensor) -> None:
        size, jump, start = receptive_field(model, node=bare(model, node), input_shape=(1, *x.shape[1:]), dtype=x.dtype)
        self.space, self.jump = x.shape[2:], jump or (0,) * len(size)
        self.first = [s - (n - 1) / 2 for s, n in zip(start, size, strict=True)]
        whole = [float(f).is_integer() and float(j).is_integer() for f, j in zip(self.first, self.jump, strict=True)]
        self.size = [math.ceil(n) + (not w) for n, w in zip(size, whole, strict=True)]
        self.positions = tuple(answers.shape[2:])
        every = list(range(len(size)))
        self.axes = every if len(self.positions) == len(size) else [a for a in every if self.jump[a]]
        if len(self.axes) != len(self.positions) or len(size) != len(self.space):
            shapes = f"{tuple(answers.shape)} to {tuple(x.shape)}"
            raise ValueError(f"node {node!r} answers {shapes}: its positions do not lie along the input's axes")

    def patch(self, channel: int, item: int, value: float, x: Tensor, place: int) -> Patch:
        """The patch that a position sees, counted as if its axes were one."""
        first, at = list(self.first), np.unravel_index(place, self.positions) if self.positions else ()
        for axis, position in zip(self.axes, at, strict=True):
            first[axis] += float(self.jump[axis]) * int(position)
        begins = [math.floor(f) for f in first]
        where, margins = [], []
        for begin, size, n in zip(begins, self.size, self.space, strict=True):
            low, high = (min(max(end, 0), n) for end in (begin, begin + size))
            where.append(slice(low, high))
            before = min(max(-begin, 0), size)
            margins.append((before, size - before - (high - low)))
        crop = nd.pad(x[(slice(None), *where)], tuple(margins)).clone()
        return Patch(channel, item, value, tuple(where), crop, tuple(margins))


class _Best:
    """The strongest patches of each channel so far."""

    def __init__(self, channels: Iterable[int] | None, answers: Tensor, node: str, k: int) -> None:
        of = answers.shape[1] if answers.ndim > 1 else 0
        self.channels = list(range(of)) if channels is None else [nd.count(c, "channel", 0) for c in channels]
        wrong = next((c for c in self.channels if c >= of), None)
        if wrong is not None or of == 0:
            raise ValueError(f"channel {wrong} is not one of node {node!r}, which answers {tuple(answers.shape)}")
        self.k = k
        self.found: list[list[Patch]] = [[] for _ in self.channels]

    def add(self, x: Tensor, first: int, answers: Tensor, view: _View) -> None:
        """Items more, the first of them of this number."""
        flat = answers[:, self.channels].flatten(2) if answers.ndim > 2 else answers[:, self.channels, None]
        if not flat.shape[2]:
            return
        values, places = flat.masked_fill(flat.isnan(), -torch.inf).max(2)
        floor = values.new_tensor([p[-1].value if len(p) == self.k else -torch.inf for p in self.found])
        order = values.sort(dim=0, descending=True, stable=True).indices[: self.k]
        passing = (values.gather(0, order) > floor).cpu()
        order, values, places = order.cpu(), values.cpu(), places.cpu()
        for rank, number in passing.nonzero().tolist():
            row = int(order[rank, number])
            value, place = float(values[row, number]), int(places[row, number])
            self.found[number].append(view.patch(self.channels[number], first + row, value, x[row], place))
        for number in passing.any(0).nonzero()[:, 0].tolist():
            self.found[number] = sorted(self.found[number], key=lambda p: -p.value)[: self.k]
