"""Every method of convolution against float64 sums on this very machine: its error, and where a NaN goes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sigconv import console, conv, methods
from sigconv.doctor._machine import devices

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
CASES = (  # batch, in, out, groups, size, kernel_size, stride
    (2, 3, 4, 1, (101,), (7,), 2),
    (1, 1, 2, 1, (9000,), (601,), 1),
    (2, 4, 4, 4, (17, 19), (3, 4), 1),
    (1, 2, 3, 1, (9, 8, 10), (3, 3, 3), 1),
    (1, 2, 3, 1, (6, 5, 7, 6), (3, 2, 3, 2), 1),
)
METHODS = ("auto", *(name for name in methods.METHODS if name not in ("separable", "lookup", "windows")))


def promises(device: str | None = None, done: Callable[[], None] = lambda: None) -> Iterator[dict[str, Any]]:
    """Every method against float64 sums: the worst error in units of the gate, and whether a NaN stays in its windows.

    device   one torch knows, or None for all there are; a row for each of them, precision and method

    A method that raises is a row with its error in one line, and not kept. done is called after every row.
    """
    if device is None:
        for name in devices():
            yield from promises(name.split()[0], done)
        return
    for dtype in DTYPES:
        cases = _cases(dtype)
        for method in METHODS:
            row: dict[str, Any] = {"device": device, "dtype": str(dtype)[6:], "method": method}
            worst, contained, error = math.inf, False, ""
            try:
                worst, contained = _checked(cases, device, dtype, method)
            except Exception as failure:  # of a driver or a library: whatever it is, the user is to read it
                error = console.one_line(failure, 200)
            kept = worst <= 1 and contained
            yield row | {"worst_error": round(worst, 4), "nan_contained": contained, "kept": kept, "error": error}
            done()


class Case:
    """One problem in one precision, its exact answer and what rounding may add to it: made once for all methods."""

    def __init__(self, row: tuple[Any, ...], dtype: torch.dtype, generator: torch.Generator) -> None:
        batch, inside, outside, groups, self.size, kernel, stride = row
        self.x = torch.randn(batch, inside, *self.size, generator=generator).to(dtype)
        self.weight = torch.randn(outside, inside // groups, *kernel, generator=generator).to(dtype)
        self.options: dict[str, Any] = {"groups": groups, "stride": stride, "padding": "same"}
        run = functools.partial(conv, **self.options, method="windows")
        x, weight = self.x.double(), self.weight.double()
        self.exact, scale = run(x, weight), run(x.abs(), weight.abs())
        half = dtype in (torch.float16, torch.bfloat16)
        unit = torch.finfo(dtype).eps * (0.51 if half else math.sqrt(weight[0].numel()))
        self.gate = unit * scale + (2**-25 if half else 0)
        self.poisoned = self.x.clone()
        self.poisoned.view(-1)[self.x.numel() // 2] = torch.nan
        self.finite = torch.isfinite(run(self.poisoned, self.weight))

    def allowed(self, method: str) -> Tensor:
        """The error promised: spectral methods asked for by name keep to the block's norm in float64."""
        if method not in ("fft", "overlap") or self.x.dtype != torch.float64:
            return self.gate
        norm = self.x.norm() * self.weight.norm()
        return self.gate + max(0.1 * math.log2(self.x[0, 0].numel()), 2.5) * torch.finfo(torch.float64).eps * norm


def _cases(dtype: torch.dtype) -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    return [Case(row, dtype, generator) for row in CASES]


def _checked(cases: list[Case], device: str, dtype: torch.dtype, method: str) -> tuple[float, bool]:
    """The worst error of all cases, relative to what is promised; and the check of one NaN."""
    worst, contained = 0.0, True
    for case in cases:
        if method == "toeplitz" and math.prod(case.size) > 3000:
            continue
        weight = case.weight.to(device)
        y = conv(case.x.to(device), weight, **case.options, method=method).double().cpu()
        error = (y - case.exact).abs() / case.allowed(method).clamp(min=1e-300)
        worst = max(worst, float(error.nan_to_num(nan=math.inf).max()))
        seen = torch.isfinite(conv(case.poisoned.to(device), weight, **case.options, method=method)).cpu()
        contained = contained and torch.equal(seen, case.finite)
    return worst, contained
