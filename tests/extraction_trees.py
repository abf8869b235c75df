"""Trees of small files of every kind, good and bad, and what an extraction made of them."""

from __future__ import annotations

import hashlib
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np

from sigconv.readers import nifti

BANK = "gaussian.bank:sigma=2"


def sound(path: Path, n: int = 600, seed: int = 0, channels: int = 1, fs: int = 8000) -> None:
    """A recording of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x = (np.random.default_rng(seed).normal(size=(n, channels)) * 3000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(fs)
        file.writeframes(x.tobytes())


def scan(path: Path, shape: tuple[int, ...] = (7, 8, 9), seed: int = 0) -> None:
    """A volume of noise, its voxels 1 x 2 x 1.5 mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nifti.write(path, np.random.default_rng(seed).normal(size=shape).astype("float32"), np.diag([1, 2, 1.5, 1]))


def array(path: Path, shape: tuple[int, ...] = (20, 30), seed: int = 0, dtype: str = "float32") -> None:
    """Noise as NumPy keeps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, (10 * np.random.default_rng(seed).normal(size=shape)).astype(dtype))


def small(root: Path, number: int = 20, bad: bool = True) -> Path:
    """A tree of the kinds that need nothing but the core, with some bad files and one of no kind."""
    for seed in range(number):
        sound(root / "speech" / f"s{seed % 3}" / f"w{seed:03}.wav", seed=seed, channels=1 + seed % 2)
    scan(root / "scans" / "sub-01.nii.gz")
    scan(root / "scans" / "sub-02.nii", (7, 8, 9, 2))
    array(root / "arrays" / "a.npy")
    (root / "dna.fa").write_text(">one the first\nACGTACGTNNAC\n>two\nGGGTTTAACC\n")
    (root / "notes.txt").write_text("of no kind")
    if bad:
        (root / "speech" / "cut.wav").write_bytes((root / "speech" / "s0" / "w000.wav").read_bytes()[:99])
        (root / "scans" / "torn.nii.gz").write_bytes((root / "scans" / "sub-01.nii.gz").read_bytes()[:200])
    return root


def tree(folder: Path) -> dict[str, Any]:
    """Every file below a folder by its name, with a digest of its content; locks are empty ones."""
    found = {}
    for place, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                found[os.fsdecode(os.path.relpath(path, os.fsencode(folder)))] = hashlib.sha256(file.read()).hexdigest()
    return found


def times(folder: Path) -> dict[str, tuple[int, int]]:
    """When every file was written last, and which it is."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}
