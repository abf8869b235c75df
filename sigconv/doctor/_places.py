"""Disks, caches and limits: where results and data go, whether they may, and how much room there is."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sigconv import files, methods

GIB = 1 << 30
MOST_FILES = 100_000  # of a cache that are counted
ENOUGH = {"runs": GIB, "cache": GIB, "temporary": GIB // 2, "shared memory": GIB // 4}  # bytes
WHY = {
    "runs": "checkpoints and results go there: make room, or choose another place with --out",
    "cache": "data sets are fetched into it: make room, or set SIGCONV_CACHE",
    "temporary": "libraries write there: make room, or set TMPDIR",
    "shared memory": "worker processes hand batches over in it: enlarge it (docker run --shm-size=1g)",
}
FEW_FILES = 1024  # open at once


def places() -> list[dict[str, Any]]:
    """A row per place: path (~ for home), whether a file can be written, bytes free and in all, and what is wrong."""
    try:
        here = Path.cwd()
    except OSError:  # deleted under our feet
        here = Path(os.environ.get("PWD") or os.sep)
    found = {"runs": here / "runs" if (here / "runs").is_dir() else here, "cache": methods.local().parent}
    found["temporary"] = Path(_temporary())
    if Path("/dev/shm").is_dir():
        found["shared memory"] = Path("/dev/shm")
    return [_place(name, path) for name, path in found.items()]


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # no place at all can be written
        return os.environ.get("TMPDIR") or "/tmp"


def _place(name: str, path: Path) -> dict[str, Any]:
    stands = path.absolute()
    while not stands.exists() and stands != stands.parent:  # it is made when it is first needed
        stands = stands.parent
    row: dict[str, Any] = {"place": name, "path": tidy(path.absolute()), "there": path.is_dir()}
    row |= {"writable": True, "free_bytes": None, "total_bytes": None, "wrong": "", "remedy": ""}
    try:
        usage = shutil.disk_usage(stands)
        row |= {"free_bytes": usage.free, "total_bytes": usage.total}
        with tempfile.TemporaryFile(dir=stands) as file:  # what may be written, only writing tells
            file.write(b"?")
            file.flush()
    except OSError as error:
        row |= {"writable": False, "wrong": f"cannot be written ({error.strerror or type(error).__name__})"}
    if not row["wrong"] and row["free_bytes"] is not None and row["free_bytes"] < ENOUGH[name]:
        row["wrong"] = f"has {size(row['free_bytes'])} free"
    if not row["wrong"] and _files_left(stands) < FEW_FILES:
        row["wrong"] = f"has room for {_files_left(stands)} files"
    return row | {"remedy": WHY[name] if row["wrong"] else ""}


def _files_left(path: Path) -> int:
    """How many more files a disk takes; many, where it does not say."""
    with contextlib.suppress(OSError, AttributeError):
        found = os.statvfs(path)
        if found.f_files:
            return found.f_favail
    return MOST_FILES


def caches() -> list[dict[str, Any]]:
    """What lies in the caches: data sets by folder, numba's compiled loops, the calibrated table; bytes each."""
    root = methods.local().parent
    rows = []
    with contextlib.suppress(OSError):
        for path in sorted(root.iterdir()):
            if path.is_dir():
                rows.append({"cache": path.name, "path": tidy(path), "bytes": sum(_sizes(path.rglob("*")))})
    loops = Path(__file__).resolve().parents[1].rglob("__pycache__/*.nb[ic]")
    rows.append({"cache": "numba", "path": tidy(Path(__file__).resolve().parents[1]), "bytes": sum(_sizes(loops))})
    if os.environ.get("NUMBA_CACHE_DIR"):
        path = Path(os.environ["NUMBA_CACHE_DIR"])
        rows.append({"cache": "numba", "path": tidy(path), "bytes": sum(_sizes(path.rglob("*.nb[ic]")))})
    return rows


def _sizes(paths: Iterator[Path]) -> Iterator[int]:
    for _ in range(MOST_FILES):
        with contextlib.suppress(OSError):
            path = next(paths, None)
            if path is None:
                return
            if path.is_file():
                yield path.stat().st_size


def cost_table() -> dict[str, Any]:
    """The table in force, and whether a calibrated one is out of date: it lacks prices that the shipped one has.

    Of devices it does not know at all it has the shipped ones; a GPU it knows by name has what any GPU has.
    """
    own = methods.local()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a broken table is named below
        digest = methods.table()[1]
    row: dict[str, Any] = {"digest": digest, "of_this_machine": own.is_file(), "path": tidy(own), "wrong": ""}
    if row["of_this_machine"]:
        try:
            lacks = _lacking(_prices(own), _prices(methods.shipped()))
            row["wrong"] = f"is of an older sigconv: it has no price of {lacks[0]}" if lacks else ""
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            row["wrong"] = "cannot be read, and the shipped one is used"
    return row | {"remedy": "sigconv doctor --calibrate measures it anew" if row["wrong"] else ""}


def _lacking(own: dict[str, set[str]], shipped: dict[str, set[str]]) -> list[str]:
    """The prices that a table does not have of its devices: those of any GPU are the shipped ones in any case."""
    devices = own.keys() - {"cuda"}
    return sorted(f"{name}.{price}" for name in devices for price in shipped.get(name, shipped["cuda"]) - own[name])


def _prices(path: Path) -> dict[str, set[str]]:
    """The operations a table prices, of every device."""
    seconds = json.loads(files.read_bytes(path, 1 << 20))["seconds"]
    return {
        device: {
            f"{dtype}.{method}.{operation}"
            for dtype, found in dtypes.items()
            for method, operations in found.items()
            for operation in operations
        }
        for device, dtypes in seconds.items()
        if device != "cuda" or path == methods.shipped()  # of any GPU the shipped ones hold
    }


def limits() -> dict[str, Any]:
    """Files a process may have open, now and at most; bytes of memory, in all and to be had; None where unknown."""
    row: dict[str, Any] = {"open_files": None, "open_files_most": None, "memory_bytes": None, "memory_free_bytes": None}
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        row |= {"open_files": soft, "open_files_most": hard}
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        said = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}
        row |= {"memory_bytes": said.get("MemTotal"), "memory_free_bytes": said.get("MemAvailable")}
    return row


def tidy(text: Any) -> str:
    """A path or a line with the home directory written as ~.

    >>> tidy(Path.home() / "runs") == "~/runs"
    True
    """
    found = str(text)
    with contextlib.suppress(RuntimeError, OSError):  # there may be none
        for home in {str(Path.home()), os.path.realpath(Path.home())} - {"/"}:
            found = re.sub(re.escape(home) + r"(?![\w.-])", "~", found)
    return found


def size(count: float | None) -> str:
    """Bytes for a person to read.

    >>> size(512), size(3 << 20), size(None)
    ('512 B', '3.0 MB', '?')
    """
    if count is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1024 or unit == "TB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
