"""Convolution as a matrix, and back: toeplitz and what tells one; dense layers from convolutions and the reverse."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import methods, nd
from sigconv.convolution import signals
from sigconv.convolution.layers import Conv
from sigconv.kernels._state import readable


@nd.numpy_too
def toeplitz(h: Tensor, n: Any, mode: str = "full", *, padding_mode: Any = "zeros", stride: Any = 1) -> Tensor:
    """The matrix H of convolution with h: H @ f.flatten() is convolve(f, h, mode, padding_mode=…).flatten().

    h (*kernel_size) of floats or complex values, n the size of f, a number or one per axis -> (rows, samples) of h's
    kind and device: n + m - 1 rows for "full" (MX1), n for "same", n - m + 1 for "valid". Diagonals are constant, in
    blocks of blocks beyond one axis (MX2, MX5); m·n entries are not zero where m is small (MX3); it is circulant
    exactly where the border is circular and the mode "same" (MX4). stride keeps every stride-th row of each axis.

    >>> toeplitz(torch.tensor([1.0, 2.0]), 3)
    tensor([[1., 0., 0.],
            [2., 1., 0.],
            [0., 2., 1.],
            [0., 0., 2.]])

    Requirements MX1-MX6 of the lectures.
    """
    nd.one_of(mode, signals.MODES, "mode")
    if not (h.is_floating_point() or h.is_complex()) or h.ndim == 0:
        raise TypeError(f"h is {h.dtype} with {h.ndim} axes: expected floating or complex values (*kernel_size)")
    if h.numel() == 0 or (readable(h) and not torch.isfinite(h).all()):
        raise ValueError(f"h {tuple(h.shape)} must hold finite taps, at least one")
    size, steps = nd.ntuple(n, h.ndim, "n"), nd.ntuple(stride, h.ndim, "stride")
    if mode == "valid" and padding_mode != "zeros":
        raise ValueError(f"padding_mode {padding_mode!r} has no meaning for mode 'valid', which sees no border")
    modes = nd.border_modes(padding_mode, h.ndim)
    if "constant" in modes:
        raise ValueError("padding_mode 'constant' is not linear: no matrix adds a constant")
    margins = tuple(signals.margin(mode, m) for m in h.shape)
    ones = (1,) * h.ndim
    nd.output_size(size, h.shape, steps, ones, margins)
    kernel = h.flip(tuple(range(h.ndim)))[None, None]
    return methods.matrix(kernel, size, stride=steps, margins=margins, dilation=ones, groups=1, modes=modes)


@nd.numpy_too
def is_toeplitz(matrix: Tensor, rows: Any = None, columns: Any = None) -> bool:
    """Whether all diagonals of a matrix are constant, or those of blocks of blocks: rows and columns say their sizes.

    >>> is_toeplitz(toeplitz(torch.ones(2, 2), (3, 3)), rows=(4, 4), columns=(3, 3))
    True
    """
    blocks = _blocks(matrix, rows, columns)
    ndim = blocks.ndim // 2
    here, next_ = ([slice(None)] * (2 * ndim) for _ in range(2))
    for axis in range(ndim):
        here[axis] = here[ndim + axis] = slice(None, -1)
        next_[axis] = next_[ndim + axis] = slice(1, None)
        if not torch.equal(blocks[tuple(here)], blocks[tuple(next_)]):
            return False
        here[axis] = here[ndim + axis] = next_[axis] = next_[ndim + axis] = slice(None)
    return True


@nd.numpy_too
def is_circulant(matrix: Tensor, rows: Any = None, columns: Any = None) -> bool:
    """Whether every row of a square matrix is the one above, moved on by one and around the end, or so in blocks.

    >>> h = torch.tensor([1.0, 2.0, 3.0])
    >>> is_circulant(toeplitz(h, 5, "same", padding_mode="circular")), is_circulant(toeplitz(h, 5, "same"))
    (True, False)
    """
    blocks = _blocks(matrix, rows, columns)
    ndim = blocks.ndim // 2
    if blocks.shape[:ndim] != blocks.shape[ndim:]:
        return False
    return all(torch.equal(blocks, blocks.roll((1, 1), (axis, ndim + axis))) for axis in range(ndim))


def _blocks(matrix: Tensor, rows: Any, columns: Any) -> Tensor:
    """The matrix with an axis for every axis its rows and columns run over."""
    if matrix.ndim != 2:
        raise ValueError(f"matrix has {matrix.ndim} axes, not 2")
    for name, sizes, whole in (("rows", rows, matrix.shape[0]), ("columns", columns, matrix.shape[1])):
        if sizes is not None and (not isinstance(sizes, tuple | list) or math.prod(sizes) != whole):
            raise ValueError(f"{name} {sizes!r} are not sizes whose product is {whole}")
    named = zip((rows, columns), matrix.shape, strict=True)
    rows, columns = (tuple(n) if isinstance(n, tuple | list) else (whole,) for n, whole in named)
    if len(rows) != len(columns):
        raise ValueError(f"rows {rows} and columns {columns} must name as many axes")
    return matrix.reshape(*rows, *columns)


def to_dense(layer: Conv, size: Any) -> nn.Linear:
    """The fully connected layer that does what a convolution does to inputs of one size: most of its weights are zero.

    Linear takes and gives what nn.Flatten makes of (batch, channels, *space). The weights a convolution ties are copies
    here (MX6). ValueError for a border of constants, or a kernel that does not fit.

    >>> to_dense(Conv(1, 1, (3,), bias=False), (6,)).weight.count_nonzero().item()
    12
    """
    if not isinstance(layer, Conv) or type(layer).forward is not Conv.forward:
        raise TypeError(f"layer is a {type(layer).__name__}: to_dense takes a Conv (or Conv1d, DepthwiseConv …)")
    ndim = len(layer.kernel_size)
    size = nd.ntuple(size, ndim, "size")
    margins, modes = (
        nd.margins(layer.padding, layer.kernel_size, layer.dilation),
        nd.border_modes(layer.padding_mode, ndim),
    )
    if "constant" in modes and layer.value != 0:
        raise ValueError(f"padding_mode 'constant' with value {layer.value} is not linear: no matrix adds a constant")
    weight = layer.weight.detach()
    weight = weight.flip(tuple(range(2, weight.ndim))) if layer.flip else weight
    options: dict[str, Any] = {"stride": layer.stride, "dilation": layer.dilation, "groups": layer.groups}
    h = methods.matrix(weight, size, margins=margins, modes=modes, **options)
    dense = nn.Linear(h.shape[1], h.shape[0], bias=layer.bias is not None, device=h.device, dtype=h.dtype)
    dense.weight.data = h
    if layer.bias is not None:
        dense.bias.data = layer.bias.detach().repeat_interleave(h.shape[0] // layer.out_channels)
    return dense


def to_conv(linear: nn.Linear, size: Any) -> Conv:
    """The convolution whose kernel is a whole input: what a linear layer does to nn.Flatten of (in_channels, *space).

    size is (in_channels, *space). On a larger input it slides: a classifier becomes a map of its answers (ST5, ST6).

    >>> to_conv(nn.Linear(2 * 4 * 4, 10), (2, 4, 4))(torch.zeros(1, 2, 6, 5)).shape
    torch.Size([1, 10, 3, 2])
    """
    if not isinstance(size, tuple | list) or len(size) < 2:
        raise TypeError(f"size {size!r} must be (in_channels, *space)")
    if not isinstance(linear, nn.Linear):
        raise TypeError(f"linear is a {type(linear).__name__}: to_conv takes a torch.nn.Linear")
    channels, *kernel = nd.ntuple(size, len(size), "size")
    weight = linear.weight.detach()
    if weight[0].numel() != channels * torch.Size(kernel).numel():
        raise ValueError(
            f"size {tuple(size)} has {torch.Size(size).numel()} values, and the layer takes {weight.shape[1]}"
        )
    bias = linear.bias is not None
    layer = Conv(channels, weight.shape[0], tuple(kernel), bias=bias, device=weight.device, dtype=weight.dtype)
    layer.weight.data = weight.reshape(layer.weight.shape).clone()
    if layer.bias is not None:
        layer.bias.data = linear.bias.detach().clone()
    return layer
