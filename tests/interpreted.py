"""Triton's kernels run by its interpreter, on CPU tensors: what files of such cases share.

Triton must be told to interpret before it is imported, so a file's cases run in one process of their own, which the
file starts as a script of itself; there the ops' kernels for CUDA stand in for those of the CPU. A file reads

    @case
    def a_kernel_is_its_twin(): ...

    def test_they_are_their_twins():
        assert not failures(__file__)

    if __name__ == "__main__":
        main()
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback

import pytest
import torch

from sigconv.kernels import _triton

DOUBLE = torch.float64
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def interpreted(on=True):
    """CPU tensors take the kernels, or else their twins."""
    _triton.DEVICES = ("cuda", "cpu") if on else ("cuda",)


def made(*size, dtype=DOUBLE, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(dtype)


def derived(function, leaves, g, twice=True):
    """The value, its gradients, and if asked for the gradients of those."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    y = function(*leaves)
    first = torch.autograd.grad(y, leaves, g, create_graph=True)
    if not twice:
        return [y, *first]
    bent = sum((one * made(*one.shape, seed=9)).sin().sum() for one in first)
    return [y, *first, *torch.autograd.grad(bent, leaves, materialize_grads=True)]


def same(ours, theirs, **options):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **{"rtol": 1e-10, "atol": 1e-10} | options)


def main():
    """Every case, and what went wrong in it, as one JSON object on the last line."""
    early = "triton" in sys.modules
    for op, kernel in _triton.OPS:
        op.register_kernel("cpu")(kernel)
    seconds: dict[str, float] = {}
    failed = {"triton was imported before a kernel was asked for": ""} if early else {}
    for name, function in CASES.items():
        interpreted()
        start = time.perf_counter()
        try:
            function()
        except Exception:
            failed[name] = traceback.format_exc()
        seconds[name] = round(time.perf_counter() - start, 1)
    print(json.dumps(seconds), file=sys.stderr)  # noqa: T201
    print(json.dumps(failed))  # noqa: T201


def failures(file):
    """What went wrong in the cases of a file of tests, told whole; nothing if all is well."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed: it comes with torch's builds for CUDA")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, os.path.abspath(file)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout.splitlines()[-1])
    return "\n\n".join(f"{name}\n{told}" for name, told in failed.items())
