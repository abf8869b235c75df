"""Speech: bands with weights shared so far, time delays, raw waves, learned band-passes, a small picture network (AP1).

full limited none   one convolution along 40 bands, of weights shared everywhere, within 14 sections, or nowhere
dense               the fully connected network on the same input
tdnn                convolutions ever further apart along time, mean and deviation over all of it
m3 m5 m11 m18       plain convolutions on the wave
sincnet             band-passes on the wave, whose edges are learned
cnn                 3x3 convolutions on a picture of bands and frames
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from sigconv.models import _common
from sigconv.models.speech import _bands, _delays, _waves

BUILDERS: dict[str, Callable[..., nn.Sequential]] = {
    **dict.fromkeys(_bands.MAPS, _bands.shared),
    "dense": _bands.connected,
    "tdnn": _delays.delays,
    **dict.fromkeys(_waves.PLAIN, _waves.plain),
    "sincnet": _waves.sincnet,
    "cnn": _bands.small,
}
VARIANTS = tuple(BUILDERS)
BANDS = ("full", "limited", "none", "dense")


def _spread(variant: str, samples: int) -> Callable[[int], int]:
    """The published samples of one axis; over several about as many in all, as long as they suffice."""
    return lambda ndim: samples if ndim == 1 else max(round(samples ** (1 / ndim)), _waves.fewest(variant, ndim))


SIZE = {
    **dict.fromkeys(BANDS, (40, 15)),
    "tdnn": lambda ndim: 200 if ndim == 1 else 15,
    **{variant: _spread(variant, 32000) for variant in _waves.PLAIN},
    "sincnet": _spread("sincnet", 3200),
    "cnn": 40,
}
SMALLEST = {
    **dict.fromkeys(BANDS, (13, 1)),
    "tdnn": lambda ndim: 15 if ndim == 1 else 13,
    **{variant: functools.partial(_waves.fewest, variant) for variant in (*_waves.PLAIN, "sincnet")},
    "cnn": 8,
}
USUAL = {
    "ndim": dict.fromkeys(VARIANTS, 1) | {"cnn": 2},
    "in_channels": dict.fromkeys(VARIANTS, 1)
    | dict.fromkeys(BANDS, lambda ndim: 45 if ndim == 1 else 3)  # static, Δ, ΔΔ; in one dimension of 15 frames
    | {"tdnn": 40},
    "classes": dict.fromkeys(VARIANTS, 10) | dict.fromkeys((*BANDS, "tdnn"), 183) | {"sincnet": 462},
}


@_common.recorded
def build(
    variant: str = VARIANTS[0],
    *,
    ndim: int | None = None,
    in_channels: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
    activation: Any = None,
    dropout: float | None = None,
    size: Any = None,
    maps: Any = None,
    hidden: Any = None,
    batch_norm: bool = False,
    causal: bool = False,
    output: str = "average",
    pooling: str | None = None,
    kernel_size: int | None = None,
    pool: int | None = None,
    pool_stride: int | None = None,
    context: int | None = None,
    stride: int | None = None,
    statistics: str | None = None,
    fs: float | None = None,
) -> nn.Sequential:
    """A speech model, (batch, in_channels, *space) -> (batch, classes); what is None is as published for the variant.

    full limited none dense cnn   (batch, channels, bands, *time): bands are the first axis, `size` of them, 40. In one
                                  dimension the frames around are channels, 3 x 15; else they are an axis, and the
                                  answer is the mean over it
    tdnn                          (batch, bands, frames), 15 frames at least, any number of them
    m3 m5 m11 m18, sincnet        (batch, 1, samples), 32000 at 8 kHz, any number; exactly `size`, 3200, at `fs` Hz

    dropout                       before or between the last layers
    maps, hidden                  channels of the convolutions and units of the fully connected layers, before width
    batch_norm                    after every layer                        (full limited none dense; others always do)
    causal                        no convolution looks ahead in time       (full limited none dense cnn tdnn); cnn's
                                  poolings do, by 7 frames in all
    output                        "average", or "map": (batch, classes, *positions), answers at every place, which takes
                                  the weights of "average" too               (all but sincnet)
    pooling, kernel_size, pool, pool_stride    "max" or "softmax", whose window is learned; taps along the bands, 8;
                                  positions pooled, 6, every 2             (full limited none; kernel_size of sincnet)
    context, stride               taps and stride along time, for ndim > 1 (full limited none dense)
    statistics                    "mean_std" or "mean"; no weights go from "mean_std" to "map"    (tdnn)

    In other numbers of axes than published kernels have about as many taps in all. ValueError for an option that is not
    the variant's. Sources: Abdel-Hamid et al. 2014; Peddinti, Povey and Khudanpur 2015, Snyder et al. 2018 (tdnn); Dai
    et al. 2017 (m5); Ravanelli and Bengio 2018 (sincnet).

    >>> sum(p.numel() for p in build("limited").parameters()), sum(p.numel() for p in build("cnn").parameters())
    (4043283, 246706)
    >>> import torch
    >>> build("limited", ndim=2, in_channels=1, classes=10, width=1 / 8)(torch.zeros(2, 1, 40, 60)).shape
    torch.Size([2, 10])
    """
    return _common.variant_of("speech", BUILDERS, USUAL | {"size": SIZE}, dict(locals()))
