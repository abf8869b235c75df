"""Drawn shapes: silhouettes of a car, a truck and a van on clutter, with the box around each. Made, not fetched.

class     one object an image: y is its class
box       one smaller object anywhere: y (5,) is its class and its box
several   one to four objects: y (4, 5), a row each, class -1 where there is none

A box is (start, start, stop, stop): where it begins and ends along each axis, in fractions of the image. The clutter is
made of the bars and discs that vehicles are made of, and objects are lighter or darker than what is behind them, so
that neither a pixel nor a wheel gives a class away. An image is a pure function of (seed, index).
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch

from sigconv import nd
from sigconv.datasets._parts import Arrays, Parts

CLASSES = ("car", "truck", "van")
TASKS = ("class", "box", "several")
MOST = 4  # objects in an image
WIDTHS = {"class": (0.5, 0.8), "box": (0.25, 0.6), "several": (0.22, 0.36)}  # of an object, as a share of the image
FIRST = {"train": 0, "valid": 10**8, "test": 2 * 10**8}  # index of a part's first image: they never meet

Disc = tuple[float, float, float]  # centre right, centre up, radius; an object is 2 wide and stands on 0
Corners = tuple[tuple[float, float], ...]  # of a convex area, anticlockwise
WHEEL = 0.19
SHAPES: dict[str, tuple[list[Corners], list[Disc]]] = {
    "car": (
        [((-1, 0.14), (1, 0.14), (0.96, 0.42), (-1, 0.48)), ((-0.72, 0.42), (0.6, 0.42), (0.22, 0.78), (-0.42, 0.78))],
        [(-0.58, WHEEL, WHEEL), (0.6, WHEEL, WHEEL)],
    ),
    "truck": (
        [
            ((-1, 0.3), (0.38, 0.3), (0.38, 1.08), (-1, 1.08)),
            ((0.46, 0.18), (1, 0.18), (1, 0.55), (0.86, 0.84), (0.46, 0.84)),
            ((-1, 0.18), (1, 0.18), (1, 0.3), (-1, 0.3)),
        ],
        [(-0.74, WHEEL, WHEEL), (-0.3, WHEEL, WHEEL), (0.72, WHEEL, WHEEL)],
    ),
    "van": (
        [((-1, 0.14), (1, 0.14), (1, 0.44), (0.58, 0.94), (-0.96, 0.94))],
        [(-0.6, WHEEL, WHEEL), (0.62, WHEEL, WHEEL)],
    ),
}
MIDDLE = 0.5  # of an object's height: what it is turned about
REACH = 1.2  # from there to its farthest corner


class Drawing(NamedTuple):
    """An image float32 (height, width), the classes int64 (objects,) on it, and their boxes float32 (objects, 4)."""

    image: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


def draw(seed: int, index: int, *, size: Any = 48, task: str = "class") -> Drawing:
    """One image and what is on it, by its number; size in samples, one number or (height, width).

    Raises ValueError for an unknown task, and for a size below 16.

    >>> made = draw(0, 5)
    >>> made.image.shape, CLASSES[made.labels[0]], made.boxes.shape
    ((48, 48), 'van', (1, 4))
    """
    nd.one_of(task, TASKS, "task")
    size = nd.ntuple(size, 2, "size", least=16)
    random = np.random.default_rng([nd.count(seed, "seed", 0), nd.count(index, "index", 0), TASKS.index(task)])
    image = _background(random, size)
    places = _places(random, task, size)
    labels = random.integers(len(CLASSES), size=len(places)) if task == "several" else np.array([index % len(CLASSES)])
    boxes = []
    for label, (centre, half) in zip(labels, places, strict=True):
        angle, mirror = random.uniform(-0.25, 0.25), random.choice([-1.0, 1.0])
        cover = _cover(CLASSES[label], centre, half, angle, mirror, size)
        _paint(image, cover, random.choice([-1.0, 1.0]) * random.uniform(0.35, 0.8))
        boxes.append(_box(cover))
    image += random.normal(size=size) * 0.06
    return Drawing(image.astype(np.float32), labels.astype(np.int64), np.array(boxes, np.float32))


def load(
    root: Any = None,
    *,
    task: str = "class",
    size: Any = 48,
    train: int = 2000,
    valid: int = 400,
    test: int = 1000,
    seed: int = 0,
) -> Parts:
    """So many images to train with, to choose by and to test on: x float32 (1, height, width), y as the task has it.

    Nothing is read: root is taken as every set's load takes it, and not needed.

    >>> load(task="several", size=32, train=2, valid=2, test=2).train.y.shape
    torch.Size([2, 4, 5])
    """
    counts = {"train": train, "valid": valid, "test": test}
    return Parts(*(_part(seed, FIRST[name], nd.count(n, name), size, task) for name, n in counts.items()))


def _part(seed: int, first: int, count: int, size: Any, task: str) -> Arrays:
    made = [draw(seed, first + index, size=size, task=task) for index in range(count)]
    x = torch.from_numpy(np.stack([drawing.image for drawing in made]))[:, None]
    if task == "class":
        return Arrays(x, torch.from_numpy(np.concatenate([drawing.labels for drawing in made])), CLASSES)
    rows = [np.column_stack([drawing.labels, drawing.boxes]).astype(np.float32) for drawing in made]
    most = MOST if task == "several" else 1
    filled = [np.concatenate([row, np.full((most - len(row), 5), -1, np.float32)]) for row in rows]
    y = torch.from_numpy(np.stack(filled))
    return Arrays(x, y if task == "several" else y[:, 0], CLASSES)


def _places(random: np.random.Generator, task: str, size: tuple[int, ...]) -> list[tuple[np.ndarray, float]]:
    """Centres, and half of the widths, in samples: whole objects, clear of one another."""
    wanted = int(random.integers(1, MOST + 1)) if task == "several" else 1
    found: list[tuple[np.ndarray, float]] = []
    for _ in range(40 * wanted):
        half = random.uniform(*WIDTHS[task]) * min(size) / 2
        margin = np.minimum(REACH * half, np.array(size) / 2 - 0.5)
        centre = random.uniform(margin, np.array(size) - 1 - margin)
        if all(math.dist(centre, other) > REACH * (half + wide) for other, wide in found):
            found.append((centre, half))
        if len(found) == wanted:
            break
    return found


def _cover(name: str, centre: Any, half: float, angle: float, mirror: float, size: tuple[int, ...]) -> np.ndarray:
    """How much of every sample the object covers, between 0 and 1: (height, width)."""
    down, right = _grid(size)
    up, across = (centre[0] - down) / half, (right - centre[1]) / half * mirror
    across, up = (
        math.cos(angle) * across + math.sin(angle) * up,
        math.cos(angle) * up - math.sin(angle) * across + MIDDLE,
    )
    areas, discs = SHAPES[name]
    inside = [_depth(corners, across, up) for corners in areas]
    inside += [radius - np.hypot(across - x, up - y) for x, y, radius in discs]
    return np.clip(np.max(inside, 0) * half + 0.5, 0, 1)


def _depth(corners: Corners, across: np.ndarray, up: np.ndarray) -> np.ndarray:
    """How deep every point lies inside a convex area: the distance to its nearest side, below 0 outside."""
    sides = zip(corners, corners[1:] + corners[:1], strict=True)
    depths = [
        ((x1 - x0) * (up - y0) - (y1 - y0) * (across - x0)) / math.hypot(x1 - x0, y1 - y0)
        for (x0, y0), (x1, y1) in sides
    ]
    return np.min(depths, 0)


def _background(random: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Slow shades, and on them bars and discs as large as the parts of a vehicle."""
    height, width = size
    knots = random.normal(size=(4, 4)) * 0.25
    image = _resampling(height) @ knots @ _resampling(width).T
    down, right = _grid(size)
    for _ in range(int(random.integers(4, 9))):
        y, x = random.uniform(0, height), random.uniform(0, width)
        angle, reach = random.uniform(0, math.pi), random.uniform(0.03, 0.14) * min(size)
        if random.random() < 0.4:
            depth = reach - np.hypot(down - y, right - x)
        else:
            along = (right - x) * math.cos(angle) + (down - y) * math.sin(angle)
            across = (down - y) * math.cos(angle) - (right - x) * math.sin(angle)
            depth = np.minimum(random.uniform(1, 3) * reach - np.abs(along), 0.7 * reach - np.abs(across))
        _paint(image, np.clip(depth + 0.5, 0, 1), random.uniform(-0.8, 0.8))
    return image


def _paint(image: np.ndarray, cover: np.ndarray, shade: float) -> None:
    """Put a shade on the image where something covers it."""
    image += cover * (shade - 0.5 * image)


def _box(cover: np.ndarray) -> np.ndarray:
    """Where the covered area begins and ends along every axis, in fractions."""
    seen = [np.flatnonzero((cover > 0.5).any(other)) for other in (1, 0)]
    ends = [(along[0] / n, (along[-1] + 1) / n) for along, n in zip(seen, cover.shape, strict=True)]
    return np.array(ends).T.ravel()


@functools.cache
def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    down, right = np.indices(size, np.float64)
    return down, right


@functools.cache
def _resampling(n: int) -> np.ndarray:
    """Linear interpolation of four values at n points: (n, 4)."""
    return np.stack([np.interp(np.linspace(0, 3, n), range(4), row) for row in np.eye(4)], 1)
