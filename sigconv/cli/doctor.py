"""check this machine: versions, devices, golden values, every promise; --calibrate measures its cost table"""

from __future__ import annotations

from pathlib import Path

from sigconv import console
from sigconv.cli import _arguments, _outputs

USAGE = """usage: sigconv doctor [--strict] [--calibrate] [--device D] [--output FILE] [--json] [--debug]

Says what is installed and in what state torch, the disks and the caches are. Compares convolutions and filter banks
with answers that are written down, and every method of convolution with sums in float64: in every precision, on every
device. The page is made to be pasted into a bug report. Exit code 0 where all numbers are right, 1 where one is not.

  --strict       exit with 1 for a warning too: a known-bad version, TF32, a full disk, …
  --calibrate    measure what each method costs here (about two minutes on a quiet machine); method="auto" then
                 goes by this machine's own table, kept in the cache ($SIGCONV_CACHE, else ~/.cache/sigconv)
  --device D     what is measured: cpu (default), or cuda, whose prices are kept under the GPU's name
  --output FILE  write the calibrated table there instead
  --json         one JSON object on the last line of stdout

In a program whose numbers are strange, look into that very process:
  from sigconv import doctor; print(doctor.report(doctor.examine()))"""


def main(arguments: list[str]) -> int:
    """sigconv doctor [--strict] [--calibrate] [--device D] [--output FILE] [--json]"""
    if {"--help", "-h"} & set(arguments):
        console.show(USAGE)
        return 0
    options, words = _arguments.read(arguments, {"strict": False, "calibrate": False, "device": str, "output": Path})
    if words:
        raise console.UsageError(f"unknown argument {words[0]!r}: doctor takes options only")
    if options["output"] is not None and not options["calibrate"]:
        raise console.UsageError("--output says where a calibrated table goes: add --calibrate")
    if options["device"] is not None and not options["calibrate"]:
        raise console.UsageError("--device says what is measured, and all devices are examined: add --calibrate")
    if options["strict"] and options["calibrate"]:
        raise console.UsageError("--strict is about what doctor finds: leave out --calibrate, which only measures")
    if options["calibrate"]:
        return _calibrated(options["device"] or "cpu", options["output"], options["json"])
    return _examined(options["strict"], options["json"])


def _calibrated(device: str, output: Path | None, as_json: bool) -> int:
    if device not in ("cpu", "cuda"):
        raise console.UsageError(f"--device {device!r} is neither cpu nor cuda")
    import torch

    from sigconv import methods

    if device == "cuda" and not torch.cuda.is_available():
        raise console.UsageError("--device cuda: torch finds no CUDA device here")

    _outputs.place(output, "--output")
    path = output or methods.local()
    console.say("measuring every method; let nothing else run meanwhile")
    with console.progress("calibrating", 100) as step:
        found = methods.calibrate(device, progress=lambda done, of: step(100 * done // of))
    methods.save(found, path)
    if as_json:
        console.answer({"cost_table": str(path), "seconds": found["seconds"]})
    else:
        console.show(f"cost table written to {path}")
    return 0


def _examined(strict: bool, as_json: bool) -> int:
    from sigconv import doctor

    with console.progress("checking", 100) as step:
        found = doctor.examine(progress=lambda done, of: step(100 * done // of))
    if as_json:
        console.answer(found)
    else:
        console.show(doctor.report(found))
    return 0 if found["healthy"] and not (strict and found["warnings"]) else 1
