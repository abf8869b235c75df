"""One input after the other: read, filtered, kept. What runs in this process, in workers and on a cluster alike."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sigconv import files
from sigconv.extraction import _banks, _formats, _inputs, _kinds, _leftovers, _statistics
from sigconv.extraction._applied import alone, applied
from sigconv.extraction._blame import InputError, blamed
from sigconv.extraction._formats import WriteError
from sigconv.extraction._kinds import Signal
from sigconv.filters import FilterBank
from sigconv.readers import nifti, npy

Record = dict[str, Any]
KEPT = 4  # of the memory, a fourth is for maps that are not written as they are made


class Work:
    """All that is needed to make features of an input: setup is plain values, as they come through a pipe.

    setup: config (the plan), bank (how it is made), out, memory (bytes), device, untrusted.
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        self.out, self.plan, self.memory = setup["out"], setup["config"], setup["memory"]
        self.device = setup["device"]
        _there(self.device)
        self.banks = _banks.Banks(setup["bank"], self.plan["output"], self.device)
        self.banks.settle(self.plan["fs"])
        if self.banks.layer:
            _banks.bare(self.plan)
        self.statistics = _statistics.Statistics(self.plan["pool"]) if self.plan["pool"] else None
        self._ratios: dict[str, list[Any]] = {}  # by the bank's word
        self.told: set[str] = set()  # banks that were described
        self.group = files.Group()  # what was written and waits for its name
        self._child: Any = None
        self.door: _kinds.Door = self._guarded if setup["untrusted"] else _kinds.read

    def close(self) -> None:
        """End the child that reads, if there is one; a module that was given is as it was."""
        self.banks.restore()
        if self._child is not None:
            self._child.__exit__(None, None, None)
            self._child = None

    def _guarded(self, reader: str, path: str, **options: Any) -> Any:
        """A file read in a process of its own, of little memory."""
        if self._child is None:
            from sigconv.readers import child

            self._child = child.Decoder(memory=max(self.memory, 1 << 30)).__enter__()
        options.pop("mmap", None)
        options |= {"attributes": ["fs"]} if reader == "zarr" else {}
        return self._child.read(reader, path, **options)

    def done(self, task: Record) -> Record:
        """The line of an input, its features written (under the name they wait by); why, where there are none.

        task: path, name, kind, output, mask. Raises WriteError where the disk fails.
        """
        line: Record = {key: task[key] for key in ("path", "name", "kind")}
        line |= {"size": None, "sha256": None, "output": None, "error": None}
        try:
            with blamed():
                line["size"], line["sha256"] = _inputs.size_of(task["path"]), _inputs.digest(task["path"])
                if task["mask"] is not None:
                    line["mask"] = _inputs.digest(task["mask"])
            features = self._features(task, line["sha256"])
            self.told.add(features["bank"])
            return line | features
        except InputError as bad:
            return line | {"error": str(bad), "lasting": bad.lasting} | ({"no_bank": True} if bad.bank else {})
        except OSError as error:
            what = error.filename or os.path.join(self.out, task["output"])
            raise WriteError(error.errno, f"{error.strerror or error} ({what!r}, {line['size']} bytes in)") from None

    def _signals(self, task: Record) -> Iterator[Signal]:
        fs = self.plan["fs"]
        rates = None if fs is None else tuple(fs) if isinstance(fs, list) else (fs,)
        asked = _kinds.Asked(self.plan["ndim"], rates, self.banks.ndim)
        signals = _kinds.KINDS[task["kind"]].signals(self.door, task["path"], asked)
        while True:
            with blamed():
                signal = next(signals, None)
                if signal is None:
                    return
                if 0 in signal.x.shape:
                    raise ValueError(f"{task['path']!r} has shape {tuple(signal.x.shape)}: there is nothing to filter")
            yield signal

    def _features(self, task: Record, sha256: str) -> Record:
        """Read, filter and keep an input; what its line says of them."""
        found: Record = {}
        path = os.path.join(self.out, task["output"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        several = task["kind"] == "sequences"
        if self.statistics is not None:
            rows = [self._row(self.statistics, signal, task, found) for signal in self._signals(task)]
            found |= {"records": [name for name, _ in rows]} if several else {}
            if task["output"] in ("features.tsv", "features.parquet"):
                return found | {"output": task["output"], "rows": [_statistics.plain(row) for _, row in rows]}
            self._keep_rows(path, rows, found, sha256)
        elif several:
            with self.group:
                _formats.save_npz(path, self._members(task, found, sha256))
        else:
            (signal,) = self._signals(task)
            self._keep(path, task, signal, found, sha256)
        if path.endswith(_leftovers.ZARR):
            return found | {"output": task["output"], "files": _leftovers.count(path)}
        return found | {"output": task["output"], "bytes": os.stat(self.group.pending[-1][0]).st_size}

    def _row(self, statistics: Any, signal: Signal, task: Record, found: Record) -> tuple[str | None, np.ndarray]:
        with blamed():
            mask = None if task["mask"] is None else _statistics.mask(self.door, task["mask"], signal)
            bank = self._bank(signal, found)
            steps = self._ratios[found["bank"]]
        if not (statistics.run and isinstance(bank, FilterBank) and bank.kernel_size is not None):
            with self._maps(signal, found, bank) as y, blamed():
                return signal.name, statistics(y, mask, steps)
        with blamed(writing=True):
            running = statistics.running(self._shape(bank, signal), mask, steps)
            self._apply(bank, signal, running)
            found["shape"], found["dtype"] = list(running.shape), "float32"
            self._describe(bank, found)
            return signal.name, running.found()

    def _members(self, task: Record, found: Record, sha256: str) -> Iterator[tuple[str, Any]]:
        """What an archive of a file's records holds: r0, r1, …, their names, attributes."""
        names: list[str] = []
        for number, signal in enumerate(self._signals(task)):
            names.append(signal.name or "")
            with self._maps(signal, found) as y:
                yield f"r{number}", y
        found.pop("shape")
        found["records"] = len(names)
        yield "names", names
        yield "attributes", self._attributes(found, sha256)

    def _keep_rows(self, path: str, rows: list[tuple[str | None, Any]], found: Record, sha256: str) -> None:
        values = np.stack([row for _, row in rows]) if len(rows) != 1 or rows[0][0] is not None else rows[0][1]
        with self.group:
            if path.endswith(".npz"):
                several = [("names", [name for name, _ in rows])] if rows[0][0] is not None else []
                members = [("features", values), *several, ("attributes", self._attributes(found, sha256))]
                _formats.save_npz(path, members)
            else:
                _formats.save_npy(path, values)
        found["shape"] = list(values.shape)

    def _keep(self, path: str, task: Record, signal: Signal, found: Record, sha256: str) -> None:
        """The maps of a file's only signal, in its format."""
        if path.endswith(".zarr"):
            self._keep_zarr(path, signal, found, sha256)
            return
        with self._maps(signal, found) as y, self.group, blamed(writing=True):
            if path.endswith(".npy"):
                _formats.save_npy(path, y)
            elif path.endswith(".npz"):
                _formats.save_npz(path, [("features", y), ("attributes", self._attributes(found, sha256))])
            else:
                like = signal.like or _formats.placed(signal.fs)
                _formats.save_nifti(path, y, like, self._ratios[found["bank"]])

    def _keep_zarr(self, path: str, signal: Signal, found: Record, sha256: str) -> None:
        """Straight into a zarr array, tile by tile; a killed run's is gone on with where it is of the same input."""
        bank = self._bank(signal, found)
        with blamed(writing=True):
            for last in (False, True):
                try:
                    self._apply(bank, signal, path)
                    break
                except files.PassingError:
                    raise
                except ValueError:  # it is of an input that has changed; the second time: of one that is damaged
                    there = os.path.isfile(os.path.join(path, "zarr.json"))
                    shutil.rmtree(path, ignore_errors=True)
                    if last or not there:
                        raise
            found["shape"] = _formats.describe_zarr(path, self._attributes(found, sha256))
        self._describe(bank, found)

    def _bank(self, signal: Signal, found: Record) -> Any:
        """The signal's bank, and what a line says of signal and bank."""
        with blamed():
            bank, word = self.banks.get(len(signal.axes), signal.fs)
            word += f" channels={signal.channels}" if self.banks.layer else ""
            if word not in self._ratios:
                self._ratios[word] = self._steps(bank, signal)
        channels = signal.channels
        found |= {"axes": ["filter", *signal.axes], "units": list(signal.units), "channels": channels, "bank": word}
        steps = [1] * len(signal.axes) if self.statistics else self._ratios[word]
        if self.banks.layer:
            found["stride"] = self._ratios[word]
        fs = [rate / step for rate, step in zip(signal.fs, steps, strict=True)]
        found["fs"] = fs[0] if len(set(fs)) == 1 else fs
        if signal.like is not None:
            found["affine"] = nifti.strided(signal.like.affine, steps).tolist()
        return bank

    def _steps(self, bank: Any, signal: Signal) -> list[Any]:
        """Samples per position along each axis: a bank's by its stride, a layer's by its own."""
        if self.banks.layer:
            return _banks.steps(bank, signal.channels, signal.space)
        return _formats.steps(self.plan["stride"], len(signal.axes))

    def _describe(self, bank: Any, found: Record) -> None:
        """The bank of an answer, in the first line that has one of it."""
        if found["bank"] not in self.told:
            found["bank_is"] = _banks.described(bank, found["channels"], found["shape"][0])

    @contextlib.contextmanager
    def _maps(self, signal: Signal, found: Record, bank: Any = None) -> Iterator[np.ndarray]:
        """(channels·filters, *positions) float32 or complex64: in memory, or mapped where they are large."""
        bank = self._bank(signal, found) if bank is None else bank
        spare = ""
        try:
            with blamed(writing=True):
                size = self._size(bank, signal) if isinstance(bank, FilterBank) else 0
                if size > self.memory // KEPT:
                    self._roomy(size)
                    spare = tempfile.mkdtemp(prefix=".maps.", suffix=".tmp", dir=self.out)
                    y = alone(self._mapped, bank, signal, os.path.join(spare, "maps.npy"))
                else:
                    y = np.asarray(self._apply(bank, signal, None))
                y = y.astype(np.complex64 if y.dtype.kind == "c" else np.float32, copy=False)
            found["shape"], found["dtype"] = list(y.shape), str(y.dtype)
            self._describe(bank, found)
            yield y
        finally:
            if spare:
                shutil.rmtree(spare, ignore_errors=True)

    def _mapped(self, bank: Any, signal: Signal, path: str) -> np.ndarray:
        self._apply(bank, signal, path)
        return npy.read(path, mmap=True)

    def _roomy(self, size: int) -> None:
        """PassingError where the disk has no room for maps: they are too many, and the work goes on without."""
        free = shutil.disk_usage(self.out).free
        if size > free:
            raise files.PassingError(f"its maps take {size} bytes, and {free} are free in {self.out!r}")

    def _shape(self, bank: FilterBank, signal: Signal) -> tuple[int, ...]:
        """Of all maps."""
        rows = zip(signal.space, _formats.steps(self.plan["stride"], bank.ndim), strict=True)
        return (signal.channels * len(bank), *(-(-n // s) for n, s in rows))

    def _size(self, bank: FilterBank, signal: Signal) -> int:
        """Bytes of all maps."""
        return math.prod(self._shape(bank, signal)) * (8 if self.plan["output"] in ("auto", "complex") else 4)

    def _apply(self, bank: Any, signal: Signal, out: Any) -> Any:
        options = {key: self.plan[key] for key in ("output", "stride", "padding_mode")}
        for name in ("stride", "padding_mode"):
            options[name] = tuple(options[name]) if isinstance(options[name], list) else options[name]
        with torch.no_grad():
            return applied(bank, signal, out, options, self.memory, self.device)

    def _attributes(self, found: Record, sha256: str) -> Record:
        """What is said with features in their own file, by the names that are usual."""
        from sigconv import __version__

        told: Record = {key: found[key] for key in ("axes", "units", "fs", "affine", "channels") if key in found}
        told |= {"bank": {**self.plan["bank"], "made": found["bank"]}, "output": self.plan["output"]}
        return told | {
            "stride": found.get("stride", self.plan["stride"]),
            "source_sha256": sha256,
            "sigconv_version": __version__,
        }


def _there(device: str) -> None:
    """ValueError where there is no such device."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be had here: {str(error).splitlines()[0]}") from None
