"""Where responses go: made into what was asked for as they come, some filters at a time, so that no more is held."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels._memory import empty

OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "complex": lambda y: y if y.is_complex() else torch.complex(y, torch.zeros_like(y)),
    "real": lambda y: y.real if y.is_complex() else y,
    "imag": lambda y: y.imag,
    "magnitude": lambda y: y.abs(),
    "energy": lambda y: y.real.square() + y.imag.square() if y.is_complex() else y.square(),
}


ROOM = 1 << 25  # bytes that filters computed together may take, where no limit is given: more would leave the cache
LAUNCH = 1 << 28  # the same on CUDA, where a launch of a kernel must be worth its while


class TooLittleError(ValueError):
    """The memory allowed does not do for one filter at a time."""


class Sink:
    """Responses (rows, filters, *positions), gathered; where gradients are wanted nothing is written in place."""

    def __init__(
        self, rows: Tensor, filters: int, positions: tuple[int, ...], output: str, grows: bool, dtype: torch.dtype
    ) -> None:
        self.shape, self.output, self.grows = (rows.shape[0], filters, *positions), output, grows
        self.held = 0  # bytes of what the rows were made into before
        self._convert = OUTPUTS[output]
        self._found: dict[int, Tensor] = {}
        plain = rows.real if rows.is_complex() else rows
        if output == "complex":
            self.y = torch.view_as_complex(empty((*self.shape, 2), plain)) if not grows else None
        else:
            plain = plain[:0].to(dtype)
            self.y = empty(self.shape, plain) if not grows else None
        self._like = torch.complex(plain[:0], plain[:0]) if output == "complex" else plain

    @property
    def bytes(self) -> int:
        """Of all responses."""
        return math.prod(self.shape) * self._like.element_size()

    def already(self) -> Sink:
        """This sink for responses that are what was asked for as they come."""
        twin = copy.copy(self)
        twin._convert = lambda y: y
        return twin

    def put(self, first: int, last: int, y: Tensor, place: Any = ...) -> None:
        """Responses of filters first … last, (rows, filters, *positions), or of a place among rows and positions."""
        if self.grows:
            self._found[first] = self._convert(y).to(self._like.dtype)
            return
        assert self.y is not None
        target = self.y[:, first:last]
        if place is not ...:
            target = target[place]
        if self.output == "magnitude" and y.is_complex() and self._convert is OUTPUTS["magnitude"]:
            plain = target.is_contiguous() and target.dtype == y.real.dtype
            torch.abs(y, out=target) if plain else target.copy_(y.abs())
        else:
            target.copy_(self._convert(y))

    def target(self) -> Tensor:
        """Where all responses go, for what makes and writes them by itself: real numbers, pairs of them for complex."""
        y = self.whole()
        return torch.view_as_real(y) if y.is_complex() else y

    def whole(self) -> Tensor:
        """Everything that was put."""
        if not self.grows:
            assert self.y is not None
            return self.y
        if not self._found:
            return self._like.new_zeros(self.shape)
        return torch.cat([self._found[first] for first in sorted(self._found)], 1)

    def parts(
        self, memory: int | None, each: float, beside: float = 0.0, most: int = ROOM
    ) -> Iterator[tuple[int, int]]:
        """Filters in groups that keep to the memory: each bytes apiece, some beside them, and all responses.

        Without a limit groups take most bytes, or are of one filter.
        """
        filters = self.shape[1]
        if memory is None and torch.compiler.is_compiling():  # sizes may be symbols: no loop over them
            yield 0, filters
            return
        room = most if memory is None else memory - self.bytes - self.held - beside
        self.require(memory, each + beside)
        step = max(min(int(room // max(each, 1)), filters), 1)
        for first in range(0, filters, step):
            yield first, min(first + step, filters)

    def require(self, memory: int | None, beside: float) -> None:
        """Refuse a memory that does not hold all responses and what one filter needs beside them."""
        beside += self.held
        if memory is not None and memory < self.bytes + beside:
            raise TooLittleError(
                f"memory {memory} is too little: the responses {self.shape} are {self.bytes} bytes, and one filter at "
                f"a time needs {int(beside)} beside them"
            )
