"""Spoken digits: which of ten words is said, and does the answer hold for a speaker never heard?

Question  zero to nine from recordings of half a second
Data      Free Spoken Digit Dataset: 5 speakers x 10 digits x 50 recordings, 8 kHz
Model     log-mel spectrogram, 40 bands, levelled clip by clip -> four 3x3 convolutions with pooling, one over all that
          is left of frequency, mean over time; 246,706 parameters
Training  other throats (frequency axis stretched), other tempi, noise floors, channels, and masks; at the test the
          answers to six views of a recording are averaged
Baseline  kernel ridge regression on the same pictures
Source    Abdel-Hamid et al. 2014, doi:10.1109/TASLP.2014.2339736; Jaitly and Hinton 2013 (vocal tract length
          perturbation); Park et al. 2019, arXiv:1904.08779 (masks)

  sigconv run spoken_digits                        the official split: the test set shares its speakers
  sigconv run spoken_digits --test-speaker lucas   all recordings of one speaker are the test set
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv import plot
from sigconv.blocks import activation as activated
from sigconv.datasets import spoken_digits as data
from sigconv.filters import auditory
from sigconv.train import accuracy, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.job import Job
from sigconv.transforms import augment

N_FFT, HOP, BANDS, FMIN = 256, 100, 40, 40.0
FLOOR = 60.0  # dB below the loudest frame: quieter is silence
VIEWS = [(throat, tempo) for throat in (0.9, 1.0, 1.1) for tempo in (0.9, 1.1)]


def spoken_digits(
    job: Job,
    *,
    test_speaker: str | None = None,
    activation: str = "relu",
    data_root: Path | None = None,
    epochs: int = 20,
    lr: float = 4e-3,
    batch_size: int = 32,
) -> dict[str, Any]:
    """Train on log-mel spectrograms and test on the official split, or on a speaker left out.

    Args:
        test_speaker: name of the speaker whose recordings are the test set; without it, the official split
        activation: of all hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        data_root: folder that holds fsdd/ (recordings.zip or recordings/); else $SIGCONV_DATA, the cache, a download
        epochs: passes over the training set
        lr: highest learning rate of the one-cycle schedule
        batch_size: recordings a step
    """
    train, valid, test = data.load(data_root, test_speaker=test_speaker, seed=job.seed)
    who = f"{test_speaker}, never heard in training" if test_speaker else f"{len(set(test.speakers))} known speakers"
    job.note(f"{len(train)} recordings to train with, {len(valid)} to choose by, {len(test)} to test on ({who}).")
    front = Picture(train.fs)
    spectra = [data.Arrays(front.power(part.x), part.y, data.CLASSES) for part in (train, valid, test)]
    heard = augment.Augmented(spectra[0], lambda power, generators: vary(front, power, generators))
    chosen, tested = (data.Arrays(front(part.x), part.y, data.CLASSES) for part in spectra[1:])
    net = network(activation=activation)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    options: dict[str, Any] = {"schedule": "one-cycle", "weight_decay": 0.02, "average": 0.98}
    fit(net, heard, chosen, job=job, epochs=epochs, lr=lr, batch_size=batch_size, loss=loss, **options)
    job.tested_on(test)
    plainly, targets = predict(net, tested, job=job)
    scores = averaged(net, front, spectra[2], job)
    assess(job, scores, targets, data.CLASSES, probabilities=True)
    _draw(job, scores, targets, tested)
    return {
        "accuracy": accuracy(scores, targets),
        "accuracy_one_view": accuracy(plainly, targets),
        "accuracy_kernel_ridge": kernel_ridge(front, spectra),
        "parameters": sum(p.numel() for p in net.parameters()),
    }


class Picture(nn.Module):
    """Sound to picture: power spectra of 256 samples every 100, 40 mel bands, decibels, levelled over what is sounding.

    power: (clips, 1, samples) -> (clips, 1, bins, frames), relative to the clip's loudest frame; called on that, it
    gives (clips, 1, bands, frames). floor (clips,) or (clips, 1, bands, 1) in dB below the loudest; channel is added.
    """

    mel: Tensor

    def __init__(self, fs: float) -> None:
        super().__init__()
        weights = auditory.mel_weights(fs, N_FFT, BANDS, fmin=FMIN, htk=True, norm=None)
        self.register_buffer("mel", weights / weights.sum(1, keepdim=True), persistent=False)

    def power(self, x: Tensor) -> Tensor:
        """Power in each bin, the loudest frame's mean being 1."""
        power = torch.cat([auditory.stft(part, N_FFT, HOP).abs().square() for part in x.split(256)])
        return power / power.mean(-2, keepdim=True).amax(-1, keepdim=True).clamp_min(1e-12)

    def forward(self, power: Tensor, floor: Any = FLOOR, channel: Any = 0.0) -> Tensor:
        """Decibels above the floor, mean 0 and deviation 1 over the frames with any sound."""
        sounding = (power.sum(-2, keepdim=True) > 0).to(power.dtype)
        level = 10 * torch.log10(self.mel.to(power) @ power + 10 ** (-torch.as_tensor(floor).to(power) / 10)) + channel
        count = (BANDS * sounding.sum((-2, -1), keepdim=True)).clamp_min(1)
        level = level - (level * sounding).sum((-2, -1), keepdim=True) / count
        return level / (((level * sounding) ** 2).sum((-2, -1), keepdim=True) / count).sqrt().add(1)


