"""A job: where a run's files go, what it says on its way, and what it takes to go on after a stop."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sigconv import console, files, nd, plot
from sigconv.train import checkpoint, devices, processes
from sigconv.train.fingerprint import fingerprint
from sigconv.train.sharding import whole

KEPT = 2  # checkpoints of each model


@dataclass
class Job:
    """One run: its seed, device and folder. Without a folder nothing is written; messages go to stderr all the same.

    device, strategy, precision   as train.devices.fabric takes them: where it runs, and how many processes share it
    workers      processes that make batches ahead of time; compile trains through torch.compile
    profile      write a trace of a few steps into the folder; export: "pt2", "onnx" or both, a file of each model
    resuming     go on with the checkpoints in the folder

    Of many processes only the first has a folder.
    """

    recipe: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    folder: Path | None = None
    resuming: bool = False
    strategy: str = "auto"
    precision: str = "auto"
    workers: int = 0
    compile: bool = False
    profile: bool = False
    export: str | None = None
    test_size: int | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)  # what it was trained and measured on
    shape: tuple[int, ...] = ()  # of one item of what the last model was trained on, with a batch axis of 2
    begun: list[str] = field(default_factory=list)  # the names of its trainings
    shown: nn.Module | None = None  # the model whose first layer the report shows
    first: str | None = None  # the model whose weights are the run's
    arrived: list[int] = field(default_factory=list)  # signals that wait for the end of a step
    feeds: dict[int, Any] | None = None  # of the data sets that a training measures by, while it lasts

    def __post_init__(self) -> None:
        self.place: Path | None = None
        for kind in self.export.split(",") if self.export else ():
            nd.one_of(kind, ("pt2", "onnx"), "export")
        if self.folder is not None:
            self.at(Path(self.folder))

    def at(self, folder: Path) -> None:
        """Keep the run's files in this folder."""
        self.place, self.folder = folder, None if processes.number() else folder
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def saves(self) -> bool:
        """Whether the run keeps anything, be it by another process."""
        return self.place is not None

    def checkpoints(self) -> list[Path]:
        """What is kept of any model, finished or not."""
        return [] if self.folder is None else [*self.folder.glob("checkpoints/*")]

    def fabric(self) -> Any:
        """Its device and processes."""
        return devices.fabric(self.device, self.strategy, self.precision)

    def say(self, text: str, aloud: bool = True) -> None:
        """A message: in log.txt and, aloud, on stderr."""
        if aloud:
            console.say(text)
        if self.folder is not None:
            with open(self.folder / "log.txt", "a", encoding="utf-8") as log:
                log.write(text + "\n")

    def note(self, text: str) -> None:
        """A message that the report repeats."""
        self.say(text)
        self.notes.append(text)

    def record(self, row: dict[str, Any], epochs: int) -> None:
        """One measured epoch: a line on stderr where no bar shows it, a row of metrics.csv and metrics.jsonl."""
        line = f"{row['model']}  epoch {row['epoch']}/{epochs}  {figures(row)}  {console.duration(row['seconds'])}"
        self.say(line, aloud=row["epoch"] == epochs or not sys.stderr.isatty())
        self.rows.append(row)
        if self.folder is not None:
            with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(console.plain(row)) + "\n")

    def rewind(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Forget what a model measured after its checkpoint: those epochs will be run again."""
        self.rows = [row for row in self.rows if row["model"] != name] + list(rows)
        if self.folder is not None:
            lines = "".join(json.dumps(console.plain(row)) + "\n" for row in self.rows)
            files.write_text(self.folder / "metrics.jsonl", lines)

    def picture(self, name: str, figure: Any) -> None:
        """A figure for the report, kept under plots/ as well."""
        content = plot.png(figure)
        self.pictures[name] = content
        if self.folder is not None:
            (self.folder / "plots").mkdir(exist_ok=True)
            with files.writing(self.folder / "plots" / f"{name}.png") as file:
                file.write(content)

    def table(self, name: str, rows: Sequence[Sequence[Any]], header: Sequence[str] = ()) -> None:
        """A table for the report."""
        self.tables[name] = (header, rows)

    def begins(self, name: str) -> None:
        """A training under this name: the run's files of it are its alone."""
        if not self.saves:
            return
        if name in self.begun:
            raise ValueError(f"this run has trained {name!r} already: give each fit a name of its own")
        if name == "model" and self.begun:
            raise ValueError(f"name 'model' is the file of {self.begun[0]!r}, trained first: give this fit another")
        self.begun.append(name)

    def tested_on(self, dataset: Any) -> None:
        """The test set: how many items it has, and which they are."""
        self.test_size = len(dataset)
        self.looked_at("test", {"test": dataset})

    def looked_at(self, name: str, parts: Mapping[str, Any]) -> dict[str, str]:
        """The data sets a model is trained and measured on, by their fingerprints."""
        if not self.saves:
            return {}
        found = {part: fingerprint(dataset) for part, dataset in parts.items()}
        for part, facts in found.items():
            known = self.data.setdefault(part, facts)
            if known != facts:
                self.data[f"{part} of {name}"] = facts
        return {f"{part} data": facts["sha256"][:16] for part, facts in found.items()}

    def keep_weights(self, name: str, model: nn.Module) -> None:
        """The selected weights: the first model of a run as model.safetensors, others under their own names."""
        if not self.saves:
            return
        state = whole(model.state_dict())  # by all processes that share it
        if self.folder is None:
            return
        from safetensors.torch import save

        self.first = self.first or name
        stem = "model" if name == self.first else name
        tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
        with files.writing(self.folder / f"{stem}.safetensors") as file:
            file.write(save(tensors))
        if name == self.first:
            self.shown = model
        for kind in self.export.split(",") if self.export and self.strategy != "fsdp" else ():
            self.exported(model, self.folder / f"{stem}.{kind}")

    def exported(self, model: nn.Module, path: Path) -> None:
        """A model written for others to run; one that cannot be is said, and loses nothing else."""
        from sigconv import models

        try:
            made = models.export(model, path, self.shape)
            self.say(f"exported {path.name}, which differs by {made.difference:.1e} from the model")
        except (ValueError, ImportError, OSError) as error:
            self.note(f"{path.name} was not made: {error}")

    def checkpoint(self, name: str, step: int, state: dict[str, Any]) -> None:
        """A numbered checkpoint of a model; the newest two stay."""
        if self.folder is None:
            return
        folder = self.folder / "checkpoints"
        checkpoint.save(folder / f"{name}-{step}", state)
        for old in checkpoint.numbered(folder, name)[KEPT:]:
            checkpoint.remove(old)

    def last_checkpoint(self, name: str) -> dict[str, Any] | None:
        """A model's newest whole checkpoint, if this job resumes; a broken one is named and passed over."""
        if self.folder is None or not self.resuming:
            return None
        checkpoint.sweep(self.folder / "checkpoints")
        found = checkpoint.numbered(self.folder / "checkpoints", name)
        for path in found:
            try:
                state = checkpoint.load(path)
            except ValueError as error:
                self.say(f"warning: {error}; going back to the one before")
            else:
                self.say(f"{name}: going on after step {state['step']}, in epoch {state['epoch']}")
                return state
        if found:
            raise ValueError(f"none of the {len(found)} checkpoints of {name} under {str(self.folder)!r} can be used")
        return None

    def write_table(self) -> None:
        """metrics.csv, with the columns of every model's rows."""
        if self.folder is None or not self.rows:
            return
        table = io.StringIO()
        writer = csv.DictWriter(table, list(dict.fromkeys(key for row in self.rows for key in row)))
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.folder / "metrics.csv", table.getvalue())


def figures(row: dict[str, Any]) -> str:
    """The losses and scores of a row, to be read."""
    names = [key for key in row if key.partition("_")[0] in ("train", "valid", "test")]
    return "  ".join(f"{key} {row[key]:.4f}" for key in names)
