"""What is installed: versions, what sigconv asks for, and which of its extras are whole."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import platform
import re
from typing import Any, NamedTuple

BESIDE = ("triton", "soxr", "llvmlite")  # not asked for by name, but results and crashes may come of them
REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([\w, .-]*)\])?\s*\(?([^;()]*)\)?\s*(?:;\s*(.*))?")
EXTRA = re.compile(r"""extra\s*==\s*['"]([\w.-]+)['"]""")
SIGNS = re.compile(r"(<=|>=|==|!=|~=|<|>)\s*([\w.+*-]+)")


class Requirement(NamedTuple):
    """A package, the versions asked for, and the extra that asks ("" for sigconv itself)."""

    name: str
    versions: str
    extra: str


def requirements() -> list[Requirement]:
    """What the installed sigconv asks for; nothing where it is a bare checkout.

    Extras named by extras ("sigconv[sklearn]" of test) are followed.
    """
    try:
        lines = importlib.metadata.requires("sigconv") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found: list[Requirement] = []
    for line in lines:
        matched = REQUIREMENT.match(line)
        if not matched:
            continue
        name, inner, versions, marker = (part or "" for part in matched.groups())
        extra = next(iter(EXTRA.findall(marker)), "")
        if re.search(r"python|platform|sys_|os_name|implementation", marker):
            continue  # asked for on some machines only
        if name.lower() == "sigconv":
            found += [Requirement(f"sigconv[{word.strip()}]", "", extra) for word in inner.split(",")]
        else:
            found.append(Requirement(name, versions.replace(" ", ""), extra))
    return found


def version(name: str) -> str | None:
    """The version of a package, of Python, or of the libsndfile that soundfile decodes with; None where it is missing.

    >>> version("no-such-package") is None
    True
    """
    if name == "python":
        return platform.python_version()
    if name == "libsndfile":
        with contextlib.suppress(Exception):  # soundfile is missing, or its library is
            import soundfile

            return str(soundfile.__libsndfile_version__)
        return None
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    if name == "torch":  # built by hand: it may stand on the path without being installed
        import torch

        return str(torch.__version__)
    return None


def versions() -> dict[str, str | None]:
    """The version of everything sigconv asks for, and of what stands below it."""
    core = [row.name for row in requirements() if not row.extra] or ["torch", "numpy", "scipy", "numba"]
    return {name: version(name) for name in dict.fromkeys([*core, *BESIDE, "libsndfile"])}


def numbers(text: str) -> tuple[int, ...]:
    """A version's whole numbers, without what follows them.

    >>> numbers("2.13.0+cpu"), numbers("2.10.0a0+git1")
    ((2, 13, 0), (2, 10, 0))
    """
    return tuple(int(part) for part in re.match(r"[\d.]*", text)[0].split(".") if part)  # type: ignore[index]


def within(found: str, wanted: str) -> bool:
    """Whether a version is within a range such as ">=2.10,<3"; every one is within "".

    >>> within("2.9.1", ">=2.10,<3"), within("2.13.0+cpu", ">=2.10,<3"), within("1.2.2", "<=1.2.2"), within("1", "")
    (False, True, True, True)
    """
    for sign, text in SIGNS.findall(wanted):
        ours, theirs = numbers(found), numbers(text)
        starred = text.endswith(".*") or sign == "~="
        length = len(theirs) if starred else max(len(ours), len(theirs))
        pad = lambda part, n=length: tuple(itertools.islice(itertools.chain(part, itertools.repeat(0)), n))
        a, b = pad(ours), pad(theirs)
        kept = {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b}
        if not (kept[sign] if sign != "~=" else a >= b and a[:-1] == b[:-1]):
            return False
    return True


def extras() -> list[dict[str, Any]]:
    """Each extra of the installed sigconv: what it still lacks, and the pip line that brings it."""
    rows = requirements()
    found = []
    for extra in dict.fromkeys(row.extra for row in rows if row.extra):
        missing = sorted(name for name in _whole(extra, rows) if version(name) is None)
        line = f'pip install "sigconv[{extra}]"' if missing else ""
        found.append({"extra": extra, "complete": not missing, "missing": missing, "remedy": line})
    return found


def _whole(extra: str, rows: list[Requirement], seen: tuple[str, ...] = ()) -> set[str]:
    """The packages of an extra and of those it names."""
    found: set[str] = set()
    for row in rows:
        if row.extra != extra:
            continue
        inner = re.fullmatch(r"sigconv\[(.+)\]", row.name)
        if not inner:
            found.add(row.name)
        elif inner[1] not in (extra, *seen):
            found |= _whole(inner[1], rows, (*seen, extra))
    return found


def outside() -> list[dict[str, Any]]:
    """What is installed in a version that sigconv does not ask for, or is missing altogether: rows of warnings."""
    found = []
    for row in requirements():
        have = version(row.name) if not row.extra else None
        if not row.extra and have is None:
            what = f"{row.name} is missing: sigconv asks for {row.name}{row.versions}"
        elif have and not within(have, row.versions):
            what = f"{row.name} {have}: sigconv asks for {row.name}{row.versions}"
        else:
            continue
        found.append({"what": what, "remedy": f'pip install "{row.name}{row.versions}"', "source": "pyproject.toml"})
    return found
