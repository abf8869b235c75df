"""Two streams for video: what single frames show, and what moves; each answers, and their answers are averaged.

both      frames and motion, and the mean of their probabilities        frames    motion    one of them alone

The first axis is time, the others are space.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import Stage, he
from sigconv.filters import gabor, motion
from sigconv.models._common import axes, recorded, scaled
from sigconv.pooling import GlobalAvgPool, MaxPool

VARIANTS = ("both", "frames", "motion")
SIZE = (16, 112)
SMALLEST = (2, 8)
CHANNELS = (16, 32, 64)
FLICKER = (0.25, 0.125)  # cycles a frame that are told apart where there is no space to move in


@recorded
def build(
    variant: str = "both",
    *,
    ndim: int = 3,
    in_channels: int = 3,
    classes: int = 101,
    width: float = 1.0,
    activation: Any = "relu",
    channels: Sequence[int] = CHANNELS,
    speeds: Sequence[float] = (1.0,),
    directions: int | None = None,
    frequency: float | None = None,
    learned: bool = False,
    dropout: float = 0.5,
) -> TwoStream:
    """Two streams: clips (batch, in_channels, time, *space) -> (batch, classes), log-probabilities.

    channels      of each convolution of 3 within the frames, its normalization, activation and maximum over 2
    speeds        samples a frame, each with filters of its own
    directions    ways to move, an even number: 8 in a plane, 2 along a line, both ways along every axis of more
    frequency     cycles a sample that the filters are tuned to: by default the finest that do not flicker too fast
    learned       the filters of motion learn too: their frequencies and widths
    dropout       before each answer

    The stream of motion looks at Adelson and Bergen's energies of the mean channel, onwards minus back over both, whose
    sign is the direction, whatever the contrast. Over one axis, time alone, it is what flickers. Either stream by
    itself is .stream["frames"] or .stream["motion"]; its scores are (batch, classes). ValueError for no channels.
    Sources: Simonyan and Zisserman 2014 (late fusion by averaging); Adelson and Bergen 1985 in place of optical flow.

    >>> answers = build(width=1 / 4, classes=5)(torch.zeros(2, 3, 8, 16, 16))
    >>> answers.shape, torch.allclose(answers.exp().sum(1), torch.ones(2))
    (torch.Size([2, 5]), True)
    """
    nd.one_of(variant, VARIANTS, "two_stream variant")
    if not channels:
        raise ValueError(f"channels {tuple(channels)} must name at least one convolution")
    wide = [scaled(n, width) for n in channels]
    stream: OrderedDict[str, nn.Module] = OrderedDict()
    if variant != "motion":
        stream["frames"] = _stream(in_channels, wide, classes, ndim, activation, dropout)
    if variant != "frames":
        moving = Motion(ndim, speeds, directions, frequency, learned)
        stream["motion"] = nn.Sequential(moving, _stream(moving.channels, wide, classes, ndim, activation, dropout))
    return TwoStream(stream)


class TwoStream(nn.Module):
    """What build makes: streams by name, each from clips to scores, and the mean of their probabilities."""

    def __init__(self, stream: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        self.stream = nn.ModuleDict(stream)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities."""
        found = [stream(x).log_softmax(1) for stream in self.stream.values()]
        return found[0] if len(found) == 1 else torch.stack(found).logsumexp(0) - math.log(len(found))


class Motion(nn.Module):
    """Motion energies of the mean channel, of several speeds: (batch, channels, time, *space) -> (…, .channels, …).

    Opponent and normalized, between -1 and 1: above 0 where something moves along the direction, below where it moves
    back. Over time alone, the energies of what flickers.
    """

    def __init__(
        self, ndim: int, speeds: Sequence[float], directions: int | None, frequency: float | None, learned: bool
    ) -> None:
        super().__init__()
        with torch.device("cpu"):  # filters are made from values, and then go where everything is made
            if ndim == 1:
                sigma = gabor.sigma_of(1.0, torch.tensor(FLICKER))
                cells: list[nn.Module] = [gabor.bank(FLICKER, sigma, learnable=learned)]
            else:
                ways = {2: 2, 3: 8}.get(ndim, 2 * (ndim - 1)) if directions is None else directions
                options: dict[str, Any] = {"frequency": frequency, "normalize": True, "learnable": learned}
                cells = [motion.AdelsonBergen(v, ways, ndim=ndim, **options) for v in speeds]
        self.cells = nn.ModuleList(cells).to(torch.get_default_device())
        self.channels = len(FLICKER) if ndim == 1 else len(cells) * ways // 2

    def forward(self, x: Tensor) -> Tensor:
        """The energies."""
        grey = x.mean(1, keepdim=True)
        if x.ndim == 3:
            return torch.cat([bank(grey, output="energy") for bank in self.cells], 1)
        return torch.cat([cells(grey, padding_mode="replicate") for cells in self.cells], 1)


def _stream(
    in_channels: int, channels: Sequence[int], classes: int, ndim: int, activation: Any, dropout: float
) -> nn.Sequential:
    """Convolutions within the frames, the mean over all of them, scores."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    taps, window = axes((1, 3), ndim), axes((1, 2), ndim)
    for i, wide in enumerate(channels, 1):
        options: dict[str, Any] = {"padding": "same", "order": "conv-bn-act-pool", "activation": activation}
        layers[f"stage{i}"] = Stage(in_channels, wide, taps, ndim=ndim, pool=MaxPool(window), **options)
        in_channels = wide
    layers["mean"], layers["drop"] = GlobalAvgPool(), nn.Dropout(dropout)
    layers["classes"] = nn.Linear(in_channels, classes)
    model = nn.Sequential(layers)
    he(model[:-1])
    return model
