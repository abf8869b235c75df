"""What the speech recipes share: a classifier that takes waves, and the ways its recordings are varied."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sigconv import models, nd, plot
from sigconv.train.job import Job
from sigconv.transforms import augment
from sigconv.transforms.augment import equalize, loudness, noisy, voice
from sigconv.transforms.speech import Deltas, FrontEnd, drift

KNOTS = 41  # of a random microphone's curve, over the mels
SHARING = ("full", "limited", "none")
MAPS = {"full": 48, "limited": 24, "none": 24}  # limited has 14 times as many weights a map, none 33 times
PART = 100  # clips that are said again at once
OWN = 0.3  # share of the variants in the speaker's own voice: a vocoder is heard
DEEP = -40.0  # dB: what is left of a band that is left out


class Classifier(nn.Module):
    """Waves (batch, 1, samples) -> (batch, classes): loudness set to 1, a front end, its picture levelled, a network.

    The picture is levelled clip by clip: mean 0 and deviation 1 (plus one unit: near silence is not blown up) over
    bands and frames, each frame counting by the fourth root of its power, so that pauses count for little. Nothing is
    taken from other clips, nor from other speakers.
    """

    front_end: FrontEnd

    def __init__(self, front_end: FrontEnd, network: nn.Module) -> None:
        super().__init__()
        self.front_end, self.network = front_end, network

    def forward(self, x: Tensor) -> Tensor:
        """A score for every class."""
        return self.network(self.picture(x))

    def picture(self, x: Tensor) -> Tensor:
        """What the network sees: (batch, channels, bands, frames)."""
        x = x / loudness(x, framed(self.front_end.fs))
        found = self.front_end(x)
        return levelled(found, power(x, found.shape[-1]))


class Together(nn.Module):
    """Several classifiers that answer together: waves (batch, 1, samples) -> log of their mean probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, classes)."""
        return torch.stack([member(x).softmax(1) for member in self.members]).mean(0).log()


def framed(fs: float) -> int:
    """Samples of a window of 32 ms, a multiple of 4."""
    return 4 * max(round(0.008 * fs), 1)


def power(x: Tensor, frames: int) -> Tensor:
    """Mean power of the wave around each frame: (batch, 1, 1, frames)."""
    return nn.functional.adaptive_avg_pool1d(x.square(), frames).unsqueeze(2)


def levelled(picture: Tensor, power: Tensor) -> Tensor:
    """Mean 0, deviation 1 over bands and frames of each channel, frames weighed by their loudness."""
    weight = power.clamp_min(1e-12).pow(0.25)
    weight = weight / (weight.sum(-1, keepdim=True) * picture.shape[-2])
    centred = picture - (picture * weight).sum((-2, -1), keepdim=True)
    deviation = (centred.square() * weight).sum((-2, -1), keepdim=True).sqrt()
    return centred / (deviation + 1)


def varied(x: Tensor, generators: Sequence[torch.Generator], fs: float) -> Tensor:
    """Another throat, tempo and moment, another room and microphone, and something left out: waves (batch, 1, samples).

    Throats within 35 %, tempi within 52 %, but three of ten keep their own; moments within 0.19 s; noise 15 to 65 dB
    down, tilted; curves of a microphone within some 20 dB; a band of up to a seventh of the mels and a stretch of up to
    0.15 s are left out.
    """
    u, n_fft = augment.uniforms(generators, 16, x), framed(fs)
    x = _another_voice(x, u, fs)
    across = torch.linspace(-1, 1, KNOTS).to(x)
    column = lambda i: u[:, i, None]
    ripple = torch.sin((1.25 + 0.75 * column(7)) * math.pi * across + math.pi * column(8))
    channel = 10 * column(5) * across + 4 * (1 + column(6)) * ripple
    hiss = equalize(augment.normals(generators, x), 8 * column(4) * across, fs)
    x = noisy(x, hiss, 40 + 25 * u[:, 3], n_fft)
    left_out = augment.mask(torch.ones_like(channel), u[:, 9], u[:, 10], axis=-1, widest=6)
    x = equalize(x, channel + DEEP * (1 - left_out), fs)
    return augment.mask(x, u[:, 11], u[:, 12], axis=-1, widest=0.15 * fs)


def _another_voice(x: Tensor, u: Tensor, fs: float) -> Tensor:
    """Most waves said by another throat at another tempo, all at another moment."""
    shift = (0.1875 * fs * u[:, 2]).round()
    said = voice(x, torch.exp(0.3 * u[:, 0]), torch.exp(0.42 * u[:, 1]), shift, n_fft=framed(fs))
    moved = augment.sampled(x, torch.arange(x.shape[-1]).to(x) - shift[:, None], padding_mode="zeros")
    return torch.where((u[:, 13] < 2 * OWN - 1)[:, None, None], moved, said)


def learned(job: Job, before: Tensor, after: Tensor, fs: float) -> dict[str, float]:
    """How far filters moved in training, by what they passed before and after it: as metrics, and once a run drawn."""
    if "filters" not in job.pictures:
        title = "what each band passes, 0 Hz to fs / 2"
        job.picture("filters", plot.images([before, after], ["at the start", "learned"], columns=2, title=title)[0])
    return {f"drift_{name}": value for name, value in drift(before, after, fs)._asdict().items()}


def others(generators: Sequence[torch.Generator], member: int) -> Sequence[torch.Generator]:
    """The same items' generators for another member of an ensemble: it hears them said otherwise."""
    if not member:
        return generators
    return [torch.Generator().manual_seed((g.initial_seed() + 7919 * member) % 2**63) for g in generators]


def say_again(x: Tensor, throat: float, duration: float, fs: float) -> Tensor:
    """Waves (batch, 1, samples) by one other throat, at one other tempo."""
    ones = torch.ones(min(len(x), PART), dtype=x.dtype, device=x.device)

    def again(part: Tensor) -> Tensor:
        each = ones[: len(part)]
        return voice(part, throat * each, duration * each, n_fft=framed(fs))

    return torch.cat([again(part) for part in x.split(PART)])


def network(front_end: FrontEnd, classes: int, sharing: str | None = None, activation: str = "relu") -> nn.Module:
    """What follows a front end: (batch, channels, bands, frames) -> (batch, classes).

    The small CNN; or with sharing "full", "limited" or "none" Abdel-Hamid's net on the picture and what changes in it
    (static, Δ, ΔΔ), 9 frames of context, every second frame.
    """
    options = {"ndim": 2, "classes": classes, "activation": activation, "size": front_end.bands}
    if sharing is None:
        return models.speech.build("cnn", in_channels=front_end.channels, **options)
    nd.one_of(sharing, SHARING, "sharing")
    small = {"maps": MAPS[sharing], "hidden": (128,), "context": 9, "stride": 2, "batch_norm": True, "dropout": 0.3}
    return nn.Sequential(
        Deltas(), nn.Flatten(1, 2), models.speech.build(sharing, in_channels=3 * front_end.channels, **small, **options)
    )
