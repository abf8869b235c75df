"""The state of torch in this process that changes results: precision of float32, determinism, threads, defaults.

Every row has a verdict: "fine" is as sigconv promises it, "idle" concerns no device that is here, "note" is worth
knowing, "differs" changes numbers or costs much time, and has a remedy.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from sigconv import console
from sigconv.kernels import precise

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "KMP_AFFINITY",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "PYTORCH_CUDA_ALLOC_CONF",
    "SIGCONV_CACHE",
    "SIGCONV_DATA",
)
REPEATABLE = (":4096:8", ":16:8")  # workspaces with which cuBLAS adds in one order


@contextlib.contextmanager
def usual() -> Iterator[None]:
    """New tensors on the CPU and no autocast for a while, whatever the process has."""
    with torch.device("cpu"), torch.autocast("cpu", enabled=False), torch.no_grad():
        if not torch.cuda.is_available():
            yield
            return
        with torch.autocast("cuda", enabled=False):
            yield


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Sums of float32 in float32 for a while, however the process has it; as it was afterwards, inherited or not."""
    general = precise.precision(torch.backends)
    if not general:
        yield
        return
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]  # of all that have none of their own
    try:
        with precise.kept(list(precise.holders().values())):
            yield
    finally:
        torch.backends.fp32_precision = general  # type: ignore[attr-defined]


def tf32_in_convolutions() -> bool:
    """Whether float32 convolutions on CUDA keep ten bits: the flag of convolutions, not the one of matrix products."""
    return precise.precision(getattr(torch.backends.cudnn, "conv", None)) == "tf32"


def state() -> list[dict[str, Any]]:
    """Rows of name, value, verdict and remedy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of older ways to ask, which a newer torch may frown upon
        return [*_precision_rows(), *_repeat_rows(), *_arithmetic_rows(), *_thread_rows(), *_variables()]


def _row(name: str, value: Any, verdict: str = "fine", remedy: str = "") -> dict[str, Any]:
    return {"name": name, "value": str(value), "verdict": verdict, "remedy": remedy if verdict in WORTH else ""}


WORTH = ("note", "differs")


def _precision_rows() -> Iterator[dict[str, Any]]:
    cuda = torch.cuda.is_available()
    names = {
        "cudnn.conv": ("float32 convolutions on CUDA", cuda),
        "cuda.matmul": ("float32 products on CUDA", cuda),
        "mkldnn.conv": ("float32 convolutions on CPU", True),
        "mkldnn.matmul": ("float32 products on CPU", True),
    }
    for key, holder in precise.holders().items():
        found, (name, here) = precise.precision(holder), names[key]
        loose, ours = found in precise.LOOSE, key == "cudnn.conv"
        remedy = "sigconv's own keep float32; torch's layers" if ours else "for results in full precision"
        remedy += f': torch.backends.{key}.fp32_precision = "ieee"'
        value, worth = found if loose else "float32", "note" if ours else "differs"
        yield _row(name, value, (worth if here else "idle") if loose else "fine", remedy)
    try:
        general = torch.get_float32_matmul_precision()
    except RuntimeError:
        general = "set for each library"
    yield _row("float32_matmul_precision", general)


def _repeat_rows() -> Iterator[dict[str, Any]]:
    cuda = torch.cuda.is_available()
    on = torch.are_deterministic_algorithms_enabled()
    kind = "warn only" if on and torch.is_deterministic_algorithms_warn_only_enabled() else "on" if on else "off"
    remedy = "equal bits run after run on CUDA: torch.use_deterministic_algorithms(True)"
    yield _row("deterministic algorithms", kind, "fine" if on else "note" if cuda else "idle", remedy)
    search = torch.backends.cudnn.benchmark
    remedy = "it may choose another algorithm every run: torch.backends.cudnn.benchmark = False"
    yield _row(
        "cudnn.benchmark", "on" if search else "off", ("differs" if cuda else "idle") if search else "fine", remedy
    )
    space = os.environ.get("CUBLAS_WORKSPACE_CONFIG", "")
    if on and cuda:
        remedy = "deterministic products need CUBLAS_WORKSPACE_CONFIG=:4096:8, set before Python starts"
        yield _row("cuBLAS workspace", space or "unset", "fine" if space in REPEATABLE else "differs", remedy)
    if not torch.backends.cudnn.enabled:
        remedy = "torch falls back to slower kernels: torch.backends.cudnn.enabled = True"
        yield _row("cudnn.enabled", "off", "note" if cuda else "idle", remedy)
    forced = os.environ.get("NVIDIA_TF32_OVERRIDE") == "1"
    if forced:
        remedy = "it overrules torch: unset NVIDIA_TF32_OVERRIDE"
        yield _row("TF32 forced by the environment", "on", "differs" if cuda else "idle", remedy)


def _arithmetic_rows() -> Iterator[dict[str, Any]]:
    tiny = torch.full((16,), 1e-40, dtype=torch.float32, device="cpu")
    small = (tiny * 0.5).view(torch.int32).any().item()  # its bits, for a comparison flushes too
    remedy = "values below 1e-38 become 0: torch.set_flush_denormal(False)"
    yield _row("denormal numbers", "kept" if small else "flushed to 0", "fine" if small else "differs", remedy)
    kind = str(torch.get_default_dtype())[6:]
    remedy = "layers are made in it: torch.set_default_dtype(torch.float32)"
    yield _row("default dtype", kind, "fine" if kind == "float32" else "differs", remedy)
    place = str(torch.get_default_device())
    yield _row("default device", place, "fine" if place == "cpu" else "note", "new tensors land there")
    mixed = [name for name in ("cpu", "cuda") if torch.is_autocast_enabled(name)]
    remedy = "convolutions run in half precision while torch.autocast is on"
    yield _row("autocast", ", ".join(mixed) or "off", "note" if mixed else "fine", remedy)


def _thread_rows() -> Iterator[dict[str, Any]]:
    threads, usable = torch.get_num_threads(), cores()
    crowded = threads > usable
    remedy = f"more threads than cores wait for each other: OMP_NUM_THREADS={usable}"
    yield _row("threads", f"{threads} on {usable} usable cores", "differs" if crowded else "fine", remedy)


def cores() -> int:
    """Cores this process may use: those it is bound to, or fewer where a container grants less.

    >>> cores() >= 1
    True
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError), open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
        granted, period = file.read().split()
        bound = min(bound, max(-(-int(granted) // int(period)), 1))  # "max" is no number: nothing is withheld
    return bound


def _variables() -> Iterator[dict[str, Any]]:
    for name in VARIABLES:
        if name in os.environ:
            yield _row(name, repr(os.environ[name]))


def quietly(ask: Callable[[], Any]) -> tuple[Any, list[str]]:
    """An answer of torch, and the warnings it gave with it as lines."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = ask()
    return found, [console.one_line(one.message, 200) for one in heard]
