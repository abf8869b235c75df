"""Convolution layers without their borders along time: what is in the midst of a signal need not be computed twice."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from sigconv import nd
from sigconv.convolution import Conv, conv
from sigconv.streaming._nodes import Op

TORCH: dict[type[nn.Module], Any] = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d}


def inner(module: nn.Module) -> Op | None:
    """The layer's own sums for whole windows along the last axis; None where it does more, or is listened to."""
    if module._forward_hooks or module._forward_pre_hooks:
        return None
    if isinstance(module, Conv) and type(module).forward is Conv.forward:
        return _ours(module)
    if isinstance(module, _ConvNd) and type(module) in TORCH and module.padding_mode == "zeros":
        return _torch(module)
    return None


def _ours(layer: Conv) -> Op:
    margins = (*nd.margins(layer.padding, layer.kernel_size, layer.dilation)[:-1], (0, 0))
    options = layer.options | {"padding": margins, "strict": False}
    return lambda x: conv(x, layer.weight, layer.bias, **options)


def _torch(layer: _ConvNd) -> Op | None:
    sides: Any = layer._reversed_padding_repeated_twice
    pairs = [(sides[2 * a], sides[2 * a + 1]) for a in reversed(range(len(sides) // 2))][:-1]
    margins = nd.symmetric(tuple(pairs))
    if margins is None:
        return None
    run = TORCH[type(layer)]
    options = (layer.stride, (*margins, 0), layer.dilation, layer.groups)

    def whole_windows(x: Tensor) -> Tensor:
        return run(x, layer.weight, layer.bias, *options)

    return whole_windows
