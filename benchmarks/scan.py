"""Motifs along letters, all hits at p < 1e-4, one thread, against MOODS and lightmotif where they are installed"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sigconv.benchmarks._race import Case
from sigconv.kernels import motifs as kernel
from sigconv.readers import motif as files
from sigconv.transforms import dna
from sigconv.transforms.dna import _scores

MOTIFS = 879  # as many as JASPAR 2024 has of vertebrates
HAIR = 1e-4  # bits: thresholds are scores that are attained, and a peer's float32 sum may fall short of them
LETTERS = np.frombuffer(b"ACGT", np.uint8)


def cases(device: str) -> list[Case]:
    """10 million letters on one strand, and fewer on both: a CPU's work alone."""
    if device != "cpu":
        return []
    scores, kind = _motifs()
    bounds = np.array([_scores.threshold(one, 1e-4) for one in scores]) - HAIR
    both = [side for one in scores for side in (one, one[::-1, ::-1])]
    return [
        _case(f"10 Mb x {len(scores)} {kind}, + strand", scores, bounds, 10_000_000),
        _case(f"2 Mb x {len(scores)} {kind}, both strands", both, np.repeat(bounds, 2), 2_000_000),
    ]


def _motifs() -> tuple[list[np.ndarray], str]:
    """JASPAR's, from $SIGCONV_DATA, or motifs made about as wide and as sharp."""
    found = sorted(Path(os.environ.get("SIGCONV_DATA", "")).glob("jaspar/*_jaspar.txt"))
    if found:
        return [_scores.log_odds(one) for one in files.read(found[0])], "JASPAR motifs"
    rng = np.random.default_rng(0)
    sizes = rng.integers(6, 15, MOTIFS)
    return [_scores.log_odds(rng.dirichlet([0.3] * 4, size).T * 100) for size in sizes], "made motifs"


def _case(name: str, scores: list[np.ndarray], bounds: np.ndarray, length: int) -> Case:
    """Every runner begins with letters and ends with the number of hits; scores and thresholds are made before."""
    able = np.isfinite(bounds)
    scores, bounds = [one for one, some in zip(scores, able, strict=True) if some], bounds[able]
    letters = LETTERS[np.random.default_rng(0).integers(0, 4, length)].tobytes().decode()
    plan = kernel.plan(scores, bounds)
    tokens = lambda: dna.encode(letters).numpy()
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: sum(len(f.start) for f in kernel.find(plan, tokens()))}
    if importlib.util.find_spec("lightmotif"):
        runners["lightmotif"] = _lightmotif(scores, bounds, letters)
    if importlib.util.find_spec("MOODS"):
        runners["MOODS"] = _moods(scores, bounds, letters)
    return Case(name, runners, 5.0 if len(runners) > 1 else None)


def _lightmotif(scores: list[np.ndarray], bounds: np.ndarray, letters: str) -> Callable[[], int]:
    import lightmotif

    rows = [dict(zip("ACGT", one.tolist(), strict=True)) | {"N": [-1e3] * one.shape[1]} for one in scores]
    matrices = [lightmotif.ScoringMatrix(row) for row in rows]

    def work() -> int:
        striped = lightmotif.stripe(letters)
        pairs = zip(matrices, bounds.tolist(), strict=True)
        return sum(1 for one, bound in pairs for _ in lightmotif.scan(one, striped, threshold=bound))

    return work


def _moods(scores: list[np.ndarray], bounds: np.ndarray, letters: str) -> Callable[[], int]:
    import MOODS.scan

    scanner = MOODS.scan.Scanner(7)
    scanner.set_motifs([one.tolist() for one in scores], [0.25] * 4, bounds.tolist())
    return lambda: sum(len(found) for found in scanner.scan(letters))
