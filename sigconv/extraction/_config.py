"""What is computed: a bank and its options, in plain values, so that two runs can be told apart without torch."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from sigconv import __version__, console, files
from sigconv.extraction import _kinds

OUTPUTS = ("auto", "complex", "real", "imag", "magnitude", "energy")
MODES = ("zeros", "constant", "replicate", "reflect", "symmetric", "circular")
POOL = re.compile(r"[a-z]+[0-9]{0,3}")
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kmgt])(i?))?b?", re.IGNORECASE)
POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
LEAST = 64 << 20  # bytes that a cap must leave
USUAL = 4 << 30  # bytes for maps and what they are made from, where no cap is given
MOST_YAML = 1 << 16
DEEPEST = 20  # lists in lists
OPENING = ("FlowSequenceStartToken", "FlowMappingStartToken", "BlockSequenceStartToken", "BlockMappingStartToken")
CLOSING = ("FlowSequenceEndToken", "FlowMappingEndToken", "BlockEndToken")
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
    steps = [int(n) for n in stride] if isinstance(stride, list | tuple) else [int(stride)]
    if not steps or min(steps) < 1:
        raise ValueError(f"stride {stride!r} must be at least 1")
    if ndim is not None and not 1 <= int(ndim) <= 16:
        raise ValueError(f"ndim {ndim!r} must be 1 to 16")
    rates = None if fs is None else [float(n) for n in (fs if isinstance(fs, list | tuple) else [fs])]
    if rates is not None and not all(0 < rate < float("inf") for rate in rates):
        raise ValueError(f"fs {fs!r} must be above 0 samples per unit")
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
        "ndim": None if ndim is None else int(ndim),
        "fs": None if rates is None else rates[0] if len(rates) == 1 else rates,
    }
    return Config(plan, made, masks)


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} {value!r} is not one of {', '.join(known)}: {console.nearest(str(value), known)}")


def _format(word: str, pooled: bool, output: str) -> str:
    """The format of maps or of what is pooled; auto becomes tsv where one table is meant."""
    known = ("auto", "npy", "npz", *_kinds.TABLES) if pooled else ("auto", *_kinds.FORMATS)
    if word in _kinds.TABLES and not pooled:
        raise ValueError(f"format {word!r} is a table of statistics: give pool too, or one of {', '.join(known)}")
    _one_of("format", word, known)
    if pooled and output == "complex":
        raise ValueError("output 'complex' has no statistics: take magnitude, energy, real or imag")
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
    if os.path.isdir(place):
        return {"run": place, "node": node}, {"weights": _weights(place), "node": node}
    if word.lower().endswith((".yaml", ".yml")):
        options = _yaml(word)
        return {"maker": options.pop("bank"), "options": options}, {"yaml": _yaml(word)}
    if not word:
        raise ValueError("bank '' is empty: expected a family's name, such as gabor")
    return {"word": word}, {"word": word}


def _told(bank: Any) -> dict[str, str]:
    """A module by its class, what it prints, and a digest of its numbers."""
    if not hasattr(bank, "state_dict"):
        raise ValueError(f"bank {type(bank).__name__} is no word, file, run or module")
    found = hashlib.sha256()
    for name, value in sorted(bank.state_dict().items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(dtype=_bytes()).numpy().tobytes())
    return {"class": type(bank).__name__, "text": str(bank)[:10_000], "sha256": found.hexdigest()}


def _bytes() -> Any:
    import torch

    return torch.uint8


def _weights(folder: str) -> str:
    """SHA-256 of the first network's weights in a run's folder, by which it is known wherever it lies."""
    for place in (folder, os.path.join(folder, "network"), os.path.join(folder, "network_0")):
        path = os.path.join(place, "model.safetensors")
        if os.path.isfile(path) and os.path.isfile(os.path.join(place, "config.json")):
            size = files.size_of(path, MOST_WEIGHTS)
            found = hashlib.sha256(str(size).encode())
            for part in ("config.json", "model.safetensors"):
                with open(os.path.join(place, part), "rb") as file:
                    while block := file.read(1 << 20):
                        found.update(block)
            return found.hexdigest()
    raise ValueError(
        f"bank {folder!r} is a folder without a trained network: expected a run, or models.save_pretrained's"
    )


def _yaml(path: str) -> dict[str, Any]:
    """A bank's maker and options from a file of plain values."""
    import yaml

    text = files.read_bytes(path, MOST_YAML)
    try:
        depth = 0
        for token in yaml.scan(text):  # looked at before anything is made of it
            word = type(token).__name__
            depth += (word in OPENING) - (word in CLOSING)
            if isinstance(token, yaml.AliasToken) or depth > DEEPEST:
                raise ValueError("it repeats parts by *name, or is nested deeper than any bank is")
        found = yaml.safe_load(text)
        json.dumps(found, allow_nan=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path!r} is no description of a bank: {' '.join(str(error).split())[:200]}") from None
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


def memory_of(value: Any) -> int:
    """Bytes from a number or a text; a usual share where none is given.

    >>> memory_of("2 GB"), memory_of("1.5GiB"), memory_of(1 << 30)
    (2000000000, 1610612736, 1073741824)
    """
    if value is None:
        return USUAL
    match = SIZE.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"memory {value!r} is no amount of bytes, such as 2GB or 500MB")
    base = 1024 if match[3] else 1000
    size = int(float(match[1]) * base ** POWERS.get((match[2] or "").lower(), 0))
    if size < LEAST:
        raise ValueError(f"memory {value!r} is {size} bytes: expected {LEAST} at least")
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
