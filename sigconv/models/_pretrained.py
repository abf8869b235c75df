"""Trained models as folders: config.json says what to build, model.safetensors its weights, README.md is the card.

Nothing in a folder is ever run: config.json names a model found here and plain options of its build, no class and no
place to import from. Sizes are compared before a weight is read, and a digest of the weights after.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import __version__, console, files
from sigconv.models import _hub
from sigconv.models._card import card
from sigconv.models._record import FORMAT, described, planned, twin

CONFIG, WEIGHTS, CARD = _hub.FILES
MOST_CONFIG = 1 << 20
KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def save_pretrained(
    model: nn.Module, folder: str | os.PathLike[str], *, metrics: Mapping[str, Any] | None = None
) -> Path:
    """Write a model that sigconv.models built as a folder: config.json, model.safetensors, README.md; the folder.

    The folder is written whole or not at all. One that is there already is replaced if it is such a folder, and the
    README of a person's hand stays; any other is left alone, with an error. metrics, {name: number}, go into the model
    card. dtypes are kept, whatever the device; the model stays as it is.

    Raises ValueError for a model of another make, one changed since it was built, and options that are no plain
    values (an activation given as a function): models.export writes those. OSError where the folder cannot be written.

    >>> import tempfile
    >>> from sigconv import models
    >>> folder = models.save_pretrained(models.build("mnist1d"), f"{tempfile.mkdtemp()}/mnist1d")
    >>> sorted(os.listdir(folder))
    ['README.md', 'config.json', 'model.safetensors']
    """
    from safetensors.torch import save

    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    record = described(model)
    path = Path(os.path.realpath(folder))
    before = _replaceable(path)
    tensors = {name: _stored(value) for name, value in model.state_dict().items()}
    content = save(tensors, metadata={"format": "pt"})
    text = card(record, model, dict(metrics or {})).encode()
    digests = {"sha256": hashlib.sha256(content).hexdigest(), "card_sha256": hashlib.sha256(text).hexdigest()}
    config = {"sigconv": __version__, "format": FORMAT} | record | digests
    parts = {WEIGHTS: content, CARD: before or text, CONFIG: (json.dumps(config, indent=1) + "\n").encode()}
    _write(path, parts)
    return Path(folder)


def from_pretrained(folder_or_id: str | os.PathLike[str], *, revision: str | None = None) -> nn.Module:
    """The model of a folder that save_pretrained wrote, or of such a folder on the Hugging Face hub, "org/name".

    It is on the CPU, in eval mode, in the dtypes it was saved in, and gives the same bits. torch's random numbers go on
    as if nothing had been built. An id is fetched where there is no folder of this name (extra "hub"); revision is its
    branch, tag or commit.

    Raises ValueError, one line, for a folder that is damaged or of a newer sigconv, whose weights are not the model's,
    or which asks for what no model here has; FileNotFoundError where there is neither folder nor id. No file is run.

    >>> import tempfile
    >>> from sigconv import models
    >>> net = models.build("mnist1d", width=2).eval()
    >>> twin = models.from_pretrained(models.save_pretrained(net, f"{tempfile.mkdtemp()}/wide"))
    >>> x = torch.randn(2, 1, 40)
    >>> torch.equal(twin(x), net(x))
    True
    """
    folder = Path(folder_or_id)
    if folder.is_dir() and revision is not None:
        raise ValueError(f"revision {revision!r}: only a model on the hub has one, and {str(folder)!r} is a folder")
    if not folder.is_dir():
        folder = _hub.pull(str(folder_or_id), revision)
    try:
        config = _config(folder)
        build = planned(config)
        tensors = _weights(folder / WEIGHTS, twin(build), str(config.get("sha256")))
        with torch.random.fork_rng(devices=[]):
            model = build()
        model.load_state_dict(tensors, strict=True, assign=True)
        return model.eval()
    except Exception as error:  # whatever a damaged file makes a parser say, it is one thing to the user
        reason = console.one_line(error)
        raise ValueError(f"pretrained folder {str(folder)!r} cannot be used: {reason[:500]}") from None


def push_to_hub(folder: str | os.PathLike[str], name: str, *, private: bool | None = None) -> str:
    """Send a folder of save_pretrained to the Hugging Face hub as "org/name" (extra "hub"); its address.

    The repository is made where it does not exist, private if asked. Who you are is huggingface_hub's to know: log in
    with its own command first. Raises ValueError for a folder that from_pretrained would refuse.
    """
    from_pretrained(Path(folder))
    return _hub.push(Path(folder), name, private)


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Give a model the weights of a .safetensors file, such as a run's model.safetensors; the model.

    Names, shapes and kinds must be the model's: ValueError, one line, names the first tensor that is not, and then the
    model is as it was. Values come in the model's dtype, to its device.

    >>> import tempfile
    >>> from sigconv import models
    >>> folder = models.save_pretrained(models.build("mnist1d"), f"{tempfile.mkdtemp()}/net")
    >>> net = load_weights(models.build("mnist1d"), folder / "model.safetensors")
    """
    path = Path(path)
    model.load_state_dict(_weights(path, model, None), strict=True)
    return model


