"""A model of fixed clips, slid over a stream: output j is the model's answer to samples j·hop … j·hop + window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.streaming._nodes import Held, Node, Op

MOST = 1 << 22  # numbers of input that go through the model at a time


class Windows(Node):
    """(batch, channels, …, samples) -> (batch, …, windows), a position of the last axis a window."""

    def __init__(self, model: Op, window: int, hop: int, name: str) -> None:
        super().__init__(model, name)
        self.window, self.hop, self.reach = window, hop, nd.Reach(hop, 0, window - 1)

    def push(self, x: Tensor) -> Tensor:
        """An answer for every window that is complete, now that x has come too."""
        held: Held = self.held
        if not x.shape[-1]:
            return self.blank(x)
        piece = x if held.tail is None else torch.cat([held.tail, x], -1)
        seen = held.seen + x.shape[-1]
        done = max(self.reach.ready(seen), held.done)
        start = min(done * self.hop, seen)
        self.held = Held(piece[..., start - held.start :].clone(), start, seen, done)
        if done == held.done:
            return self.blank(x)
        clips = piece[..., held.done * self.hop - held.start :].unfold(-1, self.window, self.hop)
        return self._answers(clips.movedim(-2, 0))

    def _answers(self, clips: Tensor) -> Tensor:
        """(windows, batch, …, window) -> (batch, …, windows), as many at a time as memory likes."""
        several = max(min(MOST // max(clips[0].numel(), 1), 256), 1)
        found = []
        for part in clips.split(several):
            y: Any = self.op(part.flatten(0, 1))
            if not isinstance(y, Tensor) or y.shape[:1] != (part.shape[0] * part.shape[1],):
                what = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
                raise ValueError(f"{self.name} answered with {what}: expected a tensor, one entry of it a clip")
            found.append(y.unflatten(0, part.shape[:2]).movedim(0, -1))
        return torch.cat(found, -1)

    def blank(self, x: Tensor) -> Tensor:
        """No answers, for an x of this shape."""
        key = x.shape[:-1], x.dtype, x.device
        if key not in self._blanks:
            clip = x.new_zeros(1, *x.shape[:-1], self.window)
            self._blanks = {key: self._answers(clip)[..., :0].clone()}
        return self._blanks[key]
