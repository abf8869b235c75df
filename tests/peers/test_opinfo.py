"""torch's own samples of convolution, from the table it tests its operators by: values and gradients, ours and torch's.

torch.testing's table is made for torch's own test runner: importing it takes seconds, sets Hypothesis's profile and
closes torch's global flags to changes. So this file, run as a script, compares in a process of its own, and the tests
read what it found: for each operator and dtype the samples, each with a line of what differs, empty where nothing does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sigconv as sc

OPERATORS = [f"nn.functional.{kind}{ndim}d" for kind in ("conv", "conv_transpose") for ndim in (1, 2, 3)]
DTYPES = ["float64", "float32", "complex128"]

# Operators of which some samples miss assert_close's tolerance, and why that is no error.
DEVIATIONS = {
    ("nn.functional.conv_transpose3d", "float32"): (
        "a sum of 200 products in another order: torch itself is as far from the float64 answer as the two are apart"
    ),
}
ROUNDING = "rounding: "  # how the line of such a sample starts: checked against float64, not taken on trust


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the comparison found."""
    root = Path(__file__).parents[2]
    report = tmp_path_factory.mktemp("opinfo") / "report.json"
    variables = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")])),
    }
    command = [sys.executable, __file__, str(report)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_values_and_gradients_are_torchs(operator: str, dtype: str, reports: dict[str, Any]) -> None:
    """Where two float32 sums may round apart depends on the processor, so that a listed operator may also agree."""
    samples = reports[f"{operator} {dtype}"]
    allowed = ROUNDING if (operator, dtype) in DEVIATIONS else None
    assert len(samples) >= 10
    assert {name: line for name, line in samples if line and not (allowed and line.startswith(allowed))} == {}


def test_nearly_all_samples_agree(reports: dict[str, Any]) -> None:
    """At least 95 % of all samples are close by torch's own tolerances."""
    lines = [line for samples in reports.values() for _, line in samples]
    assert len(reports) == len(OPERATORS) * len(DTYPES)
    assert lines.count("") >= 0.95 * len(lines), f"{lines.count('')} of {len(lines)}"


def _operators() -> dict[str, Any]:
    """torch's table; expecttest, which only its own test cases use, need not be installed."""
    try:
        import expecttest  # noqa: F401
    except ImportError:
        stub: Any = types.ModuleType("expecttest")
        stub.TestCase = unittest.TestCase
        sys.modules["expecttest"] = stub
    from torch.testing._internal.common_methods_invocations import op_db

    return {op.name: op for op in op_db if op.name in OPERATORS}


def _ours(operator: str, x: Tensor, weight: Tensor, *args: Any, **options: Any) -> Tensor:
    """Arguments by name, and torch's inputs without a batch axis."""
    transposed = "transpose" in operator
    names = ["bias", "stride", "padding"]
    names += ["output_padding", "groups", "dilation"] if transposed else ["dilation", "groups"]
    options = dict(zip(names, args, strict=False)) | options
    function = sc.conv_transpose if transposed else sc.conv
    if x.ndim == weight.ndim:
        return function(x, weight, **options)
    return function(x.unsqueeze(0), weight, **options).squeeze(0)


def _leaves(*given: Any) -> list[Any]:
    """The same values, each a leaf of its own graph."""
    return [g.detach().clone().requires_grad_(g.requires_grad) if isinstance(g, Tensor) else g for g in given]


def _graded(function: Any, sample: Any, dtype: torch.dtype | None = None) -> list[Tensor]:
    """The values, and every gradient there is for one cotangent, drawn in dtype, that all sides share."""
    inputs = _leaves(sample.input, *sample.args)
    named = dict(zip(sample.kwargs, _leaves(*sample.kwargs.values()), strict=True))
    y = function(*inputs, **named)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cotangent = torch.randn_like(y, dtype=dtype).to(y.dtype)
    wanted = [t for t in [*inputs, *named.values()] if isinstance(t, Tensor) and t.requires_grad]
    return [y.detach(), *torch.autograd.grad(y, wanted, cotangent)]


def _difference(operator: str, op: Any, sample: Any) -> str:
    """What differs; empty if nothing does. In float32, whether ours is as near the float64 answer as torch's is."""
    expected = _graded(op.op, sample)
    try:
        ours = _graded(lambda *args, **options: _ours(operator, *args, **options), sample)
        torch.testing.assert_close(ours, expected)
    except Exception as error:
        line = f"{type(error).__name__}: {error}"[:400]
        if not isinstance(error, AssertionError) or expected[0].dtype != torch.float32:
            return line
        exact = _graded(op.op, sample.transform(_doubled), expected[0].dtype)
        near = all(_error(a, e) <= 4 * max(map(_error, expected, exact)) for a, e in zip(ours, exact, strict=True))
        return ROUNDING * near + line
    return ""


def _doubled(given: Any) -> Any:
    return given.detach().double().requires_grad_(given.requires_grad) if isinstance(given, Tensor) else given


def _error(y: Tensor, exact: Tensor) -> float:
    return float((y.double() - exact).abs().max()) if y.shape == exact.shape else float("inf")


def _named(sample: Any) -> str:
    """A sample by its shapes and options."""
    given = [sample.input, *sample.args]
    shapes = [tuple(g.shape) if isinstance(g, Tensor) else g for g in given]
    return f"{shapes} {dict(sorted(sample.kwargs.items()))}"


def main(report: str) -> None:
    torch.manual_seed(0)
    found = {}
    for operator, op in _operators().items():
        for dtype in DTYPES:
            samples = op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=True)
            found[f"{operator} {dtype}"] = [(_named(s), _difference(operator, op, s)) for s in samples]
    Path(report).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
