"""Filter-bank features of many files: killed at any time it goes on, what is done stays done, bad files are told.

    import sigconv as sc
    result = sc.extract("gabor", ["recordings/"], "features/")

Files of all kinds may lie in one tree; the features' tree mirrors it. On the command line it is `sigconv extract`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from sigconv.extraction._desk import NoBankError as NoBankError
from sigconv.extraction._desk import Report
from sigconv.extraction._desk import StrictError as StrictError
from sigconv.extraction._result import Progress as Progress
from sigconv.extraction._result import Result

__all__ = ["extract"]


def extract(
    bank: Any,
    paths: Any,
    out: str | os.PathLike[str],
    *,
    output: str = "magnitude",
    stride: Any = 1,
    padding_mode: Any = "symmetric",
    pool: Any = None,
    mask: Any = None,
    format: str = "auto",  # noqa: A002
    ndim: int | None = None,
    fs: Any = None,
    jobs: int = 1,
    device: str = "cpu",
    memory: Any = None,
    strict: bool = False,
    untrusted: bool = False,
    client: Any = None,
    report: Report | None = None,
) -> Result:
    """Features of every file in paths, files or folders, by a bank, under the folder out: Result.

    bank          a word (gabor, gabor.pyramid:wavelengths=4,8), a .yaml file (bank: and its options), the folder of a
                  trained run (RUN:node=NAME for one of its layers), a FilterBank or a layer; made for the axes and
                  rates of each file
    output        "magnitude" "energy" "real" "imag" "complex" "auto"; stride and padding_mode are the bank's too
    pool          statistics over space in place of maps: mean std max rms energy q50 …, one or several
    mask          where those are taken: a file for all, or a folder of masks named as the inputs are
    format        of maps npy npz zarr nifti, of what is pooled tsv parquet npy npz; "auto" goes by the kind of file
    ndim, fs      axes of space and samples per unit, where files do not tell or tell wrong
    jobs          processes       device  "cpu", "cuda"        memory  what computing takes in all of them, "2 GB"
    strict        stop at the first file that fails           untrusted  decode files in a process of little memory
    client        a dask.distributed.Client, whose workers do the work
    report        called with a Progress as work goes on

    Recordings (.wav .flac .sph; axis time, fs in Hz), scans (.nii .mgz .hdr …; x y z, samples per mm; times are
    channels unless ndim=4), DNA (.fa …; A C G T as channels, a row a record), videos (grey; time y x), arrays (.npy,
    zarr; one axis more than the bank's is channels) and pictures (grey). Features are float32 (channels·filters,
    *positions), complex64 for output="complex"; in a scan's file they are last.

    out has manifest.jsonl, a line an input, failures.jsonl, a line each that has none, and extraction.json. Called
    again it works on what is new or has changed, by size and SHA-256; features of inputs that are gone, or not given
    this time, stay. Raises ValueError for what cannot be meant, for a folder of another configuration and, if strict,
    for the first bad file; OSError where out is in use or not writable.

    >>> import tempfile
    >>> import numpy as np
    >>> folder = tempfile.mkdtemp()
    >>> os.makedirs(f"{folder}/in/a")
    >>> np.save(f"{folder}/in/a/x.npy", np.zeros((20, 30), np.float32))
    >>> result = extract("gaussian", f"{folder}/in", f"{folder}/out", stride=2)
    >>> result.done, np.load(f"{folder}/out/a/x.npy").shape[1:]
    (1, (10, 15))
    """
    from sigconv.extraction import _config, _run

    named = [paths] if isinstance(paths, str | os.PathLike) else list(paths) if isinstance(paths, Iterable) else paths
    if not named:
        raise ValueError("paths is empty: expected files or folders")
    jobs = _config.whole("jobs", jobs, _run.MOST_JOBS)
    if not isinstance(bank, str | os.PathLike) and (jobs != 1 or client is not None):
        raise ValueError(f"bank {type(bank).__name__} works in this process alone, jobs=1: name it by a word or a file")
    config = _config.of(
        bank,
        output=output,
        stride=stride,
        padding_mode=padding_mode,
        pool=pool,
        mask=mask,
        format=format,
        ndim=ndim,
        fs=fs,
    )
    places = [os.fsdecode(os.fspath(path)) for path in named]
    for path in places:
        if not os.path.lexists(path):
            raise FileNotFoundError(f"{path!r} is not there")
    return _run.run(
        config,
        places,
        os.fsdecode(os.fspath(out)),
        jobs=jobs,
        device=device,
        memory=_config.memory_of(memory, jobs),
        strict=strict,
        untrusted=untrusted,
        client=client,
        report=report,
    )


def __getattr__(name: str) -> Any:
    if name == "NiftiFilterBank":
        from sigconv.extraction._nifti_bank import NiftiFilterBank

        return NiftiFilterBank
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
