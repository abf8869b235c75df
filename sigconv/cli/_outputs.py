"""Where a verb writes: a place that is looked at before any work, and lines into a file that is whole or not there."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sigconv import console


def place(
    path: str | Path | None, word: str = "-o", suffixes: tuple[str, ...] = (), inputs: Iterable[str | None] = ()
) -> None:
    """UsageError for a file that has none of these endings, no folder to be in, or is one that is read; None is stdout.

    So it is for a folder, a device or a pipe, an empty name, and a folder that cannot be written to.
    """
    if path is None:
        return
    if not str(path):
        raise console.UsageError(f"{word} needs the name of a file")
    if suffixes and Path(path).suffix not in suffixes:
        raise console.UsageError(f"{word} {str(path)!r} does not end in {' or '.join(suffixes)}")
    if not Path(path).resolve().parent.is_dir():
        raise console.UsageError(f"{word} {str(path)!r}: there is no such folder")
    if not os.access(Path(path).resolve().parent, os.W_OK):
        raise console.UsageError(f"{word} {str(path)!r}: its folder cannot be written to")
    if Path(path).exists():
        if not Path(path).is_file():
            raise console.UsageError(f"{word} {str(path)!r} is no file that could be written over: name another")
        for read in inputs:
            if read and Path(read).exists() and Path(path).samefile(read):
                raise console.UsageError(f"{word} {str(path)!r} is a file that is read: name another")


@contextlib.contextmanager
def lines(path: str | None) -> Iterator[Callable[[bytes], object]]:
    """What takes lines, in UTF-8: a file that gets its name when it is whole, or stdout for None."""
    from sigconv import files

    if path is None:
        yield lambda text: sys.stdout.write(text.decode())
    else:
        with files.writing(path) as file:
            yield file.write
