# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""What all Triton kernels share: which tensors they take, how they are launched, which of their blocks is the fastest.

A kernel is one program for 1 to 4 axes: missing axes come first and are of one sample. Its grid has one axis only,
which may be 2^31 - 1 long where others end at 65535. An offset is that of a channel, in 64 bits, and one inside a
channel, in 32: a space of 2^31 samples and more is left to the twin, a batch of any size is not.

Triton is imported when a kernel is first run. Nothing here has run on a GPU yet: times in kernels' comments are
predicted, for a card that copies 4.3 TB/s and does 67 TFLOP/s in float32.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from sigconv import console, files
from sigconv.kernels._cache import folder
from sigconv.kernels._state import transformed

AXES = 4
SPACE = 2**31  # samples of a channel from which offsets would not fit 32 bits
LARGEST = 1 << 20  # bytes of a table of configurations that is believed
WORTH = 1 << 20  # numbers from which configurations are timed: below, the launch takes longer than the kernel
SUMS = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}
DEVICES: tuple[str, ...] = ("cuda",)  # tests add the CPU, where Triton's interpreter takes its tensors
_tried: dict[torch.device, bool] = {}  # where kernels can be built and run
OPS: list[tuple[Any, Callable[..., Any]]] = []  # every op that has a kernel here, and that kernel
tl: Any = None  # Triton's language, once it is imported
_FOUND = importlib.util.find_spec("triton") is not None


def at_hand() -> bool:
    """Whether Triton is installed; it is imported when a kernel is first run, not here."""
    return _FOUND


def kernel_of(op: Any) -> Callable[..., Any]:
    """Register what follows as the op's kernel on CUDA; a compiler sees the op, not what is inside."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        op.register_kernel("cuda")(function)
        OPS.append((op, function))
        return function

    return register


def takes(x: Tensor, *more: Tensor | None) -> bool:
    """Whether a kernel may read this tensor: a floating one on a device new enough, and no transform at work."""
    if x.device.type not in DEVICES or x.dtype not in SUMS or not _FOUND:
        return False
    if torch.compiler.is_compiling():  # ops stay whole there
        return True
    if not _new_enough(x.device, x.dtype) or transformed(x, *more):
        return False
    return not x.is_cuda or isinstance(x, FakeTensor) or _works(x.device)


def usable(x: Tensor, *more: Tensor | None) -> bool:
    """The same for x (batch, channels, *space), of one to four axes whose samples 32 bits can count."""
    return takes(x, *more) and 0 < x.ndim - 2 <= AXES and math.prod(x.shape[2:]) < SPACE


@cache
def _new_enough(device: torch.device, dtype: torch.dtype) -> bool:
    if device.type != "cuda":
        return True
    return torch.cuda.get_device_capability(device) >= ((8, 0) if dtype == torch.bfloat16 else (7, 0))


def _works(device: torch.device) -> bool:
    """Whether a kernel can be built and run there; while a graph is recorded as far as is known."""
    if device not in _tried:
        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return True
        _tried[device] = _tries(device)
    return _tried[device]


def _tries(device: torch.device) -> bool:
    """Try the least of kernels: that takes a C compiler, which not every machine has."""
    x = torch.arange(32.0, device=device)
    y = torch.zeros_like(x)
    try:
        launch(_doubling(), 1, x, x, y)
        if torch.equal(y, 2 * x):
            return True
        why = "a kernel answers wrongly"
    except Exception as error:  # whatever Triton, the compiler or the driver may say
        why = console.one_line(error, 200)
    warnings.warn(f"Triton is of no use on {device} ({why}): torch's own operations stand in, slower", stacklevel=2)
    return False


@cache
def _doubling() -> Any:
    """The least of kernels."""
    global tl
    import triton
    from triton import language as tl

    @triton.jit
    def doubling(x, y):
        at = tl.arange(0, 32)
        tl.store(y + at, 2 * tl.load(x + at))

    return doubling


def four(values: Sequence[int], missing: int) -> tuple[int, ...]:
    """A number for each of four axes, what is missing before them.

    >>> four((5, 7), 1)
    (1, 1, 5, 7)
    """
    return (*[missing] * (AXES - len(values)), *values)


def power_of_two(n: int, least: int, most: int) -> int:
    """The smallest power of two that holds n, between two others.

    >>> power_of_two(49, 32, 256)
    64
    """
    return min(max(1 << max(n - 1, 0).bit_length(), least), most)


def sum_kind(dtype: torch.dtype) -> Any:
    """Triton's name of the dtype in which such numbers are summed."""
    from triton import language

    return language.float64 if SUMS[dtype] == torch.float64 else language.float32


