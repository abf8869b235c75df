"""What a run was run with: versions, machine, switches that change numbers, and the state of the checkout."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

NAMED = {"slurm_job": "SLURM_JOB_ID", "world_size": "WORLD_SIZE", "omp_num_threads": "OMP_NUM_THREADS"}
WITHOUT_METADATA = ("torch", "numpy", "safetensors", "lightning-fabric", "matplotlib")  # asked in a bare checkout


def environment() -> dict[str, Any]:
    """What a run was run with, as plain values for env.json; of the process's variables only the three in NAMED.

    sigconv python torch numpy platform processors threads   versions and the machine; packages: the dependencies'
    cuda cudnn gpus               CUDA's and cuDNN's versions (of torch's build, a GPU or not), and each GPU's name
    deterministic tf32            switches that change numbers: of torch, of cuDNN, of matrix products
    cost_table                    the hash of the prices that methods are chosen by
    git                           commit, branch, changed, and the SHA-256 of `git diff HEAD`; None outside a checkout
    slurm_job world_size omp_num_threads                     where they are set
    command                       as it was typed

    Takes some hundredths of a second, and git's time. Raises nothing: what cannot be known is None.
    """
    import numpy

    from sigconv import __version__, methods

    return {
        "sigconv": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "packages": packages(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        **_gpus(),
        **_switches(),
        "cost_table": methods.table()[1],
        "git": git(),
        **{key: os.environ.get(name) for key, name in NAMED.items()},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def packages() -> dict[str, str | None]:
    """The version of each package sigconv is built on, without importing any; None for one that is missing.

    >>> packages()["torch"] == torch.__version__ or "+" in torch.__version__
    True
    """
    try:
        asked = importlib.metadata.requires("sigconv") or []
        names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in asked if "extra ==" not in line]
    except importlib.metadata.PackageNotFoundError:
        names = list(WITHOUT_METADATA)
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpus() -> dict[str, Any]:
    there = torch.cuda.is_available()
    return {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if there else None,
        "gpus": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if there else [],
    }


def _switches() -> dict[str, Any]:
    """Whether results are the same each time, and whether single precision is single precision."""
    cudnn = torch.backends.cudnn
    return {
        "deterministic": {
            "algorithms": torch.are_deterministic_algorithms_enabled(),
            "cudnn": cudnn.deterministic,
            "cudnn_benchmark": cudnn.benchmark,
        },
        "tf32": {
            "matmul": _asked(lambda: torch.get_float32_matmul_precision()),
            "cudnn": _asked(lambda: cudnn.allow_tf32),
        },
    }


def _asked(question: Any) -> Any:
    """torch refuses to answer in its old words after the new ones were used: None then."""
    try:
        return question()
    except RuntimeError:
        return None


def git() -> dict[str, Any] | None:
    """The checkout this code is of: commit, branch, whether it was changed, SHA-256 of the change; None outside of one.

    The change is what `git diff HEAD` shows of tracked files: new files alone make changed true, and diff_sha256 None.
    """
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None  # installed inside a repository of something else, or in none
    commit, branch = _git(here.parent, "rev-parse", "HEAD"), _git(here.parent, "rev-parse", "--abbrev-ref", "HEAD")
    status, diff = _git(here.parent, "status", "--porcelain"), _git(here.parent, "diff", "--no-ext-diff", "HEAD")
    return {
        "commit": None if commit is None else commit.decode().strip(),
        "branch": None if branch is None else branch.decode(errors="replace").strip(),
        "changed": None if status is None else bool(status.strip()),
        "diff_sha256": hashlib.sha256(diff).hexdigest() if diff else None,
    }


def _git(folder: Path, *words: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words], capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
