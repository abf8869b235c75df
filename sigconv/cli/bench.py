"""race convolution against its peers, side by side in one process: sigconv bench [NAME …]"""

from __future__ import annotations

import datetime
import importlib
import json
from pathlib import Path
from typing import Any

from sigconv import console
from sigconv.cli import _arguments, _discover, _outputs

USAGE = """usage: sigconv bench [NAME …] [--repeats N] [--only WORDS] [--device D] [--output FILE] [--json] [--debug]

{table}

Ours and every peer that is installed run in turn, again and again, in one process; a ratio is the best peer's time over
ours, median of the repeats with the least and the most. Answers are compared, and cases with each other: more work that
takes less time is pointed out. Other processes on the machine disturb: repeat, and distrust surprises.

  NAME           which set of cases (all, if none is named)
  --repeats N    rounds that count (5)
  --only WORDS   cases whose name holds these words
  --device       cpu (default) or cuda
  --output FILE  write all figures there as JSON
  --json         one JSON object on the last line of stdout"""


def main(arguments: list[str]) -> int:
    """sigconv bench [NAME …] [--repeats N] [--only WORDS] [--device D] [--output FILE] [--json]"""
    sets = _discover.files("benchmarks")
    if {"--help", "-h"} & set(arguments):
        console.show(USAGE.format(table=_discover.table("benchmarks")))
        return 0
    options, names = _read(arguments, list(sets))
    from sigconv.benchmarks import _race

    _outputs.place(options["output"] or None, "--output")
    found, records = [], []
    for name in names or list(sets):
        cases = importlib.import_module(f"sigconv.benchmarks.{name}").cases(options["device"])
        cases = [case for case in cases if options["only"] in case.name]
        with console.progress(name, len(cases)) as step:
            told = lambda number, result, step=step: step(number, result.case)
            for result in _race.run(cases, options["repeats"], options["device"], told):
                found.append(result)
                records.append({"set": name} | result.record())
                console.say(_race.table([result]).splitlines()[1])
    if not found:
        raise console.UsageError(f"--only {options['only']!r} matches no case")
    answer = {"results": records} | _machine(options)
    if options["output"]:
        from sigconv import files

        files.write_text(Path(options["output"]), json.dumps(console.plain(answer), indent=1) + "\n")
    if options["json"]:
        console.answer(answer)
    else:
        console.show(_race.table(found))
    return 0


def _read(arguments: list[str], sets: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Options and names, or one line that says what is wrong."""
    kinds = {"repeats": int, "only": str, "device": str, "output": str}
    given, names = _arguments.read(arguments, kinds)
    options: dict[str, Any] = {"repeats": 5, "only": "", "device": "cpu"} | {
        k: v for k, v in given.items() if v is not None
    }
    options = {"output": None} | options
    for name in names:
        if name not in sets:
            raise console.UsageError(f"unknown argument {name!r}: {console.nearest(name, sets)}")
    if options["repeats"] < 1:
        raise console.UsageError(f"--repeats {options['repeats']} must be at least 1")
    if options["device"] not in ("cpu", "cuda"):
        raise console.UsageError(f"--device {options['device']!r} is neither cpu nor cuda")
    if options["device"] == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise console.UsageError("--device cuda: torch finds no CUDA device here")
    return options, names


def _machine(options: dict[str, Any]) -> dict[str, Any]:
    """Where the figures come from."""
    import torch

    from sigconv import __version__, doctor, methods

    device = torch.cuda.get_device_name() if options["device"] == "cuda" else doctor.processor()
    versions = {"sigconv": __version__, "torch": torch.__version__, "cost_table": methods.table()[1]}
    when = {"date": datetime.date.today().isoformat(), "repeats": options["repeats"]}
    return {"device": device, "threads": torch.get_num_threads(), **when, **versions}
