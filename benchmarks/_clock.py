"""How long a piece of work takes and how much memory, on a CPU and on a CUDA device."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Act = Callable[[], Any]


def seconds(work: Act, calls: int, device: str) -> float:
    """Seconds a call, the mean of so many in a row; on CUDA by the device's clock, between two marks in its queue."""
    if device == "cuda":
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        for _ in range(calls):
            work()
        ended.record()
        torch.cuda.synchronize()
        return float(begun.elapsed_time(ended)) / 1e3 / calls
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def peak(work: Act, device: str = "cpu") -> int | None:
    """Bytes that the process, or torch on the device, grew by at most while at work; None where none tells."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        clear.write_text("5")  # the highest mark begins anew
        told = lambda name: next(int(li.split()[1]) for li in status.read_text().splitlines() if li.startswith(name))
        before = told("VmRSS")
        work()
        return 1024 * (told("VmHWM") - before)
    except (OSError, StopIteration):
        return None
