"""What a reader gives, as bytes for a pipe and back: a header of JSON, then plain bytes; no pickle, no size believed.

In the header a list is a list; a tuple, a named one, a dict, an array and a long text are objects of one letter.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

LENGTH = struct.Struct("<Q")  # what stands before a request, and before an answer's header
MOST_HEADER = 1 << 26
LONG = 256  # letters from which on a text goes with the plain bytes
KIND = re.compile(r"[<>|][biufc]([0-9]{1,2})")
MOST_AXES = 64
MOST_DEEP = 20
Buffers = list[Any]


def packed(value: Any, buffers: Buffers) -> Any:
    """A value as JSON has it, its bytes put to the buffers."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if len(value) < LONG:
            return value
        buffers.append(value.encode("utf-8", "surrogateescape"))
        return {"s": len(buffers[-1])}
    if isinstance(value, np.generic):
        return packed(value.item(), buffers)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject or not KIND.fullmatch(value.dtype.str):
            raise TypeError(f"an array of {value.dtype} is not handed on")
        lying = np.ascontiguousarray(value)
        if lying.size:
            buffers.append(lying.reshape(-1).view(np.uint8).data)
        return {"a": [value.dtype.str, list(value.shape)]}
    if isinstance(value, tuple):
        return {"n" if hasattr(value, "_fields") else "t": [packed(one, buffers) for one in value]}
    if isinstance(value, list):
        return [packed(one, buffers) for one in value]
    if isinstance(value, dict):
        return {"d": [[str(key), packed(one, buffers)] for key, one in value.items()]}
    raise TypeError(f"{type(value).__name__} is not handed on")


def parsed(text: bytes) -> Any:
    """A header as JSON; ValueError for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None


def sizes(said: Any, deep: int = 0) -> Iterator[int]:
    """The bytes of each buffer that a header tells of, in their order; ValueError for one that cannot be."""
    if deep > MOST_DEEP:
        raise ValueError("its header is too deep")
    if isinstance(said, list):
        for one in said:
            yield from sizes(one, deep + 1)
    elif isinstance(said, dict):
        letter, inside = _letter(said)
        if letter == "s":
            yield _count(inside)
        elif letter == "a":
            dtype, shape = _array(inside)
            if size := math.prod(shape) * dtype.itemsize:
                yield size
        elif letter == "d":
            for key, one in inside:
                if not isinstance(key, str):
                    raise ValueError("its header has a name that is none")
                yield from sizes(one, deep + 1)
        else:
            yield from sizes(inside, deep + 1)


def parts(content: Any, sizes: list[int]) -> Iterator[Any]:
    """Bytes that came in one piece, cut into those of each buffer."""
    at = 0
    for size in sizes:
        yield content[at : at + size]
        at += size


def unpacked(said: Any, buffers: Iterator[Any], named: Callable[..., Any] | None = None) -> Any:
    """The value that a header and its buffers, which sizes has told, make; named makes the named tuples."""
    if isinstance(said, list):
        return [unpacked(one, buffers, named) for one in said]
    if not isinstance(said, dict):
        return said
    letter, inside = _letter(said)
    if letter == "s":
        return bytes(next(buffers)).decode("utf-8", "surrogateescape")
    if letter == "a":
        dtype, shape = _array(inside)
        content = next(buffers) if math.prod(shape) * dtype.itemsize else b""
        array = np.frombuffer(content, dtype).reshape(shape)
        return array if array.flags.aligned else array.copy()
    if letter == "d":
        return {key: unpacked(one, buffers, named) for key, one in inside}
    found = tuple(unpacked(one, buffers, named) for one in inside)
    return named(*found) if letter == "n" and named is not None else found


def _letter(said: dict[str, Any]) -> tuple[str, Any]:
    letter: str = next(iter(said), "")
    inside: Any = said.get(letter)
    pairs: Any = inside if letter == "d" else []
    fits: dict[str, type] = {"s": int, "a": list, "d": list, "t": list, "n": list}
    if len(said) > 1 or letter not in fits or not isinstance(inside, fits[letter]):
        raise ValueError("its header has a part that is not known")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("its header has a dict that is none")
    return letter, inside


def _array(said: list[Any]) -> tuple[np.dtype, tuple[int, ...]]:
    kind, shape = said if len(said) == 2 else (None, None)
    if not isinstance(kind, str) or not KIND.fullmatch(kind) or not isinstance(shape, list) or len(shape) > MOST_AXES:
        raise ValueError("its header has an array that is none")
    try:
        return np.dtype(kind), tuple(_count(n) for n in shape)
    except TypeError:
        raise ValueError(f"its header has an array of {kind}") from None


def _count(said: Any) -> int:
    if type(said) is not int or not 0 <= said < 1 << 48:
        raise ValueError("its header has a size that is none")
    return said
