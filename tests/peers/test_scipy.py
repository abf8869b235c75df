"""SciPy's own tests of convolution, with sigconv in the place of its functions: what deviates is listed with reasons.

The suites run in a process of their own, for scipy_plugin changes SciPy. A deviation is a pattern of test names, words
that its failure must hold (so that no other failure hides behind it) and a reason; whatever a pattern names must fail.
oaconvolve has a thousand tests of a few shapes: every fifth is taken (they vary in twos and threes, which five does not
divide), all of them and SciPy's slow ones with --thorough; never the one that fills gigabytes.

A case counts as one of float or complex arrays by what it handed to sigconv: at least one pair of arrays that NumPy
promotes to half, single or double precision, and none to long double. Cases of integers alone count for nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis", reason="SciPy's tests of ndimage need it")
pytest.importorskip("scipy")

HERE = Path(__file__).parent
SUITES = ["scipy.signal.tests.test_signaltools", "scipy.ndimage.tests.test_filters"]
IN_OWN_WORDS = "sigconv raises ValueError as SciPy does, in words of its own"
EMPTY = "sigconv refuses empty arrays, SciPy answers with one"

# Pattern of test names: (words in the failure, reason).
DEVIATIONS = {
    r"TestConvolve::test_convolve_method_large_input\[": (
        "sums may reach",
        "integers that overflow 64 bits: sigconv refuses, SciPy wraps around",
    ),
    r"TestConvolve2d::test_fillvalue_errors\[": ("is not a real number", "sigconv raises TypeError, SciPy ValueError"),
    r"Test(FFT|OA)Convolve::test_empty\[": ("is empty: there is nothing to convolve", EMPTY),
    r"TestFFTConvolve::test_fft_nan\[": (
        "DID NOT WARN",
        "sigconv keeps NaN and infinity to the windows that hold them, so that there is nothing to warn of",
    ),
    r"TestAllFreqConvolves::test_(invalid_shapes|invalid_shapes_axes|mismatched_dims|invalid_flags)\[": (
        "Regex pattern did not match",
        IN_OWN_WORDS,
    ),
    r"test_convolve_longdtype_input\[": ("has no tensor", "torch has no long double"),
    r"TestNdimageFilters::test_correlate(09|10)\[": ("larger than the padded input", EMPTY),
    r"TestNdimageFilters::test_correlate_mode_sequence\[": (
        "DID NOT RAISE",
        "sigconv takes a border for every axis, SciPy one for all",
    ),
}


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the suites' tests came to."""
    thorough = request.config.getoption("--thorough")
    folder = tmp_path_factory.mktemp("scipy")
    sources = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    variables = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sources)),
        "PEER_REPORT": str(folder / "report.json"),
        "PEER_SAMPLE": "1" if thorough else "5",
        "PYTHONHASHSEED": "0",  # test_convolve_method walks a set, and stops where it fails
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={folder}", "--pyargs", *SUITES]
    command += ["-p", "scipy_plugin", "-p", "no:cacheprovider", "-q", "--tb=short", "--maxfail=400", "-W", "ignore"]
    command += ["-k", "not test_large_array"] if thorough else ["-m", "not slow"]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def _deviates(name: str, message: str) -> bool:
    """Whether this failure is a listed one."""
    return any(re.match(pattern, name) and words in message for pattern, (words, _) in DEVIATIONS.items())


def test_every_failure_is_listed(report: dict[str, Any]) -> None:
    failed = {name: message for name, (outcome, message, _) in report["outcomes"].items() if outcome == "failed"}
    assert {name: message[:300] for name, message in failed.items() if not _deviates(name, message)} == {}


@pytest.mark.parametrize("pattern", DEVIATIONS)
def test_every_deviation_is_one(pattern: str, report: dict[str, Any]) -> None:
    """Nothing listed passes: what was mended since is taken off the list."""
    named = {name: outcome for name, (outcome, _, _) in report["outcomes"].items() if re.match(pattern, name)}
    assert named, "no test has such a name"
    assert {name: outcome for name, outcome in named.items() if outcome != "failed"} == {}


def test_the_suites_reach_sigconv(report: dict[str, Any]) -> None:
    """All ten shims are called, thousands of times: it is not SciPy that passes its own tests."""
    assert len(report["calls"]) == 10
    assert sum(report["calls"].values()) > 4500
    assert {outcome for outcome, _, _ in report["outcomes"].values()} <= {"passed", "failed", "skipped"}


def test_floats_and_complex_numbers_agree(report: dict[str, Any]) -> None:
    """At least 95 % of the cases of float and complex arrays pass."""
    cases = report["outcomes"].values()
    judged = [outcome for outcome, _, kinds in cases if set(kinds) & set("efdFD") and not set(kinds) & set("gG")]
    passed = judged.count("passed")
    assert len(judged) > 1000
    assert passed >= 0.95 * len(judged), f"{passed} of {len(judged)}"
