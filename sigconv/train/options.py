"""A recipe's command line: its keyword-only arguments, those of every job, and files of both."""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from sigconv import console, files
from sigconv.console import one_line

JOB_OPTIONS: dict[str, tuple[Any, Any, str]] = {
    "seed": (int, 0, "of every random choice: same seed, same machine, same threads, the same bits"),
    "device": (str, "auto", "auto, cpu or cuda; auto is cuda where there is one"),
    "strategy": (str, "auto", "of many processes: ddp (auto) keeps the model whole in each, fsdp shares it out"),
    "precision": (str, "auto", "auto (bf16 on cuda, 32 on the cpu), 32, bf16, or 16 with a loss scaler (cuda)"),
    "workers": (int, 0, "processes that make batches ahead of time; they change no result"),
    "compile": (bool, False, "train through torch.compile"),
    "profile": (bool, False, "write a trace of a few steps into the run folder"),
    "export": (str | None, None, "pt2, onnx or both (pt2,onnx): a file of each model, beside its weights"),
    "out": (Path, Path("runs"), "folder for the run folders"),
    "resume": (str | None, None, "a run folder to go on with, or auto: the newest of this configuration, if any"),
    "json": (bool, False, "end with one JSON object on stdout"),
    "debug": (bool, False, "show the traceback of an error"),
}
LEAST = {"epochs": 0, "batch_size": 1, "lr": 0}  # of options that many recipes have: refused before any data is read
TEXTS = (str, str | None, Path, Path | None)  # taken letter by letter: a speaker may be called null, or 1e3


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
    known = {*named, *JOB_OPTIONS}
    words = _spelt_out(arguments, {*known, "config", "print_config", "help"}, switches)
    resumed, file = _value(words, "resume"), _value(words, "config")
    if resumed == "" or _value(words, "out") == "":
        raise _usage(recipe, "--resume and --out take the name of a folder")
    if file is None and resumed not in (None, "auto"):
        file = str(configured(Path(resumed)))  # a run goes on as it began
    before = [] if file is None else _from_file(file, known)
    try:
        found = parser(recipe).parse_args([*before, *_without(words, "config")])
    except ArgumentError as error:
        raise _usage(recipe, str(error)) from None
    config = {name: _plain(found[name]) for name in named}
    for name, least in LEAST.items():
        if config.get(name) is not None and not config[name] >= least:
            raise _usage(recipe, f"--{name.replace('_', '-')} {config[name]} must be at least {least}")
    if not 0 <= found["seed"] < 2**63:
        raise _usage(recipe, f"--seed {found['seed']} is not between 0 and 2**63 - 1")
    return config, {name: found[name] for name in JOB_OPTIONS}


def _usage(recipe: Callable[..., Any], message: str) -> console.UsageError:
    """jsonargparse's paragraph as one line."""
    text = " ".join(message.split())
    wrong = re.match(r'Parser key "([^"]+)": .*?(?:Given|Got) value: ?(.*)$', text)
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
            hint = console.nearest(f"--{option}", [f"--{other.replace('_', '-')}" for other in known])
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


def _without(words: list[str], option: str) -> list[str]:
    """The words without an option and what it is given."""
    kept = []
    places = iter(words)
    for word in places:
        if word == f"--{option}":
            next(places, None)
        elif not word.startswith(f"--{option}="):
            kept.append(word)
    return kept


def _from_file(file: str, known: set[str]) -> list[str]:
    """A configuration file's options as words of a command line, to stand before those given."""
    import yaml

    try:
        found = yaml.safe_load(files.read_bytes(file, 1 << 20).decode())
    except (yaml.YAMLError, UnicodeDecodeError, OSError, ValueError) as error:
        raise console.UsageError(f"--config {file!r} cannot be read: {one_line(error)}") from None
    if not isinstance(found or {}, dict):
        raise console.UsageError(f"--config {file!r} holds a {type(found).__name__}: expected lines of option: value")
    words = []
    for option, value in (found or {}).items():
        name = str(option).replace("-", "_")
        if name not in known:
            raise console.UsageError(
                f"--config {file!r}: unknown option {str(option)!r}: {console.nearest(name, known)}"
            )
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str | int | float | None) for one in entries):
            raise console.UsageError(f"--config {file!r}: {name} is a {type(value).__name__}: expected plain values")
        if value is not None:
            text = json.dumps(value) if isinstance(value, bool | list) else value
            words.append(f"--{name}={text}")
    return words


def configured(folder: Path) -> Path:
    """The configuration of a run folder."""
    if not (folder / "config.yaml").is_file():
        raise ValueError(f"--resume {str(folder)!r} is not a run folder: it has no config.yaml")
    return folder / "config.yaml"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, os.PathLike) else value
