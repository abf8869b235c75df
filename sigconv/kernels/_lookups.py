"""Bytes looked up in small tables, dozens at a time: processors have an instruction for it, compilers no word.

    sum[p] = min(Σ_k table[k][index[p + letters·k]], 255)          alive[p] = sum[p] < 255

A table of 4^letters bytes fits a register, so a lookup of 16 to 64 places is one shuffle. `survivors` is the sum as
plain code; where numba's target has a shuffle, numba is taught to put that in its place.

Roofline: a shuffle and an addition for so many places, a load of indices beside; measured on a Xeon with AVX-512: 1.4
cycles a table for 64 places.
"""

from __future__ import annotations

from functools import cache, reduce
from typing import Any, NamedTuple

import numpy as np

SUMS = 8  # vectors summed beside each other: a table is loaded once for all, and no sum waits for the last
DEAD = 255


class Way(NamedTuple):
    """How a processor looks bytes up: in vectors of so many lanes, by indices of so many letters of two bits."""

    feature: str
    lanes: int
    letters: int
    instruction: str  # of LLVM: (table, indices) -> entries

    @property
    def group(self) -> int:
        """Places that survivors sums at a time, a multiple of 64."""
        return max(SUMS * self.lanes, 64)


PLAIN = Way("", 8, 3, "")
WAYS = (
    Way("avx512vbmi", 64, 3, "llvm.x86.avx512.permvar.qi.512"),
    Way("avx2", 32, 2, "llvm.x86.avx2.pshuf.b"),
    Way("ssse3", 16, 2, "llvm.x86.ssse3.pshuf.b.128"),
    Way("neon", 16, 2, "llvm.aarch64.neon.tbl1.v16i8"),
)


@cache
def way() -> Way:
    """The widest way that numba's target has; numba then knows survivors by it."""
    from numba.core.registry import cpu_target
    from numba.core.types import Array, Integer, intp, uint64
    from numba.extending import lower_builtin, register_jitable, type_callable

    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    has = {name[1:] for name in features.split(",") if name.startswith("+")}
    has |= {"neon"} if triple.startswith(("aarch64", "arm64")) else set()  # all of them have it; some are not asked
    chosen = next((one for one in WAYS if one.feature in has), PLAIN)
    if chosen is PLAIN:
        register_jitable(survivors)
        return chosen
    type_callable(survivors)(lambda context: lambda index, at, tables, first, count, group, masks: uint64)
    kinds = (Array, Integer, Array, Integer, Integer, Integer, Array)

    @lower_builtin(survivors, *kinds)
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = lambda n: context.make_array(signature.args[n])(context, builder, arguments[n]).data
        number = lambda n: context.cast(builder, arguments[n], signature.args[n], intp)
        return _emit(builder, chosen, data(0), number(1), data(2), number(3), number(4), data(6))

    return chosen


def survivors(index, at, tables, first, count, group, masks):
    """Which of the places at … at + group - 1 are alive: 64 in a mask, the first the lowest bit; nonzero if any is.

    index: uint8 letters packed from each place on; tables: uint8 (tables, entries), of which count are taken from first
    on; masks: uint64, written. Compiled by numba, or put into vectors by way().
    """
    some, letters = np.uint64(0), 3 if tables.shape[1] == 64 else 2
    for word in range(group // 64):
        mask = np.uint64(0)
        for lane in range(64):
            total = 0
            for k in range(count):
                total += tables[first + k, index[at + 64 * word + lane + letters * k]]
            if total < DEAD:
                mask |= np.uint64(1) << np.uint64(lane)
        masks[word] = mask
        some |= mask
    return some


def _emit(builder: Any, chosen: Way, index: Any, at: Any, tables: Any, first: Any, count: Any, masks: Any) -> Any:
    """The same in LLVM's words: a loop over tables that loads, looks up, adds with saturation; then the masks."""
    from llvmlite import ir

    entries, long = 4**chosen.letters, ir.IntType(64)
    vector = ir.VectorType(ir.IntType(8), chosen.lanes)
    index, tables = _at(builder, index, at), _at(builder, tables, builder.mul(first, long(entries)))
    before, loop, done = builder.block, *map(builder.append_basic_block, ("tables", "masks"))
    builder.branch(loop)
    builder.position_at_end(loop)
    k, totals = builder.phi(long), [builder.phi(vector) for _ in range(chosen.group // chosen.lanes)]
    table = _table(builder, chosen, _at(builder, tables, builder.mul(k, long(entries))))
    here = _at(builder, index, builder.mul(k, long(chosen.letters)))
    following, sums = builder.add(k, long(1)), []
    for number, total in enumerate(totals):
        letters = _loaded(builder, _at(builder, here, long(number * chosen.lanes)), vector)
        lost = _called(builder, chosen.instruction, table, letters)
        sums.append(_called(builder, f"llvm.uadd.sat.v{chosen.lanes}i8", total, lost))
        total.add_incoming(ir.Constant(vector, None), before)
        total.add_incoming(sums[-1], loop)
    k.add_incoming(long(0), before)
    k.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
    builder.position_at_end(done)
    return _masked(builder, chosen, sums, masks)


def _masked(builder: Any, chosen: Way, sums: list[Any], masks: Any) -> Any:
    """Whether any sum is alive, and where one is, all their masks written."""
    from llvmlite import ir

    lanes, long = ir.IntType(chosen.lanes), ir.IntType(64)
    wide = lambda bits: bits if lanes == long else builder.zext(bits, long)
    dead = ir.Constant(sums[0].type, [DEAD] * chosen.lanes)
    alive = lambda total: wide(builder.bitcast(builder.icmp_unsigned("!=", total, dead), lanes))
    some = alive(reduce(builder.and_, sums))
    with builder.if_then(builder.icmp_unsigned("!=", some, long(0)), likely=False):
        parts = 64 // chosen.lanes
        for word in range(chosen.group // 64):
            bits = [alive(total) for total in sums[word * parts : (word + 1) * parts]]
            placed = (builder.shl(one, long(n * chosen.lanes)) for n, one in enumerate(bits))
            place = builder.bitcast(_at(builder, masks, long(8 * word)), long.as_pointer())
            builder.store(reduce(builder.or_, placed), place)
    return some


def _table(builder: Any, chosen: Way, pointer: Any) -> Any:
    """A table in a vector; of a shuffle of 32 lanes, which is two of 16, one for each."""
    from llvmlite import ir

    entries, lanes = 4**chosen.letters, chosen.lanes
    table = _loaded(builder, pointer, ir.VectorType(ir.IntType(8), entries))
    if entries == lanes:
        return table
    copies = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [n % entries for n in range(lanes)])
    return builder.shuffle_vector(table, ir.Constant(table.type, ir.Undefined), copies)


def _at(builder: Any, pointer: Any, steps: Any) -> Any:
    """The pointer so many bytes on."""
    from llvmlite import ir

    return builder.gep(builder.bitcast(pointer, ir.IntType(8).as_pointer()), [steps])


def _loaded(builder: Any, pointer: Any, kind: Any) -> Any:
    """What lies there, at whatever address."""
    value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    value.align = 1
    return value


def _called(builder: Any, name: str, one: Any, other: Any) -> Any:
    """An instruction of LLVM on two vectors."""
    from llvmlite import ir

    known = builder.module.globals.get(name)
    kind = ir.FunctionType(one.type, [one.type, other.type])
    return builder.call(known or ir.Function(builder.module, kind, name), [one, other])
