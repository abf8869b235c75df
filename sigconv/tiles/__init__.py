"""Exact tiling: banks, layers and fully convolutional models over sources larger than memory, to the bits of no tiling.

An answer is computed block by block. Blocks are aligned to the origin, and their size follows from the operation alone;
each is answered from a crop that has all it sees with it. So what is read, held or sent at a time (a tile, the memory,
the workers, where a killed run went on) changes no bit, and the answer is op(source)'s within the promise.
"""

from __future__ import annotations

from typing import Any

from sigconv.tiles._start import Ask, begun

__all__ = ["apply"]


def apply(
    op: Any,
    source: Any,
    out: Any = None,
    *,
    tile: Any = None,
    memory: Any = None,
    output: str = "auto",
    stride: Any = 1,
    padding_mode: Any = "zeros",
    value: float = 0.0,
    blend: float | None = None,
    device: Any = None,
    dtype: Any = None,
    client: Any = None,
    report: Any = None,
) -> Any:
    """What a bank, a layer or a model says of a source, tile by tile: (channels, *space) -> (outputs, *positions).

    op            a FilterBank, whose options output, stride, padding_mode and value are; or a torch.nn.Module in eval
                  mode that is local in space: layers, poolings, any fully convolutional model
    source        (*space) or (channels, *space): an array, a tensor, a memory map, a zarr or dask array; or a path: a
                  .npy file (mapped), a zarr folder, a scan (.nii .nii.gz .mgz …, axes past space are channels). With
                  one axis more, a batch in memory: an answer each
    out           None: an array in memory, of the source's kind (of a path: NumPy's; of dask: lazy, a block a tile); an
                  array that is filled; or a path: .npy, .nii and .nii.gz (space first, affine times the stride), else a
                  zarr v3 array with attributes axes, op, sigconv_version, fs or affine, source_sha256
    tile          positions that are read and written at a time, one number or one per axis, up to whole blocks
    memory        bytes, or "2 GB": what the process may grow by; it sets the tile where none is given
    blend         None: exact. 0.25: the approximate way, for what sees all of space: windows of `tile` that overlap by
                  that part, a sample apart at the least, weighted so that they add up to one; a slab of them is held,
                  so it takes no memory=
    device        where it is computed (the op's own)
    dtype         in what (the source's: integers as floats); what it does not hold becomes infinite. A bfloat16 answer
                  is float32 where it goes to NumPy, which has none
    client        of dask.distributed: a task a tile
    report        report(done, all) hears of blocks, or of windows

    Equal to op(source) within the promise of its method, and to the bit whatever tile, memory or client is. A zarr out
    is made once and goes on where it was stopped: called again with the same, it does what is missing or returns at
    once; ValueError names what differs. Where memory runs out tiles are halved, then blocks (a warning says so).
    Returns the array, or the path. Raises ValueError, in one line with the layer's name, for what sees all of space
    (normalization, global pooling, attention, recurrence, a bank made in frequency), for modules of foreign make that
    know where they are (coordinates), and for models in training mode; MemoryError where not even a few positions fit.

    >>> import numpy as np
    >>> from sigconv.filters import gaussian
    >>> x = np.random.default_rng(0).normal(size=(700, 600)).astype("float32")
    >>> bank = gaussian.bank(2.0, 2)
    >>> y = apply(bank, x, tile=512, padding_mode="reflect")
    >>> y.shape, bool(np.abs(y - bank(x[None, None], padding_mode="reflect")[0]).max() < 1e-5)
    ((1, 700, 600), True)
    """
    options = {"output": output, "stride": stride, "padding_mode": padding_mode, "value": value}
    asked = Ask(op, source, out, options, tile, memory, blend, device, dtype, client, report)
    return begun(asked)
