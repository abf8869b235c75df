"""A bank over one signal of a file, in blocks, wherever its maps go."""

from __future__ import annotations

import contextvars
from typing import Any

import torch

from sigconv.extraction._kinds import Signal
from sigconv.filters import FilterBank


def applied(bank: Any, signal: Signal, out: Any, options: dict[str, Any], memory: int, device: str) -> Any:
    """A bank over a signal, in blocks whose bits depend on nothing but the bank; one made in frequency sees all."""
    from sigconv import tiles
    from sigconv.tiles import _scans

    x, dtype = signal.x, torch.complex64 if signal.x.dtype.kind == "c" else torch.float32
    if not isinstance(bank, FilterBank):
        x, options = signal.values() if isinstance(x, _scans.Scan) else x, {}
    elif bank.kernel_size is None:
        whole = torch.from_numpy(signal.values()).to(device, dtype)
        y = bank(whole[None], **options, memory=memory)[0].cpu().numpy()
        if out is None:
            return y
        raise ValueError("a bank made in frequency sees all of a signal: its maps go to npy, npz or nifti")
    x = x.path if isinstance(x, _scans.Scan) else x
    return tiles.apply(bank, x, out, memory=memory, dtype=dtype, device=None if device == "cpu" else device, **options)


def alone(function: Any, *given: Any) -> Any:
    """Call a function that writes what is read at once, and so does not wait for a group's names."""
    return contextvars.Context().run(function, *given)
