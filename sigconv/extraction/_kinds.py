"""What files extraction reads: one line of KINDS a kind. A newcomer adds a line, and the function it names.

A function takes a file apart into signals, (channels, *space) with the rates of their axes. It reads through a door,
`door(reader, path)`, which is readers.<reader>.read in this process or in a child's.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Door = Callable[..., Any]
METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
LARGE = 1 << 25  # bytes of a scan's file from which on it is read slice by slice
MOST_EMPTY = 1 << 30  # bytes that a zarr array may claim without any chunks,
MOST_PACKED = 1 << 14  # and beyond them for every byte that its chunks hold: nothing that was measured packs so well


class Signal(NamedTuple):
    """One signal of a file: its name within (None where it is the only one), x, fs of each axis, their words and units.

    x is (channels, *space), or (*space); it may lie in its file still. like is a scan's header, whose place in space
    its features keep.
    """

    name: str | None
    x: Any
    fs: tuple[float, ...]
    axes: tuple[str, ...]
    units: tuple[str, ...]
    like: Any = None

    @property
    def space(self) -> tuple[int, ...]:
        """Samples along each axis of space."""
        return tuple(self.x.shape[-len(self.axes) :])

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return 1 if len(self.x.shape) == len(self.axes) else int(self.x.shape[0])

    def values(self) -> Any:
        """All of x, (channels, *space), as a NumPy array of its own."""
        import numpy as np

        found = np.array(self.x[(slice(None),) * len(self.x.shape)], self.x.dtype.newbyteorder("="))
        return found.reshape(self.channels, *self.space)


class Asked(NamedTuple):
    """What the user says of files: how many axes of space, and their rates; None where the files tell."""

    ndim: int | None
    fs: tuple[float, ...] | None
    bank: int | None = None  # axes of a bank that comes in so many alone


class Kind(NamedTuple):
    """A kind of file: how its names end, how it is read, how its features are kept usually, and else."""

    endings: tuple[str, ...]
    signals: Callable[[Door, str, Asked], Iterator[Signal]]
    usual: str
    formats: tuple[str, ...]


def read(reader: str, path: str, **options: Any) -> Any:
    """A file read in this process, by readers.<reader>; zarr is opened, and comes with its attributes."""
    module = importlib.import_module(f"sigconv.readers.{reader}")
    if reader != "zarr":
        return module.read(path, **options)
    array = module.open(path)
    return array, array.attrs


def _sound(door: Door, path: str, asked: Asked) -> Iterator[Signal]:
    """A recording: one axis of time, in Hz."""
    ending = os.path.splitext(path)[1].lower()
    x, fs = door({".flac": "flac", ".sph": "sphere"}.get(ending, "wav"), path)
    _must(asked, 1, "a recording")
    yield Signal(None, x, asked.fs or (float(fs),), ("time",), ("s",))


def _sequences(door: Door, path: str, asked: Asked) -> Iterator[Signal]:
    """Records of DNA: A C G T as channels, an unknown letter a quarter of each."""
    from sigconv.transforms import dna

    _must(asked, 1, "a sequence")
    for name, letters in door("fasta", path):
        x = dna.one_hot(dna.encode(letters).squeeze(0)).numpy()
        yield Signal(name, x, asked.fs or (1.0,), ("position",), ("bp",))


def _scan(door: Door, path: str, asked: Asked) -> Iterator[Signal]:
    """A volume in mm; times and vectors are its channels, unless four axes of space are asked for."""
    import numpy as np

    from sigconv.readers import nifti

    ndim = asked.ndim or asked.bank or 3
    if ndim not in (3, 4):
        raise ValueError(f"{path!r} is a scan, of 3 axes or 4 with time: {ndim} are asked for")
    x = _sliced(path, ndim) if door is read else None
    if x is not None:
        head = x.header
    else:
        volume = door("nifti", path)
        data = volume.data.reshape(*volume.data.shape, *[1] * (ndim - volume.data.ndim))
        channels = np.moveaxis(data, range(ndim, data.ndim), range(data.ndim - ndim))
        x = channels.reshape(-1, *data.shape[:ndim])
        head = nifti.Header(volume.data.shape, volume.data.dtype, volume.affine, volume.meta, 0)
    rates = (*nifti.rates(head), *[1.0] * 4)[:ndim]
    time = head.meta.get("units", ("mm", "sec"))[1]
    units = ("mm", "mm", "mm", "s" if time in nifti.SECONDS else "unknown")[:ndim]
    yield Signal(None, x, asked.fs or rates, ("x", "y", "z", "time")[:ndim], units, head)


def _sliced(path: str, ndim: int) -> Any:
    """A large scan whose voxels stay in its file; None for one that is read whole, small or of more axes."""
    from sigconv.readers import _pairs, nifti

    if os.path.getsize(_pairs.other(path, ".hdr", ".img") or path) < LARGE:
        return None
    if not ndim <= len(nifti.header(path).shape) <= ndim + 1:
        return None
    from sigconv.tiles import _scans

    return _scans.Scan(path, ndim)


def _video(door: Door, path: str, asked: Asked) -> Iterator[Signal]:
    """The frames of a video as grey values from 0 to 1 (ITU-R BT.601); time, then rows and columns."""
    import numpy as np

    _must(asked, 3, "a video")
    frames, fs = door("video", path)
    x = np.zeros((1, *frames.shape[1:]), np.float32)
    for colour, share in zip(frames, (0.299, 0.587, 0.114), strict=True):
        for at in range(len(colour)):  # a frame at a time: no second copy of all
            x[0, at] += np.float32(share / 255) * colour[at]
    yield Signal(None, x, asked.fs or (float(fs), 1.0, 1.0), ("time", "y", "x"), ("s", "pixel", "pixel"))


def _picture(door: Door, path: str, asked: Asked) -> Iterator[Signal]:
    """The grey values of a picture; rows and columns."""
    _must(asked, 2, "a picture")
    x = door("image", path)
    yield Signal(None, x[None], asked.fs or (1.0, 1.0), ("y", "x"), ("pixel", "pixel"))


def _array(door: Door, path: str, asked: Asked) -> Iterator[Signal]:
    """A NumPy file: axes of space, and one of channels before them where there is one more than is asked for."""
    yield _plain(door("npy", path, mmap=True), path, asked, None)


def _chunked(door: Door, path: str, asked: Asked) -> Iterator[Signal]:
    """A zarr array, likewise; it may say its fs."""
    x, attributes = door("zarr", path)
    size = math.prod(x.shape) * x.dtype.itemsize
    needed = -(-max(size - MOST_EMPTY, 0) // MOST_PACKED)
    if (held := _held(path, needed)) < needed:
        raise ValueError(f"{path!r} claims {size} bytes, and its chunks hold {held}: too few to be believed")
    fs: Any = attributes.get("fs")
    good = isinstance(fs, int | float) and 0 < fs < float("inf")
    yield _plain(x, path, asked, float(fs) if good else None)


def _held(path: str, enough: int) -> int:
    """Bytes of a zarr folder's chunks, of all that is not metadata, counted until there are enough."""
    held = 0
    for folder, _, names in os.walk(path) if enough else ():
        for name in names:
            if name not in METADATA:
                held += os.lstat(os.path.join(folder, name)).st_size
                if held >= enough:
                    return held
    return held


