"""Run folders: runs/<recipe>/<time>-<hash>/, each held by one process at a time; a new one, or one to go on with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sigconv import console, files
from sigconv.train.environment import environment
from sigconv.train.options import configured


def claimed(
    recipe: str, config: dict[str, Any], options: dict[str, Any], held: contextlib.ExitStack
) -> tuple[Path, bool]:
    """The run folder, held, and whether there is a run in it to go on with. Raises ValueError or OSError in a line."""
    written = config | {"seed": options["seed"]}
    digest = config_hash(config, options["seed"])
    parent = Path(options["out"]) / recipe
    if options["resume"] == "auto":
        known = furthest(parent, digest)
        if known is not None:
            return _taken_up(known, held), True
    elif options["resume"] is not None:
        folder = Path(options["resume"])
        _same_as_before(folder, written)
        return _taken_up(folder, held), True
    return _made(parent, digest, written, held), False


def _taken_up(folder: Path, held: contextlib.ExitStack) -> Path:
    """A run's folder, held, and rid of what a kill left half-written."""
    held.enter_context(files.locked(folder))
    for place in (folder, folder / "plots"):
        files.sweep(place)
    return folder


def config_hash(config: dict[str, Any], seed: int) -> str:
    """Eight digits that stand for a configuration and its seed."""
    counted = {name: value for name, value in config.items() if name not in files.PLACES} | {"seed": seed}
    return hashlib.sha256(json.dumps(console.plain(counted), sort_keys=True).encode()).hexdigest()[:8]


def furthest(parent: Path, digest: str) -> Path | None:
    """Of the runs of a configuration the unfinished one that got furthest, else the last; no clock is asked (F12)."""
    found = [path for path in parent.glob(f"*-{digest}*") if (path / "config.yaml").is_file()]
    return max(found, key=lambda path: (not (path / "result.json").exists(), _reached(path), path.name), default=None)


def _reached(folder: Path) -> int:
    """The highest step of any checkpoint in a run folder."""
    ends = (path.name.rpartition("-")[2] for path in (folder / "checkpoints").glob("*-*"))
    return max((int(end) for end in ends if end.isdecimal()), default=-1)


def _same_as_before(folder: Path, written: dict[str, Any]) -> None:
    """F17: a run goes on as it began, or says what was changed."""
    import yaml

    before = yaml.safe_load(files.read_bytes(configured(folder), 1 << 20))
    if not isinstance(before, dict):
        raise ValueError(f"--resume {str(folder)!r}: its config.yaml holds no options")
    other = [k for k in written if k not in files.PLACES and before.get(k) != console.plain(written[k])]
    if other:
        now = ", ".join(f"{key} was {before.get(key)!r}, now {written[key]!r}" for key in other)
        raise ValueError(f"--resume {str(folder)!r} has another configuration: {now}")


def _made(parent: Path, digest: str, written: dict[str, Any], held: contextlib.ExitStack) -> Path:
    """A new folder with the run's configuration and environment; refused before any work where it cannot be (F6)."""
    import yaml

    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = _unused(parent, digest)
        held.enter_context(files.locked(folder))
        kept = {name: value for name, value in written.items() if value is not None}
        files.write_text(folder / "config.yaml", yaml.dump(console.plain(kept), Dumper=_quoting(), sort_keys=False))
        files.write_text(folder / "env.json", json.dumps(environment(), indent=1) + "\n")
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"--out {str(parent.parent)!r} cannot hold run folders: {why}: choose another") from None
    return folder


def _unused(parent: Path, digest: str) -> Path:
    folder = parent / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{digest}"
    for attempt in range(2, 1000):
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            folder = folder.with_name(f"{folder.name.split('_')[0]}_{attempt}")
    raise FileExistsError(17, "a thousand runs of this second are there already", str(folder))


def _quoting() -> Any:
    """A YAML writer that quotes every text, so that none is read back as a number or as nothing."""
    import yaml

    class Quoting(yaml.SafeDumper):
        pass

    Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
    return Quoting


def remove(folder: Path) -> None:
    """Delete a run folder, and the recipe's own if no run is left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
