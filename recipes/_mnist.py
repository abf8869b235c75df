"""What the MNIST recipe trains and draws beside Nielsen's nets: the strongest small net, its images, the gallery."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import sigconv as sc
from sigconv import plot
from sigconv.blocks import activation as activated
from sigconv.transforms import augment

TURN, STRETCH, SHEAR, SHIFT = 0.26, 0.13, 0.2, 0.1  # radians, share, share, share of half an image: the farthest
KNOTS, BEND = 5, 0.12  # of the bending along an axis, and how far each may move, as a share of half an image
MOST_SHOWN = 300  # mistakes in a picture: beyond that none can be made out


def residual_net(activation: Any = "relu", channels: Sequence[int] = (24, 40, 80)) -> nn.Sequential:
    """(images, 1, 28, 28) -> (images, 10): a wide first look, then residual blocks on 14 x 14 and on 7 x 7.

    Maxima are taken as early as they can be: what comes after them has a quarter of the work.
    """
    a, b, c = channels
    return nn.Sequential(
        *(sc.Conv2d(1, a, 5, padding="same", bias=False), sc.MaxPool(2), *_levelled(a, activation)),
        *(sc.Conv2d(a, b, 3, padding="same", bias=False), *_levelled(b, activation)),
        Residual(b, activation),
        *(sc.MaxPool(2), sc.Conv2d(b, c, 3, padding="same", bias=False), *_levelled(c, activation)),
        *(Residual(c, activation), Residual(c, activation)),
        *(sc.GlobalAvgPool(), nn.Dropout(0.3), nn.Linear(c, 10)),
    )


class Residual(nn.Module):
    """Two convolutions of 3 x 3 and a way around them; it begins as that way alone."""

    def __init__(self, channels: int, activation: Any) -> None:
        super().__init__()
        first, second = (sc.Conv2d(channels, channels, 3, padding="same", bias=False) for _ in range(2))
        self.body = nn.Sequential(first, *_levelled(channels, activation), second, nn.BatchNorm2d(channels))
        self.last = activated(activation, channels, 2)
        nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.body(x))


def _levelled(channels: int, activation: Any) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), activated(activation, channels, 2)]


def vary(x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Images (batch, 1, height, width) turned, stretched, slanted, moved and bent, each as its generator has it."""
    u = augment.uniforms(generators, 6 + 2 * KNOTS**2, x)
    turn, slant = TURN * u[:, 0], SHEAR * u[:, 1]
    tall, wide = torch.exp(STRETCH * u[:, 2]), torch.exp(STRETCH * u[:, 3])
    rows = [wide * (turn.cos() - slant * turn.sin()), wide * (slant * turn.cos() - turn.sin()), SHIFT * u[:, 4]]
    rows += [tall * turn.sin(), tall * turn.cos(), SHIFT * u[:, 5]]
    places = functional.affine_grid(torch.stack(rows, 1).unflatten(1, (2, 3)), list(x.shape), align_corners=False)
    knots = BEND * u[:, 6:].reshape(-1, 2, KNOTS, KNOTS)
    bent = functional.interpolate(knots, x.shape[2:], mode="bicubic", align_corners=True)
    return functional.grid_sample(x, places + bent.movedim(1, -1), align_corners=False)


def gallery(pictures: Any, true: Any, found: Any, *, of: int) -> Any:
    """Every mistake as an image with its true label top right and what it was taken for bottom right (EX11)."""
    from matplotlib.figure import Figure

    count = min(len(pictures), MOST_SHOWN)
    columns = min(max(math.ceil(math.sqrt(1.6 * count)), 4), 20)
    lines = -(-count // columns)
    figure = Figure(figsize=(0.62 * columns, 0.62 * lines + 0.5), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax in grid:
        ax.set_axis_off()
    for ax, picture, right, wrong in zip(grid, pictures, true.tolist(), found.tolist(), strict=False):
        side = picture.shape[-1]
        ax.imshow(np.asarray(picture), cmap="gray_r", vmin=0, vmax=255)
        ax.text(side + 3, 5, str(right), fontsize=7, ha="center", va="center", color=plot.COLOURS[2])
        ax.text(side + 3, side - 5, str(wrong), fontsize=7, ha="center", va="center", color=plot.COLOURS[1])
        ax.set_xlim(-0.5, side + 6)
    shown = "" if count == len(pictures) else f"; the first {count} are shown"
    figure.suptitle(f"{len(pictures)} mistakes in {of:,}: truth above, answer below{shown}", fontsize=8)
    return figure
