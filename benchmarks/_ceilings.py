"""What a device can do at most, measured in the run it is compared with: a copy's bytes, a product's operations."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv.benchmarks import _clock

COPIED = {"cpu": 1 << 28, "cuda": 1 << 31}  # bytes: beyond every cache
WIDEST = {"cpu": 2048, "cuda": 16384}  # rows of a square product
ENOUGH = 0.01  # seconds that a product should take: wider ones are tried until it does
ROUNDS = 5


class Work(NamedTuple):
    """What a case cannot do without: bytes read or written at least once, and its plain algorithm's operations."""

    traffic: int
    flops: float = 0.0
    dtype: str = "float32"  # whose products the operations are compared with


@dataclass(frozen=True)
class Ceilings:
    """Bytes a second that a copy reads and writes, operations a second of a product of matrices, by dtype."""

    copy: float
    products: dict[str, float]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        products = {name: flops / 1e12 for name, flops in self.products.items()}
        return {"copy_gb_per_s": self.copy / 1e9, "product_tflop_per_s": products}

    def __str__(self) -> str:
        products = ", ".join(f"{name} {flops / 1e12:.3g} TFLOP/s" for name, flops in self.products.items())
        return f"ceilings: copy {self.copy / 1e9:.3g} GB/s, products {products}"


def size(*tensors: Tensor) -> int:
    """Their bytes."""
    return sum(t.numel() * t.element_size() for t in tensors)


def measured(device: str, kinds: Iterable[torch.dtype] = (torch.float32, torch.bfloat16)) -> Ceilings:
    """The best of a few rounds each: a ceiling is what nothing else disturbed. A second on a CPU, less on a GPU."""
    products = {str(kind)[6:]: _product(device, kind) for kind in kinds}
    return Ceilings(_copy(device), products)


def _copy(device: str) -> float:
    source = torch.ones(COPIED[device] // 4, device=device)
    target = torch.empty_like(source).fill_(0.0)  # its pages are there before the clock starts
    return 2 * size(source) / _least(lambda: target.copy_(source), device)


def _product(device: str, kind: torch.dtype) -> float:
    """Of squares as wide as it takes to last: on a CPU that has no such unit, narrow ones last long."""
    rows, best = 256, 0.0
    while rows <= WIDEST[device]:
        one, other = (torch.randn(rows, rows, device=device).to(kind) for _ in range(2))
        work = functools.partial(torch.matmul, one, other)
        once = _clock.seconds(work, 1, device)
        if once > ENOUGH or 2 * rows > WIDEST[device]:
            once = min(once, _least(work, device))
        best = max(best, 2.0 * rows**3 / once)
        if once > ENOUGH:
            break
        rows *= 2
    return best


def _least(work: _clock.Act, device: str) -> float:
    work()
    return min(_clock.seconds(work, 1, device) for _ in range(ROUNDS))
