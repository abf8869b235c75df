"""BIDS: what a scan's name says, and where what is computed from it belongs.

The standard's own part is strict, as its schema has it: keys of small letters, labels of letters, digits and "+",
indices of digits, the subject first, no key twice, a suffix and an extension. A file named otherwise is a plain one:
None.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sigconv import files

STANDARD = "1.10.0"  # the version of BIDS that derivatives are written by
MOST_BYTES = 1 << 20  # of a description
DESCRIPTION = "dataset_description.json"
INDICES = {"run", "echo", "flip", "inv", "split", "chunk"}  # keys whose values are numbers
DATATYPES = {"anat", "beh", "dwi", "eeg", "fmap", "func", "ieeg", "meg", "micr", "motion", "mrs", "nirs", "perf", "pet"}
USUAL = {"bold": "func", "sbref": "func", "T1w": "anat", "T2w": "anat", "FLAIR": "anat", "dwi": "dwi", "asl": "perf"}
USUAL |= {"pet": "pet", "eeg": "eeg", "meg": "meg", "ieeg": "ieeg"}  # the folder of a suffix, where no folder tells
ORDER = ["sub", "tpl", "ses", "cohort", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec"]
ORDER += ["dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording"]
ORDER += ["chunk", "atlas", "seg", "scale", "res", "den", "label"]
LABEL, WORD = re.compile(r"[0-9a-zA-Z+]+"), re.compile(r"[0-9a-zA-Z]+")
ENDING, FOLDER = re.compile(r"(?:\.[0-9a-zA-Z]+)+"), re.compile(r"(?!\.)[^/\\\0]+")
NAME = re.compile(rf"(sub-{LABEL.pattern}(?:_[a-z]+-{LABEL.pattern})*)_({WORD.pattern})({ENDING.pattern})")


class Name(NamedTuple):
    """A name of the standard: entities by their keys in the name's order, suffix, extension; str() puts it together."""

    entities: dict[str, str]
    suffix: str
    extension: str

    def __str__(self) -> str:
        return "_".join([*(f"{key}-{value}" for key, value in self.entities.items()), self.suffix]) + self.extension


def parse(path: str | os.PathLike[str]) -> Name | None:
    """What a file's name says by BIDS, or None where it is not one of the standard; no file is looked at.

    Source: the BIDS specification's schema (formats, entities).

    >>> name = parse("sub-01_ses-02_task-rest_run-1_bold.nii.gz")
    >>> name.entities["task"], name.suffix, name.extension
    ('rest', 'bold', '.nii.gz')
    >>> parse("hippocampus_001.nii.gz") is None
    True
    """
    found = NAME.fullmatch(os.path.basename(os.fspath(path)))
    if not found:
        return None
    pairs = [part.split("-", 1) for part in found[1].split("_")]
    entities = {pair[0]: pair[1] for pair in pairs}
    whole = all(value.isdigit() for key, value in pairs if key in INDICES)
    return Name(entities, found[2], found[3]) if whole and len(entities) == len(pairs) else None


def derivative(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    *,
    desc: str,
    suffix: str,
    extension: str | None = None,
    pipeline: str | None = "sigconv",
    entities: Mapping[str, str] | None = None,
) -> Path | None:
    """Where what is computed from a scan belongs: under root/derivatives/pipeline, or root where pipeline is None.

    The name keeps the scan's entities, has desc after them, another suffix, and the scan's extension unless another is
    given; the folders are the subject's, the session's, and the kind of data: the one the scan lies in, else the usual
    one of its suffix. entities are more of them, or other values: scans that differ in nothing but their suffix (T1w,
    T2w) need one, as {"mod": "T2w"}. Nothing is written. None for a plain file; ValueError for a desc, suffix,
    extension or pipeline that the standard does not allow.

    >>> path = "in/sub-01/func/sub-01_task-rest_bold.nii.gz"
    >>> derivative(path, "out", desc="gabor", suffix="features", extension=".zarr").as_posix()
    'out/derivatives/sigconv/sub-01/func/sub-01_task-rest_desc-gabor_features.zarr'
    """
    for what, value, kind, rule, wanted in (
        ("desc", desc, "label", LABEL, "letters and digits"),
        ("suffix", suffix, "suffix", WORD, "letters and digits"),
        ("pipeline", "x" if pipeline is None else pipeline, "name of a folder", FOLDER, "one, not hidden"),
    ):
        if not rule.fullmatch(value):
            raise ValueError(f"{what} {value!r} is no {kind}: {wanted}")
    if extension is not None and not ENDING.fullmatch(extension):
        raise ValueError(f"extension {extension!r} does not begin with a point, or holds more than letters and digits")
    name = parse(path)
    if name is None:
        return None
    kept = {key: value for key, value in {**name.entities, **(entities or {})}.items() if key != "desc"}
    if entities:  # one more has its place among them
        kept = {
            key: kept[key] for key in sorted(kept, key=lambda key: ORDER.index(key) if key in ORDER else len(ORDER))
        }
    made = Name({**kept, "desc": desc}, suffix, name.extension if extension is None else extension)
    if parse(str(made)) is None:
        raise ValueError(f"entities {dict(entities or {})!r} make no name of the standard: {str(made)!r}")
    home = Path(root) if pipeline is None else Path(root) / "derivatives" / pipeline
    return home.joinpath(*_folders(path, name), str(made))


def _folders(path: str | os.PathLike[str], name: Name) -> list[str]:
    """The subject's folder, the session's where there is one, the kind of data where it is known."""
    folders = [f"{key}-{name.entities[key]}" for key in ("sub", "ses") if key in name.entities]
    beside = os.path.basename(os.path.dirname(os.path.abspath(path)))
    datatype = beside if beside in DATATYPES else USUAL.get(name.suffix)
    return [*folders, datatype] if datatype else folders


def sidecar(path: str | os.PathLike[str]) -> Path:
    """The JSON file that belongs to a file: the same name, another extension.

    >>> sidecar("a/sub-01_T1w.nii.gz").as_posix()
    'a/sub-01_T1w.json'
    """
    found, name = Path(path), parse(path)
    bare = found.with_suffix("") if found.suffix in (".gz", ".zst") else found
    stem = found.name[: -len(name.extension)] if name else bare.stem
    return found.with_name(f"{stem}.json")


def described(folder: str | os.PathLike[str], name: str, version: str) -> Path:
    """Make a folder of derivatives say what it is, by its dataset_description.json; what is there already stays.

    folder is the pipeline's, root/derivatives/pipeline, and made where it is missing; name and version are the
    program's. Returns the file's path. ValueError, with the file's name, where one is there that describes nothing;
    OSError where it cannot be written.
    """
    path = Path(folder) / DESCRIPTION
    if path.exists():
        _check(path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "Name": f"{name} derivatives",
        "BIDSVersion": STANDARD,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": name, "Version": version}],
    }
    files.write_text(path, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return path


def _check(path: Path) -> None:
    """ValueError unless a file has the two fields every description must have."""
    try:
        told = json.loads(files.read_bytes(path, MOST_BYTES))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not all(isinstance(told.get(key), str) for key in ("Name", "BIDSVersion")):
        raise ValueError(
            f"{os.fspath(path)!r} is no description of a BIDS data set: Name and BIDSVersion are not there"
        )
