"""Localizer: what is in an image and where, by a trunk and two heads; several things by a heat map (AR18, AP5)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import Stage, he
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models._common import recorded, scaled
from sigconv.pooling import AdaptiveAvgPool, GlobalMaxPool, max_pool

VARIANTS = ("one", "several")
SIZE = 48
SMALLEST = 8
CHANNELS = (32, 64, 128)
POSITIONS = 6  # along every axis, that the box head looks at
UNITS = 128
PARTS = ("class", "box", "all")
RARE = 0.05  # share of positions where an untrained heat map expects an object


@recorded
def build(
    variant: str = "one",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
) -> nn.Module:
    """A network that says what is there, and where, in any number of dimensions.

    one         Localizer: (batch, in_channels, *space) -> (batch, classes + 2·ndim), class scores and one box
    several     HeatMap: -> (batch, classes + 2·ndim, *space / 4), a map of scores and a box at every position

    A box is (start of every axis, stop of every axis), in fractions of the input. Sources: Sermanet et al. 2013
    (OverFeat) and Simonyan and Zisserman 2014, for one; Zhou, Wang and Krähenbühl 2019 (Objects as Points).

    >>> build("one", ndim=3, in_channels=1, classes=2)(torch.zeros(2, 1, 16, 16, 16)).shape
    torch.Size([2, 8])
    """
    several = nd.one_of(variant, VARIANTS, "localizer variant") == "several"
    stages = []
    for i, channels in enumerate(scaled(n, width) for n in CHANNELS):
        order = "conv-bn-act" if several and i == 2 else "conv-bn-act-pool"
        stages.append(Stage(in_channels, channels, 3, ndim=ndim, padding=1, order=order, activation=activation))
        in_channels = channels
    kind: Any = HeatMap if several else Localizer
    return kind(nn.Sequential(*stages), in_channels, scaled(UNITS, width), classes, ndim, activation)


class Localizer(nn.Module):
    """A trunk, a head for the class and a head for the box: (batch, classes + 2·ndim), split by .answers."""

    def __init__(self, trunk: nn.Module, channels: int, units: int, classes: int, ndim: int, activation: Any) -> None:
        super().__init__()
        self.classes, self.learning = classes, "all"
        self.trunk = trunk
        self.head = nn.Sequential(GlobalMaxPool(), nn.Linear(channels, classes))
        self.box = nn.Sequential(
            AdaptiveAvgPool(POSITIONS),
            nn.Flatten(),
            nn.Linear(channels * POSITIONS**ndim, units),
            activated(activation, units, 0),
            nn.Linear(units, 2 * ndim),
            nn.Sigmoid(),
        )
        he(self.trunk)
        he(self.box[:-2])

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, then the box."""
        seen = self.trunk(x)
        return torch.cat([self.head(seen), self.box(seen)], 1)

    def answers(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs as scores (batch, classes) and boxes (batch, 2·ndim)."""
        return outputs[:, : self.classes], outputs[:, self.classes :]

    def learn(self, part: str) -> Localizer:
        """Say what training changes: "class", the trunk and its head; "box", the other head by itself; or "all".

        What is not learned stays as it is, the running statistics of its normalization included. The model itself.
        """
        self.learning = nd.one_of(part, PARTS, "part")
        for module, learned in self._learned():
            module.requires_grad_(learned)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Localizer:
        """Training mode for what is learned; the rest answers as it will in use."""
        super().train(mode)
        for module, learned in self._learned():
            module.train(mode and learned)
        return self

    def _learned(self) -> list[tuple[nn.Module, bool]]:
        seen, box = self.learning != "box", self.learning != "class"
        return [(self.trunk, seen), (self.head, seen), (self.box, box)]


class HeatMap(nn.Module):
    """A fully convolutional net: at every fourth position, how much it is the centre of each class, and of what box.

    (batch, in_channels, *space) -> (batch, classes + 2·ndim, *positions): scores before the sigmoid; where in its cell
    the centre lies (0 to 1 along every axis); and the extent of the box, in fractions of the input. See peaks.
    """

    def __init__(self, trunk: nn.Module, channels: int, units: int, classes: int, ndim: int, activation: Any) -> None:
        super().__init__()
        self.classes = classes
        self.trunk = trunk
        self.look = Stage(channels, units, 3, ndim=ndim, padding="same", dilation=2, activation=activation)
        self.answer = Conv(units, classes + 2 * ndim, 1, ndim=ndim)
        he(self)
        with torch.no_grad():
            self.answer.weight.mul_(0.1)
            self.answer.bias[:classes] = math.log(RARE / (1 - RARE))  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """Scores, offsets and extents at every position."""
        maps = self.answer(self.look(self.trunk(x)))
        return torch.cat([maps[:, : self.classes], maps[:, self.classes :].sigmoid()], 1)


class Objects(NamedTuple):
    """What was found in an input, most certain first: labels, scores (n,), boxes (n, 2·ndim), centres (n, ndim)."""

    labels: Tensor
    scores: Tensor
    boxes: Tensor
    centres: Tensor


def peaks(outputs: Tensor, classes: int, *, threshold: float = 0.5, size: int = 3, most: int = 100) -> list[Objects]:
    """The objects of a heat map: positions whose score is above the threshold and the largest around them (AP5).

    outputs (batch, classes + 2·ndim, *positions) of HeatMap -> Objects of every item, at most so many. A position is a
    peak where no other within a window of size, whatever its class, scores higher: max pooling suppresses the rest.
    Raises ValueError for outputs of another shape.

    >>> outputs = torch.full((1, 3, 8), 0.5)
    >>> outputs[0, 0] = torch.tensor([-4.0, -4, 1, 3, 1, -4, -4, -4])
    >>> [found] = peaks(outputs, classes=1)
    >>> found.centres.tolist(), found.boxes.tolist()
    ([[0.4375]], [[0.1875, 0.6875]])
    """
    ndim = outputs.ndim - 2
    if ndim < 1 or outputs.shape[1] != classes + 2 * ndim:
        raise ValueError(f"outputs have shape {tuple(outputs.shape)}: expected (batch, {classes} + 2·ndim, *positions)")
    heights, labels = outputs[:, :classes].max(1)  # compared before the sigmoid, which makes all high ones 1
    largest, scores = max_pool(heights[:, None], size, 1, padding="same")[:, 0], heights.sigmoid()
    chosen = (heights == largest) & (scores > threshold)
    found = []
    for i, mask in enumerate(chosen):
        places = mask.nonzero()
        order = heights[i][mask].argsort(descending=True, stable=True)[:most]
        places = places[order]
        offset, extent = outputs[i, classes:][:, *places.T].T.split(ndim, 1)
        centres = (places + offset) / torch.tensor(mask.shape, device=outputs.device)
        boxes = torch.cat([centres - extent / 2, centres + extent / 2], 1)
        found.append(Objects(labels[i][mask][order], scores[i][mask][order], boxes, centres))
    return found