def _stored(value: Tensor) -> Tensor:
    if value.is_meta:
        raise ValueError("the model is on the meta device: it has no weights to save")
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def _config(folder: Path) -> dict[str, Any]:
    """config.json, as far as it can be read as one."""
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).exists()]
    if missing:
        raise ValueError(f"it has no {missing[0]}: expected a folder that models.save_pretrained wrote")
    try:
        config = json.loads(files.read_bytes(folder / CONFIG, MOST_CONFIG))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{CONFIG} is not JSON: {error}") from None
    if not isinstance(config, dict) or "sigconv" not in config:
        raise ValueError(f"{CONFIG} is not one of sigconv's: it says no version of it")
    return config


def _weights(path: Path, model: nn.Module, digest: Any) -> dict[str, Tensor]:
    """The weights of a file, read once their names, sizes and kinds are known to be the model's; None is any digest."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    files.size_of(path)
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  it is no dict
            shapes = {name: tuple(part.get_shape()) for name, part in found.items()}
            kinds = {name: part.get_dtype() for name, part in found.items()}
    except SafetensorError as error:
        raise ValueError(f"{path.name} is not a safetensors file: {error}") from None
    _check(path.name, model, shapes, kinds)
    content = files.read_bytes(path)
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path.name} was changed since it was saved: its SHA-256 is not the one in {CONFIG}")
    return {name: value.clone() for name, value in load(content).items()}


def _check(name: str, model: nn.Module, shapes: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """ValueError with the first tensor of a file that is not the model's: missing, unknown, of other shape or kind."""
    expected = model.state_dict()
    for key, value in expected.items():
        if key not in shapes:
            raise ValueError(f"{name} has no tensor {key!r}, which the model has")
        if shapes[key] != tuple(value.shape):
            raise ValueError(f"{name}: {key} is {shapes[key]}, and the model's {tuple(value.shape)}")
        taken = [_word(kind) for kind in KINDS] if value.is_floating_point() else [_word(value.dtype)]
        if kinds[key] not in taken:
            raise ValueError(f"{name}: {key} holds {kinds[key]}, and the model takes {', '.join(taken)}")
    unknown = sorted(set(shapes) - set(expected))
    if unknown:
        raise ValueError(f"{name} has a tensor {unknown[0][:80]!r}, which the model has not")


def _word(kind: torch.dtype) -> str:
    """A dtype as safetensors calls it."""
    letters = {"float": "F", "bfloat": "BF", "int": "I", "uint": "U", "bool": "BOOL"}
    word = str(kind).removeprefix("torch.")
    return letters[word.rstrip("0123456789")] + word.lstrip("abcdefghijklmnopqrstuvwxyz")


def _replaceable(path: Path) -> bytes | None:
    """Nothing, or the README a person wrote in the folder that stands there; FileExistsError if it is none of ours."""
    if not os.path.lexists(path):
        return None
    there = sorted(os.listdir(path)) if path.is_dir() else ["a file"]
    others = [name for name in there if name not in _hub.FILES]
    if others or (there and CONFIG not in there):
        held = ", ".join((others or there)[:3])
        raise FileExistsError(
            f"{str(path)!r} holds {held}: save_pretrained replaces only a folder of its own, name another"
        )
    if not there:
        return None
    try:
        config = _config(path)
        written = files.read_bytes(path / CARD, MOST_CONFIG) if CARD in there else b""
    except ValueError as error:
        raise FileExistsError(f"{str(path)!r} is not replaced: {error}") from None
    return written if written and hashlib.sha256(written).hexdigest() != config.get("card_sha256") else None


def _write(path: Path, parts: Mapping[str, bytes]) -> None:
    """The folder under another name, whole, and then under its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = f".{path.name[:64]}.{uuid.uuid4().hex[:8]}"
    temporary, old = path.with_name(f"{mark}.tmp"), path.with_name(f"{mark}.old")
    temporary.mkdir()
    try:
        for name, content in parts.items():
            with files.writing(temporary / name) as file:
                file.write(content)
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(temporary, path)
        except BaseException:
            if old.exists():
                os.replace(old, path)
            raise
        files.sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
