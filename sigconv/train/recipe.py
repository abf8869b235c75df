"""run: a recipe's keyword-only arguments become its command line, its run gets a folder, its answer a report."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sigconv import console, files
from sigconv.train import devices, page, seeds
from sigconv.train.environment import environment
from sigconv.train.job import Job
from sigconv.train.options import configured, parse

PLACES = ("data_root",)  # where things lie: no part of what was computed, and so not of the configuration's hash


def run(recipe: Callable[..., dict[str, Any]], arguments: list[str] | None = None) -> dict[str, Any] | None:
    """Run a recipe as its command line says: `if __name__ == "__main__": run(recipe)` is all a recipe file needs.

    arguments defaults to the process's; then an error becomes one line on stderr and the process's exit code: 1 failed,
    2 usage, 130 or 143 stopped by a signal. Called with arguments, errors are raised. Returns what --json prints.
    """
    if arguments is not None:
        return execute(recipe, arguments)
    sys.exit(console.guarded(lambda: execute(recipe, sys.argv[1:]), "--debug" in sys.argv[1:]))


def execute(recipe: Callable[..., dict[str, Any]], arguments: list[str]) -> dict[str, Any]:
    """Parse, train, report: the record of the run."""
    config, options = parse(recipe, arguments)
    seeds.everything(options["seed"])
    device = devices.name(options["device"])
    folder, resuming = _folder(recipe.__name__, config, options)
    job = Job(recipe.__name__, config, options["seed"], device, folder, resuming)
    began = time.monotonic()
    try:
        metrics = recipe(job, **config)
    except Exception:
        if not (resuming or job.rows):
            _remove(folder)  # nothing was done: no folder is left to be taken for a run
        raise
    except console.Stopped:
        job.say(f"go on with: sigconv run {recipe.__name__} --resume {folder}")
        raise
    seconds = time.monotonic() - began
    record = {
        "recipe": recipe.__name__,
        "config": config | {"seed": options["seed"]},
        "metrics": metrics,
        "test_size": job.test_size,
        "seconds": round(seconds, 2),
        "device": device,
        "run_folder": str(folder),
    }
    job.write_table()
    page.write(recipe, job, record)
    files.write_text(folder / "result.json", json.dumps(console.plain(record), indent=1) + "\n")
    if options["json"]:
        console.answer(record)
    else:
        for name, value in metrics.items():
            console.show(f"{name:<26} {value:.4f}" if isinstance(value, float) else f"{name:<26} {value}")
        where = folder / "report.html"
        console.show(f"{console.duration(seconds)} on {device}; everything about this run: {where}")
    return record


def config_hash(config: dict[str, Any], seed: int) -> str:
    """Eight digits that stand for a configuration and its seed."""
    counted = {name: value for name, value in config.items() if name not in PLACES} | {"seed": seed}
    return hashlib.sha256(json.dumps(console.plain(counted), sort_keys=True).encode()).hexdigest()[:8]


def _folder(recipe: str, config: dict[str, Any], options: dict[str, Any]) -> tuple[Path, bool]:
    """The run folder, and whether there is a run in it to go on with."""
    import yaml

    written = config | {"seed": options["seed"]}
    digest = config_hash(config, options["seed"])
    parent = Path(options["out"]) / recipe
    if options["resume"] == "auto":
        found = sorted(path for path in parent.glob(f"*-{digest}*") if (path / "config.yaml").is_file())
        if found:
            return found[-1], True
    elif options["resume"] is not None:
        folder = Path(options["resume"])
        before = yaml.safe_load(files.read_bytes(configured(folder), 1 << 20))
        other = [k for k in written if k not in PLACES and before.get(k) != console.plain(written[k])]
        if other:
            now = ", ".join(f"{key} was {before.get(key)!r}, now {written[key]!r}" for key in other)
            raise ValueError(f"--resume {str(folder)!r} has another configuration: {now}")
        return folder, True
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {str(options['out'])!r} cannot hold run folders: {error.strerror}") from None
    folder = parent / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{digest}"
    for attempt in range(2, 1000):
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            folder = folder.with_name(f"{folder.name.split('_')[0]}_{attempt}")
    written = {name: value for name, value in written.items() if value is not None}
    files.write_text(folder / "config.yaml", yaml.dump(console.plain(written), Dumper=_quoting(), sort_keys=False))
    files.write_text(folder / "env.json", json.dumps(environment(), indent=1) + "\n")
    return folder, False


def _quoting() -> Any:
    """A YAML writer that quotes every text, so that none is read back as a number or as nothing."""
    import yaml

    class Quoting(yaml.SafeDumper):
        pass

    Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
    return Quoting


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # the recipe's own folder, if no run is left in it
