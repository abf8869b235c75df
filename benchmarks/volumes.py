"""whole scans of 256^3 told to keep to 2 GB, Gabor bank and U-Net, against the same without a limit"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sigconv import models
from sigconv.benchmarks._race import Case
from sigconv.filters import gabor

SIZE = (256, 256, 256)
CAP = 2_000_000_000  # bytes beside the scan
TILE = 64
SCALES = {"13": (4.0,), "39": (4.0, 8.0, 12.0)}  # wavelengths in samples, thirteen directions each


def cases(device: str) -> list[Case]:
    """Energies at every voxel and at every second one; a U-Net of the usual width, tile by tile."""
    torch.manual_seed(0)
    return [_bank("13", 1, device), _bank("39", 2, device), _unet(device)]


def _bank(filters: str, stride: int, device: str) -> Case:
    bank = gabor.pyramid(3, wavelengths=SCALES[filters], directions=13).to(device)
    x = torch.randn(1, 1, *SIZE, device=device)
    options: dict[str, Any] = {"output": "energy", "stride": stride}
    runners: dict[str, Callable[[], Any]] = {"in 2 GB": lambda: bank(x, memory=CAP, **options)}
    runners["no limit"] = lambda: bank(x, **options)
    return Case(f"{filters} Gabor energies, 256^3, stride {stride}", runners, tolerance=1e-5, cap=CAP)


def _unet(device: str) -> Case:
    """Minutes a run: both do all of the scan, one of them with the halos of 64 tiles twice."""
    net = models.unet.build("near").eval().to(device)
    x = torch.randn(1, 1, *SIZE, device=device)
    runners: dict[str, Callable[[], Any]] = {f"tiles of {TILE}": lambda: models.unet.tiled(net, x, TILE)}
    runners["no limit"] = torch.no_grad()(lambda: net(x))
    return Case("U-Net near, 256^3", runners, tolerance=1e-5, cap=CAP)
