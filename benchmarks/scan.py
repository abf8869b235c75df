"""Motifs along letters, all hits at p < 1e-4: one thread against MOODS and lightmotif, a GPU against torch's conv1d"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from sigconv.benchmarks._ceilings import Work
from sigconv.benchmarks._race import Case
from sigconv.kernels import motifs as kernel
from sigconv.readers import motif as files
from sigconv.transforms import dna
from sigconv.transforms.dna import _scores

MOTIFS = 879  # as many as JASPAR 2024 has of vertebrates
HAIR = 1e-4  # bits: thresholds are scores that are attained, and a peer's float32 sum may fall short of them
PIECE = 1 << 18  # letters that torch convolves at a time: 0.9 GB of scores
IMPOSSIBLE = -1e3  # bits, for letters that may not be: no one-hot zero times -inf
LETTERS = np.frombuffer(b"ACGT", np.uint8)


def cases(device: str) -> list[Case]:
    """10 million letters on one strand, and fewer on both."""
    scores, kind = _motifs()
    bounds = np.array([_scores.threshold(one, 1e-4) for one in scores]) - HAIR
    both = [side for one in scores for side in (one, one[::-1, ::-1])]
    return [
        _case(f"10 Mb x {len(scores)} {kind}, + strand", scores, bounds, 10_000_000, device),
        _case(f"2 Mb x {len(scores)} {kind}, both strands", both, np.repeat(bounds, 2), 2_000_000, device),
    ]


def _motifs() -> tuple[list[np.ndarray], str]:
    """JASPAR's, from $SIGCONV_DATA, or motifs made about as wide and as sharp."""
    found = sorted(Path(os.environ.get("SIGCONV_DATA", "")).glob("jaspar/*_jaspar.txt"))
    if found:
        return [_scores.log_odds(one) for one in files.read(found[0])], "JASPAR motifs"
    rng = np.random.default_rng(0)
    sizes = rng.integers(6, 15, MOTIFS)
    return [_scores.log_odds(rng.dirichlet([0.3] * 4, size).T * 100) for size in sizes], "made motifs"


def _case(name: str, scores: list[np.ndarray], bounds: np.ndarray, length: int, device: str) -> Case:
    """Every runner begins with letters and ends with the number of hits; scores and thresholds are made before."""
    able = np.isfinite(bounds)
    scores, bounds = [one for one, some in zip(scores, able, strict=True) if some], bounds[able]
    letters = LETTERS[np.random.default_rng(0).integers(0, 4, length)].tobytes().decode()
    find = kernel.finder(kernel.plan(scores, bounds), device)
    tokens = lambda: dna.encode(letters).numpy()
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: sum(len(f.start) for f in find(tokens(), length))}
    if device == "cuda":
        runners["torch conv1d"] = _conv1d(scores, bounds, letters, device)
    elif importlib.util.find_spec("lightmotif"):
        runners["lightmotif"] = _lightmotif(scores, bounds, letters)
    if device == "cpu" and importlib.util.find_spec("MOODS"):
        runners["MOODS"] = _moods(scores, bounds, letters)
    work = Work(length, float(length * sum(one.shape[1] for one in scores)))  # letters read, an addition a cell
    return Case(name, runners, 5.0 if len(runners) > 1 else None, work=work)


def _conv1d(scores: list[np.ndarray], bounds: np.ndarray, letters: str, device: str) -> Callable[[], int]:
    """Channels of one-hot letters a piece at a time, in float32; a hit's place and score are fetched, as ours are."""
    reach = max(one.shape[1] for one in scores)
    rows = [np.pad(one, ((0, 0), (0, reach - one.shape[1]))) for one in scores]
    weight = torch.from_numpy(np.maximum(np.stack(rows), IMPOSSIBLE)).float().to(device)
    least = torch.from_numpy(bounds).float().to(device)[:, None]

    def work() -> int:
        tokens, total = dna.encode(letters).to(device), 0
        for first in range(0, len(tokens), PIECE):
            near = tokens[first : first + PIECE + reach - 1].long()
            hot = F.pad(F.one_hot(near, 4).mT.float(), (0, max(PIECE + reach - 1 - len(near), 0)))
            found = F.conv1d(hot[None], weight)[0]
            places = (found >= least).nonzero(as_tuple=True)
            total += len(places[0].cpu())
            places[1].cpu(), found[places].cpu()
        return total

    return work


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
