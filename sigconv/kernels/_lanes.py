"""Vectors for numba's loops: some neighbours loaded, added, compared and stored as one.

Of short loops over neighbours numba's compiler spends most on finding out whether arrays overlap, anew for each. These
functions are what they say in NumPy, and so an uncompiled loop runs; compiled, each is one instruction of LLVM, which
fits a vector to the registers it finds: 2 of AVX-512, 4 of AVX2, 8 of NEON. Nothing is checked: a vector must lie
inside its array.

Measured on a Xeon, sums of 8 table rows and their maximum, 256 filters at 977 windows of 64 sequences, one thread:
3.9 ms by vectors that begin at multiples of 64 bytes, 6.3 by others, 7.4 by the best plain loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

BYTES = 128  # of a vector: 32 float32, 16 float64
LINE = 64  # bytes of a line of cache: a vector that begins at its start is read without a second look


def lanes(dtype: Any) -> int:
    """Numbers of a vector.

    >>> lanes(np.float32), lanes(np.float64)
    (32, 16)
    """
    return BYTES // np.dtype(dtype).itemsize


def aligned(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An uninitialised array that begins at the start of a line of cache."""
    room = np.empty(math.prod(shape) * np.dtype(dtype).itemsize + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : room.size - LINE + start].view(dtype).reshape(shape)


def load(array: Any, at: int) -> Any:
    """The vector that begins at array[at] of a flat array."""
    return array[at : at + lanes(array.dtype)].copy()


def store(array: Any, at: int, v: Any) -> None:
    """Put the vector there."""
    array[at : at + len(v)] = v


def add(u: Any, v: Any) -> Any:
    """u + v."""
    return u + v


def nowhere(v: Any) -> Any:
    """A place for every number of v: int32 zeros."""
    return np.zeros(len(v), np.int32)


def better(v: Any, place: int, top: Any, where: Any) -> Any:
    """The larger of v, found at place, and top, found at where, and its place: the first of equals, the last of NaNs.

    >>> top, where = np.array([1.0, 2.0, 3.0]), np.array([0, 1, 2])
    >>> [row.tolist() for row in better(np.array([5.0, 2.0, 1.0]), 7, top, where)]
    [[5.0, 2.0, 3.0], [7, 1, 2]]
    """
    late = (v > top) | (v != v)
    return np.where(late, v, top), np.where(late, place, where)


@cache
def register() -> None:
    """Teach numba these functions, once."""
    import numba
    from llvmlite import ir
    from numba import types
    from numba.extending import lower_builtin, models, register_model, type_callable

    class Vector(types.Type):
        """So many numbers of a kind."""

        def __init__(self, kind: Any, count: int) -> None:
            self.kind, self.count = kind, count
            super().__init__(f"Vector({kind} x {count})")

    numbers = {types.float32: ir.FloatType(), types.float64: ir.DoubleType(), types.int32: ir.IntType(32)}

    @register_model(Vector)
    class _Model(models.PrimitiveModel):
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, ir.VectorType(numbers[kind.kind], kind.count))

    def place(context: Any, builder: Any, sig: Any, args: Any, vector: Any) -> Any:
        """Where in memory array[at] lies, as a vector's address."""
        array = context.make_array(sig.args[0])(context, builder, args[0])
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        return builder.bitcast(builder.gep(array.data, [at]), vector.as_pointer())

    def size(kind: Any) -> int:
        return kind.bitwidth // 8

    type_callable(load)(lambda context: lambda array, at: Vector(array.dtype, BYTES // size(array.dtype)))
    type_callable(store)(lambda context: lambda array, at, v: types.none)
    type_callable(add)(lambda context: lambda u, v: u)
    type_callable(nowhere)(lambda context: lambda v: Vector(types.int32, v.count))
    type_callable(better)(lambda context: lambda v, place, top, where: types.Tuple((v, where)))

    @lower_builtin(load, types.Array, types.Integer)
    def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(sig.return_type)
        found = builder.load(place(context, builder, sig, args, vector))
        found.align = size(sig.return_type.kind)  # what NumPy promises
        return found

    @lower_builtin(store, types.Array, types.Integer, Vector)
    def _store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = place(context, builder, sig, args, context.get_value_type(sig.args[2]))
        builder.store(args[2], at).align = size(sig.args[2].kind)
        return context.get_dummy_value()

    @lower_builtin(add, Vector, Vector)
    def _add(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fadd(*args)

    @lower_builtin(nowhere, Vector)
    def _nowhere(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(sig.return_type), None)

    @lower_builtin(better, Vector, types.Integer, Vector, Vector)
    def _better(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        v, number, top, where = args
        late = builder.or_(builder.fcmp_ordered(">", v, top), builder.fcmp_unordered("uno", v, v))
        vector, first = context.get_value_type(sig.args[3]), ir.Constant(ir.IntType(32), 0)
        number = context.cast(builder, number, sig.args[1], numba.int32)
        alone = builder.insert_element(ir.Constant(vector, ir.Undefined), number, first)
        spread = builder.shuffle_vector(alone, alone, ir.Constant(vector, None))
        chosen = [builder.select(late, v, top), builder.select(late, spread, where)]
        return context.make_tuple(builder, sig.return_type, chosen)
