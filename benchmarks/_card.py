"""A CUDA device and what runs on it, for the record: name, driver, clocks, versions of libraries and peers."""

from __future__ import annotations

import contextlib
import importlib.metadata
import subprocess
from collections.abc import Iterator
from typing import Any

import torch

ASKED = ("driver_version", "clocks.sm", "clocks.max.sm", "clocks.max.mem", "power.limit")  # MHz and watts
PEERS = ("numpy", "scipy", "PyWavelets", "ptwt", "kymatio", "julius", "fft-conv-pytorch", "opencv-python-headless")
CUPYS = ("cupy", "cupy-cuda12x", "cupy-cuda13x")  # one package under three names


def about() -> dict[str, Any]:
    """Of the device that torch uses: what it is, and what is installed for it."""
    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    row = {"name": found.name, "capability": f"{found.major}.{found.minor}", "memory_bytes": found.total_memory}
    row |= {"multiprocessors": getattr(found, "multi_processor_count", None)}
    libraries = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "triton": version("triton")}
    return row | libraries | _driver(getattr(found, "uuid", None))


def peers() -> dict[str, str]:
    """Versions of those that are installed."""
    found = {name: version(name) for name in (*PEERS, *CUPYS)}
    return {name: told for name, told in found.items() if told}


def version(package: str) -> str | None:
    """None for one that is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _driver(uuid: Any) -> dict[str, str | None]:
    """What the driver's own tool says; None for all where there is no such tool."""
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits"]
    command += [] if uuid is None else [f"--id=GPU-{uuid}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return dict.fromkeys(ASKED)
    told = [word.strip() for word in done.stdout.splitlines()[0].split(",")] if done.stdout.strip() else []
    return dict(zip(ASKED, told, strict=False)) if len(told) == len(ASKED) else dict.fromkeys(ASKED)


@contextlib.contextmanager
def tuned(device: str) -> Iterator[None]:
    """On CUDA cuDNN looks for its quickest way, as its best users let it; afterwards as it was."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
