"""What an extraction leaves in DIR beside features: what was computed, of which inputs, and which failed.

    extraction.json   the configuration, the version, and every bank that was made
    manifest.jsonl    a line an input, by path       failures.jsonl   a line a failure
    journal.jsonl     the same lines as they get done, while work goes on; a killed run leaves it to the next

Nothing in them tells a time, and all are in the order of paths: the same inputs leave the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sigconv import files
from sigconv.extraction import _config, _inputs, _leftovers, _table
from sigconv.extraction._names import FAILURES, JOURNAL, MANIFEST, RECORD

MOST_BYTES = 1 << 34  # of a manifest

Line = dict[str, Any]


class Folder:
    """DIR, held by this process: what is known of inputs, and where more gets written."""

    def __init__(self, path: str, config: _config.Config) -> None:
        self.path, self.config = Path(path), config
        self.lines: dict[str, Line] = {}  # by the name below DIR
        self.banks: dict[str, Any] = {}
        self._owners: dict[str, str] = {}  # by the output, who it is of
        self._places: set[str] = set()  # all outputs that there were, are or will be
        self._journal: Any = None
        self._open()

    def _open(self) -> None:
        there = self.path / RECORD
        self._fresh = not there.exists()  # nothing in it is ours
        if not self._fresh:
            earlier = _object(there)
            for name in (MANIFEST, JOURNAL):
                for line in _lines(self.path / name):
                    self._take(line)
            different = _config.differing(self.config.plan, earlier.get("config") or {})
            if different and any(line["error"] is None for line in self.lines.values()):
                raise ValueError(
                    f"{os.fspath(self.path)!r} holds features of another configuration ({'; '.join(different)}): "
                    "name another folder"
                )
            self.banks = dict(earlier.get("banks") or {}) | self.banks
            if different:  # it came to nothing, and what failed may not now
                self.lines, self.banks = {}, {}
                for name in (MANIFEST, FAILURES, JOURNAL):  # gone before the record tells of another configuration
                    (self.path / name).unlink(missing_ok=True)
                files.sync_folder(self.path)
        else:
            others = [entry.name for entry in os.scandir(self.path) if entry.name in (MANIFEST, FAILURES, JOURNAL)]
            if others:
                raise ValueError(f"{os.fspath(there)!r} is gone, and {others[0]} is there: name another folder")

    def _take(self, line: Line) -> None:
        if "bank_is" in line:
            self.banks[str(line.get("bank"))] = line["bank_is"]
        elif _sound(line, self.config.table):
            self.lines[line["name"]] = line
            if line["error"] is None and line["output"] != self.config.table:
                self._places.add(line["output"])
                earlier = self._owners.get(line["output"], str(line["name"]))
                if earlier != line["name"] and self.lines.get(earlier, {}).get("output") == line["output"]:
                    del self.lines[earlier]  # what it had has been written over
                self._owners[line["output"]] = line["name"]

    def expect(self, inputs: list[_inputs.Input]) -> None:
        """Hear of the inputs that are given now; ValueError where one's features are another's that is not given.

        What a killed run left is swept.
        """
        names, paths = {one.name for one in inputs}, {one.path for one in inputs}
        for one in [] if self.config.table else inputs:
            place = os.path.join(self.path, one.output)
            if one.why or one.output in self._owners or not os.path.lexists(place):
                continue
            if os.path.realpath(place) in {
                os.path.realpath(part) for each in inputs for part in _inputs.parts(each.path)
            }:
                raise ValueError(f"{place!r} is read, and features would be written over it: name another -o")
            if self._fresh:  # else a killed run wrote it, and had not told of it yet
                raise ValueError(f"{place!r} is there already, and no features of an extraction: name another -o")
        for one in inputs:
            line = self.lines.get(self._owners.get(one.output, ""))
            if self.config.table or one.why or line is None or line["output"] != one.output:
                continue
            if line["name"] not in names and line["path"] not in paths:
                raise ValueError(
                    f"{os.fspath(self.path)!r} holds {one.output!r} of {line['path']!r}, which {one.path!r} would be "
                    "written over: give both at once, or another -o"
                )
        if not self.config.table:
            self._places |= {one.output for one in inputs if not one.why}
        if (self.path / JOURNAL).exists():
            self.sweep()

    def begun(self) -> None:
        """Say what is computed here, before anything is; sweep what a killed run left."""
        self._keep(RECORD, self._record(self.banks))
        self.sweep()

    def sweep(self) -> None:
        """Delete what has no name yet, where features go."""
        own = {RECORD, MANIFEST, FAILURES, self.config.table}
        _leftovers.sweep(self.path, self._places, own)

    def known(self, one: _inputs.Input, mask: str | None) -> Line | None:
        """The line of an input that is done and has not changed since, or cannot be done; None for work to do."""
        line = self.lines.get(one.name)
        if line is None or one.why or line.get("kind") != one.kind:
            return None
        try:
            there = self._there(line) if line["error"] is None else line.get("lasting")
            if not there and line["error"] is None and line["output"].endswith(_leftovers.ZARR):
                _leftovers.remove(self.path / line["output"])  # it says that it is complete, and is not
            if not there and line.get("size") == _inputs.size_of(one.path):
                return None
            same = line.get("size") == _inputs.size_of(one.path) and line.get("sha256") == _inputs.digest(one.path)
            if same and mask is not None and line.get("mask") != _inputs.digest(mask):
                return None
        except (OSError, ValueError):
            return None
        if not same and line.get("path") != one.path and line["error"] is None:
            raise ValueError(
                f"{os.fspath(self.path)!r} holds {line['output']!r} of {line['path']!r}, which {one.path!r} would be "
                "written over: give both at once, or name another folder"
            )
        return {**line, "path": one.path} if same and (line["error"] or line["output"] == self._output(one)) else None

    def _output(self, one: _inputs.Input) -> str:
        return self.config.table or one.output

    def _there(self, line: Line) -> bool:
        if line["output"] == self.config.table:
            return True
        path = self.path / line["output"]
        if line["output"].endswith(_leftovers.ZARR):
            attributes = _object(path / "zarr.json").get("attributes")
            whole = isinstance(attributes, dict) and attributes.get("complete") is True
            return whole and _leftovers.count(path) == line["files"]
        return os.stat(path).st_size == line["bytes"]

    def note(self, lines: Iterable[Line]) -> None:
        """Write lines of inputs that are done, and make them last."""
        text = "".join(_text(line) for line in lines)
        if not text:
            return
        try:
            if self._journal is None:
                # unbuffered: what could not be written is not tried again when it is closed
                self._journal = open(self.path / JOURNAL, "ab", buffering=0)  # noqa: SIM115  as long as the work goes on
                files.sync_folder(self.path)
            left = memoryview(f"\n{text}".encode())  # behind a line that was cut
            while left:
                left = left[self._journal.write(left) :]
            os.fsync(self._journal.fileno())
        except OSError as error:
            error.filename = os.fspath(self.path / JOURNAL)
            raise
        for line in text.splitlines():
            self._take(json.loads(line))

    def finish(self, present: list[_inputs.Input]) -> list[Line]:
        """Write manifest, failures, table and record as they will stay, each only if it changes; the failures."""
        names = {one.name for one in present}
        paths = {one.path for one in present}
        for name, line in list(self.lines.items()):
            if name not in names and (line["error"] is not None or line["path"] in paths or not self._kept(line)):
                del self.lines[name]
        self._unlink({line["output"] for line in self.lines.values()} | {self.config.table})
        lines = sorted(self.lines.values(), key=lambda line: (line["path"], line["name"]))
        failed = [line for line in lines if line["error"] is not None]
        told = [{"path": line["path"], "kind": line["kind"], "reason": line["error"]} for line in failed]
        if self.config.table:
            self.keep(self.config.table, self._table([line for line in lines if line["error"] is None]))
        used = {line["bank"] for line in lines if line.get("bank")}
        self._keep(MANIFEST, "".join(map(_text, lines)))
        self._keep(FAILURES, "".join(map(_text, told)))
        self._keep(RECORD, self._record({key: value for key, value in self.banks.items() if key in used}))
        return told

    def _kept(self, line: Line) -> bool:
        try:
            return self._there(line)
        except (OSError, ValueError):
            return False

    def _unlink(self, owned: set[str]) -> None:
        """Delete features of ours that nobody owns: their input has another name now, or none that can be made.

        Where it could only not be read this time, they stay.
        """
        for output in sorted(set(self._owners) - owned):
            line = self.lines.get(self._owners[output])
            if line is not None and line["error"] is not None and not line.get("lasting"):
                continue
            _leftovers.remove(self.path / output)
            del self._owners[output]

    def close(self, whole: bool) -> None:
        """The end; of whole work no journal stays."""
        if self._journal is not None:
            self._journal.close()
        if whole:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path / JOURNAL)
                files.sync_folder(self.path)

    def _table(self, lines: list[Line]) -> bytes:
        found = _table.rows(lines, self.banks, self.config.plan["pool"])
        return _table.parquet(*found) if self.config.table.endswith("parquet") else _table.tsv(*found)

    def _record(self, banks: dict[str, Any]) -> str:
        told = {
            "sigconv": self.config.plan["sigconv"],
            "config": self.config.plan,
            "banks": dict(sorted(banks.items())),
        }
        return json.dumps(told, indent=1) + "\n"

    def _keep(self, name: str, text: str) -> None:
        self.keep(name, text.encode())

    def keep(self, name: str, content: bytes) -> None:
        """A file of DIR with this content, written only where it has another."""
        path = self.path / name
        if not (path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content):
            with files.writing(path) as file:
                file.write(content)


@contextlib.contextmanager
def opened(path: str, config: _config.Config) -> Iterator[Folder]:
    """DIR, made where it is missing and tried out before any work; OSError where it cannot be written or is in use."""
    os.makedirs(path, exist_ok=True)
    with files.locked(path):
        with tempfile.TemporaryFile(dir=path):
            pass
        folder, whole = Folder(path, config), False
        try:
            yield folder
            whole = True
        finally:
            folder.close(whole)


def _sound(line: Line, table: str) -> bool:
    """Whether a line is one of ours, has all that is asked of it, and names no file outside its folder."""
    if not all(isinstance(line.get(key), str) for key in ("name", "path", "kind")) or "error" not in line:
        return False
    if line["error"] is not None:
        return isinstance(line["error"], str)
    output = line.get("output")
    if not isinstance(output, str) or not all(isinstance(line.get(key), str) for key in ("sha256", "bank")):
        return False
    if output == table:
        return isinstance(line.get("rows"), list) and isinstance(line.get("channels"), int)
    size = line.get("files" if output.endswith(_leftovers.ZARR) else "bytes")
    inside = os.path.normpath(output)
    return isinstance(size, int) and not os.path.isabs(inside) and inside.split(os.sep)[0] not in (os.pardir, os.curdir)


def _text(line: Line) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def _object(path: Path) -> Any:
    try:
        found = json.loads(files.read_bytes(path, MOST_BYTES))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{os.fspath(path)!r} is damaged: name another folder")
    return found


def _lines(path: Path) -> Iterator[Line]:
    """The lines of a file that are whole."""
    if not path.exists():
        return
    files.size_of(path, MOST_BYTES)
    with open(path, "rb") as file:
        for text in file:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue  # the last one of a killed run may be cut
            if isinstance(line, dict):
                yield line
