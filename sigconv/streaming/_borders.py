"""How much of a signal's ends a layer's border copies: what reflects there needs samples from inside."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from sigconv import nd
from sigconv.convolution import Conv
from sigconv.pooling import Pool
from sigconv.streaming._refused import refuse

PLAIN = ("", "zeros", "constant", "replicate", "circular")  # all others copy from inside, nobody here knows how far
PADS = {"ReflectionPad": "reflect", "CircularPad": "circular"}


def fold(module: nn.Module, reach: nd.Reach, name: str) -> tuple[int, int]:
    """Samples from the left and the right end that the module's borders copy; ValueError where they join both ends.

    Exact for a layer; where several stand in a module, as much as they can need together.
    """
    found = [(part, *_border(part)) for part in module.modules()]
    for part, mode, before, after in found:
        if mode == "circular" and (before or after):
            refuse(name, part, "joins the end to the beginning (padding_mode 'circular')")
    folding = [(part, mode, before, after) for part, mode, before, after in found if mode not in PLAIN]
    if not folding:
        return 0, 1
    part, mode, before, after = folding[0]
    if part is module and isinstance(module, Conv):
        return before + (mode == "reflect"), after + 1
    if part is module and not isinstance(module, Pool) and not hasattr(module, "reach"):
        return max(before, after) + 1, max(before, after) + 1  # torch takes no fewer samples than it copies
    most = reach.size + sum((max(b, a) + 1) * reach.stride for _, _, b, a in folding)
    if part is module and type(module).__name__ == "BlurPool":
        return max(reach.before, 0) + (mode == "reflect"), most
    return most, most


def _border(module: nn.Module) -> tuple[str, int, int]:
    """The border along the last axis and its margins."""
    if isinstance(module, Conv):
        margins = nd.margins(module.padding, module.kernel_size, module.dilation)[-1]
        return nd.border_modes(module.padding_mode, module.ndim or 1)[-1], *margins
    if isinstance(module, _ConvNd):
        sides: Any = getattr(module, "_reversed_padding_repeated_twice", (0, 0))
        return module.padding_mode, int(sides[0]), int(sides[1])
    if isinstance(module, Pool):
        known = inspect.signature(type(module)).parameters.get("padding_mode")
        mode = module.options.get("padding_mode", known.default if known is not None else None)
        mode = mode if isinstance(mode, str) or not mode else mode[-1]
        blurred = "reflect" if type(module).__name__ == "MaxBlurPool" and mode != "circular" else mode
        most = module.options.get("kernel_size", 3)
        width = (most if isinstance(most, int) else most[-1]) - 1
        return blurred or "", width, width
    for word, mode in PADS.items():
        if type(module).__name__.startswith(word):
            padding: Any = module.padding
            return mode, int(padding[0]), int(padding[1])
    modes: Any = getattr(module, "padding_mode", None) or ""
    own = modes if isinstance(modes, str) else str(modes[-1])
    joined = own == "circular" and hasattr(module, "reach") and getattr(module, "center", True)
    return own, int(joined), int(joined)
