"""Files opened and written with care: only regular ones, only of a size that was looked at, never half-written.

A folder is held by one process at a time: its lock goes with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import errno
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

MOST_BYTES = 4 << 30  # one file read into memory whole
LOCK = ".lock"
PLACES = ("data_root", "listen")  # a recipe's options that say where files lie: no part of what a run computes
_held: set[Path] = set()  # folders this process holds


class PassingError(ValueError):
    """What fails for want of memory, time or room, and may not another time."""


def size_of(path: str | os.PathLike[str], most: int = MOST_BYTES) -> int:
    """Bytes in a file, once it is known to be a regular one of a sensible size: a pipe would hang the reader."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{os.fspath(path)!r} is not a regular file")
    if status.st_size > most:
        raise ValueError(f"{os.fspath(path)!r} has {status.st_size} bytes: more than the {most} read at once")
    return status.st_size


def read_bytes(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """A regular file's whole content."""
    size_of(path, most)
    return Path(path).read_bytes()


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file that is either there whole or as it was before: temporary name, fsync, rename, fsync of the folder.

    Through a link its target is written. OSError, before anything is, for a folder, a device or a pipe of that name.
    Inside `with group:` it gets its name when that Group does.

    >>> folder = tempfile.mkdtemp()
    >>> with writing(f"{folder}/a.txt") as file:
    ...     _ = file.write(b"all or nothing")
    >>> os.listdir(folder)
    ['a.txt']
    """
    replaceable(path)
    path, group = Path(os.path.realpath(path)), _group.get()
    handle, temporary = tempfile.mkstemp(prefix=waiting(path.name), suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if group is None:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        if group is not None:
            group.pending.append((temporary, str(path)))
            return
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            error.filename = str(path)  # a full disk is told with the file that found it full
        raise
    sync_folder(path.parent)


class Group:
    """Files that come to last together: many small ones are synced at once, which costs hardly more than one does.

    What is written inside `with group:` waits under a temporary name until commit(). Killed before, there is none of
    them; killed within, each is there whole or not at all. pending holds pairs of temporary and final names.

    >>> folder = tempfile.mkdtemp()
    >>> with Group() as group:
    ...     write_text(f"{folder}/a.txt", "a")
    ...     write_text(f"{folder}/b.txt", "b")
    >>> os.path.exists(f"{folder}/a.txt")
    False
    >>> group.commit()
    >>> sorted(os.listdir(folder))
    ['a.txt', 'b.txt']
    """

    def __init__(self, pending: Iterable[tuple[str, str]] = ()) -> None:
        self.pending = list(pending)
        self._tokens: list[contextvars.Token[Group | None]] = []

    def __enter__(self) -> Self:
        self._tokens.append(_group.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        _group.reset(self._tokens.pop())

    def commit(self, top: str | os.PathLike[str] | None = None) -> None:
        """Sync the files, give them their names, sync their folders, and those above up to top, which may be new.

        OSError where one could not be written.
        """
        synced(temporary for temporary, _ in self.pending)
        for temporary, path in self.pending:
            os.replace(temporary, path)
        folders = {os.path.dirname(path) for _, path in self.pending}
        if top is not None:
            folders.update([above for folder in folders for above in _between(folder, os.path.realpath(top))])
        self.pending.clear()
        synced(sorted(folders))

    def discard(self) -> None:
        """Delete what waits."""
        while self.pending:
            with contextlib.suppress(OSError):
                os.unlink(self.pending.pop()[0])


def _between(folder: str, top: str) -> Iterator[str]:
    """The folders above one, up to a top that it is below."""
    while folder != top and os.path.commonpath([folder, top]) == top:
        folder = os.path.dirname(folder)
        yield folder


def synced(paths: Iterable[str]) -> None:
    """Make files and folders last through a power cut: several by one call for their whole file system, if it can."""
    found = list(paths)
    if len(found) > 2 and (whole := _syncfs()) is not None:
        found = list({os.stat(path).st_dev: path for path in found}.values())
    else:
        whole = None
    for path in found:
        handle = os.open(path, os.O_RDONLY)
        try:
            if whole is None:
                os.fsync(handle)
            elif whole(handle) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(handle)


def _syncfs() -> Any:
    """The system's call that syncs a file system, where there is one."""
    try:
        return ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, TypeError, AttributeError):
        return None


_group: contextvars.ContextVar[Group | None] = contextvars.ContextVar("group", default=None)


def replaceable(path: str | os.PathLike[str]) -> None:
    """OSError for what is there already and is no regular file: nothing else may be written over."""
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "a device or a pipe"
        raise OSError(f"{os.fspath(path)!r} is {kind}: name a file")


def sweep(folder: Path) -> None:
    """Delete what writing left in a folder when it was killed: whoever calls this holds the folder."""
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def waiting(name: str) -> str:
    """How the temporary names of a file begin; eight letters of tempfile's and .tmp are the rest."""
    return f".{name[:16]}."


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text whole or not at all."""
    with writing(path) as file:
        file.write(text.encode())


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder last through a power cut."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder for this process alone; OSError at once, naming the process that holds it, if one does.

    The lock is the system's own, on a file in the folder: it is free again as soon as its process is gone, killed or
    not, and a process forked from it does not keep it.

    >>> folder = tempfile.mkdtemp()
    >>> with locked(folder):
    ...     held_by(folder).startswith(f"process {os.getpid()} on ")
    True
    >>> held_by(folder) is None
    True
    """
    path = Path(folder).resolve()
    if path in _held:  # not opened again: closing any handle on the file would set the lock free
        raise OSError(f"{os.fspath(folder)!r} is in use by this very process: let it end first")
    handle = _lock(path)
    try:
        if not _gained(handle):
            raise OSError(
                f"{os.fspath(folder)!r} is in use by {_written(handle) or 'another process'}: let it end first"
            )
        os.truncate(handle, 0)
        os.pwrite(handle, f"{_myself()}\n".encode(), 0)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            os.truncate(handle, 0)
    finally:
        os.close(handle)


def held_by(folder: str | os.PathLike[str]) -> str | None:
    """Who holds a folder, as "process 123 on host"; None if no living process does."""
    path = Path(folder).resolve()
    if path in _held:
        return _myself()
    try:
        handle = os.open(path / LOCK, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        return None if _taken(handle, exclusive=False) else _written(handle) or "another process"
    finally:
        os.close(handle)


def _lock(folder: Path) -> int:
    """The lock file, opened: a regular file of this folder itself, whatever stands at its name."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise OSError(error.errno, f"{os.fspath(folder)!r} cannot be held ({LOCK}: {error.strerror})") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"{os.fspath(folder)!r} cannot be held ({LOCK} is no regular file)")
    return handle


def _gained(handle: int) -> bool:
    """Whether the lock is ours now. Asked a few times: one who only looks at who holds it lets go at once."""
    for _ in range(5):
        if _taken(handle, exclusive=True):
            return True
        time.sleep(0.03)
    return False


def _myself() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _written(handle: int) -> str:
    return os.pread(handle, 200, 0).decode(errors="replace").strip()


def _taken(handle: int, exclusive: bool) -> bool:
    """Whether the lock could be had. Where a file system knows none, everyone has it."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.lockf(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True
