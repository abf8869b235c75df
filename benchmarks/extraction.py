"""Extraction: trees of small files by one and two processes, against a plain loop over the same library calls"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import sigconv as sc
from sigconv import filters
from sigconv.benchmarks._race import Case
from sigconv.readers import nifti, wav

BANK = "gabor"
FILES = int(os.environ.get("SIGCONV_BENCH_FILES", "1000"))  # of the mixed tree; 10,000 takes some minutes
BAD = 100  # of how many files one is damaged


def cases(device: str) -> list[Case]:
    """Many small files of several kinds, some bad; fewer, larger recordings."""
    place = Path(tempfile.mkdtemp(prefix="sigconv-bench-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    trees = {f"{FILES} small files": small(place / "small"), "16 recordings of 5 min": large(place / "large")}
    return [_case(name, root, place / f"out-{number}", device) for number, (name, root) in enumerate(trees.items())]


def small(root: Path) -> Path:
    """Recordings of a quarter of a second, volumes of 16 voxels a side, arrays; one of a hundred cut short."""
    rng = np.random.default_rng(0)
    for number in range(FILES):
        folder = root / f"{number % 20:02}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"f{number:05}"
        if number % 4 < 2:
            _wave(path.with_suffix(".wav"), rng, 4000)
        elif number % 4 == 2:
            nifti.write(f"{path}.nii.gz", rng.normal(size=(16, 16, 16)).astype("float32"), np.eye(4))
        else:
            np.save(f"{path}.npy", rng.normal(size=(40, 40)).astype("float32"))
        if number % BAD == BAD // 2:
            (made,) = folder.glob(f"{path.name}.*")
            made.write_bytes(made.read_bytes()[:77])
    return root


def large(root: Path) -> Path:
    """Recordings of 5 minutes at 16 kHz."""
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(16):
        _wave(root / f"r{number:02}.wav", rng, 5 * 60 * 16000)
    return root


def _wave(path: Path, rng: Any, n: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((rng.normal(size=n) * 3000).astype("<i2").tobytes())


def _case(name: str, root: Path, out: Path, device: str) -> Case:
    def ours(jobs: int) -> Callable[[], Any]:
        def run() -> Any:
            shutil.rmtree(out, ignore_errors=True)
            result = sc.extract(BANK, root, out, jobs=jobs, device=device)
            return np.array([result.done])

        return run

    def again() -> Any:
        return np.array([sc.extract(BANK, root, out.with_name(f"{out.name} again"), device=device).done])

    def loop() -> Any:
        shutil.rmtree(out, ignore_errors=True)
        return np.array([plain(root, out, device)])

    runners = {"extract, 2 jobs": ours(2), "plain loop": loop, "extract, 1 job": ours(1), "again, all done": again}
    return Case(f"{name}, {BANK}", runners)


def plain(root: Path, out: Path, device: str) -> int:
    """What one would write without us: a loop, np.save, no care."""
    banks: dict[Any, Any] = {}
    done = 0
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        with contextlib.suppress(ValueError, OSError):
            x, fs, affine = _read(path)
            key = (x.ndim, fs)
            if key not in banks:
                banks[key] = filters.build(BANK, x.ndim, fs).to(device)
            y = banks[key](x[None, None], output="magnitude", padding_mode="symmetric")[0]
            target = out / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            if affine is None:
                np.save(target.with_suffix(".npy"), y)
            else:
                nifti.write(target, y, affine, channels=True)
            done += 1
    return done


def _read(path: Path) -> tuple[np.ndarray, Any, Any]:
    if path.suffix == ".wav":
        x, fs = wav.read(path)
        return x[0], float(fs), None
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False), 1.0, None
    volume = nifti.read(path)
    return volume.data, nifti.rates(volume), volume.affine
