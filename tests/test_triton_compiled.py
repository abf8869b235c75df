"""The Triton kernels compiled, without a GPU: to machine code of one, by the assembler that comes with Triton.

The interpreter runs what the compiler would refuse. So what the package would launch is taken down here, with its
arguments, and compiled for a card of compute capability 9.0; no kernel may spill out of its registers.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch

from sigconv.kernels import (
    _folding_triton,
    _haar_triton,
    _motif_triton,
    _passes_triton,
    _soft_triton,
    _spread_triton,
    _taps_triton,
    _triton,
    _windows_triton,
    _word_back_triton,
    _word_triton,
    haar,
    motifs,
)

HERE = os.path.abspath(__file__)
SPILLED = 64  # bytes a thread, at most
POINTERS = {
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.uint8: "*u8",
}
found = {}


def kind_of(value):
    """The type a launch would give an argument."""
    if isinstance(value, torch.Tensor):
        return POINTERS[value.dtype]
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def compiled(kernel, programs, x, *given, **options):
    """In place of a launch: machine code, and the bytes of stack it needs."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    warps = options.pop("num_warps", 4)
    names = [parameter.name for parameter in kernel.params]
    types = {name: kind_of(value) for name, value in zip(names, given, strict=False)}
    types |= dict.fromkeys(options, "constexpr")
    assert set(types) == set(names)
    source = ASTSource(fn=kernel, signature=types, constexprs=options)
    wanted = {"num_warps": warps, "enable_fp_fusion": True}
    code = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=wanted).asm["cubin"]
    tool = os.path.join(os.path.dirname(triton.__file__), "backends", "nvidia", "bin", "cuobjdump")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernel.cubin")
        with open(path, "wb") as file:
            file.write(code)
        told = subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    registers, stack = map(int, re.search(r"REG:(\d+) STACK:(\d+)", told).groups())
    found[f"{kernel.__name__} {next(iter(types.values()))} {len(found)}"] = registers, stack


def everything():
    """All kernels once, dtypes and axes in turn; those of depthwise layers with 3 taps and 7."""
    kinds = list(POINTERS)
    for ndim, taps, dtype in ((1, 31, kinds[0]), (2, 3, kinds[3]), (3, 3, kinds[1]), (3, 7, kinds[2])):
        x, weight = torch.empty(2, 3, *[40] * ndim, dtype=dtype), torch.empty(3, 1, *[taps] * ndim, dtype=dtype)
        y, ones = torch.empty(2, 3, *[40] * ndim, dtype=dtype), [1] * ndim
        _taps_triton.sums(x, weight, weight[:, 0].flatten(), ones, ones, ones, y)
        _taps_triton.tied_sums(x, y, weight.shape, ones, ones, ones)
    for ndim, dtype in ((1, kinds[2]), (3, kinds[1]), (4, kinds[3])):
        x, options = torch.empty(2, 3, *[7] * ndim, dtype=dtype), ([2] * ndim, [2] * ndim, [1] * ndim)
        y, beta = torch.empty(2, 3, *[3] * ndim, dtype=dtype), torch.empty(3, dtype=dtype)
        _windows_triton.box(x, *options)
        _windows_triton.box(x.float(), *options, 3)
        _windows_triton.largest(x, *options, places=True)
        _windows_triton.drawn(x, y, *options)
        margins, positions = [0] * ndim, [3] * ndim
        _soft_triton.norms(x, 2.5, y, options, None, 1.0)
        _soft_triton.norms(x, 3, y, options, y[0, 0].float(), 0.5)
        for log in (False, True):
            means = _soft_triton.means(x, beta, log, 0.125, margins, positions, options)
            _soft_triton.variances(x, beta, means, log, margins, options)
            _spread_triton.soft(y, x, beta, means, log, margins, options)
        _spread_triton.expected(y, x, _soft_triton.expectations(x, margins, positions, options), margins, options)
        _spread_triton.sums(y, x.shape[2:], options)
        _spread_triton.places(y, y.long(), x.shape[2:], options)
        _spread_triton.norms(y, x, y, 2.5, options)
        pieces = haar._analysis_cuda(x, " ".join(["zeros"] * ndim), ndim % 2)
        size = [7] * ndim
        _haar_triton.synthesise(x, haar._analysis_empty(x, "zeros " * (ndim - 1) + "zeros", 0)[0], pieces[1], size)
    banks()
    dna(kinds)


