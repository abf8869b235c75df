"""run: a recipe's keyword-only arguments become its command line, its run gets a folder, its answer a report."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

from sigconv import console, files
from sigconv.report import Page
from sigconv.train import devices, seeds
from sigconv.train.job import Job, environment

JOB_OPTIONS: dict[str, tuple[Any, Any, str]] = {
    "seed": (int, 0, "of every random choice: same seed, same machine, same threads, the same bits"),
    "device": (str, "auto", "auto, cpu or cuda; auto is cuda where there is one"),
    "out": (Path, Path("runs"), "folder for the run folders"),
    "resume": (str | None, None, "a run folder to go on with, or auto: the newest of this configuration, if any"),
    "json": (bool, False, "end with one JSON object on stdout"),
    "debug": (bool, False, "show the traceback of an error"),
}
TEXTS = (str, str | None, Path, Path | None)  # taken letter by letter: a speaker may be called null, or 1e3
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
    _report(recipe, job, record)
    files.write_text(folder / "result.json", json.dumps(console.plain(record), indent=1) + "\n")
    if options["json"]:
        console.answer(record)
    else:
        for name, value in metrics.items():
            console.show(f"{name:<26} {value:.4f}" if isinstance(value, float) else f"{name:<26} {value}")
        page = folder / "report.html"
        console.show(f"{console.duration(seconds)} on {device}; everything about this run: {page}")
    return record


def parser(recipe: Callable[..., Any]) -> Any:
    """The recipe's command line: its keyword-only arguments, then the options every job has."""
    from jsonargparse import ArgumentParser

    described = inspect.getdoc(sys.modules[recipe.__module__]) or ""
    made = ArgumentParser(prog=f"sigconv run {recipe.__name__}", description=described, exit_on_error=False)
    made.formatter_class = type("Kept", (_Kept, made.formatter_class), {})
    made.add_argument("--config", action="config", help="a YAML file of options, such as a run folder's config.yaml")
    texts = [name for name, kind in get_type_hints(recipe).items() if kind in TEXTS]
    made.add_function_arguments(recipe, skip={"job", *texts})
    for name in texts:
        default = inspect.signature(recipe).parameters[name].default
        made.add_argument(f"--{name}", type=str, default=default, help=_described(recipe, name))
    for name, (kind, default, text) in JOB_OPTIONS.items():
        made.add_argument(f"--{name}", type=kind, default=default, help=text)
    return made


def _described(recipe: Callable[..., Any], option: str) -> str:
    """What the recipe's docstring says of an option."""
    from docstring_parser import parse

    said = parse(recipe.__doc__ or "").params
    return next((param.description or "" for param in said if param.arg_name == option), "")


class _Kept:
    """Help whose description keeps its lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "".join(indent + line for line in text.splitlines(keepends=True))


def parse(recipe: Callable[..., Any], arguments: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(configuration, job options) of a command line; UsageError for one that cannot be meant."""
    from jsonargparse import ArgumentError

    named = [p.name for p in inspect.signature(recipe).parameters.values() if p.kind is p.KEYWORD_ONLY]
    hints = get_type_hints(recipe)
    switches = {name for name in named if hints.get(name) is bool} | {n for n, o in JOB_OPTIONS.items() if o[0] is bool}
    words = _spelt_out(arguments, {*named, *JOB_OPTIONS, "config", "print_config", "help"}, switches)
    resumed = _value(words, "resume")
    if resumed and resumed != "auto" and "--config" not in " ".join(words):
        words = ["--config", str(_configured(Path(resumed))), *words]  # a run goes on as it began
    try:
        found = parser(recipe).parse_args(words)
    except ArgumentError as error:
        raise _usage(recipe, str(error)) from None
    config = {name: _plain(found[name]) for name in named}
    if not 0 <= found["seed"] < 2**63:
        raise _usage(recipe, f"--seed {found['seed']} is not between 0 and 2**63 - 1")
    return config, {name: found[name] for name in JOB_OPTIONS}


def _usage(recipe: Callable[..., Any], message: str) -> console.UsageError:
    """jsonargparse's paragraph as one line."""
    text = " ".join(message.split())
    wrong = re.match(r'Parser key "([^"]+)": .*?Given value: ?(.*)$', text)
    if wrong:
        kinds = re.findall(r"Expected an? <class '(\w+)'>", text)
        names = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
        wanted = " or ".join(dict.fromkeys(names.get(kind, kind) for kind in kinds if kind != "NoneType"))
        text = f"--{wrong[1].replace('_', '-')} {wrong[2]!r} is not {wanted or 'valid'}"
    return console.UsageError(f"{text} (see sigconv run {recipe.__name__} --help)")


def _spelt_out(arguments: list[str], known: set[str], switches: set[str]) -> list[str]:
    """Dashes as underscores, a bare switch as =true; an unknown option with the nearest name."""
    words = []
    for place, word in enumerate(arguments):
        if not word.startswith("--") or word == "--":
            words.append(word)
            continue
        option, equals, value = word[2:].partition("=")
        name = option.replace("-", "_")
        if name not in known:
            hint = console.nearest(option, [other.replace("_", "-") for other in known])
            raise console.UsageError(f"unknown option --{option}: {hint}")
        follows = arguments[place + 1].lower() if place + 1 < len(arguments) else ""
        if name in switches and not equals and follows not in ("true", "false"):
            equals, value = "=", "true"
        words.append(f"--{name}{equals}{value}")
    return words


def _value(words: list[str], option: str) -> str | None:
    """What an option is given, whichever way it is written."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == f"--{option}":
            return value if equals else next(iter(words[place + 1 :]), None)
    return None


def _configured(folder: Path) -> Path:
    """The configuration of a run folder."""
    if not (folder / "config.yaml").is_file():
        raise ValueError(f"--resume {str(folder)!r} is not a run folder: it has no config.yaml")
    return folder / "config.yaml"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, os.PathLike) else value


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
        before = yaml.safe_load(files.read_bytes(_configured(folder), 1 << 20))
        other = [k for k in written if k not in PLACES and before.get(k) != console.plain(written[k])]
        if other:
            now = ", ".join(f"{key} was {before.get(key)!r}, now {written[key]!r}" for key in other)
            raise ValueError(f"--resume {str(folder)!r} has another configuration: {now}")
        return folder, True
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
    for parent in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            parent.rmdir()  # if this run made them, they are empty


def _report(recipe: Callable[..., Any], job: Job, record: dict[str, Any]) -> None:
    page = Page(f"{recipe.__name__}: results of a run")
    page.text(inspect.getdoc(sys.modules[recipe.__module__]) or "")
    page.heading("Results on the test set").facts(record["metrics"] | {"test items": job.test_size})
    for note in job.notes:
        page.text(note)
    for name, png in job.pictures.items():
        page.heading(name.replace("_", " ")).picture(png, name)
    page.heading("Configuration").facts(record["config"])
    took = {"seconds": record["seconds"], "device": record["device"]}
    page.heading("Environment").facts(took | {k: v for k, v in environment().items() if k != "command"})
    page.save(job.folder / "report.html")  # type: ignore[operator]
