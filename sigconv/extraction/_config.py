"""What is computed: a bank and its options, in plain values, so that two runs can be told apart without torch."""

from __future__ import annotations

import hashlib
import json
import operator
import os
import pkgutil
import re
from pathlib import Path
from typing import Any, NamedTuple

from sigconv import __version__, console, files
from sigconv.extraction import _kinds

OUTPUTS = ("auto", "complex", "real", "imag", "magnitude", "energy")
MODES = ("zeros", "constant", "replicate", "reflect", "symmetric", "circular")
POOL = re.compile(r"[a-z]+[0-9]{0,3}")
LEAST = 256 << 20  # bytes that a cap must leave to each process: a bank of 20 filters in three axes takes 192 MiB
EACH = 512 << 20  # bytes for each process where no cap is given: blocks are whole, however many processes there are
USUAL = 4 << 30  # bytes for all of them, where that is more
MOST_STRIDE, MOST_AXES = 1 << 30, 16
MOST_YAML = 1 << 16
DEEPEST = 20  # lists in lists
OPENING = ("FlowSequenceStartToken", "FlowMappingStartToken", "BlockSequenceStartToken", "BlockMappingStartToken")
CLOSING = ("FlowSequenceEndToken", "FlowMappingEndToken", "BlockEndToken")
WEIGHTS = "model.safetensors"
MOST_WEIGHTS = 1 << 36


class Config(NamedTuple):
    """plan is what the answers depend on, as it is kept; bank how a worker makes it; masks where they are."""

    plan: dict[str, Any]
    bank: dict[str, Any]
    masks: str | None

    @property
    def pooled(self) -> bool:
        """Whether maps become one number each."""
        return bool(self.plan["pool"])

    @property
    def table(self) -> str:
        """The name of the one table of pooled features; empty where every input has a file."""
        return f"features.{self.plan['format']}" if self.plan["format"] in _kinds.TABLES else ""


def of(
    bank: Any,
    *,
    output: str,
    stride: Any,
    padding_mode: Any,
    pool: Any,
    mask: Any,
    format: str,  # noqa: A002  the option's own name
    ndim: Any,
    fs: Any,
) -> Config:
    """A configuration, its values looked at; ValueError in one line for what cannot be meant."""
    _one_of("output", output, OUTPUTS)
    modes = [padding_mode] if isinstance(padding_mode, str) else list(padding_mode)
    for mode in modes:
        _one_of("padding_mode", mode, MODES)
    pools = [] if pool is None else [pool] if isinstance(pool, str) else list(dict.fromkeys(pool))
    for name in pools:
        if not POOL.fullmatch(str(name)):
            raise ValueError(f"pool {name!r} is no name of a statistic, such as mean, std, energy or q50")
    steps = [whole("stride", step, MOST_STRIDE) for step in _each("stride", stride)]
    axes = None if ndim is None else whole("ndim", ndim, MOST_AXES)
    rates = None if fs is None else [_rate(rate) for rate in _each("fs", fs)]
    word = _format(format, bool(pools), output)
    if mask is not None and not pools:
        raise ValueError(f"mask {os.fspath(mask)!r} is where statistics are taken: give pool too, such as mean")
    masks, marked = _mask(mask)
    made, told = banked(bank)
    plan = {
        "sigconv": __version__,
        "bank": told,
        "output": output,
        "stride": steps[0] if len(steps) == 1 else steps,
        "padding_mode": modes[0] if len(modes) == 1 else modes,
        "pool": pools,
        "mask": marked,
        "format": word,
        "ndim": axes,
        "fs": None if rates is None else rates[0] if len(rates) == 1 else rates,
    }
    return Config(plan, made, masks)


