"""Stream: a model that takes a signal in chunks and answers as if it had come at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.streaming._blocks import Blocks
from sigconv.streaming._nodes import Node
from sigconv.streaming._parts import chain, guesses, parts
from sigconv.streaming._refused import Refused
from sigconv.streaming._windows import Windows


class Stream:
    """A model over an endless signal; made by stream(model), where its options are told.

    live(chunk)    the outputs that are ready, possibly none: (batch, channels, …, samples) -> (…, positions)
    live.flush()   the rest, with the borders the model has at an end; then the stream begins anew
    live.reset()   forget what has come
    latency        samples after an output's own place, output · stride, that must have come before it is given: exact,
                   but for the first outputs, where a border reflects: they wait for what it copies
    seconds        the same in seconds, where fs was given
    stride         samples of the input per output, a Fraction where outputs are denser
    """

    def __init__(self, model: nn.Module, block: int | None, fs: float | None, window: Any, hop: Any, shape: Any):
        self.fs, self._arrays = fs, False  # whether NumPy arrays come
        self._like: Tensor | None = None
        self._blocks = None if block is None else Blocks(nd.count(block, "block"))
        self._parts = list(parts(model)) if window is None else []
        weights = [p for m in model.modules() if getattr(m, "decays", True) for p in m.parameters(recurse=False)]
        self._dtype = next((p.dtype for p in weights), None)  # of layers that take no other
        self._place = next((p.device for p in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
        self._nodes: list[Node] | None = None
        self._planned: int | None = None  # axes of the input it was planned on
        if window is not None:
            size = nd.count(window, "window")
            self._nodes = [Windows(model, size, size if hop is None else nd.count(hop, "hop"), "the model")]
        else:
            self._guess(model, shape)

    def _guess(self, model: nn.Module, shape: Any) -> None:
        """Plan on an input told from the first layers, so that what cannot be streamed is refused before it begins."""
        refused: Exception | None = None
        for x in guesses(model, shape):
            try:
                self._plan(x)
                return
            except Refused as error:
                refused = refused or error
            except (ValueError, TypeError, RuntimeError, IndexError):
                if shape is not None:
                    raise
        if refused is not None:
            raise refused

    @torch.no_grad()
    def _plan(self, x: Tensor) -> None:
        """The nodes, for inputs of x's shape."""
        self._nodes = chain(self._parts, x)
        self._planned = x.ndim

    def __call__(self, chunk: Any) -> Any:
        """The outputs that are ready once this chunk has come; numpy in, numpy out.

        TypeError for integers, ValueError for a chunk unlike the first in all but its samples: then nothing was taken.
        """
        self._arrays = isinstance(chunk, np.ndarray)
        return _numpy_too(lambda x: self._pushed(x, chunk))(chunk)

    @torch.no_grad()
    def _pushed(self, x: Tensor, chunk: Any) -> Tensor:
        x = self._checked(x.to(self._place) if isinstance(chunk, np.ndarray) else x)
        if self._nodes is None or (self._planned is not None and self._planned != x.ndim and self._like is None):
            self._plan(x[..., :0])
        nodes: list[Node] = self._nodes or []
        before = [node.held for node in nodes], self._blocks.waiting if self._blocks else ()
        try:
            if self._blocks is None:
                y = _through(nodes, x.clone())  # layers may write into what they are given, and chunks are reused
            else:
                found = [_through(nodes, piece) for piece in self._blocks.push(x.clone())]
                y = torch.cat(found, -1) if found else _through(nodes, x[..., :0])
        except BaseException:  # whatever stopped it: the stream is as it was
            for node, held in zip(nodes, before[0], strict=True):
                node.held = held
            if self._blocks:
                self._blocks.waiting = before[1]
            raise
        self._like = x[..., :0]
        return y

    def _checked(self, x: Tensor) -> Tensor:
        """The chunk, if it goes on from what came before."""
        if not (x.is_floating_point() or x.is_complex()):
            raise TypeError(f"chunk is {x.dtype}: a stream takes floating values; convert it, for example by x.float()")
        if x.ndim < 2:
            raise ValueError(f"chunk has shape {tuple(x.shape)}: expected (batch, channels, …, samples)")
        own = self._dtype
        if self._like is None and own is not None and own.is_floating_point and x.dtype != own:
            wanted = str(own).removeprefix("torch.")
            raise TypeError(f"chunk is {x.dtype}, and the model {own}: convert one, as by chunk.astype({wanted!r})")
        like = self._like
        if like is not None and (x.shape[:-1] != like.shape[:-1] or x.dtype != like.dtype or x.device != like.device):
            known = f"({', '.join(map(str, like.shape[:-1]))}, samples) of {like.dtype} on {like.device}"
            raise ValueError(
                f"chunk has shape {tuple(x.shape)} of {x.dtype} on {x.device}: expected {known}, as the first had; "
                "flush() or reset() begins another signal"
            )
        return x

    def flush(self) -> Any:
        """The outputs that waited, as at the end of a signal; then the stream begins anew. ValueError if none began."""
        if self._like is None:
            raise ValueError("nothing has come yet: there is no signal to end")
        y = self._flushed()
        return y.cpu().numpy() if self._arrays else y

    @torch.no_grad()
    def _flushed(self) -> Tensor:
        assert self._like is not None
        try:
            coming = self._blocks.rest() if self._blocks else None
            x = self._like if coming is None else coming
            for node in self._nodes or []:
                y, rest = node.push(x), node.flush()
                x = y if rest is None else torch.cat([y, rest], -1)
            return x
        finally:
            self.reset()

    def reset(self) -> None:
        """Forget what has come: the next chunk begins a signal."""
        for node in self._nodes or []:
            node.reset()
        if self._blocks:
            self._blocks.reset()
        self._like = None

    def _reaches(self) -> list[nd.Reach]:
        if self._nodes is None:
            raise ValueError("the reach of this model is not known before its first chunk: give stream(…, shape=)")
        return [node.reach for node in self._nodes]

    @property
    def stride(self) -> int | Fraction:
        """Samples of the input per output."""
        found = math.prod((Fraction(reach.stride, reach.each) for reach in self._reaches()), start=Fraction(1))
        return int(found) if found.denominator == 1 else found

    @property
    def latency(self) -> int:
        """Samples after an output's own place that must have come before it is given; blocks wait to be full, too."""
        reaches, stride = self._reaches(), self.stride
        period = math.prod(reach.each for reach in reaches)
        size = self._blocks.size if self._blocks else 1
        step = math.gcd(int(stride * period), size)
        waits = []
        for output in range(period):
            place = output
            for reach in reversed(reaches):
                place = reach.last(place)
            waits.append(place - output * stride + size - 1 - place % step)
        return math.ceil(max(waits))

    @property
    def seconds(self) -> float | None:
        """The latency in seconds, where fs was given."""
        return None if self.fs is None else self.latency / self.fs

    def __repr__(self) -> str:
        if self._nodes is None:
            return "Stream(not planned before its first chunk)"
        timed = f" ({self.seconds:.4g} s)" if self.seconds is not None else ""
        return f"Stream(stride={self.stride}, latency={self.latency}{timed})"


def _through(nodes: list[Node], x: Tensor) -> Tensor:
    """One node after the other."""
    for node in nodes:
        x = node.push(x)
    return x


def _numpy_too(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    def chunk(x: Any) -> Any:
        return function(x)

    run: Callable[[Any], Any] = nd.numpy_too(chunk)
    return run