def vary(front: Picture, power: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Another throat, tempo and moment, another room and microphone, and something left out."""
    u = augment.uniforms(generators, 13, power)
    across = torch.linspace(-1, 1, BANDS).to(power)[:, None]
    column = lambda i: u[:, i].reshape(-1, 1, 1, 1)
    power = heard_as(power, torch.exp(0.3 * u[:, 0]), torch.exp(0.42 * u[:, 1]), 15 * u[:, 2])
    floor = 40 + 25 * column(3) + 8 * column(4) * across
    ripple = torch.sin((1.25 + 0.75 * column(7)) * math.pi * across + math.pi * column(8))
    channel = 10 * column(5) * across + 4 * (1 + column(6)) * ripple
    picture = front(power, floor, channel)
    picture = augment.mask(picture, u[:, 9], u[:, 10], axis=-2, widest=6)
    return augment.mask(picture, u[:, 11], u[:, 12], axis=-1, widest=12)


def heard_as(power: Tensor, throat: Tensor, tempo: Tensor, shift: Tensor) -> Tensor:
    """Frequencies multiplied by throat, durations by tempo, moved by so many frames; silence comes in at the ends."""
    lowest = (power.shape[-2] - 1) / 2 * (throat - 1)  # stretched about 0 Hz, not about the middle
    power = augment.warp(power, throat, lowest, axis=-2, padding_mode="replicate")
    return augment.warp(power, tempo, shift, axis=-1, padding_mode="zeros")


def averaged(net: nn.Module, front: Picture, spectra: Any, job: Job) -> Tensor:
    """Probabilities of every clip (clips, classes), the mean over the views."""
    total = torch.zeros(())
    for throat, tempo in VIEWS:
        every = torch.ones(len(spectra))
        view = front(heard_as(spectra.x, throat * every, tempo * every, 0 * every))
        total = total + predict(net, data.Arrays(view, spectra.y, data.CLASSES), job=job)[0].softmax(1)
    return total / len(VIEWS)


def kernel_ridge(front: Picture, spectra: Sequence[Any]) -> float:
    """The baseline: kernel ridge regression of the digit on the same pictures, four frames at a time."""
    from sklearn.kernel_ridge import KernelRidge

    x = [sc.avg_pool(front(part.x), (1, 4)).flatten(1).numpy() for part in spectra]
    train, valid, test = (part.y for part in spectra)
    wanted = nn.functional.one_hot(train, 10).numpy()
    best = (-1.0, 0.0)
    for gamma in (0.1, 0.3, 1.0):
        for alpha in (1e-3, 1e-2, 1e-1):
            machine = KernelRidge(alpha=alpha, kernel="rbf", gamma=gamma / x[0].shape[1]).fit(x[0], wanted)
            chosen, tested = (accuracy(machine.predict(x[i]), y) for i, y in ((1, valid), (2, test)))
            best = max(best, (chosen, tested), key=lambda pair: pair[0])  # the validation part chooses
    return best[1]


def network(channels: Sequence[int] = (24, 48, 96, 128, 128), activation: str = "relu") -> nn.Sequential:
    """(clips, 1, 40, frames) -> (clips, 10)."""
    a, b, c, d, e = channels
    layers: list[nn.Module] = []
    for inside, outside in ((1, a), (a, b), (b, c)):
        layers += [*_convolution(inside, outside, 3, "same", activation), sc.MaxPool(2)]
    layers += [*_convolution(c, d, 3, "same", activation), *_convolution(d, e, (BANDS // 8, 1), 0, activation)]
    return nn.Sequential(*layers, sc.GlobalAvgPool(), nn.Dropout(0.3), nn.Linear(e, 10))


def _convolution(inside: int, outside: int, kernel_size: Any, padding: Any, activation: str) -> list[nn.Module]:
    layer = sc.Conv2d(inside, outside, kernel_size, padding=padding, bias=False)
    return [layer, nn.BatchNorm2d(outside), activated(activation, outside, 2)]


def _draw(job: Job, scores: Tensor, targets: Tensor, pictures: Any) -> None:
    """Recordings that were mistaken, as the net sees them; the first ones, where none was."""
    wrong = (scores.argmax(1) != targets).nonzero().flatten()[:12].tolist()
    shown = wrong or list(range(min(8, len(targets))))
    names = [f"{targets[i]} taken for {scores[i].argmax()}" if wrong else f"{targets[i]}" for i in shown]
    title = "mistakes" if wrong else "no mistakes; the first of the test set"
    job.picture("test_pictures", plot.images(pictures.x[shown, 0], names, title=title)[0])


if __name__ == "__main__":
    run(spoken_digits)
