"""What a stream is made of: nodes that take a signal chunk by chunk and answer as if it had come at once.

A node has push(x) -> the outputs that are ready, flush() -> the rest (None, if there is none), blank(x) -> no outputs
of the right shape, reset(), its reach, and `held`: all it remembers, in one value that is replaced, never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv import nd

Op = Callable[[Tensor], Any]


class Held(NamedTuple):
    """The end of the input that coming outputs still need, from which sample on, and how much has come and gone."""

    tail: Tensor | None = None
    start: int = 0
    seen: int = 0
    done: int = 0  # groups of outputs


class Node:
    """An operation that answers every position by itself: what comes in goes out at once."""

    reach = nd.Reach(1, 0, 0)

    def __init__(self, op: Op, name: str) -> None:
        self.op, self.name = op, name
        self._blanks: dict[Any, Tensor] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what has come."""
        self.held: Any = Held()

    def push(self, x: Tensor) -> Tensor:
        """The outputs that are ready, now that x has come too."""
        return self.op(x) if x.shape[-1] else self.blank(x)

    def flush(self) -> Tensor | None:
        """The outputs that have waited for what does not come any more."""
        return None

    def blank(self, x: Tensor) -> Tensor:
        """No positions, for an x of this shape: what the operation makes of zeros, which is computed once."""
        key = x.shape[:-1], x.dtype, x.device
        if key not in self._blanks:
            self._blanks = {key: self.op(x.new_zeros(*x.shape[:-1], self._least()))[..., :0].clone()}
        return self._blanks[key]

    def _least(self) -> int:
        """Samples that surely make an output."""
        return 1


class Carried(Node):
    """A recursion along time, whose module goes on from a state: module(x, state=, return_state=True)."""

    def reset(self) -> None:
        """Forget the state."""
        self.held = None

    def push(self, x: Tensor) -> Tensor:
        """All outputs, and the state behind the last."""
        if not x.shape[-1]:
            return self.blank(x)
        y, self.held = self.op(x, state=self.held, return_state=True)  # type: ignore[call-arg]
        return y


class Local(Node):
    """Any operation with a reach: it is run on a piece of the input that begins at a multiple of its stride.

    Outputs that look beyond the piece on the left are dropped, unless the signal itself begins there: then the
    operation's own border is the right one. Those that look beyond on the right wait for what comes, or for the end.
    So every border is exact, whatever the operation is inside.

    fold = (left, right) is how many samples from either end a border copies: reflecting ones stand in for what is not
    there by what is. The first outputs wait for so many, and so many are kept for the last ones.

    inner, where there is one, is the operation without borders along time: an output for every whole window, the first
    one at the beginning. It spares the outputs that are dropped.
    """

    def __init__(
        self, op: Op, reach: nd.Reach, name: str, fold: tuple[int, int] = (0, 1), inner: Op | None = None
    ) -> None:
        super().__init__(op, name)
        self.reach, self.fold, self.inner = reach, fold, inner

    def push(self, x: Tensor) -> Tensor:
        """The outputs whose windows are complete, now that x has come too."""
        held: Held = self.held
        if not x.shape[-1]:
            return self.blank(x)
        piece = x if held.tail is None else torch.cat([held.tail, x], -1)
        seen, reach = held.seen + x.shape[-1], self.reach
        done = held.done if seen < self.fold[0] else max(reach.ready(seen), held.done)
        start = max(self._start(seen, done), held.start)
        kept = piece[..., start - held.start :]
        if done > held.done or start > held.start:  # the piece goes, and what is run may write into it
            kept = kept.clone()
        self.held = Held(kept, start, seen, done)
        return self._run(piece, held, done) if done > held.done else self.blank(x)

    def _start(self, seen: int, done: int) -> int:
        """Where the next piece begins: behind nothing that a coming output, or the border at the end, may need."""
        needed = min(done * self.reach.stride - max(self.reach.before, 0), seen - max(self.fold[1], self.reach.size))
        return max(needed, 0) // self.reach.stride * self.reach.stride

    def _run(self, piece: Tensor, held: Held, done: int) -> Tensor:
        """Groups held.done … done."""
        first, each = held.start // self.reach.stride, self.reach.each
        begin = held.done * self.reach.stride - self.reach.before
        if self.inner is not None and begin >= held.start:
            end = begin + (done - held.done - 1) * self.reach.stride + self.reach.size
            return self.inner(piece[..., begin - held.start : end - held.start])
        y, stop = self.op(piece), (done - first) * each
        if y.shape[-1] < stop:
            raise ValueError(
                f"{self.name} made {y.shape[-1]} positions of {piece.shape[-1]} samples, where its {self.reach} says "
                f"at least {stop}: it is not local, or its reach is wrong"
            )
        return y[..., (held.done - first) * each : stop]

    def flush(self) -> Tensor | None:
        """The outputs at the end, with the operation's own border."""
        held: Held = self.held
        self.reset()
        if held.tail is None:
            return None
        try:
            y = self.op(held.tail)
        except (ValueError, RuntimeError):
            if held.start or held.seen >= self.reach.size:
                raise
            return None  # the signal is shorter than a window
        return y[..., (held.done - held.start // self.reach.stride) * self.reach.each :]

    def _least(self) -> int:
        return self.reach.size + self.reach.stride + max(self.fold)
