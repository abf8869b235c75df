"""tiling against the whole at once and dask's map_overlap: a volume through Gabor filters, a recording, a model"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sigconv import tiles
from sigconv.benchmarks._race import Case
from sigconv.convolution import Conv
from sigconv.filters import FilterBank, gabor

CPU_ONLY = "tiles are cut from arrays and files in memory"


def cases(device: str) -> list[Case]:
    """Ours tile by tile beside the same without, and beside what others do with blocks."""
    generator = np.random.default_rng(0)
    volume = generator.normal(size=(160, 160, 160)).astype(np.float32)
    sound = generator.normal(size=4_000_000).astype(np.float32)
    image = torch.from_numpy(generator.normal(size=(3, 1500, 1500)).astype(np.float32)).to(device)
    model = torch.nn.Sequential(Conv(3, 8, 5, padding="same", ndim=2), torch.nn.ReLU(), Conv(8, 8, 5, 2, ndim=2)).eval()
    model = model.to(device)
    bands = gabor.pyramid(3, wavelengths=(4, 8), directions=2).to(device)
    waves = gabor.pyramid(1, wavelengths=(8, 16, 32, 64), directions=1).to(device)
    return [
        Case("160³, 4 filters", _bank(bands, volume, device) | _dask(bands, volume, device)),
        Case("160³, 4 filters, 500 MB", _bank(bands, volume, device, memory="500 MB"), cap=600_000_000),
        Case("4 million samples, 4 filters", _bank(waves, sound, device)),
        Case("1500², two layers", {"sigconv tiles": lambda: tiles.apply(model, image), "at once": _once(model, image)}),
    ]


def _bank(bank: FilterBank, x: np.ndarray, device: str, memory: Any = None) -> dict[str, Callable[[], Any]]:
    """Tile by tile, and the bank itself."""
    tensor = torch.from_numpy(x).to(device)
    return {
        "sigconv tiles": lambda: tiles.apply(bank, tensor, output="magnitude", memory=memory),
        "at once": lambda: bank(tensor[None, None], output="magnitude")[0],
    }


def _once(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    """The model without tiles."""

    def run() -> Any:
        with torch.no_grad():
            return model(x[None])[0]

    return run


def _dask(bank: FilterBank, x: np.ndarray, device: str) -> dict[str, Callable[[], Any]]:
    """The bank by dask's own overlapping blocks, where dask is there."""
    if importlib.util.find_spec("dask") is None or device != "cpu" or bank.kernel_size is None:
        return {}
    import dask.array as da

    half = tuple(k // 2 for k in bank.kernel_size)
    inner = (slice(None), *(slice(h, -h) for h in half))

    def block(crop: np.ndarray) -> np.ndarray:
        return bank(np.ascontiguousarray(crop[None, None]), output="magnitude")[0][inner]

    def run() -> Any:
        lazy = da.from_array(x, chunks=(80, 80, 80))
        chunks = ((len(bank),), *lazy.chunks)
        options: dict[str, Any] = {"depth": half, "boundary": 0.0, "trim": False, "new_axis": 0, "chunks": chunks}
        return da.map_overlap(block, lazy, meta=np.empty((0,) * 4, np.float32), **options).compute()

    return {"dask map_overlap": run}
