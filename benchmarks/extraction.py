"""Extraction: trees of small files by one and two processes, against a plain loop over the same library calls"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sigconv import files, filters
from sigconv.benchmarks import _trees
from sigconv.benchmarks._race import Case
from sigconv.readers import fasta, flac, image, nifti, npy, sphere, video, wav, zarr
from sigconv.transforms import dna

CPU_ONLY = "its work is files and processes"
BANKS = {"files": "gabor", "recordings": "auditory.bank:kind=erb:n=32:fmin=80:fmax=7000"}
FILES = int(os.environ.get("SIGCONV_BENCH_FILES", "1000"))  # of the mixed tree; 10,000 takes ten minutes
RECORDINGS = max(FILES // 50, 1)
POOLED = max(FILES // 125, 1)  # recordings of which every sample is answered, and means and deviations are kept
SOUNDS = {".wav": wav, ".flac": flac, ".sph": sphere}


def cases(device: str) -> list[Case]:
    """Many small files of every kind, a hundredth of them bad; fewer, longer recordings. All anew, and again."""
    place = Path(tempfile.mkdtemp(prefix="sigconv-bench-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    _trees.small(place / "small", FILES)
    _trees.large(place / "large", RECORDINGS)
    _trees.large(place / "pooled", POOLED)
    found = []
    for name, folder, bank, stride, pool in [
        (f"{FILES} files", "small", "files", 1, False),
        (f"{RECORDINGS} recordings of 5 min, 100 answers a second", "large", "recordings", 160, False),
        (f"{POOLED} recordings of 5 min, mean and deviation of all", "pooled", "recordings", 1, True),
    ]:
        told = f"{name}, {_trees.size(place / folder) / 1e6:.0f} MB"
        found += _cases(told, place / folder, BANKS[bank], stride, pool, device)
    return found


def _cases(name: str, root: Path, bank: str, stride: int, pool: bool, device: str) -> list[Case]:
    """Two processes against the loop, and what is done already against the first time, by one process.

    All of them are commands of their own, which begin by loading what they need.
    """
    out, done = root.with_name(f"out of {root.name}"), root.with_name(f"done of {root.name}")

    def ours(to: Path, jobs: int) -> np.ndarray:
        options = ["--stride", stride, "--jobs", jobs, "--device", device, "--json"]
        options += ["--pool", "mean,std"] if pool else []
        told = _command("-m", "sigconv", "extract", bank, root, "-o", to, *options)
        return np.array([json.loads(told)["done"]])

    def anew(jobs: int) -> Callable[[], np.ndarray]:
        def run() -> np.ndarray:
            shutil.rmtree(out, ignore_errors=True)
            return ours(out, jobs)

        return run

    def loop() -> np.ndarray:
        shutil.rmtree(out, ignore_errors=True)
        call = (
            f"print(extraction.plain(Path({str(root)!r}), Path({str(out)!r}), {device!r}, {bank!r}, {stride}, {pool}))"
        )
        told = _command("-c", f"from pathlib import Path; from sigconv.benchmarks import extraction; {call}")
        return np.array([int(told)])

    return [
        Case(name, {"extract, 2 jobs": anew(2), "plain loop": loop}, goal=1.7),
        Case(f"{name}, again", {"all done": lambda: ours(done, 1), "first time, 1 job": anew(1)}, goal=10),
    ]


def _command(*words: Any) -> str:
    """The last line that a Python of its own prints; 3 is the exit code where some files are bad."""
    done = subprocess.run([sys.executable, *map(str, words)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"exit code {done.returncode} of {' '.join(map(str, words))}")
    return done.stdout.splitlines()[-1]


@torch.no_grad()
def plain(root: Path, out: Path, device: str, bank: str = BANKS["files"], stride: int = 1, pool: bool = False) -> int:
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
                    banks[key] = filters.build(bank, *key).to(device)
                maps[name] = banks[key](x[None], output="magnitude", padding_mode="symmetric", stride=stride)[0]
                if pool:
                    space = tuple(range(1, maps[name].ndim))
                    maps[name] = np.stack([maps[name].mean(space), maps[name].std(space)])
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
