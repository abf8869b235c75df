"""What poolings over windows share: options as numbers per axis, and the margins a last hanging window needs."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from sigconv import nd


class Windows(NamedTuple):
    """A pooling's windows, a number per axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: nd.Margins
    overhang: nd.Margins  # samples missing after the margins for the last window of ceil_mode
    positions: tuple[int, ...]

    def over(self, x: Tensor) -> Tensor:
        """The windows of an x that is padded already: (…, *positions, *kernel_size)."""
        return nd.windows(x, self.kernel_size, self.stride, self.dilation)


def resolve(x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Windows:
    """Options as numbers per axis; stride None means windows side by side."""
    if x.ndim < 3:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: expected (batch, channels, *space) with at least one axis of space"
        )
    ndim = x.ndim - 2
    kernel_size = nd.ntuple(kernel_size, ndim, "kernel_size")
    stride = kernel_size if stride is None else nd.ntuple(stride, ndim, "stride")
    dilation = nd.ntuple(dilation, ndim, "dilation")
    margins = nd.margins(padding, kernel_size, dilation)
    positions = nd.output_size(x.shape[2:], kernel_size, stride, dilation, margins, ceil_mode=ceil_mode)
    if not ceil_mode:
        return Windows(kernel_size, stride, dilation, margins, ((0, 0),) * ndim, positions)
    rows = zip(x.shape[2:], positions, stride, nd.spans(kernel_size, dilation), margins, strict=True)
    overhang = tuple((0, max((p - 1) * s + span - n - before - after, 0)) for n, p, s, span, (before, after) in rows)
    return Windows(kernel_size, stride, dilation, margins, overhang, positions)


def torch_does(x: Tensor, windows: Windows) -> list[int] | None:
    """The padding to hand to torch's own pooling where it has one for this case: floats, not empty, even margins."""
    padding = nd.symmetric(windows.margins)
    if padding is None or x.ndim - 2 > 3 or 0 in x.shape or not x.is_floating_point():
        return None
    fits = all(2 * p <= k for p, k in zip(padding, windows.kernel_size, strict=True))
    return padding if fits else None


def inside(windows: Windows) -> None:
    """Refuse windows wholly outside the input: where padded samples do not count, nothing would be left of them."""
    rows = zip(nd.spans(windows.kernel_size, windows.dilation), windows.margins, strict=True)
    for axis, (span, margin) in enumerate(rows):
        if max(margin) >= span:
            raise ValueError(
                f"padding {margin} on axis {axis} leaves windows of {span} samples wholly outside: "
                "pad less, or let a padding_mode say what stands there"
            )
