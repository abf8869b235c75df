"""Extraction: trees of small files by one and two processes, against a plain loop over the same library calls"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sigconv as sc
from sigconv import files, filters
from sigconv.benchmarks import _trees
from sigconv.benchmarks._race import Case
from sigconv.readers import fasta, flac, image, nifti, npy, sphere, video, wav, zarr
from sigconv.transforms import dna

BANK = "gabor"
FILES = int(os.environ.get("SIGCONV_BENCH_FILES", "1000"))  # of the mixed tree; 10,000 takes some minutes
SOUNDS = {".wav": wav, ".flac": flac, ".sph": sphere}


def cases(device: str) -> list[Case]:
    """Many small files of every kind, a hundredth of them bad; fewer, longer recordings. Both anew, and again."""
    place = Path(tempfile.mkdtemp(prefix="sigconv-bench-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    _trees.small(place / "small", FILES)
    _trees.large(place / "large")
    trees = {f"{FILES} files": place / "small", "16 recordings of 5 min": place / "large"}
    return [
        case
        for name, root in trees.items()
        for case in _cases(f"{name}, {_trees.size(root) / 1e6:.0f} MB", root, place / f"out of {root.name}", device)
    ]


def _cases(name: str, root: Path, out: Path, device: str) -> list[Case]:
    """Two processes and one against the loop, and what is done already against the first time."""

    def ours(jobs: int) -> Callable[[], Any]:
        def run() -> Any:
            shutil.rmtree(out, ignore_errors=True)
            return np.array([sc.extract(BANK, root, out, jobs=jobs, device=device).done])

        return run

    def loop() -> Any:
        shutil.rmtree(out, ignore_errors=True)
        return np.array([plain(root, out, device)])

    def again() -> Any:
        return np.array([sc.extract(BANK, root, out.with_name(f"{out.name} again"), device=device).done])

    anew = {"extract, 2 jobs": ours(2), "plain loop": loop, "extract, 1 job": ours(1)}
    return [
        Case(name, anew, goal=1.7),
        Case(f"{name}, again", {"all done": again, "first time, 1 job": ours(1)}, goal=10),
    ]


@torch.no_grad()
def plain(root: Path, out: Path, device: str) -> int:
    """What one would write without us: read, filter, save, and go on where a file is bad; how many were good."""
    banks: dict[Any, Any] = {}
    done = 0
    for path in sorted(root.glob("*/*")):
        if path.suffix == ".img":  # read with its header
            continue
        with contextlib.suppress(ValueError, OSError):
            signals, fs, affine = read(path)
            maps = {}
            for name, x in signals.items():
                key = (x.ndim - 1, fs)
                if key not in banks:
                    banks[key] = filters.build(BANK, *key).to(device)
                maps[name] = banks[key](x[None], output="magnitude", padding_mode="symmetric")[0]
            target = out / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            save(target, maps, affine)
            done += 1
    return done


def read(path: Path) -> tuple[dict[str, np.ndarray], Any, Any]:
    """The signals of a file by their names, (channels, *space), their fs, and where a scan lies."""
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if ending in SOUNDS:
        x, fs = SOUNDS[ending].read(path)
        return {"": x}, float(fs), None
    if ending == ".fa":
        return {name: dna.one_hot(dna.encode(letters)).numpy() for name, letters in fasta.read(path)}, 1.0, None
    if ending in (".nii", ".mgz", ".hdr"):
        volume = nifti.read(path)
        return {"": volume.data[None]}, nifti.rates(volume), volume.affine
    if ending == ".avi":
        frames, fs = video.read(path)
        grey = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32) / 255, frames.astype(np.float32), 1)
        return {"": grey[None]}, (float(fs), 1.0, 1.0), None
    reader = {".npy": npy, ".png": image, ".zarr": zarr}[ending]
    return {"": reader.read(path)[None]}, 1.0, None


def save(target: Path, maps: dict[str, Any], affine: Any) -> None:
    """Features in the format that extraction keeps those of this kind in."""
    bare = str(target.with_name(target.name.partition(".")[0]))
    if target.suffix == ".zarr":
        from zarr import create_array

        create_array(store=f"{bare}.zarr", data=maps[""])
    elif affine is not None:
        with files.Group() as group:  # no scan is synced: what np.save writes is not either
            nifti.write(
                f"{bare}.nii{'.gz' if target.suffix in ('.gz', '.mgz') else ''}", maps[""], affine, channels=True
            )
        os.replace(*group.pending[0])
    elif "" not in maps:
        np.savez(f"{bare}.npz", **maps)
    else:
        np.save(f"{bare}.npy", maps[""])