def banks():
    """Passes of a bank, the last of several kinds, and products of spectra, of lines and whole."""
    single, double = torch.float32, torch.float64
    for dtype, k, stride, outputs in (
        (single, 37, 1, ("", "complex")),
        (single, 5, 2, ("real",)),
        (double, 13, 1, ("magnitude",)),
    ):
        filters, table = torch.empty(9, 2, k, dtype=dtype), torch.zeros(9, 1, 2, dtype=torch.int32)
        x, y = torch.empty(1, 1, 2, 7, 40, 1, dtype=dtype), torch.empty(9, 2, 2, 7, 40, 1, dtype=dtype)
        _passes_triton.run(x, filters, table, y, k // 2, 1, 40)
        x, positions = torch.empty(9, 2, 2, 1, 40, 64, dtype=dtype), 40 // stride
        for output in outputs:
            y = torch.empty(
                *((2, 9) if output else (9, 2, 2, 1)), positions, 64, 1 + (output == "complex"), dtype=dtype
            )
            _passes_triton.run(x, filters, table, y, k // 2, stride, positions, output)
    for dtype, fold in ((torch.complex64, (1, 1, 1)), (torch.complex64, (4, 2, 2)), (torch.complex128, (2, 2, 2))):
        spectrum, y = torch.empty(2, 16, 16, 16, dtype=dtype), torch.empty(2, 9, *(16 // s for s in fold), dtype=dtype)
        for lines in (True, False)[max(fold) == 4 :]:
            found = [torch.empty(9, 2, 16, dtype=dtype)] * 3 if lines else [torch.empty(9, 16, 16, 16, dtype=dtype)]
            _folding_triton.run(spectrum, found, y, fold, lines)


def dna(kinds):
    """Tokens looked up, of DNA and of proteins, and motifs found; of several configurations all."""
    for dtype, symbols in ((kinds[0], 4), (kinds[1], 20), (kinds[2], 4), (kinds[3], 4)):
        x = torch.zeros(2, 30, dtype=torch.uint8 if symbols == 4 else torch.int64)
        weight = torch.empty(40, symbols, 24, dtype=dtype)
        kept = _word_triton.BEST, _word_triton.SUMS
        for best, sums in zip(*kept, strict=False):
            _word_triton.BEST, _word_triton.SUMS = (best,), (sums,)
            y, where = _word_triton.best(x, weight, weight[:, 0, 0], 1, 2, 0, 1)
            every = _word_triton.sums(x, weight, None, 1, 2, 0, 1)
        _word_triton.BEST, _word_triton.SUMS = kept
        _word_back_triton.put(y, x, where, weight.shape, 1, 2, 0, 1)
        _word_back_triton.spread(every, x, weight.shape, 1, 2, 0, 1)
    placed = _motif_triton.placed(motifs.plan([np.eye(4)], [3.0]), "cpu", 9)
    text, pair = torch.zeros(600, dtype=torch.uint8), torch.zeros(1, dtype=torch.int32)
    _motif_triton._marked(placed, text, 9)
    table = placed.cells, placed.numbers, placed.widths, placed.rows, placed.bounds
    for at, write in ((pair, False), (pair.long(), True)):
        _motif_triton._score((text, pair, pair, *table, 9), (at, pair, pair, placed.bounds), 1, write)


def test_every_kernel_compiles_for_a_card_and_stays_in_its_registers(tmp_path):
    if importlib.util.find_spec("triton") is None or sys.platform != "linux":
        pytest.skip("triton is not installed: it comes with torch's builds for CUDA")
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, HERE], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    names = {name.split()[0] for name in told}
    kernels = "filtered folded sums tied largest draw norms means variances expectations back analyse synthesise"
    kernels += " prepare best every put spread sieve score"
    assert names == set(kernels.split())
    assert not {name: stack for name, (_, stack) in told.items() if stack > SPILLED}


if __name__ == "__main__":
    _triton.launch = compiled
    everything()
    print(json.dumps(found))  # noqa: T201
