"""sigconv on the command line: one verb a file, found here. This page and --help import no torch."""

from __future__ import annotations

import importlib
import os
import sys

from sigconv import __version__, console
from sigconv.cli import _discover


def main(arguments: list[str] | None = None) -> None:
    """Run a verb; the process ends with its exit code: 0 done, 1 failed, 2 usage, 130 or 143 stopped by a signal."""
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for huge pages, as NumPy does
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads do not spin: others may share the cores
    console.leave(console.guarded(lambda: _answer(arguments), "--debug" in arguments))


def _answer(arguments: list[str]) -> int:
    verb, *rest = arguments or ["--help"]
    verbs = _discover.files("cli")
    pages = dict.fromkeys(("--version", "-V"), lambda: f"sigconv {__version__}")
    pages |= dict.fromkeys(("--help", "-h", "help"), overview)
    if verb in pages:
        console.show(pages[verb]())
        return 0
    if verb not in verbs:
        kind = "option" if verb.startswith("-") else "verb"
        raise console.UsageError(f"unknown {kind} {verb!r}: {console.nearest(verb, verbs)} (see sigconv --help)")
    return importlib.import_module(f"sigconv.cli.{verb}").main(rest)


def overview() -> str:
    """The verbs, each with the first line of its file."""
    return f"""usage: sigconv VERB …

Convolution, filter banks and pooling for science signals, in any number of dimensions.

{_discover.table("cli")}

sigconv VERB --help tells more. --json ends any verb with one JSON object on stdout; --debug shows tracebacks.
Exit codes: 0 done, 1 failed, 2 usage, 3 some of many failed (listed), 130 and 143 stopped by a signal."""
