"""Chunks of any size regrouped into blocks aligned to the stream's origin, so that any chunking gives the same bits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class Blocks:
    """What has come and does not fill a block yet."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting: tuple[Tensor, ...] = ()

    def reset(self) -> None:
        """Forget what waits."""
        self.waiting = ()

    def push(self, x: Tensor) -> Iterator[Tensor]:
        """The blocks that are full now, each in memory of its own: the same numbers lie there in the same way."""
        parts, count = [*self.waiting, x], sum(part.shape[-1] for part in self.waiting) + x.shape[-1]
        if count < self.size:
            self.waiting = tuple(part for part in parts if part.shape[-1])
            return
        whole = torch.cat(parts, -1)
        full = count // self.size * self.size
        self.waiting = (whole[..., full:].clone(),) if full < count else ()
        for first in range(0, full, self.size):
            yield whole[..., first : first + self.size].clone(memory_format=torch.contiguous_format)

    def rest(self) -> Tensor | None:
        """The last samples, which fill no block."""
        parts, self.waiting = self.waiting, ()
        return torch.cat(parts, -1).contiguous() if parts else None
