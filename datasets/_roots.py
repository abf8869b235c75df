"""Where a data set lies: the root given, else $SIGCONV_DATA, else the cache, else its official address."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from sigconv import console


def find(folder: str, root: Any, manifest: str) -> Path:
    """The folder of a data set under a root, or the file its manifest (a name.toml beside it) has fetched, checked.

    A root that is given must have it; one line says everywhere that was looked.
    """
    if root is not None:
        here = Path(root) / folder
        if here.exists() or Path(root).name == folder:
            return here if here.exists() else Path(root)
        raise FileNotFoundError(f"no data set {folder!r} under {str(root)!r}: expected the folder {str(here)!r}")
    around = os.environ.get("SIGCONV_DATA")
    if around and (Path(around) / folder).exists():
        return Path(around) / folder
    return fetch(folder, manifest, around)


def cached(folder: str) -> Path:
    """Where the cache has a data set, if it has it: under $SIGCONV_CACHE, else the user's own cache."""
    import pooch

    return Path(os.environ.get("SIGCONV_CACHE") or pooch.os_cache("sigconv")) / folder


def facts(manifest: str) -> dict[str, Any]:
    """What a manifest says: url, sha256 and file; size, as a person reads it, where it is worth saying."""
    return tomllib.loads((Path(__file__).parent / manifest).read_text(encoding="utf-8"))


def fetch(folder: str, manifest: str, around: str | None = None, known: dict[str, Any] | None = None) -> Path:
    """The official file, from the cache or downloaded into it; refused if its digest is not the manifest's.

    known are the facts of one file, where the manifest has several.
    """
    import pooch

    known, cache = known or facts(manifest), cached(folder)
    pooch.get_logger().setLevel("WARNING")  # what goes wrong is said below, in one line
    try:
        found = pooch.retrieve(
            known["url"],
            known_hash=f"sha256:{known['sha256']}" if "sha256" in known else f"md5:{known['md5']}",
            path=cache,
            fname=known["file"],
            downloader=functools.partial(_downloaded, cache, known.get("size")),
        )
    except Exception as error:  # whatever went wrong on the way, the user needs to know the ways
        why = console.one_line(error, 200)
        set_to = f"nothing of it under SIGCONV_DATA={around}" if around else "SIGCONV_DATA is not set"
        raise FileNotFoundError(
            f"data set {folder!r} is not at hand: no --data-root given, {set_to}, the cache {str(cache)!r} has none, "
            f"and {known['url']} could not be fetched ({why})"
        ) from None
    return Path(found)


def _downloaded(cache: Path, size: str | None, url: str, output: Any, pooch: Any) -> None:
    """The download itself, said before it begins; with pooch's bar on a terminal, where tqdm is there to draw it."""
    from pooch.downloaders import choose_downloader

    console.say(f"downloading {url}{f' ({size})' if size else ''} into {str(cache)!r}, once")
    bar = importlib.util.find_spec("tqdm") is not None and sys.stderr.isatty()
    choose_downloader(url, progressbar=bar)(url, output, pooch)
