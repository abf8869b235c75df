"""What an extraction came to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """How far an extraction is: inputs done and failed of how many, bytes read, seconds since it began."""

    done: int
    failed: int
    total: int
    bytes: int
    seconds: float

    @property
    def left(self) -> float:
        """Seconds that what is left will take, if it goes on so."""
        return self.seconds * (self.total - self.done) / max(self.done, 1)


@dataclass(frozen=True)
class Result:
    """What an extraction came to: counts of inputs, their failures, and where it is all told.

    out        the folder               manifest   its manifest.jsonl, a line an input
    inputs     all that were found      done       those with features, unchanged ones among them
    unchanged  done before, and not again          failed     those without
    passed     files of no kind that is read       bytes      read of inputs, those unchanged left out
    failures   a dict of path, kind and reason each
    """

    out: Path
    inputs: int
    done: int
    unchanged: int
    failed: int
    passed: int
    bytes: int
    seconds: float
    failures: list[dict[str, str]]

    @property
    def manifest(self) -> Path:
        """The file with a line for every input."""
        return self.out / "manifest.jsonl"

    @property
    def code(self) -> int:
        """The exit code of the command: 0, or 3 where inputs failed."""
        return 3 if self.failed else 0

    def record(self) -> dict[str, Any]:
        """For JSON."""
        told = {name: getattr(self, name) for name in ("inputs", "done", "unchanged", "failed", "passed", "bytes")}
        places = {"out": os.fspath(self.out), "manifest": os.fspath(self.manifest)}
        return {**told, "seconds": round(self.seconds, 3), **places, "failures": os.fspath(self.out / "failures.jsonl")}

    def table(self) -> Any:
        """The table of pooled features, or the manifest where there is none, as a pandas DataFrame.

        ImportError where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("Result.table() needs pandas: pip install pandas") from None
        if (self.out / "features.tsv").is_file():
            return pandas.read_csv(self.out / "features.tsv", sep="\t", quoting=3)
        if (self.out / "features.parquet").is_file():
            return pandas.read_parquet(self.out / "features.parquet")
        return pandas.read_json(self.manifest, lines=True)
