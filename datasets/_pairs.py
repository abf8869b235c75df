"""Scans and their label maps in two folders, one name each: found, held against each other, told of if they do not fit.

{home}/images/{case}.nii.gz, labels/{case}.nii.gz              any case names, any format of readers.nifti
{home}/imagesTr/…, labelsTr/…, imagesTs/… , dataset.json       the Medical Segmentation Decathlon's
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sigconv import files
from sigconv.readers import nifti

ENDINGS = (".nii.gz", ".nii", ".mgz", ".mgh", ".hdr.gz", ".hdr")
FOLDERS = (("images", "labels"), ("imagesTr", "labelsTr"))
TESTED = (("images", "labels"), ("imagesTs", "labelsTs"), ("imagesTr", "labelsTr"))
MOST_LABEL = 254  # 255 is left for what nobody has labelled
MOST_JSON = 16 << 20
APART = 0.1  # of a voxel: how far a label map's corners may lie from its image's


class Case(NamedTuple):
    """A scan, and its label map if there is one."""

    name: str
    image: Path
    label: Path | None


def found(
    home: Path, folders: Sequence[tuple[str, str]] = FOLDERS, *, alone: bool = False
) -> tuple[list[Case], list[tuple[str, str]]]:
    """The pairs of a folder by their names, in order, and what is left over: (name, why). alone: images need no map.

    FileNotFoundError where there is no folder of images, or none in it.
    """
    images, labels = next((pair for pair in folders if (home / pair[0]).is_dir()), ("", ""))
    if not images:
        looked = ", ".join(f"{first}/" for first, _ in folders)
        raise FileNotFoundError(f"{str(home)!r} has none of the folders {looked}: expected scans and their label maps")
    scans, maps = _named(home / images), _named(home / labels)
    if not scans:
        raise FileNotFoundError(
            f"{str(home / images)!r} holds no scans: expected files that end in {', '.join(ENDINGS)}"
        )
    cases = [Case(name, path, maps.get(name)) for name, path in sorted(scans.items()) if alone or name in maps]
    lost = [(name, f"{str(scans[name])!r} has no label map beside it") for name in sorted(scans.keys() - maps.keys())]
    if alone:
        lost = []
    lost += [(name, f"{str(maps[name])!r} has no image beside it") for name in sorted(maps.keys() - scans.keys())]
    return cases, lost


def _named(folder: Path) -> dict[str, Path]:
    """Files by their names without the ending; of one name in two formats the first ending counts."""
    names: dict[str, Path] = {}
    for ending in reversed(ENDINGS):
        for path in sorted(folder.glob(f"*{ending}")):
            if not path.name.startswith("."):
                names[path.name[: -len(ending)]] = path
    return names


def headers(case: Case) -> tuple[nifti.Header, nifti.Header | None]:
    """Both files' headers, once they are found to lie over each other; else ValueError with both names."""
    image = nifti.header(case.image)
    if not 3 <= len(image.shape) <= 4:
        raise ValueError(f"{str(case.image)!r} has shape {image.shape}: expected (x, y, z), or (x, y, z, channels)")
    if image.dtype.kind == "c":
        raise ValueError(f"{str(case.image)!r} is complex: write its magnitude")
    if case.label is None:
        return image, None
    label = nifti.header(case.label)
    both = f"{str(case.image)!r} and its label map {str(case.label)!r}"
    if label.shape[:3] != image.shape[:3] or any(n != 1 for n in label.shape[3:]):
        raise ValueError(f"{both} have shapes {image.shape} and {label.shape}: expected one")
    far = farthest(image.shape[:3], image.affine, label.affine)
    if far > APART:
        raise ValueError(f"{both} lie {far:.3g} voxels apart by their affines: expected {APART} at most")
    return image, label


def farthest(shape: Sequence[int], one: np.ndarray, other: np.ndarray) -> float:
    """How far apart two affines place the corners of a grid, in voxels of the finest axis of the first.

    >>> farthest((3, 3, 3), np.eye(4), np.diag([1.0, 1.0, 1.5, 1.0]))
    1.0
    """
    corners = np.array([[*(n - 1 if k >> a & 1 else 0 for a, n in enumerate(shape)), 1] for k in range(8)], float)
    return float(np.linalg.norm(corners @ (one - other).T, axis=1).max() / nifti.spacing(one).min())


def labels_of(path: Path) -> np.ndarray:
    """A label map as uint8 (x, y, z); ValueError, with the file's name, where values are no labels."""
    data = nifti.read(path).data
    if data.dtype.kind == "c":
        raise ValueError(f"{str(path)!r} is complex: labels are whole numbers from 0 to {MOST_LABEL}")
    data = data.reshape(data.shape[:3])
    low, high = data.min(), data.max()
    if not (low >= 0 and high <= MOST_LABEL and (data.dtype.kind in "biu" or bool((data == np.floor(data)).all()))):
        raise ValueError(f"{str(path)!r} holds {low} to {high}: labels are whole numbers from 0 to {MOST_LABEL}")
    return data.astype(np.uint8)


def named_labels(home: Path, numbers: Iterable[int], usual: Iterable[str] = ()) -> dict[int, str]:
    """What labels of these numbers, of dataset.json, and 0 mean: as that says, else as usual, else their numbers.

    The usual names are of labels 1, 2, …, if the labels are these and as many.

    >>> named_labels(Path("nowhere"), (1, 2)), named_labels(Path("nowhere"), (1,), ("tumour",))
    ({0: 'background', 1: '1', 2: '2'}, {0: 'background', 1: 'tumour'})
    """
    told, names = _told(home / "dataset.json"), ("background", *usual)
    there = sorted({0, *numbers, *told})
    if not told and there == list(range(len(names))):
        told = dict(enumerate(names))
    return {n: told.get(n, str(n) if n else "background") for n in there}


def _told(path: Path) -> dict[int, str]:
    """Labels of a dataset.json, as the Decathlon writes them ("1": "Anterior") or as nnU-Net does ("Anterior": 1)."""
    if not path.is_file():
        return {}
    try:
        entries = json.loads(files.read_bytes(path, MOST_JSON)).get("labels", {})
        pairs = [(key, value) if str(key).isdigit() else (value, key) for key, value in entries.items()]
        names = {int(number): str(name) for number, name in pairs}
    except (ValueError, TypeError, AttributeError, RecursionError):
        names = {-1: ""}
    if not all(0 <= number <= MOST_LABEL for number in names):
        raise ValueError(f"{str(path)!r} does not name labels as a number and a word each, 0 to {MOST_LABEL}")
    return names
