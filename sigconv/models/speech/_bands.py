"""Networks over frequency bands: Abdel-Hamid's with weights shared so far, its fully connected one, a small 2-D one."""

from __future__ import annotations

import itertools
from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks import SectionConv, SectionPool
from sigconv.convolution import Conv
from sigconv.models import _parts
from sigconv.pooling import MaxPool

MAPS = {"full": 360, "limited": 150, "none": 150}
CONTEXT = 15  # frames that a convolution looks at, in all
HIDDEN = (1000, 1000)
CHANNELS = (24, 48, 96, 128, 128)  # of the small network


def shared(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "sigmoid",
    dropout: float = 0.0,
    size: Any = 40,
    maps: int | None = None,
    hidden: Any = HIDDEN,
    batch_norm: bool = False,
    causal: bool = False,
    output: str = "average",
    pooling: str = "max",
    kernel_size: int = 8,
    pool: int = 6,
    pool_stride: int = 2,
    context: int | None = None,
    stride: int = 1,
) -> nn.Sequential:
    """One convolution along the bands, one pooling, fully connected layers: sharing "full", "limited" or "none"."""
    bands, kernel = _parts.sizes(size, ndim)[0], (nd.count(kernel_size, "kernel_size"), *_frames(context, ndim))
    (out,) = _parts.widths(MAPS[variant] if maps is None else maps, width, "maps", 1)
    steps, borders = (stride,) * (ndim - 1), _borders(causal, ndim)
    (positions,) = nd.output_size((bands,), kernel[:1], (1,), (1,), ((0, 0),))
    (sections,) = nd.output_size((positions,), (pool,), (pool_stride,), (1,), ((0, 0),))
    conv: nn.Module
    if variant == "full":
        conv = Conv(in_channels, out, kernel, (1, *steps), (0, *borders), ndim=ndim)
    else:
        share, step = (pool, pool_stride) if variant == "limited" else (1, 1)
        conv = SectionConv(in_channels, out, kernel, bands, steps, borders, share=share, step=step, ndim=ndim)
    return _parts.chain(
        _parts.answers(_last(hidden, width), classes, ndim, 0.0, output),
        conv=_parts.stage(conv, out, activation, ndim, batch_norm),
        pool=[SectionPool(pool, pool_stride, kind=pooling, sections=variant == "limited")],
        dense=_dense(out, (sections, *[1] * (ndim - 1)), hidden, width, activation, ndim, batch_norm, dropout),
    )


def connected(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "sigmoid",
    dropout: float = 0.0,
    size: Any = 40,
    hidden: Any = (2000, *HIDDEN),
    batch_norm: bool = False,
    causal: bool = False,
    output: str = "average",
    context: int | None = None,
    stride: int = 1,
) -> nn.Sequential:
    """The fully connected network ("dense") that the convolutional ones are compared with, on the same input."""
    kernel = (_parts.sizes(size, ndim)[0], *_frames(context, ndim))
    where: dict[str, Any] = {"stride": (1, *[stride] * (ndim - 1)), "padding": (0, *_borders(causal, ndim))}
    return _parts.chain(
        _parts.answers(_last(hidden, width), classes, ndim, 0.0, output),
        dense=_dense(in_channels, kernel, hidden, width, activation, ndim, batch_norm, dropout, **where),
    )


def small(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.3,
    size: Any = 40,
    maps: Any = CHANNELS,
    causal: bool = False,
    output: str = "average",
) -> nn.Sequential:
    """Pictures of sound ("cnn"): three times 3x3 and a pooling by 2, 3x3, one over all bands left, a mean over time."""
    channels = [in_channels, *_parts.widths(maps, width, "maps", len(CHANNELS))]
    left = _parts.sizes(size, ndim)[0] // 8
    if left < 1:
        raise ValueError(f"size {size} has fewer than 8 bands: three poolings by 2 leave none")
    layers: list[nn.Module] = []
    for i, (inside, out) in enumerate(itertools.pairwise(channels)):
        last = i == len(CHANNELS) - 1
        kernel = (left, *[1] * (ndim - 1)) if last else (3,) * ndim
        padding = 0 if last else ("same", *_borders(causal, ndim))
        conv = Conv(inside, out, kernel, padding=padding, bias=False, ndim=ndim)
        layers += _parts.stage(conv, out, activation, ndim, True)
        if i < 3:
            layers.append(MaxPool(2))
    return _parts.chain(_parts.answers(channels[-1], classes, ndim, dropout, output), conv=layers)


def _frames(context: int | None, ndim: int) -> tuple[int, ...]:
    """Taps along every axis but the bands': as many as are given, or about as many in all as are published."""
    each = _parts.taps(CONTEXT, ndim - 1) if context is None else nd.count(context, "context")
    return (each,) * (ndim - 1)


def _borders(causal: bool, ndim: int) -> tuple[str, ...]:
    return ("causal" if causal else "same",) * (ndim - 1)


def _last(hidden: Any, width: float) -> int:
    return _parts.widths(hidden, width, "hidden")[-1]


def _dense(
    channels: int,
    kernel: tuple[int, ...],
    hidden: Any,
    width: float,
    activation: Any,
    ndim: int,
    batch_norm: bool,
    dropout: float,
    **options: Any,
) -> list[nn.Module]:
    """Fully connected layers at every position of time: the first over all that the kernel spans, the others 1x1."""
    layers: list[nn.Module] = []
    for units in _parts.widths(hidden, width, "hidden"):
        conv = Conv(channels, units, kernel, **options, ndim=ndim)
        layers += [*_parts.stage(conv, units, activation, ndim, batch_norm), *_parts.dropped(dropout)]
        channels, kernel, options = units, (1,) * ndim, {}
    return layers
