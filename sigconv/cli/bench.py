"""race convolution against its peers, side by side in one process: sigconv bench [NAME …]"""

from __future__ import annotations

import datetime
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sigconv import console
from sigconv.cli import _arguments, _discover, _outputs

USAGE = """usage: sigconv bench [NAME …] [--repeats N] [--only WORDS] [--device D] [--output FILE | --keep]
                     [--json] [--debug]

{table}

Ours and every peer that is installed run in turn, again and again, in one process; a ratio is the best peer's time over
ours, median of the repeats with the least and the most. Answers are compared, and cases with each other: more work that
takes less time is pointed out. Other processes on the machine disturb: repeat, and distrust surprises.
GB/s are of bytes that the work must read or write at least once, % of copy is their part of what a copy moves, measured
in the same run. float32 keeps float32: TF32 is off. A case that fails is told, the others go on; the exit code is 3.

  NAME           which set of cases (all, if none is named)
  --repeats N    rounds that count (5)
  --only WORDS   cases whose name holds these words
  --device       cpu (default) or cuda
  --output FILE  write all figures there as JSON, anew after each set
  --keep         the same into benchmarks/results of a checkout, under the names of the sets and of a GPU
  --json         one JSON object on the last line of stdout"""


def main(arguments: list[str]) -> int:
    """sigconv bench [NAME …] [--repeats N] [--only WORDS] [--device D] [--output FILE | --keep] [--json]"""
    sets = _discover.files("benchmarks")
    if {"--help", "-h"} & set(arguments):
        console.show(USAGE.format(table=_discover.table("benchmarks")))
        return 0
    options, names = _read(arguments, list(sets))
    from sigconv.benchmarks import _card, _race
    from sigconv.doctor import _torch

    if options["keep"]:
        options["output"] = _keeping(names, options["device"])
    _outputs.place(options["output"], "--output")
    with _torch.full_precision(), _card.tuned(options["device"]):
        found, answer = _raced(options, names or list(sets))
    if not found and not answer["failures"]:
        raise console.UsageError(f"--only {options['only']!r} matches no case")
    if options["json"]:
        console.answer(answer)
    else:
        console.show(_race.table(found))
    return 3 if answer["failures"] else 0


def _raced(options: dict[str, Any], names: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """All results, and the record of them; one set after the other, so that what is done is written."""
    from sigconv import files
    from sigconv.benchmarks import _ceilings, _race

    device = options["device"]
    answer: dict[str, Any] = {"results": [], "failures": []} | _machine(options)
    found: list[Any] = []
    ceilings = None
    for name in names:

        def failed(case: str, error: Exception, name: str = name) -> None:
            if options["debug"]:
                raise error
            answer["failures"].append({"set": name, "case": case, "error": console.one_line(error, 300)})
            console.say(f"{name}, {case} failed: {console.one_line(error, 300)}")

        cases = _cases(name, options, failed)
        if cases and ceilings is None:
            ceilings = _ceilings.measured(device)
            answer["ceilings"] = ceilings.record()
            console.say(str(ceilings))
        with console.progress(name, len(cases)) as step:
            told = lambda number, result, step=step: step(number, result.case)
            for result in _race.run(cases, options["repeats"], device, told, ceilings, failed):
                found.append(result)
                answer["results"].append({"set": name} | result.record())
                console.say(_race.table([result]).split("\n", 1)[1])
        if options["output"] and (found or answer["failures"]):
            files.write_text(Path(options["output"]), json.dumps(console.plain(answer), indent=1) + "\n")
    return found, answer


def _cases(name: str, options: dict[str, Any], failed: Callable[[str, Exception], None]) -> list[Any]:
    """A set's cases that are wanted; none of one that is of the CPU alone, which is said, on another device."""
    work = importlib.import_module(f"sigconv.benchmarks.{name}")
    why = getattr(work, "CPU_ONLY", "")
    if why and options["device"] != "cpu":
        console.say(f"{name} is left out, for it is of the CPU alone: {why}")
        return []
    try:
        return [case for case in work.cases(options["device"]) if options["only"] in case.name]
    except Exception as error:
        failed("before its first case,", error)
        return []


def _read(arguments: list[str], sets: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Options and names, or one line that says what is wrong."""
    kinds: dict[str, Any] = {"repeats": int, "only": str, "device": str, "output": str, "keep": False}
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
    if options["keep"] and options["output"] is not None:
        raise console.UsageError(f"--keep names the file itself, and --output {options['output']!r} another: give one")
    if options["keep"] and options["only"]:
        raise console.UsageError("--keep keeps whole sets: leave out --only, or name a file by --output")
    if options["device"] == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise console.UsageError("--device cuda: torch finds no CUDA device here")
    return options, names


def _keeping(names: list[str], device: str) -> str:
    """Where a record is kept: results/convolution.json of a CPU, results/convolution-nvidia-h200.json of a GPU."""
    import torch

    import sigconv.benchmarks

    folder = Path(next(iter(sigconv.benchmarks.__path__))) / "results"
    if not folder.is_dir():
        raise console.UsageError(f"--keep: there is no folder {str(folder)!r}: run from a checkout, or give --output")
    card = [torch.cuda.get_device_name()] if device == "cuda" else []
    return str(folder / ("-".join([*(names or ["all"]), *(_plain(name) for name in card)]) + ".json"))


def _plain(name: str) -> str:
    """A name that a file may have.

    >>> _plain("NVIDIA H200 (NVL)")
    'nvidia-h200-nvl'
    """
    return "-".join(re.findall("[a-z0-9]+", name.lower()))


def _machine(options: dict[str, Any]) -> dict[str, Any]:
    """Where the figures come from."""
    import torch

    from sigconv import __version__, doctor, methods
    from sigconv.benchmarks import _card

    cuda = options["device"] == "cuda"
    device = torch.cuda.get_device_name() if cuda else doctor.processor()
    versions = {"sigconv": __version__, "torch": torch.__version__, "cost_table": methods.table()[1]}
    when = {"date": datetime.date.today().isoformat(), "repeats": options["repeats"]}
    found = {"device": device, "threads": torch.get_num_threads(), "tf32": False, **when, **versions}
    return found | {"peers": _card.peers()} | ({"gpu": _card.about()} if cuda else {})
