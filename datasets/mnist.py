"""MNIST: handwritten digits, 28 x 28 samples of grey; 60,000 to train with and 10,000 to test.

LeCun, Cortes and Burges 1998, in IDX files packed by gzip or not, under their own names. As in the lecture (after
Nielsen) the first 50,000 training images train and the last 10,000, in the file's order, are the validation part.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigconv import console
from sigconv.datasets import _roots
from sigconv.datasets._parts import Bytes, Parts
from sigconv.readers import idx

CLASSES = tuple("0123456789")
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
SHIFTS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))  # where a window begins on an image with a border of one


class Shifted:
    """Every image as it is and moved by one sample up, down, left and right, zeros coming in: item 5 i + k is the
    k-th of image i. The images are kept once, as bytes.
    """

    def __init__(self, digits: Bytes) -> None:
        self.digits, self.classes = digits, digits.classes
        bordered = torch.nn.functional.pad(digits.x[:, 0], (1, 1, 1, 1))
        self.windows = bordered.unfold(1, digits.x.shape[2], 1).unfold(2, digits.x.shape[3], 1)
        self.shifts = torch.tensor(SHIFTS, device=bordered.device)

    def __len__(self) -> int:
        return len(SHIFTS) * len(self.digits)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One image, moved or not, and its digit."""
        x, y = self.batch(torch.tensor([index]))
        return x[0], y[0]

    def batch(self, indices: Tensor, generators: Any = None) -> tuple[Tensor, Tensor]:
        """Many at once, by one gather."""
        indices = indices.to(self.shifts.device)
        image, shift = indices // len(SHIFTS), self.shifts[indices % len(SHIFTS)]
        return self.windows[image, shift[:, 0], shift[:, 1], None] / 255, self.digits.y[image]

    def to(self, device: Any) -> Shifted:
        """The same images on a device."""
        return Shifted(self.digits.to(device))


def load(root: Any = None, *, seed: int = 0, valid: int = 10_000) -> Parts:
    """50,000 images to train with, the last 10,000 of the training file to choose by, 10,000 to test on.

    An item is x float32 (1, 28, 28) in [0, 1] and its digit; .x holds the bytes. root is a folder with mnist/, or that
    folder. The split is the lecture's: seed is taken as every set's load takes it, and not needed. Raises
    FileNotFoundError where there are no files, ValueError for one that cannot be read and for a valid out of range.
    """
    place = _place(root)
    whole, test = (_digits(place, *FILES[part]) for part in ("train", "test"))
    kept = len(whole) - valid
    if not (valid >= 1 and kept >= 1):
        raise ValueError(f"valid {valid} must leave something of {len(whole)} training images: 1 to {len(whole) - 1}")
    places = torch.arange(len(whole))
    return Parts(whole.subset(places[:kept]), whole.subset(places[kept:]), test)


def expanded(train: Bytes) -> Shifted:
    """The training images and their four shifts by one sample: 50,000 become 250,000 (E4)."""
    return Shifted(train)


def _digits(place: Path, images: str, labels: str) -> Bytes:
    x, y = (idx.read(_file(place, name)) for name in (images, labels))
    if x.ndim != 3 or y.ndim != 1 or x.dtype != "uint8" or y.dtype != "uint8" or not len(x) or len(x) != len(y):
        raise ValueError(
            f"{images} {x.shape} of {x.dtype} and {labels} {y.shape} of {y.dtype} under {str(place)!r} are not images "
            "(n, height, width) and their n digits, as bytes"
        )
    if y.max() > 9:
        raise ValueError(f"{labels} under {str(place)!r} holds {y.max()}: expected digits 0 to 9")
    return Bytes(torch.from_numpy(x)[:, None], torch.from_numpy(y).long(), CLASSES)


def _file(place: Path, name: str) -> Path:
    """The file of that name, packed or not."""
    for ending in (".gz", ""):
        if (place / (name + ending)).exists():
            return place / (name + ending)
    raise FileNotFoundError(f"data set 'mnist' under {str(place)!r} has no {name}.gz and no {name}")


def _place(root: Any) -> Path:
    """The folder of the four files: under the root or $SIGCONV_DATA, else the cache, filled where it is not yet."""
    around = os.environ.get("SIGCONV_DATA")
    if root is not None or (around and (Path(around) / "mnist").exists()):
        return _roots.find("mnist", root, "mnist.toml")
    return _fetched(around)


def _fetched(around: str | None) -> Path:
    """The official four files in the cache, each refused if its SHA-256 is not the manifest's."""
    import pooch

    facts = tomllib.loads((Path(__file__).parent / "mnist.toml").read_text(encoding="utf-8"))
    cache = _roots.cached("mnist")
    pooch.get_logger().setLevel("WARNING")  # what goes wrong is said below, in one line
    try:
        for name, digest in facts["sha256"].items():
            pooch.retrieve(facts["url"] + name, known_hash=f"sha256:{digest}", path=cache, fname=name)
    except Exception as error:  # whatever went wrong on the way, the user needs to know the ways
        why = console.one_line(error, 200)
        set_to = f"nothing of it under SIGCONV_DATA={around}" if around else "SIGCONV_DATA is not set"
        raise FileNotFoundError(
            f"data set 'mnist' is not at hand: no --data-root given, {set_to}, the cache {str(cache)!r} has none, and "
            f"{facts['url']} could not be fetched from ({why})"
        ) from None
    return cache
