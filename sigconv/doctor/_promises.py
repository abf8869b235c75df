"""What is installed, what the machine is, and whether convolution keeps its promises here, on every device."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import platform
from collections.abc import Iterator
from typing import Any

import torch

from sigconv import __version__, conv, methods

PARTS = ("torch", "numpy", "scipy", "librosa", "biopython", "nibabel", "numba", "triton")


def examine() -> dict[str, Any]:
    """Versions, devices, the cost table in force, and one row of checks per device, dtype and method."""
    checks = list(promises())
    return {
        "sigconv": __version__,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PARTS},
        "devices": list(devices()),
        "threads": torch.get_num_threads(),
        "cost_table": methods.table()[1],
        "cost_table_of_this_machine": methods.local().is_file(),
        "checks": checks,
        "healthy": all(row["kept"] for row in checks),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def devices() -> Iterator[str]:
    """The CPU, and the GPUs torch can use."""
    yield "cpu"
    if torch.cuda.is_available():
        yield from (f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count()))


CASES = (  # batch, in, out, groups, size, kernel_size, stride
    (2, 3, 4, 1, (101,), (7,), 2),
    (1, 1, 2, 1, (9000,), (601,), 1),
    (2, 4, 4, 4, (17, 19), (3, 4), 1),
    (1, 2, 3, 1, (9, 8, 10), (3, 3, 3), 1),
    (1, 2, 3, 1, (6, 5, 7, 6), (3, 2, 3, 2), 1),
)


def promises() -> Iterator[dict[str, Any]]:
    """Every method against float64 sums: the worst error in units of the gate, and whether a NaN stays where it is."""
    for device in devices():
        for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
            for method in ("auto", *methods.METHODS):
                if method not in ("separable", "lookup", "windows"):
                    worst, contained = _checked(device.split()[0], dtype, method)
                    kept = worst <= 1 and contained
                    row = {"device": device, "dtype": str(dtype)[6:], "method": method}
                    yield row | {"worst_error": round(worst, 4), "nan_contained": contained, "kept": kept}


def _checked(device: str, dtype: torch.dtype, method: str) -> tuple[float, bool]:
    """The worst error of all cases, relative to what is promised; and the check of one NaN."""
    worst, contained = 0.0, True
    generator = torch.Generator().manual_seed(0)
    for batch, inside, outside, groups, size, kernel, stride in CASES:
        x = torch.randn(batch, inside, *size, generator=generator).to(dtype)
        weight = torch.randn(outside, inside // groups, *kernel, generator=generator).to(dtype)
        options: dict[str, Any] = {"groups": groups, "stride": stride, "padding": "same"}
        if method == "toeplitz" and math.prod(size) > 3000:
            continue
        exact = conv(x.double(), weight.double(), **options, method="windows")
        scale = conv(x.double().abs(), weight.double().abs(), **options, method="windows")
        y = conv(x.to(device), weight.to(device), **options, method=method).double().cpu()
        half = dtype in (torch.float16, torch.bfloat16)
        gate = torch.finfo(dtype).eps * (0.51 if half else math.sqrt(weight[0].numel())) * scale + (
            2**-25 if half else 0
        )
        if method in ("fft", "overlap") and dtype == torch.float64:
            norm = x.double().norm() * weight.double().norm()
            gate = gate + max(0.1 * math.log2(x[0, 0].numel()), 2.5) * torch.finfo(dtype).eps * norm
        worst = max(worst, float(((y - exact).abs() / gate.clamp(min=1e-300)).nan_to_num(nan=math.inf).max()))
        x.view(-1)[x.numel() // 2] = torch.nan
        expected = torch.isfinite(conv(x, weight, **options, method="windows"))
        seen = torch.isfinite(conv(x.to(device), weight.to(device), **options, method=method)).cpu()
        contained = contained and torch.equal(seen, expected)
    return worst, contained


def report(found: dict[str, Any]) -> str:
    """The examination for a person to read."""
    lines = [f"sigconv {found['sigconv']}, Python {found['python']}, {found['threads']} threads"]
    lines += ["  " + "  ".join(f"{name} {version or '(missing)'}" for name, version in found["versions"].items())]
    own = (
        "measured here" if found["cost_table_of_this_machine"] else "shipped; sigconv doctor --calibrate measures here"
    )
    lines += [f"  devices: {', '.join(found['devices'])}", f"  cost table {found['cost_table']} ({own})", ""]
    lines += [f"  {'device':<14}{'dtype':<10}{'method':<11}{'worst error':>12}   NaN"]
    for row in found["checks"]:
        mark = "" if row["kept"] else "   <- not kept"
        where = row["device"].split()[0]
        contained = "in its windows" if row["nan_contained"] else "spread"
        lines.append(f"  {where:<14}{row['dtype']:<10}{row['method']:<11}{row['worst_error']:>12}   {contained}{mark}")
    lines += ["", "errors in units of what is promised: 1 is the most"]
    last = "every promise is kept" if found["healthy"] else "some promises are not kept on this machine"
    return "\n".join([*lines, last])
