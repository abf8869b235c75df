"""bedGraph: a number for every place of a genome, as browsers draw it: `chrom start end value`, from 0."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from sigconv import files


def write(
    path: str | os.PathLike[str], tracks: Iterable[tuple[str, int, Any]], *, name: str = "", description: str = ""
) -> None:
    r"""Write (chrom, start, values) each, values[i] that of place start + i; equal neighbours become one line.

    values are one-dimensional, an array or what becomes one; places where they are NaN are left out. A name or a
    description makes the first line, for browsers. Numbers are the shortest that read back as the same float32, or
    float64 where that is what values are. The file is there whole or not at all. Raises ValueError for a chromosome or
    a name that cannot stand in the file, a start below 0, and values that are infinite or not of one dimension.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.bedGraph"
    >>> write(path, [("chr1", 10, [0.5, 0.5, float("nan"), 2])])
    >>> print(path.read_text().expandtabs(6), end="")
    chr1  10    12    0.5
    chr1  13    14    2.0
    """
    with files.writing(path) as file:
        if name or description:
            file.write(f"track type=bedGraph{_quoted('name', name)}{_quoted('description', description)}\n".encode())
        for chrom, start, values in tracks:
            if len(chrom.split()) != 1 or not chrom.isprintable():
                raise ValueError(f"chromosome {chrom[:60]!r} is not one printable word")
            if start < 0:
                raise ValueError(f"{chrom}: start {start} must not be below 0")
            file.write(_lines(chrom, start, np.asarray(values)).encode())


def _lines(chrom: str, start: int, values: np.ndarray) -> str:
    if values.ndim != 1:
        raise ValueError(f"{chrom}: values {values.shape} must have one dimension")
    values = values if values.dtype == np.float32 else values.astype(np.float64)
    if np.isinf(values).any():
        raise ValueError(f"{chrom}: value {values[np.isinf(values)][0]} at {start + int(np.isinf(values).argmax())}")
    begins = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)  # NaN differs from all
    ends = np.append(begins[1:], len(values))[: len(begins)]
    runs = [(b, e, values[b]) for b, e in zip(begins.tolist(), ends.tolist(), strict=True) if not np.isnan(values[b])]
    return "".join(f"{chrom}\t{start + b}\t{start + e}\t{value!s}\n" for b, e, value in runs)


def _quoted(field: str, text: str) -> str:
    if not text.isprintable() or '"' in text:
        raise ValueError(f"{field} {text[:60]!r} must be printable, without quotes")
    return f' {field}="{text}"' if text else ""
