"""What every test may use: real data where they are at hand, a package that is whole even when nothing is installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def _bind(name: str) -> None:
    """In a bare checkout sigconv.datasets and sigconv.recipes are folders beside the package: say so to Python."""
    if importlib.util.find_spec(f"sigconv.{name}") is None:
        folder = ROOT / name
        spec = importlib.util.spec_from_file_location(
            f"sigconv.{name}", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"sigconv.{name}"] = module
        spec.loader.exec_module(module)


torch.set_num_threads(1)  # the cases are small, and cores may be shared

for _name in ("benchmarks", "datasets", "recipes"):
    _bind(_name)

try:
    import hypothesis
except ImportError:  # a GPU machine with torch and numpy alone: what checks it stands in files named after it
    NEEDED = ("test_gpu*.py", "test_triton_gpu.py")
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if not any(map(path.match, NEEDED))]
    collect_ignore.append("peers")
else:
    hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True, print_blob=True, max_examples=100)
    hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=1000)


def pytest_report_header() -> str:
    return "" if "hypothesis" in sys.modules else "hypothesis is not installed: only the GPU checks are collected"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="ten times the sampled cases, drawn afresh")


def pytest_configure(config: pytest.Config) -> None:
    if "hypothesis" in sys.modules:
        hypothesis.settings.load_profile("thorough" if config.getoption("--thorough") else "fixed")


@pytest.fixture(autouse=True)
def _drawn_alike() -> None:
    """Weights and samples that a test draws without a seed of its own do not hang on the tests that ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data, from $SIGCONV_DATA."""
    root = os.environ.get("SIGCONV_DATA")
    if not root:
        pytest.skip("real data are not at hand: set SIGCONV_DATA to their folder")
    return Path(root)
