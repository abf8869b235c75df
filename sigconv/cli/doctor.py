"""check this machine: versions, devices, every promise of convolution; --calibrate measures its cost table"""

from __future__ import annotations

from pathlib import Path

from sigconv import console
from sigconv.cli import _arguments

USAGE = """usage: sigconv doctor [--calibrate] [--output FILE] [--json] [--debug]

Says what is installed and checks every method of convolution, in every precision, on every device, against sums in
float64. Exit code 0 where all promises are kept, 1 where one is not.

  --calibrate    measure what each method costs here (about two minutes on a quiet machine); method="auto" then
                 goes by this machine's own table, kept in the cache ($SIGCONV_CACHE, else ~/.cache/sigconv)
  --output FILE  write the calibrated table there instead
  --json         one JSON object on the last line of stdout"""


def main(arguments: list[str]) -> int:
    """sigconv doctor [--calibrate] [--output FILE] [--json]"""
    if {"--help", "-h"} & set(arguments):
        console.show(USAGE)
        return 0
    options, words = _arguments.read(arguments, {"calibrate": False, "output": Path})
    if words:
        raise console.UsageError(f"unknown argument {words[0]!r}: doctor takes options only")
    if options["output"] is not None and not options["calibrate"]:
        raise console.UsageError("--output says where a calibrated table goes: add --calibrate")
    return _calibrated(options["output"], options["json"]) if options["calibrate"] else _examined(options["json"])


def _calibrated(output: Path | None, as_json: bool) -> int:
    from sigconv import methods

    path = output or methods.local()
    console.say("measuring every method; let nothing else run meanwhile")
    with console.progress("calibrating", 2 * len(methods.METHODS)) as step:
        found = methods.calibrate(progress=lambda done, of: step(done))
    methods.save(found, path)
    if as_json:
        console.answer({"cost_table": str(path), "seconds": found["seconds"]})
    else:
        console.show(f"cost table written to {path}")
    return 0


def _examined(as_json: bool) -> int:
    from sigconv import doctor

    found = doctor.examine()
    if as_json:
        console.answer(found)
    else:
        console.show(doctor.report(found))
    return 0 if found["healthy"] else 1
