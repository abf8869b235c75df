"""filter-bank features of thousands of files: sigconv extract BANK PATHS… -o DIR"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from sigconv import console
from sigconv.cli import _arguments

USAGE = """usage: sigconv extract BANK PATH… -o DIR [--output W] [--stride S[,S…]] [--padding-mode M] [--pool W[,W…]]
                       [--mask M] [--format F] [--ndim N] [--fs RATE[,RATE…]] [--jobs N] [--device D] [--memory BYTES]
                       [--strict] [--untrusted] [--dask WHERE] [--json] [--debug]

  BANK            a family, or family.function:option=value:option=value (sigconv list names them), for example
                  gabor    gabor.pyramid:wavelengths=4,8:directions=13    auditory.bank:kind=mel:n=40:fmin=50:fmax=7000
                  a file    bank.yaml with `bank: gabor.pyramid` and a line an option
                  a run     the folder of a trained network: its first layer of filters, or RUN:node=NAME
  PATH            files, or folders with all that is below them:
                  .wav .flac .sph           recordings, fs in Hz
                  .nii .nii.gz .mgz .mgh .hdr/.img    scans, samples per mm; times are channels unless --ndim 4
                  .fa .fasta .fna (.gz)     DNA, A C G T as channels, every record
                  .mp4 .avi .mov .mkv .webm videos, grey, along time, y, x
                  .npy, zarr folders        arrays; one axis more than the bank has is channels
                  .png .jpg                 pictures, grey
  -o DIR          features go there, in the same tree: in/a/b.wav becomes DIR/a/b.npy
  --output        magnitude (default), energy, real, imag, complex, auto
  --stride S      every so many samples, one number or one per axis (1)
  --padding-mode  beyond the ends: symmetric (default), reflect, replicate, circular, zeros, constant
  --pool W        statistics over space in place of maps, in one table: mean std max rms energy, q50 and other quantiles
  --mask M        where those are taken: a file for all, or a folder of masks named as the inputs are
  --format F      of maps: npy npz zarr nifti, where a kind has it; of statistics: tsv (default) parquet npy npz
  --ndim, --fs    axes of space and samples per unit, where files do not tell, or tell wrong
  --jobs N        processes (1)
  --memory BYTES  what computing takes in all of them together, such as 2GB (4 GiB, or 512 MiB a process where that is
                  more; 256 MiB a process at least); beside it are each process itself and the file it reads, whole but
                  for .npy, zarr and scans of 32 MiB and more; with --dask it is for each worker
  --device D      cpu (default) or cuda
  --untrusted     files are decoded in a process of little memory
  --strict        stop with 1 at the first file that fails
  --dask WHERE    workers of dask: local:N, slurm, or a scheduler's address, tcp://host:8786
  --json          one JSON object on the last line of stdout

