"""What a zarr array's metadata say, version 2 or 3, each number held against what it may be; no codec but those here.

A codec is a name in a file: only those of `_zarr_codecs.UNPACK` are ever called, so none that runs code (pickle).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sigconv.readers._zarr_codecs import MOST_CHUNK, UNPACK, Chain, Fail, Shard

MOST_AXES = 16
MOST_LENGTH = 1 << 48
MOST_INNER = 1 << 24  # chunks in a shard
MOST_DEEP = 3  # shards in shards
MOST_PACKERS = 8
KINDS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
OLD = re.compile(r"[<>|]([biufc])([0-9]{1,2})")
EVERY = {"zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs"}
MAY = {"attributes", "storage_transformers", "dimension_names", "consolidated_metadata"}


class Layout(NamedTuple):
    """An array as its metadata have it: key makes a chunk's file name, from the array's folder, of its place."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    chain: Chain
    fill: Any
    key: Callable[[tuple[int, ...]], str]
    attrs: dict[str, Any]

    @property
    def inner(self) -> tuple[int, ...]:
        """The shape of what is unpacked at a time: a chunk, or one within a shard."""
        chain, chunks = self.chain, self.chunks
        while chain.open and (shard := chain.shard):
            chain, chunks = shard.chain, shard.chunks
        return chunks


def newer(said: dict[str, Any], fail: Fail) -> Layout:
    """The layout that a version 3 zarr.json says."""
    missing = sorted(EVERY - set(said))
    if missing:
        raise fail(f"its zarr.json has no {missing[0]!r}")
    for name in sorted(set(said) - EVERY - MAY):
        if not (isinstance(said[name], dict) and said[name].get("must_understand") is False):
            raise fail(f"its zarr.json has {name[:40]!r}, which is not known here")
    if said.get("storage_transformers"):
        raise fail("it has storage transformers, which are not read")
    if said["data_type"] not in KINDS:
        raise fail(f"its data_type {_short(said['data_type'])} is not one of {', '.join(KINDS)}")
    dtype, shape = np.dtype(said["data_type"]), _sizes(said["shape"], "shape", 0, fail)
    grid, options = _named(said["chunk_grid"], "chunk_grid", fail)
    if grid != "regular":
        raise fail(f"its chunk grid {grid[:40]!r} is not regular")
    chunks = _sizes(options.get("chunk_shape"), "chunk_shape", 1, fail, len(shape))
    chain = _chain(said["codecs"], chunks, dtype, fail, 0)
    if not chain.open:
        _bounded(chunks, dtype, fail)
    fill = _fill(said["fill_value"], dtype, fail)
    return Layout(shape, dtype, chunks, chain, fill, _keys(said["chunk_key_encoding"], fail), _attrs(said, fail))


def older(said: dict[str, Any], attrs: dict[str, Any], fail: Fail) -> Layout:
    """The layout that a version 2 .zarray says."""
    kind = said.get("dtype")
    match = OLD.fullmatch(kind) if isinstance(kind, str) else None
    if match is None or f"{match[1]}{match[2]}" not in {np.dtype(name).str[1:] for name in KINDS}:
        raise fail(f"its dtype {_short(kind)} is not plain numbers")
    stored = np.dtype(str(kind))
    shape = _sizes(said.get("shape"), "shape", 0, fail)
    chunks = _sizes(said.get("chunks"), "chunks", 1, fail, len(shape))
    if said.get("filters"):
        raise fail(f"its filters {_short(said['filters'])} are not read")
    if said.get("order") not in ("C", "F"):
        raise fail(f"its order {_short(said.get('order'))} is not C or F")
    packer = said.get("compressor")
    name = None if packer is None else packer.get("id") if isinstance(packer, dict) else packer
    if not (name is None or (isinstance(name, str) and name in UNPACK and name != "crc32c")):
        raise fail(f"its compressor {_short(name)} is not one of {', '.join(sorted(set(UNPACK) - {'crc32c'}))}")
    axes = tuple(reversed(range(len(shape)))) if said["order"] == "F" else ()
    separator = said.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise fail(f"its dimension_separator {_short(separator)} is not '.' or '/'")
    dtype = stored.newbyteorder("=")
    _bounded(chunks, dtype, fail)
    chain = Chain(axes, ">" if str(kind).startswith(">") else "<", () if name is None else (name,))
    fill = _fill(0 if said.get("fill_value") is None else said["fill_value"], dtype, fail)
    return Layout(shape, dtype, chunks, chain, fill, lambda place: separator.join(map(str, place)) or "0", attrs)


def _chain(listed: Any, chunks: tuple[int, ...], dtype: np.dtype, fail: Fail, deep: int) -> Chain:
    """A list of codecs: any number of transpositions, one that makes bytes, packers."""
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_PACKERS:
        raise fail(f"its codecs {_short(listed)} are no list of 1 to {MOST_PACKERS}")
    steps = [_named(one, "codec", fail) for one in listed]
    axes = tuple(range(len(chunks)))
    while steps and steps[0][0] == "transpose":
        order = steps.pop(0)[1].get("order")
        if not isinstance(order, list) or sorted(map(str, order)) != sorted(map(str, range(len(chunks)))):
            raise fail(f"its transpose {_short(order)} is no order of {len(chunks)} axes")
        axes = tuple(axes[n] for n in order)
    kind, options = steps.pop(0) if steps else ("", {})
    packers = tuple(name.removeprefix("numcodecs.") for name, _ in steps)
    wrong = [name for name in packers if name not in UNPACK]
    if wrong or kind not in ("bytes", "sharding_indexed"):
        raise fail(f"its codec {(wrong or [kind])[0][:40]!r} is not one that is read here")
    turned = () if axes == tuple(range(len(chunks))) else axes
    if kind == "sharding_indexed":
        lying = tuple(chunks[axis] for axis in axes)
        return Chain(turned, "<", packers, _shard(options, lying, dtype, fail, deep))
    order = options.get("endian", "little")
    if order not in ("little", "big"):
        raise fail(f"its order of bytes {_short(order)} is not little or big")
    return Chain(turned, ">" if order == "big" else "<", packers)


