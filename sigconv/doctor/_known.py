"""Versions and pairs of versions that are known to go wrong: one table, every row with its source.

Rows are warnings, for healthy is a word about numbers; a "note" is told but counts as nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sigconv.doctor import _packages


class Known(NamedTuple):
    """One row: with name in these versions (and beside, if named, in those), this goes wrong."""

    name: str
    versions: str
    wrong: str
    remedy: str
    source: str
    beside: str = ""
    besides: str = ""
    level: str = "warning"


KNOWN = (
    Known(
        "torch",
        "<2.6",
        "torch.load runs code from the file even with weights_only=True (CVE-2025-32434)",
        'pip install "torch>=2.10"',
        "deepseek-ai/DeepSeek-V3#872",
    ),
    Known(
        "torch",
        "<2.10",
        "a crafted file gets past torch.load with weights_only=True (CVE-2026-24747)",
        'pip install "torch>=2.10"',
        "NVIDIA/TensorRT-Model-Connect#1298",
    ),
    Known(
        "libsndfile",
        "<=1.2.2",
        "crafted sound files: CVE-2022-33065 was not wholly mended (CVE-2026-37555, closed upstream on 2026-06-30)",
        "decode sound of known origin only, until soundfile brings a later libsndfile (pip install -U soundfile)",
        "libsndfile/libsndfile#1120, #1123",
    ),
    Known(
        "numpy",
        ">=2.5",
        "numpy 2.5 and later ask for Python 3.12",
        'pip install "numpy<2.5", or take Python 3.12 or 3.13',
        "the package's requires-python",
        "python",
        "<3.12",
    ),
    Known(
        "scipy",
        ">=1.18",
        "scipy 1.18 and later ask for Python 3.12",
        'pip install "scipy<1.18", or take Python 3.12 or 3.13',
        "the package's requires-python",
        "python",
        "<3.12",
    ),
    Known(
        "python",
        ">=3.14",
        "sigconv is tested on Python 3.11 to 3.13; not all it can use installs on 3.14",
        "take Python 3.13",
        "tried: what it asks for is not all there",
    ),
    Known(
        "dask",
        "",
        "to_zarr with output chunks that the array's chunks do not divide writes wrong values without a word",
        "create the zarr array first and pass it: to_zarr(z)",
        "dask/dask#12587, seen with dask 2026.8.0 and zarr 3.1.6 and 3.4.2",
        "zarr",
        ">=3",
    ),
    Known(
        "lightning",
        "",
        "load_from_checkpoint imports and calls what a checkpoint names (CVE-2026-58659)",
        "load checkpoints of known origin only; sigconv's own name no code",
        "Lightning-AI/pytorch-lightning#21822",
        level="note",
    ),
    Known(
        "librosa",
        "<1.0",
        "the first mel spectrogram after an install takes about 20 s (numba compiles), later ones 2 s a process",
        "wait once; sigconv's own spectrograms do not use it",
        "measured with librosa 0.11.0",
        level="note",
    ),
)


def known_bad() -> list[dict[str, Any]]:
    """The rows of the table that are true of what is installed here."""
    return [
        {"what": f"{_named(row)}: {row.wrong}", "remedy": row.remedy, "source": row.source, "level": row.level}
        for row in KNOWN
        if _holds(row.name, row.versions) and (not row.beside or _holds(row.beside, row.besides))
    ]


def _holds(name: str, versions: str) -> bool:
    found = _packages.version(name)
    return found is not None and _packages.within(found, versions)


def _named(row: Known) -> str:
    names = [row.name, *([row.beside] if row.beside else [])]
    return " with ".join(f"{name} {_packages.version(name)}" for name in names)
