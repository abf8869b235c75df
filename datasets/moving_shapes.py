"""Moving shapes: digits, textures and gratings that go one of several ways. Made, not fetched.

digits      one digit: of MNIST where it is at hand, else a stroke drawn after a template of MNIST-1D
texture     a random pattern that looks alike in every direction
grating     one wave across the whole frame

A frame goes round: what leaves it on one side comes in on the other. Where the pattern begins is uniform, fractions of
a pixel included, so that every frame by itself is the same pattern at a uniform place, whichever way it goes: of digits
and textures a single frame tells nothing of the direction. A grating's orientation tells the axis it moves along, not
which way. A clip is a pure function of (seed, index), and so is each part of it: noise, speed and shape are drawn
before the direction is looked at.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sigconv import nd
from sigconv.datasets import mnist, mnist1d
from sigconv.datasets._parts import Arrays, Parts
from sigconv.transforms import video

KINDS = ("digits", "texture", "grating")
SOURCES = ("auto", "mnist", "strokes")
FIRST = {"train": 0, "valid": 10**8, "test": 2 * 10**8}  # index of a part's first clip: they never meet
WAVES = (4.0, 9.0)  # pixels: of a texture and a grating, the shortest and the longest
LOUDEST = -200.0  # decibels of a pattern over noise that hides it
SHARE = 0.7  # of a frame's side that a digit takes
WIDTH = 0.11  # of a digit's side: how wide a stroke is drawn
COMPASS = ("down", "down right", "right", "up right", "up", "up left", "left", "down left")


class Clip(NamedTuple):
    """frames float32 (frames, size, size), the direction's number, and where the pattern is, in pixels (frames, 2)."""

    frames: np.ndarray
    label: int
    places: np.ndarray


def draw(
    seed: int,
    index: int,
    *,
    kind: str = "digits",
    frames: int = 8,
    size: int = 24,
    directions: int = 8,
    speeds: Any = (1.0, 2.0),
    snr: float = 10.0,
    digits: Any = None,
) -> Clip:
    """One clip by its number; direction index mod directions, at an angle of label / directions of a turn from down.

    speeds      pixels a frame: a number, or the least and the most, between which a clip's is drawn. Where textures and
                gratings go faster than 2 their waves are longer, as short ones might as well go back
    snr         decibels: mean power of the pattern about its mean, over that of white noise in all frames; inf for none
    digits      images to choose from, (n, height, width) of any numbers; strokes without them

    Pattern and noise together have mean 0 and a power of 1. Raises ValueError for what none of this can be.

    >>> made = draw(0, 3, frames=4)
    >>> made.frames.shape, COMPASS[made.label], made.places.shape
    ((4, 24, 24), 'up right', (4, 2))
    """
    nd.one_of(kind, KINDS, "kind")
    frames, size = nd.count(frames, "frames"), nd.count(size, "size", 8)
    directions, (low, high) = nd.count(directions, "directions", 2), _speeds(speeds)
    if not snr >= LOUDEST:
        raise ValueError(f"snr {snr} must be decibels, {LOUDEST:g} at least, or inf for no noise")
    if kind == "texture" and 2 * high > size / 2:
        raise ValueError(
            f"speeds up to {high:g} need waves of {2 * high:g} pixels: a texture of {size} has them up to {size / 2:g}"
        )
    random = np.random.default_rng([nd.count(seed, "seed", 0), nd.count(index, "index", 0), KINDS.index(kind)])
    start, speed = random.uniform(0, size, 2), random.uniform(low, high)
    noise = random.normal(size=(frames, size, size))
    label = index % directions
    turn = 2 * math.pi * label / directions
    heading = np.array([math.cos(turn), math.sin(turn)])
    if kind == "grating":
        pattern = _grating(random, size, frames, heading, speed)
        places = start + speed * np.arange(frames)[:, None] * heading
    else:
        picture = _texture(random, size, speed) if kind == "texture" else _digit(random, size, digits)
        places = start + speed * np.arange(frames)[:, None] * heading
        pattern = shifted(_standard(picture), places)
    amount = 0.0 if snr == math.inf else 10 ** (-snr / 20)
    whole = (pattern + amount * noise) / math.hypot(1, amount)
    return Clip(whole.astype(np.float32), label, places)


def best_still(kind: str, directions: int = 8) -> float:
    """The highest accuracy that a single frame allows: what guessing reaches, but for a grating's axis.

    >>> best_still("digits"), best_still("grating"), best_still("grating", 3)
    (0.125, 0.5, 1.0)
    """
    if nd.one_of(kind, KINDS, "kind") != "grating":
        return 1 / directions
    return 1.0 if directions % 2 else 0.5  # of an odd number no two go along one axis


def digits_of(root: Any = None, digits: str = "auto") -> str:
    """Which digits load takes: "mnist" where it is asked for, or auto finds it under root or else $SIGCONV_DATA.

    >>> digits_of(digits="strokes")
    'strokes'
    """
    if nd.one_of(digits, SOURCES, "digits") != "auto":
        return digits
    places = [Path(place) for place in (root, os.environ.get("SIGCONV_DATA")) if place]
    return "mnist" if any((place / "mnist").is_dir() or place.name == "mnist" for place in places[:1]) else "strokes"


