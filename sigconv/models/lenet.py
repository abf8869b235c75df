"""LeNet-5: of 1998, its partial connections, trained subsampling and drawn codes included; and as it is built today."""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import PartialConv, he
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models._common import recorded, scaled
from sigconv.pooling import AdaptiveAvgPool, AvgPool, MaxPool

VARIANTS = ("1998", "modern")
SIZE = 32
SMALLEST = 16
OUTPUTS = ("rbf", "linear")

# Which maps of S2 each map of C3 sees: three and four neighbours around a ring, four with gaps, all (table I).
RING = [tuple((first + i) % 6 for i in range(many)) for many in (3, 4) for first in range(6)]
TABLE = [*RING, (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)]

MOST_POINTS = 1 << 22  # of all codes: seconds to draw

# The paper shows such drawings of 7 x 12 points without printing their bits: these are ours.
DRAWN = """
..###.. ...#... ..###.. .#####. .....#. ####### ..####. ####### ..###.. ..###..
.#...#. ..##... .#...#. #.....# ....##. #...... .#..... ......# .#...#. .#...#.
#.....# .#.#... #.....# ......# ...#.#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# .....#. ..#..#. ######. #...... ....#.. .#...#. #.....#
#.....# ...#... .....#. ..###.. .#...#. ......# #.###.. ....#.. ..###.. .#...##
#.....# ...#... ....#.. .....#. #....#. ......# ##...#. ...#... .#...#. ..###.#
#.....# ...#... ...#... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ..#.... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ..#.... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #.....# .#...#. .#..... .#...#. .....#.
..###.. .#####. ####### .#####. .....#. .#####. ..###.. .#..... ..###.. .####..
"""


def codes(classes: int = 10, units: int = 84) -> list[list[int]]:
    """A word of so many ±1 for each class: the ten digits drawn in 7 x 12 points, else words by lot, always the same.

    >>> digits = codes()
    >>> len(digits), len(digits[0]), min(sum(map(int.__ne__, a, b)) for a in digits for b in digits if a is not b)
    (10, 84, 9)
    """
    if classes * units > MOST_POINTS:
        raise ValueError(f"{classes} classes of {units} units are too many codes to draw by lot: take output='linear'")
    if (classes, units) == (10, 84):
        rows = [line.split() for line in DRAWN.split("\n") if line]
        return [[1 if point == "#" else -1 for row in rows for point in row[digit]] for digit in range(10)]
    lot = random.Random(0)
    return [[lot.choice((-1, 1)) for _ in range(units)] for _ in range(classes)]


class RadialBasis(nn.Module):
    """Minus the squared distance from each class's code: (batch, units) -> (batch, classes), the nearest the largest.

    The codes (classes, units) are fixed, a buffer. The paper's output is the distance itself; its sign is turned so
    that the largest answer is the class, and cross-entropy of it is the paper's discriminating loss without its j.

    >>> layer = RadialBasis(84, 10)
    >>> layer(layer.codes).argmax(1).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    codes: Tensor

    def __init__(self, units: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.tensor(codes(classes, units), dtype=torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """Minus the squared distances."""
        return -(x.unsqueeze(1) - self.codes).square().sum(2)


@recorded
def build(
    variant: str = "1998",
    *,
    ndim: int = 2,
    in_channels: int = 1,
    classes: int = 10,
    width: float = 1.0,
    activation: Any = None,
    output: str | None = None,
    padding: Any = 0,
) -> nn.Sequential:
    """Convolutions C1, C3 and C5 of 5x5, subsamplings S2 and S4, 84 units F6, an output (AR4).

    (batch, in_channels, *space) -> (batch, classes): 32 -> 28 -> 14 -> 10 -> 5 -> 1 positions an axis; padding=2 takes
    28 for 32. "1998" joins C3 to S2 by the paper's table, learns a gain and a bias per map in S2 and S4, squashes by
    1.7159 tanh(2x / 3) behind every layer, and answers by minus the distance from fixed codes, output="rbf": 60,000
    parameters and 840 fixed numbers. "modern" joins all, with ReLU, maxima and a linear output. Maps of other sizes
    than 5 are brought to 5 by means before C5. Source: LeCun, Bottou, Bengio and Haffner 1998, section II-B.

    >>> [sum(p.numel() for p in build(name).parameters()) for name in VARIANTS]
    [60000, 61706]
    """
    historic = nd.one_of(variant, VARIANTS, "lenet variant") == "1998"
    activation = ("scaled_tanh" if historic else "relu") if activation is None else activation
    output = nd.one_of(("rbf" if historic else "linear") if output is None else output, OUTPUTS, "output")
    c1, c3, c5, f6 = (scaled(maps, width) for maps in (6, 16, 120, 84))
    joined = PartialConv(c1, _joined(c1, c3), 5, ndim=ndim) if historic else Conv(c1, c3, 5, ndim=ndim)

    layers: OrderedDict[str, nn.Module] = OrderedDict(c1=Conv(in_channels, c1, 5, padding=padding, ndim=ndim))
    for i, maps in ((1, c1), (3, c3)):
        layers |= {"c3": joined} if i == 3 else {}
        layers[f"act{i}"] = activated(activation, maps, ndim)
        layers[f"s{i + 1}"] = AvgPool(2, gain_bias_channels=maps) if historic else MaxPool(2)
        layers |= {f"act{i + 1}": activated(activation, maps, ndim)} if historic else {}
    layers |= {"fit": AdaptiveAvgPool(5), "c5": Conv(c3, c5, 5, ndim=ndim), "act5": activated(activation, c5, ndim)}
    layers |= {"flatten": nn.Flatten(), "f6": nn.Linear(c5, f6), "act6": activated(activation, f6, 0)}
    layers["output"] = RadialBasis(f6, classes) if output == "rbf" else nn.Linear(f6, classes)
    model = nn.Sequential(layers)
    return _spread(model) if historic else he(model)


def _joined(into: int, out: int) -> list[tuple[int, ...]]:
    """The table for as many maps as there are, each standing for the nearest of the paper's 6 and 16."""
    rows = [TABLE[row * len(TABLE) // out] for row in range(out)]
    seen = [tuple(i for i in range(into) if i * 6 // into in row) for row in rows]
    return [inputs or tuple(range(into)) for inputs in seen]


def _spread(model: nn.Sequential) -> nn.Sequential:
    """Weights uniform within 2.4 / inputs of a unit, as the paper draws them; no bias."""
    for layer in model:
        if isinstance(layer, Conv | PartialConv | nn.Linear):
            units = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
            bound = 2.4 * units / layer.weight.numel()
            nn.init.uniform_(layer.weight, -bound, bound)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model