def along(letters: str, *numbers: Sequence[int]) -> dict[str, int]:
    """What a kernel is compiled for, by axis: K0 … K3 for its taps, and so on; missing axes have 1.

    >>> along("K", (3,))
    {'K0': 1, 'K1': 1, 'K2': 1, 'K3': 3}
    """
    rows = zip(letters, numbers, strict=True)
    return {f"{letter}{axis}": n for letter, row in rows for axis, n in enumerate(four(row, 1))}


@cache
def unravel() -> Any:
    """For kernels: where number j stands along each of four axes of the sizes given; no division for one axis.

    A kernel looks names up among its module's own: files of kernels put theirs there when first asked.
    """
    global tl
    import triton
    from triton import language as tl

    @triton.jit
    def unravel(j, o1, o2, o3, NDIM: tl.constexpr):
        i0, i1, i2, i3 = j * 0, j * 0, j * 0, j
        if NDIM > 1:
            i3, i2 = j % o3, j // o3
        if NDIM > 2:
            i2, i1 = i2 % o2, i2 // o2
        if NDIM > 3:
            i1, i0 = i1 % o1, i1 // o1
        return i0, i1, i2, i3

    return unravel


def launch(kernel: Any, programs: int, x: Tensor, *given: Any, **options: Any) -> None:
    """Run so many programs of a kernel on the device of x, on its current stream."""
    if programs >= SPACE:
        raise ValueError(f"{programs} blocks of a kernel: a device counts to {SPACE - 1}; split the batch")
    if programs == 0:
        return
    with torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext():
        kernel[(programs,)](*given, **options, enable_fp_fusion=True)


def chosen(name: str, key: Sequence[Any], x: Tensor, candidates: Sequence[tuple], run: Callable[[Any], None]) -> Any:
    """Of some configurations the fastest for such a call: timed once for a device and kept on disk, or the first.

    run(configuration) computes the answer whole, whichever it is; it must come to the same bits with each.
    """
    if len(candidates) == 1 or not x.is_cuda or x.numel() < WORTH:
        return candidates[0]
    device = torch.cuda.get_device_name(x.device)
    table, label = _table(device), ":".join(map(str, (name, *key)))
    known = [candidate for candidate in candidates if list(candidate) == table.get(label)]
    if known or torch.cuda.is_current_stream_capturing():  # a graph that is recorded cannot be timed
        return (known or candidates)[0]
    times = [_seconds(run, candidate, x.device) for candidate in candidates]
    best = candidates[times.index(min(times))]
    table[label] = list(best)
    _keep(device, table)
    return best


def _seconds(run: Callable[[Any], None], candidate: Any, device: torch.device) -> float:
    """The least of five runs, after one that compiles."""
    run(candidate)
    found = []
    with torch.cuda.device(device):
        for _ in range(5):
            start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            run(candidate)
            stop.record()
            stop.synchronize()
            found.append(start.elapsed_time(stop))
    return min(found)


def _path(device: str) -> Path:
    """Where the choices for a device lie: beside the planner's own table of costs."""
    name = "".join(c if c.isalnum() else "-" for c in device)
    return folder() / f"triton-{name}.json"


@cache
def _table(device: str) -> dict[str, list[int]]:
    """The choices known to this process."""
    return _read(device)


def _read(device: str) -> dict[str, list[int]]:
    """The choices made before on this machine; a table that cannot be read is made anew, no answer hangs on it."""
    path = _path(device)
    try:
        found = json.loads(files.read_bytes(path, LARGEST))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(device: str, table: dict[str, list[int]]) -> None:
    path = _path(device)
    table |= {label: choice for label, choice in _read(device).items() if label not in table}  # other processes' own
    with contextlib.suppress(OSError):  # a folder that cannot be written costs the next process a second
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, json.dumps(table, indent=1) + "\n")