def load(
    root: Any = None,
    *,
    kind: str = "digits",
    frames: int = 8,
    size: int = 24,
    directions: int = 8,
    speeds: Any = (1.0, 2.0),
    snr: float = 10.0,
    digits: str = "auto",
    train: int = 2000,
    valid: int = 400,
    test: int = 1000,
    seed: int = 0,
) -> Parts:
    """So many clips to train with, to choose by and to test on: x float32 (1, frames, size, size), y the direction.

    digits      "mnist", of a folder mnist/ under root or else $SIGCONV_DATA, its test images in the test part only;
                "strokes", for which nothing is read; "auto", the first where it is at hand (digits_of says)

    Other options as draw's. Directions go round from down by way of right, as COMPASS has eight of them.
    """
    images: tuple[Any, Any, Any] = (None, None, None)
    if digits_of(root, digits) == "mnist" and kind == "digits":
        images = tuple(part.x[:, 0].numpy() for part in mnist.load(root, seed=seed))
    classes = COMPASS if directions == 8 else tuple(f"{360 * n / directions:g} degrees" for n in range(directions))
    options: dict[str, Any] = {
        "kind": kind,
        "frames": frames,
        "size": size,
        "directions": directions,
        "speeds": speeds,
        "snr": snr,
    }
    parts = []
    for (name, first), count, pool in zip(FIRST.items(), (train, valid, test), images, strict=True):
        made = [draw(seed, first + n, digits=pool, **options) for n in range(nd.count(count, name))]
        x = torch.from_numpy(np.stack([clip.frames for clip in made]))[:, None]
        parts.append(Arrays(x, torch.tensor([clip.label for clip in made]), classes))
    return Parts(*parts)


def shifted(picture: Any, places: Any) -> np.ndarray:
    """A picture (height, width) that goes round, moved to each place (n, 2): (n, height, width), exact for waves.

    Whole numbers of pixels are a roll. Between them every wave that the picture is made of moves by the fraction.

    >>> shifted(np.eye(4), [[1, 0]])[0].round(9).argmax(1).tolist()
    [3, 0, 1, 2]
    """
    picture, places = np.asarray(picture, float), np.asarray(places, float)
    tall, wide = picture.shape
    turns = [np.exp(-2j * np.pi * places[:, axis, None] * np.fft.fftfreq(n)) for axis, n in enumerate((tall, wide))]
    for turn, n in zip(turns, (tall, wide), strict=True):
        if n % 2 == 0:
            turn[:, n // 2] = turn[:, n // 2].real  # the fastest wave has no side to lean to
    moved = np.fft.ifft2(np.fft.fft2(picture) * turns[0][:, :, None] * turns[1][:, None, :])
    return np.ascontiguousarray(moved.real)


def _speeds(speeds: Any) -> tuple[float, float]:
    found = np.asarray(speeds, float).ravel()
    if found.size not in (1, 2) or not np.isfinite(found).all() or found[0] < 0 or found[0] > found[-1]:
        raise ValueError(f"speeds {speeds} must be pixels a frame: a number, or the least and the most")
    return float(found[0]), float(found[-1])


def _standard(picture: np.ndarray) -> np.ndarray:
    """Mean 0, power 1."""
    picture = picture - picture.mean()
    return picture / max(float(np.sqrt(np.square(picture).mean())), 1e-12)


def _grating(random: np.random.Generator, size: int, frames: int, heading: np.ndarray, speed: float) -> np.ndarray:
    """A wave (frames, size, size) that moves along its own axis, of power 1 on the average."""
    wave, phase = _log_uniform(random, *_waves(2.5 * speed)), random.uniform(0, 2 * math.pi)
    along = np.add.outer(heading[0] * np.arange(size), heading[1] * np.arange(size))
    moved = along - speed * np.arange(frames)[:, None, None]
    return math.sqrt(2) * np.cos(2 * math.pi * moved / wave + phase)


def _waves(least: float) -> tuple[float, float]:
    """The shortest and the longest wave of a pattern; what is shorter than two steps would as well go back."""
    shortest = max(WAVES[0], least)
    return shortest, max(WAVES[1], 1.5 * shortest)


def _texture(random: np.random.Generator, size: int, speed: float) -> np.ndarray:
    """Noise (size, size) of the wavelengths in WAVES, or longer ones, as much of it in every direction."""
    shortest, longest = _waves(2 * speed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    kept = (frequency >= 1 / longest) & (frequency <= 1 / shortest)
    return np.fft.ifft2(np.fft.fft2(random.normal(size=(size, size))) * kept).real


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(random.uniform(math.log(low), math.log(high))))


def _digit(random: np.random.Generator, size: int, images: Any) -> np.ndarray:
    """A digit in a corner of an empty frame (size, size): where it goes is said by its places."""
    side, frame = max(round(SHARE * size), 4), np.zeros((size, size))
    if images is None:
        frame[:side, :side] = stroke(int(random.integers(10)), side, random.uniform(0.6, 1.0))
    else:
        image = np.asarray(images[int(random.integers(len(images)))], np.float32)
        frame[:side, :side] = video.resize(image[None], (side, side))[0]
    return frame


def stroke(digit: int, side: int, stretch: float = 1.0) -> np.ndarray:
    """A digit as MNIST-1D has it, drawn as a line from top to bottom: (side, side), 1 on the line.

    stretch is how far it reaches to the sides.

    >>> stroke(0, 5).shape
    (5, 5)
    """
    template = mnist1d.TEMPLATES[digit]
    points = np.stack([np.linspace(-0.8, 0.8, len(template)), 0.36 * stretch * (template - 5)], 1)
    grid = np.linspace(-1, 1, side)
    pixels = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1)[:, :, None]
    start, along = points[:-1], np.diff(points, axis=0)
    share = ((pixels - start) * along).sum(-1) / np.square(along).sum(-1)
    nearest = start + share.clip(0, 1)[..., None] * along
    distance = np.sqrt(np.square(pixels - nearest).sum(-1).min(-1))
    return np.exp(-0.5 * np.square(distance / WIDTH))
