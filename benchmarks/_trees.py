"""Trees of files to extract from: small ones of every kind that is read, some damaged, and fewer, longer recordings."""

from __future__ import annotations

import gzip
import importlib.util
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sigconv import console
from sigconv.readers import nifti, video

SHARES = {  # of a hundred files
    ".wav": 40, ".flac": 5, ".sph": 5, ".fa": 4, ".fa.gz": 3, ".nii": 5, ".nii.gz": 10, ".mgz": 3, ".hdr": 3,
    ".npy": 10, ".png": 9, ".zarr": 2, ".avi": 1,
}  # fmt: skip
NEEDS = {".flac": "soundfile", ".png": "PIL", ".zarr": "zarr", ".avi": "av"}
STEP = 37  # from one file's kind to the next one's: kinds lie mixed in every folder

Rng = Any


def small(root: Path, count: int, bad: int = 100) -> list[Path]:
    """Files of all kinds that this machine can write, each with its own content; one of so many damaged: which ones."""
    for ending in SHARES:
        if not written(ending):
            console.say(f"no {ending} files in the tree: {NEEDS[ending]} is not installed")
    endings = [end for end, share in SHARES.items() for _ in range(share) if written(end)]
    rng, damaged = np.random.default_rng(0), []
    for number in range(count):
        ending = endings[number * STEP % len(endings)]
        path = root / f"{number % 20:02}" / f"f{number:05}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        MAKERS[ending](path, rng)
        if number % bad == number // bad % bad:  # another place in each round, so that every kind has its turn
            _damage(path)
            damaged.append(path)
    return damaged


def written(ending: str) -> bool:
    """Whether this machine can write files of this kind."""
    return ending not in NEEDS or importlib.util.find_spec(NEEDS[ending]) is not None


def large(root: Path, count: int) -> None:
    """Recordings of 5 minutes at 16 kHz."""
    (root / "all").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        _wave(root / "all" / f"r{number:04}.wav", rng, 5 * 60 * 16000)


def size(root: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def _damage(path: Path) -> None:
    """Cut a file short, or what describes a zarr array; behind the cut is a byte that no format has, DNA neither."""
    file = path / "zarr.json" if path.is_dir() else path
    file.write_bytes(file.read_bytes()[:77] + b"\0")


def _sound(rng: Rng, n: int = 4000) -> np.ndarray:
    return (rng.normal(size=n) * 3000).astype("<i2")


def _wave(path: Path, rng: Rng, n: int = 4000) -> None:
    """A quarter of a second, as most recordings here."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(_sound(rng, n).tobytes())


def _flac(path: Path, rng: Rng) -> None:
    import soundfile

    soundfile.write(path, _sound(rng), 16000)


def _sphere(path: Path, rng: Rng) -> None:
    said = "NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i 4000\nsample_rate -i 16000\nsample_n_bytes -i 2\n"
    said += "sample_byte_format -s2 01\nsample_coding -s3 pcm\nend_head\n"
    path.write_bytes(said.encode().ljust(1024) + _sound(rng).tobytes())


def _records(path: Path, rng: Rng) -> None:
    """Two records of 300 letters."""
    text = "".join(f">r{n}\n{''.join(rng.choice(list('ACGT'), 300))}\n" for n in range(2)).encode()
    path.write_bytes(gzip.compress(text, 1) if path.suffix == ".gz" else text)


def _voxels(rng: Rng) -> np.ndarray:
    return rng.normal(size=(16, 16, 16)).astype(np.float32)


def _nifti(path: Path, rng: Rng) -> None:
    """A volume of 16 voxels a side: one is written with care, for its header; .hdr has its voxels in .img."""
    head, values = _header(path.parent), _voxels(rng).tobytes()
    if path.suffix == ".hdr":
        head[108:112], head[344:348] = bytes(4), b"ni1\0"  # where the voxels begin, and that they lie elsewhere
        path.write_bytes(head[:348])
        path.with_suffix(".img").write_bytes(values)
    else:
        path.write_bytes(gzip.compress(head + values, 1) if path.suffix == ".gz" else head + values)


def _header(folder: Path) -> bytearray:
    """The 352 bytes before the voxels, the same for all."""
    if not _HEADS:
        path = folder / "head.nii"
        nifti.write(path, np.zeros((16, 16, 16), np.float32), np.eye(4))
        _HEADS.append(path.read_bytes()[:352])
        path.unlink()
    return bytearray(_HEADS[0])


_HEADS: list[bytes] = []


def _freesurfer(path: Path, rng: Rng) -> None:
    head = np.array([1, 16, 16, 16, 1, 3, 0], ">i4").tobytes() + np.array([1], ">i2").tobytes()
    place = np.array([1, 1, 1, *np.eye(3).ravel(), 0, 0, 0], ">f4").tobytes()
    path.write_bytes(gzip.compress((head + place).ljust(284, b"\0") + _voxels(rng).astype(">f4").tobytes(), 1))


def _array(path: Path, rng: Rng) -> None:
    np.save(path, rng.normal(size=(40, 40)).astype(np.float32))


def _picture(path: Path, rng: Rng) -> None:
    from PIL import Image

    Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(path)


def _chunked(path: Path, rng: Rng) -> None:
    import zarr

    zarr.create_array(store=str(path), data=rng.normal(size=(40, 40)).astype(np.float32), chunks=(20, 40))


def _film(path: Path, rng: Rng) -> None:
    video.write(path, rng.integers(0, 255, (3, 8, 16, 16), np.uint8), 25)


MAKERS: dict[str, Callable[[Path, Rng], None]] = {
    ".wav": _wave, ".flac": _flac, ".sph": _sphere, ".fa": _records, ".fa.gz": _records, ".nii": _nifti,
    ".nii.gz": _nifti, ".mgz": _freesurfer, ".hdr": _nifti, ".npy": _array, ".png": _picture, ".zarr": _chunked,
    ".avi": _film,
}  # fmt: skip