DIR/manifest.jsonl has a line an input (size, SHA-256, shape, axes, units, error), failures.jsonl those that failed,
extraction.json the bank. Killed at any time, it goes on when called again, and does only what is new or has changed.
Exit codes: 0 done, 3 some files failed, 1 the work failed, 2 usage, 130 and 143 stopped by a signal.

  sigconv extract gabor scans/ -o features/ --stride 2 --jobs 4
  sigconv extract auditory.bank:kind=mel:n=40:fmin=50:fmax=7000 speech/ -o table/ --pool mean,std,q95
  sigconv extract gabor.pyramid:wavelengths=4,8:directions=13 sub-*/anat -o out --pool energy --mask masks/"""

EVERY = 10.0  # seconds between lines of progress, where there is no terminal


def main(arguments: list[str]) -> int:
    """sigconv extract BANK PATH… -o DIR [--output W] [--stride S] [--pool W,W] [--jobs N] …"""
    if {"--help", "-h"} & set(arguments) or not arguments:
        console.show(USAGE)
        return 0 if arguments else 2
    options, bank, paths = _read(arguments)
    from sigconv import extraction

    json, dask, out = options.pop("json"), options.pop("dask"), options.pop("out")
    worked = False
    try:
        with _cluster(dask) as client, _told() as report:

            def heard(now: extraction.Progress) -> None:
                nonlocal worked
                worked = now.done > 0
                report(now)

            result = extraction.extract(bank, paths, out, client=client, report=heard, **options)
    except (ValueError, TypeError) as error:
        if isinstance(error, extraction.StrictError) or (worked and not isinstance(error, extraction.NoBankError)):
            raise
        raise console.UsageError(console.one_line(error)) from None
    if json:
        console.answer({"bank": bank, **result.record()})
    else:
        counts = {name: getattr(result, name) for name in ("done", "unchanged", "failed", "passed")}
        console.show("  ".join(f"{name} {value}" for name, value in counts.items()) + f"  {out}")
    if result.failed:
        first = result.failures[0]["reason"]
        console.say(f"{result.failed} of {result.inputs} files failed (failures.jsonl lists them), the first: {first}")
    return result.code


def _read(arguments: list[str]) -> tuple[dict[str, Any], str, list[str]]:
    """Options as extract takes them, the bank and the paths; or one line that says what is wrong."""
    words = lambda text: [part for part in text.split(",") if part]
    kinds: dict[str, Any] = {"out": str, "output": str, "stride": _arguments.numbers(int), "padding_mode": words}
    kinds |= {"pool": words, "mask": str, "format": str, "ndim": int, "fs": _arguments.numbers(float), "jobs": int}
    kinds |= {"device": str, "memory": str, "strict": False, "untrusted": False, "dask": str}
    behind = arguments.index("--") if "--" in arguments else len(arguments)
    options, found = _arguments.read(arguments[:behind], kinds, {"-o": "--out"})
    found += arguments[behind + 1 :]
    if not found:
        raise console.UsageError("extract takes a BANK and PATHs: sigconv extract gabor scans/ -o features/")
    bank, *paths = found
    if not paths:
        raise console.UsageError(f"of which files? sigconv extract {bank} PATH… -o DIR")
    for path in paths:
        if not os.path.lexists(path):
            raise console.UsageError(f"{path!r} is not there")
    if not options["out"]:
        raise console.UsageError("where to? -o DIR")
    if os.path.lexists(options["out"]) and not os.path.isdir(options["out"]):
        raise console.UsageError(f"-o {options['out']!r} is no folder")
    if options["device"] not in (None, "cpu") and not options["device"].startswith("cuda"):
        raise console.UsageError(f"--device {options['device']!r} is neither cpu nor cuda")
    options.pop("debug")
    return {name: value for name, value in options.items() if value is not None or name == "dask"}, bank, paths


@contextlib.contextmanager
def _cluster(word: str | None) -> Iterator[Any]:
    """The client of --dask, which is closed in the end; None without."""
    if word is None:
        yield None
        return
    from sigconv.extraction import _cluster

    with _cluster.connected(word) as client:
        yield client


@contextlib.contextmanager
def _told() -> Iterator[Callable[[Any], None]]:
    """What tells of progress: a bar on a terminal, else a line every so often."""
    with contextlib.ExitStack() as stack:
        step, total, last = None, 0, time.monotonic()

        def report(now: Any) -> None:
            nonlocal step, total, last
            speed = now.seconds or 1.0
            note = f"{now.done / speed:.1f} files/s {now.bytes / 1e6 / speed:.1f} MB/s"
            note += f" {now.failed} failed" if now.failed else ""
            if sys.stderr.isatty():
                if step is None:
                    step = stack.enter_context(console.progress("extract", now.total))
                step(now.done, note)
            elif time.monotonic() - last >= EVERY:
                last = time.monotonic()
                left = console.duration(now.left)
                console.say(f"{now.done} of {now.total} files, {now.bytes / 1e6:.0f} MB, {note}, {left} left")

        yield report