def _shard(said: dict[str, Any], outer: tuple[int, ...], dtype: np.dtype, fail: Fail, deep: int) -> Shard:
    chunks = _sizes(said.get("chunk_shape"), "chunk_shape", 1, fail, len(outer))
    if deep == MOST_DEEP:
        raise fail(f"it has shards in shards, more than {MOST_DEEP} deep")
    if any(n % k for n, k in zip(outer, chunks, strict=True)):
        raise fail(f"its chunks {chunks} do not divide its shards {outer}")
    if math.prod(outer) // math.prod(chunks) > MOST_INNER:
        raise fail(f"its shards {outer} have more than {MOST_INNER} chunks {chunks}")
    chain = _chain(said.get("codecs"), chunks, dtype, fail, deep + 1)
    if not chain.open:
        _bounded(chunks, dtype, fail)
    index = _chain(said.get("index_codecs"), (1,) * (len(outer) + 1), np.dtype("uint64"), fail, MOST_DEEP)
    if index.axes or set(index.packers) - {"crc32c"}:
        raise fail("the index of its shards is packed")
    place = said.get("index_location", "end")
    if place not in ("start", "end"):
        raise fail(f"its index_location {_short(place)} is not start or end")
    return Shard(chunks, chain, index, place == "end")


def _named(said: Any, what: str, fail: Fail) -> tuple[str, dict[str, Any]]:
    """A name and its configuration, as version 3 writes all its parts."""
    if isinstance(said, str):
        return said, {}
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        raise fail(f"its {what} {_short(said)} has no name")
    options = said.get("configuration", {})
    if not isinstance(options, dict):
        raise fail(f"the configuration of its {what} {said['name'][:40]!r} is none")
    return said["name"], options


def _sizes(said: Any, what: str, least: int, fail: Fail, axes: int | None = None) -> tuple[int, ...]:
    whole = isinstance(said, list) and all(type(n) is int and least <= n < MOST_LENGTH for n in said)
    if not whole or len(said) > MOST_AXES or (axes is not None and len(said) != axes):
        wanted = f"up to {MOST_AXES}" if axes is None else str(axes)
        raise fail(f"its {what} {_short(said)} is not {wanted} whole numbers from {least} on")
    if math.prod(said) > 1 << 60:
        raise fail(f"its {what} {_short(said)} is larger than any array")
    return tuple(said)


def _bounded(chunks: tuple[int, ...], dtype: np.dtype, fail: Fail) -> None:
    size = math.prod(chunks) * dtype.itemsize
    if size > MOST_CHUNK:
        raise fail(f"its chunks {chunks} of {dtype} take {size} bytes, and {MOST_CHUNK} are read at once")


def _keys(said: Any, fail: Fail) -> Callable[[tuple[int, ...]], str]:
    kind, options = _named(said, "chunk_key_encoding", fail)
    if kind not in ("default", "v2"):
        raise fail(f"its chunk_key_encoding {kind[:40]!r} is not default or v2")
    separator = options.get("separator", "/" if kind == "default" else ".")
    if separator not in (".", "/"):
        raise fail(f"its separator {_short(separator)} is not '.' or '/'")
    if kind == "v2":
        return lambda place: separator.join(map(str, place)) or "0"
    return lambda place: separator.join(["c", *map(str, place)])


def _fill(said: Any, dtype: np.dtype, fail: Fail) -> Any:
    """What stands where there is no chunk; of floats as a word, or as their bits, too."""
    try:
        if dtype.kind == "c" and isinstance(said, list | tuple) and len(said) == 2:
            part = np.dtype(f"f{dtype.itemsize // 2}")
            return np.array([_fill(one, part, fail) for one in said], part).view(dtype)[0]
        if isinstance(said, str) and dtype.kind in "fc" and said in ("NaN", "Infinity", "-Infinity"):
            return dtype.type(float(said))
        if isinstance(said, str) and dtype.kind == "f" and re.fullmatch(r"0x[0-9a-fA-F]{1,16}", said):
            return np.array(int(said, 16), f"u{dtype.itemsize}").view(dtype)[()]
        if type(said) is bool or type(said) is int or (type(said) is float and dtype.kind in "fc"):
            return dtype.type(said)
    except (OverflowError, ValueError):
        pass
    raise fail(f"its fill_value {_short(said)} is no {dtype}")


def _attrs(said: dict[str, Any], fail: Fail) -> dict[str, Any]:
    found = said.get("attributes", {})
    if not isinstance(found, dict):
        raise fail("its attributes are no object")
    return found


def _short(said: Any) -> str:
    return " ".join(repr(said)[:60].split())
