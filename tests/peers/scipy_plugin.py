"""A pytest plugin that puts sigconv in SciPy's place, so that SciPy's own tests judge it.

    PEER_REPORT=report.json python -m pytest -p scipy_plugin --pyargs scipy.signal.tests.test_signaltools

Some of SciPy's tests compare one of its functions with another. Where both would be shims, the one that judges is left
to SciPy: fftconvolve for oaconvolve, real arithmetic for complex, and all of ndimage while signal is tested. What each
test saw is written to $PEER_REPORT: {"outcomes": {test: [outcome, message, kinds of array]}, "calls": {shim: count}}.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import scipy.ndimage
import scipy.signal
import scipy_shims
from scipy._lib._array_api import xp_capabilities_table

calls: Counter[str] = Counter()
outcomes: dict[str, list] = {}

SELECTED = {
    scipy.signal: r"Test(Convolve|Convolve2d|FFTConvolve|OAConvolve|AllFreqConvolves|Correlate\w*)::"
    r"|test_(convolve_longdtype_input|correlation_lags)\W",
    scipy.ndimage: r".*(correlate|convolve)",
}
PEERS = {
    scipy.signal: ("convolve", "correlate", "fftconvolve", "oaconvolve", "convolve2d", "correlate2d"),
    scipy.ndimage: ("convolve", "correlate", "convolve1d", "correlate1d"),
}
PREFIX = {scipy.signal: "", scipy.ndimage: "nd_"}


def _counted(package, name):
    """The shim by that name, looking like the original to SciPy's tests and counting its calls."""
    shim, original = getattr(scipy_shims, PREFIX[package] + name), getattr(package, name)

    @functools.wraps(original)
    def counting(*args, **options):
        calls[f"{package.__name__}.{name}"] += 1
        return shim(*args, **options)

    xp_capabilities_table[counting] = xp_capabilities_table[original]
    return counting


ORIGINALS = {package: {name: getattr(package, name) for name in names} for package, names in PEERS.items()}
SHIMS = {package: {name: _counted(package, name) for name in names} for package, names in PEERS.items()}


@contextmanager
def _left_to_scipy(package, *places, only=""):
    """The originals, for as long as they are to judge."""
    changed = [(place, n) for place in (package, *places) for n in ORIGINALS[package] if n.startswith(only)]
    changed = [(place, name) for place, name in changed if hasattr(place, name)]
    for place, name in changed:
        setattr(place, name, ORIGINALS[package][name])
    try:
        yield
    finally:
        for place, name in changed:
            setattr(place, name, SHIMS[package][name])


def _package(item):
    return scipy.signal if item.module.__name__.startswith("scipy.signal") else scipy.ndimage


def _name(nodeid):
    return nodeid.split("::", 1)[1]


def pytest_configure():
    for package, shims in SHIMS.items():
        for name, shim in shims.items():
            setattr(package, name, shim)


def pytest_collection_modifyitems(items):
    """Keep the tests of convolution, of oaconvolve every $PEER_SAMPLE-th; let SciPy say what complex ones expect."""
    items[:] = [item for item in items if re.match(SELECTED[_package(item)], _name(item.nodeid))]
    many = [item for item in items if _name(item.nodeid).startswith("TestOAConvolve")]
    left_out = set(many) - set(many[:: int(os.environ.get("PEER_SAMPLE", "1"))])
    items[:] = [item for item in items if item not in left_out]
    for package, module in {(_package(item), item.module) for item in items}:
        complex_tests = getattr(module, "TestCorrelateComplex", None)
        for owner, name in ((module, "_complex_correlate"), (complex_tests, "_setup_rank1")):
            if hasattr(owner, name):
                setattr(owner, name, _left_to_scipy(package, module)(getattr(owner, name)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    scipy_shims.kinds.clear()
    with ExitStack() as judges:
        if _package(item) is scipy.signal:
            judges.enter_context(_left_to_scipy(scipy.ndimage))
        if _name(item.nodeid).startswith("TestOAConvolve"):
            judges.enter_context(_left_to_scipy(scipy.signal, item.module, only="fftconvolve"))
        return (yield)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash else str(report.longrepr or "")
        outcomes[_name(report.nodeid)] = [report.outcome, message, "".join(sorted(scipy_shims.kinds))]


def pytest_sessionfinish():
    Path(os.environ["PEER_REPORT"]).write_text(json.dumps({"outcomes": outcomes, "calls": calls}), encoding="utf-8")
