"""What a bank computes from its parameters, computed once while they are known to stay: for many small signals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

MOST = 1 << 20  # bytes that are kept of a bank: larger kernels cost little beside what they are used for


def keep(bank: Any) -> None:
    """Begin to keep; whoever calls this sees to it that the parameters stay as they are until forget."""
    if bank._made is None:
        bank._made = {}


def forget(bank: Any) -> None:
    """Keep no more."""
    bank._made = None


@contextlib.contextmanager
def steady(bank: Any) -> Iterator[None]:
    """Keep meanwhile, unless someone does already."""
    if bank._made is not None:
        yield
        return
    keep(bank)
    try:
        yield
    finally:
        forget(bank)


def made(bank: Any, what: str) -> Any:
    """bank.terms() or bank.taps(), as what says: kept ones where that is allowed and no derivative is asked for."""
    kept = bank._made
    if kept is None or torch.is_grad_enabled():
        return getattr(bank, what)()
    if what not in kept:
        found = getattr(bank, what)()
        several = [found] if isinstance(found, Tensor) else found or []
        if sum(t.numel() * t.element_size() for t in several) > MOST:
            return found
        kept[what] = found
    return kept[what]
