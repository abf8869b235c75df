"""Whose fault an error is: an input's, which then has no features, or the disk's, which ends the work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sigconv import console, files
from sigconv.extraction import _banks


class InputError(Exception):
    """An input that has no features; lasting, if that is by what it holds."""

    def __init__(self, error: Exception) -> None:
        text = console.one_line(error)
        told = isinstance(error, ValueError | OSError | ImportError)
        super().__init__(text[:500] if told else f"{type(error).__name__}: {text[:500]}")
        self.bank = isinstance(error, _banks.BankError)
        self.lasting = isinstance(error, ValueError) and not (self.bank or isinstance(error, files.PassingError))


@contextlib.contextmanager
def blamed(writing: bool = False) -> Iterator[None]:
    """What fails inside is the input's fault; where something is written too, a full disk is not."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        if writing and not isinstance(error, FileNotFoundError):
            raise
        raise InputError(error) from None
    except Exception as error:  # readers and filters of many makes fail in many ways
        raise InputError(error) from None