def _plain(x: Any, path: str, asked: Asked, fs: float | None) -> Signal:
    ndim = asked.ndim or asked.bank or len(x.shape)
    if not x.shape:
        raise ValueError(f"{path!r} holds one number, which has no axes: there is nothing to filter")
    if len(x.shape) not in (ndim, ndim + 1) or 0 in x.shape:
        raise ValueError(f"{path!r} has shape {tuple(x.shape)}: expected {ndim} axes, or channels before {ndim} axes")
    if x.dtype.kind not in "biufc":
        raise ValueError(f"{path!r} holds {x.dtype}: expected numbers")
    rates = asked.fs or (fs or 1.0,)
    rates = rates * ndim if len(rates) == 1 else rates
    return Signal(None, x, rates, tuple(f"axis{n}" for n in range(ndim)), ("sample" if fs is None else "unit",) * ndim)


def _must(asked: Asked, ndim: int, what: str) -> None:
    """ValueError where another number of axes is asked for than this kind has."""
    if asked.ndim not in (None, ndim):
        raise ValueError(f"{what} has {ndim} axes of space, and {asked.ndim} are asked for")


KINDS = {
    "sound": Kind((".wav", ".flac", ".sph"), _sound, "npy", ("npy", "npz", "zarr")),
    "sequences": Kind(
        tuple(f".{word}{packed}" for word in ("fa", "fasta", "fna") for packed in ("", ".gz")),
        *(_sequences, "npz", ("npz",)),
    ),
    "scan": Kind(
        (".nii", ".nii.gz", ".mgz", ".mgh", ".hdr", ".hdr.gz", ".img", ".img.gz"),
        *(_scan, "nifti", ("nifti", "npy", "npz", "zarr")),
    ),
    "video": Kind((".mp4", ".avi", ".mov", ".mkv", ".webm"), _video, "npy", ("npy", "npz", "zarr")),
    "array": Kind((".npy",), _array, "npy", ("npy", "npz", "zarr")),
    "zarr": Kind((".zarr",), _chunked, "zarr", ("zarr", "npy", "npz")),
    "picture": Kind((".png", ".jpg", ".jpeg"), _picture, "npy", ("npy", "npz", "zarr")),
}
ENDINGS = {ending: name for name, kind in KINDS.items() for ending in kind.endings}
LONGEST = sorted(ENDINGS, key=len, reverse=True)
FORMATS = ("npy", "npz", "zarr", "nifti")  # of feature maps
TABLES = ("tsv", "parquet")  # of pooled features
PACKED = (".gz", ".mgz")  # whose features are packed too


def ending_of(name: str) -> str:
    """The ending by which a file's kind is known, as its name has it; empty for a file of no kind.

    >>> ending_of("sub-01_T1w.NII.gz"), ending_of("notes.txt")
    ('.NII.gz', '')
    """
    small = name.lower()
    found = next((end for end in LONGEST if small.endswith(end) and len(small) > len(end)), "")
    return name[len(name) - len(found) :] if found else ""


def kept_as(kind: str, wanted: str) -> str:
    """The format of a kind's features: the wanted one where the kind has it, else its usual one.

    >>> kept_as("sound", "nifti"), kept_as("scan", "nifti"), kept_as("sound", "auto")
    ('npy', 'nifti', 'npy')
    """
    return wanted if wanted in KINDS[kind].formats else KINDS[kind].usual


def extension(kind: str, wanted: str, ending: str) -> str:
    """What the name of a file's features ends in; scans stay packed if they were."""
    form = kept_as(kind, wanted)
    if form == "nifti":
        return ".nii.gz" if ending.lower().endswith(PACKED) else ".nii"
    return f".{form}"
