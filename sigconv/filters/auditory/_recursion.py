"""y_t = a·y_{t-1} + u_t along the last axis, without a loop over time.

A block of 64 steps is a product with the triangle of a's powers. The last values of the blocks obey the same recursion
with a^64, so it calls itself: three levels reach a quarter of a million steps, four reach a day of speech frames.
Only powers of a ≤ 1 are formed, and no difference is taken: what the loop sums, this sums.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 64


def recursion(u: Tensor, a: Tensor, first: Tensor) -> Tensor:
    """u (…, steps), a its rate, a tensor that fits u's leading axes, first y_{-1} of their shape -> y (…, steps).

    >>> recursion(torch.tensor([1.0, 0.0, 0.0]), torch.tensor(0.5), torch.tensor(4.0))
    tensor([3.0000, 1.5000, 0.7500])
    """
    n = u.shape[-1]
    if n <= BLOCK:
        return _block(u, a) + _powers(a, n) * first.unsqueeze(-1)
    rows = F.pad(u, (0, -n % BLOCK)).unflatten(-1, (-1, BLOCK))  # …, blocks, BLOCK
    local = _block(rows, a.unsqueeze(-1))
    ends = recursion(local[..., -1], a**BLOCK, first)
    before = torch.cat([first.unsqueeze(-1), ends[..., :-1]], -1)
    whole = local + _powers(a, BLOCK).unsqueeze(-2) * before.unsqueeze(-1)
    return whole.flatten(-2)[..., :n]


def _powers(a: Tensor, n: int) -> Tensor:
    """a, a², …, aⁿ: (…, n)."""
    return a.unsqueeze(-1) ** torch.arange(1, n + 1, device=a.device)


def _block(u: Tensor, a: Tensor) -> Tensor:
    """The recursion from 0, as a product with a triangle: a (…) against u (…, n)."""
    steps = torch.arange(u.shape[-1], device=u.device)
    apart = steps - steps[:, None]  # [from, to]
    triangle = torch.where(apart >= 0, a[..., None, None] ** apart.clamp_min(0), 0)
    if u.ndim > 1 and a.ndim and a.shape[-1] == 1:  # blocks of a row share its triangle
        return u @ triangle.squeeze(-3)
    return (u.unsqueeze(-2) @ triangle).squeeze(-2)