def whole(name: str, value: Any, most: int) -> int:
    """A whole number of 1 to most; ValueError with its name for anything else.

    >>> whole("jobs", 4, 256)
    4
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = 0
    if not 1 <= found <= most or isinstance(value, bool):
        raise ValueError(f"{name} {value!r} must be a whole number of 1 to {most}")
    return found


def _each(name: str, value: Any) -> list[Any]:
    """One value for all axes or one of each, from a number, a list, a tuple or an array."""
    value = value.tolist() if hasattr(value, "tolist") else value
    found = list(value) if isinstance(value, list | tuple) else [value]
    if not found:
        raise ValueError(f"{name} {value!r} is empty: expected a number, or one of each axis")
    return found


def _rate(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = 0.0
    if not 0 < found < float("inf"):
        raise ValueError(f"fs {value!r} must be a number above 0, of samples per unit")
    return found


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} {value!r} is not one of those known: {console.nearest(str(value), known)}")


def _format(word: str, pooled: bool, output: str) -> str:
    """The format of maps or of what is pooled; auto becomes tsv where one table is meant."""
    known = ("auto", "npy", "npz", *_kinds.TABLES) if pooled else ("auto", *_kinds.FORMATS)
    if word in _kinds.TABLES and not pooled:
        raise ValueError(f"format {word!r} is a table of statistics: give pool too, or one of {', '.join(known)}")
    _one_of("format", word, known)
    if pooled and output == "complex":
        raise ValueError("output 'complex' has no statistics: take magnitude, energy, real or imag")
    if word == "parquet":
        from sigconv.extraction import _table

        _table.library()  # said now if it is not there, and not when all is done
    return "tsv" if pooled and word == "auto" else word


def _mask(mask: Any) -> tuple[str | None, str | None]:
    """Where masks are, and what is kept of that: one for all by its digest, those of a folder with each input."""
    if mask is None:
        return None, None
    path = os.fspath(mask)
    if os.path.isdir(path):
        return path, "folder"
    from sigconv.extraction import _inputs

    return path, _inputs.digest(path)


def banked(bank: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """How a bank is made from what the user gave, and what of that tells it from others."""
    if not isinstance(bank, str | os.PathLike):
        return {"object": bank}, {"object": _told(bank)}
    word = os.fspath(bank)
    place, _, node = word.partition(":node=")
    if os.path.isdir(place) and (_network(place) or node or os.sep in place or not _family(place)):
        return {"run": place, "node": node}, {"weights": _weights(place), "node": node}
    if word.lower().endswith((".yaml", ".yml")):
        options = _yaml(word)
        return {"maker": options.pop("bank"), "options": options}, {"yaml": _yaml(word)}
    if not word:
        raise ValueError("bank '' is empty: expected a family's name, such as gabor")
    return {"word": word}, {"word": word}


def _family(word: str) -> bool:
    """Whether a word begins with the name of a family of filters; none of them is loaded."""
    folder = os.path.join(os.path.dirname(console.__file__), "filters")
    known = {found.name for found in pkgutil.iter_modules([folder]) if not found.name.startswith("_")}
    return word.partition(":")[0].partition(".")[0] in known


def _told(bank: Any) -> dict[str, str]:
    """A module by its class, what it prints, and a digest of its numbers."""
    if not hasattr(bank, "state_dict"):
        raise ValueError(f"bank {type(bank).__name__} is no word, file, run or module")
    from sigconv.tiles import _identity

    said: dict[str, str] = _identity.of_op(bank)
    return said | {"repr": said["repr"][:10_000]}


def _weights(folder: str) -> str:
    """SHA-256 of the first network's weights in a run's folder, by which it is known wherever it lies."""
    place = _network(folder)
    if place is None:
        raise ValueError(
            f"bank {folder!r} is a folder without a trained network: expected a run, or models.save_pretrained's"
        )
    found = hashlib.sha256(str(files.size_of(os.path.join(place, WEIGHTS), MOST_WEIGHTS)).encode())
    for part in ("config.json", WEIGHTS):
        with open(os.path.join(place, part), "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def _network(folder: str) -> str | None:
    """The first network of a run's folder; None where there is none."""
    for place in (folder, os.path.join(folder, "network"), os.path.join(folder, "network_0")):
        if all(os.path.isfile(os.path.join(place, part)) for part in ("config.json", WEIGHTS)):
            return place
    return None


def _yaml(path: str) -> dict[str, Any]:
    """A bank's maker and options from a file of plain values."""
    import yaml

    text = files.read_bytes(path, MOST_YAML)
    try:
        depth, named, keys = 0, False, []
        for token in yaml.scan(text):  # looked at before anything is made of it
            word = type(token).__name__
            if named and depth == 1 and isinstance(token, yaml.ScalarToken):
                keys.append(token.value)
            named = isinstance(token, yaml.KeyToken)
            depth += (word in OPENING) - (word in CLOSING)
            if isinstance(token, yaml.AliasToken) or depth > DEEPEST:
                raise ValueError("it repeats parts by *name, or is nested deeper than any bank is")
        again = [key for key in keys if keys.count(key) > 1]
        if again:
            raise ValueError(f"it says {again[0]!r} twice")
        found = yaml.safe_load(text)
        json.dumps(found, allow_nan=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path!r} is no description of a bank: {console.one_line(error, 200)}") from None
    if not isinstance(found, dict) or not isinstance(found.get("bank"), str):
        raise ValueError(f"{path!r} is no description of a bank: expected `bank: gabor.pyramid` and its options")
    if not all(isinstance(key, str) for key in found):
        raise ValueError(f"{path!r} is no description of a bank: names of options must be words")
    return found


def differing(plan: dict[str, Any], earlier: dict[str, Any]) -> list[str]:
    """What two plans differ in, a line each."""
    keys = [key for key in {**plan, **earlier} if plan.get(key) != earlier.get(key)]
    return [f"{key} {_short(earlier.get(key))}, now {_short(plan.get(key))}" for key in keys]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"


def memory_of(value: Any, jobs: int = 1) -> int:
    """Bytes for so many processes, from a number or a text; as much as is usual where none is given.

    ValueError for what is too little for a block of positions in each of them.

    >>> memory_of("2 GB"), memory_of(None, jobs=2) == USUAL, memory_of(None, jobs=16) > USUAL
    (2000000000, True, True)
    """
    if value is None:
        return max(USUAL, jobs * EACH)
    from sigconv import units  # which takes NumPy: a call that finds nothing to do is done without

    size = units.bytes_of(value)
    if size < jobs * LEAST:
        raise ValueError(f"memory {value!r} is too little: expected {LEAST} bytes for each of jobs {jobs}, or more")
    return size


def mask_for(masks: str | None, name: str) -> str | None:
    """The mask of an input: the one there is, or that of the same name, or stem, in a folder of them."""
    if masks is None or not os.path.isdir(masks):
        return masks
    same = os.path.join(masks, name)
    ending = _kinds.ending_of(name)
    stem = same[: len(same) - len(ending)]
    near = [stem + end for end in (".nii.gz", ".nii", ".npy", ".mgz", ".mgh", ".hdr", ".png")]
    return next((path for path in (same, *near) if os.path.isfile(path)), str(Path(same)))
