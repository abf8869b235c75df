"""Keyword spotting: which of 35 words, or which command if any, is said within a second?

Question  one of 35 words; or one of ten commands, another word, or nothing
Data      Speech Commands v0.02: 105,829 recordings of a second at 16 kHz, or any folder in its layout; official lists,
          which part the speakers. It is fetched once, 2.4 GB
Model     a front end of six (log-mel by default), its picture levelled clip by clip; then the small CNN, Abdel-Hamid's
          nets (full, limited, none) or a time-delay net. Or a net on the wave itself: M5, SincNet
Training  shifted by up to 0.1 s; in four of five clips background noise at up to a tenth of its level
Baseline  multinomial logistic regression on mean and deviation of 40 log-mel bands, over up to 10,000 clips; with
          --learned, the same net on the same filters, fixed
Source    Warden 2018, arXiv:1804.03209; Dai et al. 2017, arXiv:1610.00087 (M5); Ravanelli and Bengio 2018 (SincNet)

  sigconv run keyword_spotting                               35 words
  sigconv run keyword_spotting --classes 12                  ten commands, silence, unknown words
  sigconv run keyword_spotting --front-end leaf --learned
  sigconv run keyword_spotting --model m5
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console, models
from sigconv.datasets import speech_commands as data
from sigconv.datasets._clips import cut
from sigconv.recipes import _speech
from sigconv.train import accuracy, fit, predict, run, seeds
from sigconv.train.assessment import assess
from sigconv.train.job import Job
from sigconv.transforms import augment
from sigconv.transforms.augment import loudness
from sigconv.transforms.speech import FRONT_ENDS, LogMel
from sigconv.transforms.speech import front_end as front_end_of

PICTURES = ("cnn", *_speech.SHARING, "tdnn")  # what looks at a front end's picture
WAVES = ("m5", "sincnet")  # what takes the wave
SHIFT = 0.1  # seconds, at most, to either side
NOISY, LOUDEST = 0.8, 0.1  # share of clips with noise in them, and its level at most
CHUNK, EVERY = 0.2, 0.1  # seconds that SincNet looks at, and how far apart
AT_ONCE = 256  # of these, that go through the net together in evaluation: all of 512 clips would take 9 GB
MOST_BASELINE = 10_000  # clips the baseline is fitted to


def keyword_spotting(
    job: Job,
    *,
    classes: int = 35,
    model: str = "cnn",
    front_end: str | None = None,
    learned: bool = False,
    augmented: bool = True,
    activation: str = "relu",
    data_root: Path | None = None,
    epochs: int = 20,
    lr: float = 3e-3,
    batch_size: int = 100,
) -> dict[str, Any]:
    """Train on the official lists' training words, choose by their validation words and test on their test words.

    Args:
        classes: 35, every word there is; or 12: ten commands, silence, unknown words
        model: cnn, full, limited, none or tdnn on a front end; m5 or sincnet on the wave
        front_end: log_mel, gabor, leaf, sinc, raw or scattering; none for m5 and sincnet
        learned: whether the front end's filters train; the same net on fixed ones is trained beside it
        augmented: whether clips are shifted and noise is mixed into them in training
        activation: of the hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        data_root: folder that holds speech_commands/ or is it; else $SIGCONV_DATA, the cache, a download
        epochs: passes over the training set
        lr: highest learning rate of the one-cycle schedule
        batch_size: clips a step
    """
    _usable(classes, model, front_end, learned)
    train, valid, test = data.load(data_root, classes=classes, seed=job.seed)
    job.note(f"{len(train)} clips to train with, {len(valid)} to choose by, {len(test)} to test on, at {train.fs} Hz.")
    heard = augment.Augmented(train, varied(train.noise, train.fs)) if augmented else train
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "schedule": "one-cycle"}
    options |= {"weight_decay": 0.02, "average": 0.99, "loss": nn.CrossEntropyLoss(label_smoothing=0.1)}
    shape: dict[str, Any] = {"model": model, "front_end": front_end, "activation": activation}

    def trained(learned: bool, name: str) -> tuple[nn.Module, Any]:
        seeds.everything(job.seed)  # learned and fixed start alike
        net = classifier(train.fs, train.samples, len(train.classes), learned=learned, **shape)
        before = net.front_end.gains() if learned else None
        fit(net, heard, valid, job=job, name=name, **options)
        return net, (before, net.front_end.gains()) if learned else None

    net, gains = trained(learned, "model")
    scores, targets = predict(net, test, job=job)
    job.tested_on(test)
    assess(job, scores, targets, test.classes)
    for index in (scores.argmax(1) != targets).nonzero()[:5, 0].tolist():
        job.note(f"{test.names[index]} is taken for {test.classes[int(scores[index].argmax())]}")
    found: dict[str, Any] = {"accuracy": accuracy(scores, targets)}
    if learned:
        found["accuracy_frozen"] = accuracy(*predict(trained(False, "frozen")[0], test, job=job))
        before, after = gains
        found |= _speech.learned(job, before, after, train.fs)
    found["accuracy_logistic"] = logistic(job, train, test)
    found["chance"] = float(targets.bincount().max() / len(targets))
    found["parameters"] = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return found


def _usable(classes: int, model: str, front_end: str | None, learned: bool) -> None:
    """UsageError for options that cannot be meant together."""
    if classes not in (12, 35):
        raise console.UsageError(f"--classes {classes} is not one of 12, 35")
    known = {"model": (model, (*PICTURES, *WAVES)), "front-end": (front_end or "log_mel", tuple(FRONT_ENDS))}
    for name, (word, words) in known.items():
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    if model in WAVES and (front_end or learned):
        raise console.UsageError(f"--model {model} takes the wave itself: leave --front-end and --learned out")


def classifier(
    fs: float,
    samples: int,
    classes: int,
    *,
    model: str = "cnn",
    front_end: str | None = None,
    learned: bool = False,
    activation: str = "relu",
) -> Any:
    """Waves (batch, 1, samples) -> (batch, classes)."""
    if model == "m5":
        return Loud(models.speech.build("m5", classes=classes, activation=activation), fs)
    if model == "sincnet":
        chunk = min(round(CHUNK * fs), samples)
        return Loud(
            Chunks(models.speech.build("sincnet", classes=classes, size=chunk, fs=fs), chunk, round(EVERY * fs)), fs
        )
    front = front_end_of(front_end or "log_mel", fs, learnable=learned)
    if model == "tdnn":
        shape = {"in_channels": front.channels * front.bands, "classes": classes, "activation": activation}
        network: nn.Module = nn.Sequential(nn.Flatten(1, 2), models.speech.build("tdnn", **shape))
    else:
        network = _speech.network(front, classes, None if model == "cnn" else model, activation)
    return _speech.Classifier(front, network)


class Loud(nn.Module):
    """A network on waves whose loudest frame is brought to power 1."""

    def __init__(self, network: nn.Module, fs: float) -> None:
        super().__init__()
        self.network, self.frame = network, _speech.framed(fs)

    def forward(self, x: Tensor) -> Tensor:
        """A score for every class."""
        return self.network(x / loudness(x, self.frame))


class Chunks(nn.Module):
    """A network on pieces of a wave, of so many samples every so many: the mean of its log-probabilities."""

    def __init__(self, network: nn.Module, samples: int, every: int) -> None:
        super().__init__()
        self.network, self.samples, self.every = network, samples, every

    def forward(self, x: Tensor) -> Tensor:
        """A score for every class."""
        pieces = x.unfold(-1, self.samples, self.every).transpose(1, 2)
        rows = pieces.flatten(0, 1)
        if self.training or torch.compiler.is_compiling():  # batch statistics are of all; an exported graph has no loop
            scores = self.network(rows)
        else:
            scores = torch.cat([self.network(some) for some in rows.split(AT_ONCE)])
        return scores.log_softmax(1).unflatten(0, pieces.shape[:2]).mean(1)


def varied(noise: Sequence[Tensor], fs: float) -> Callable[[Tensor, Sequence[torch.Generator]], Tensor]:
    """A function that varies waves (batch, 1, samples): each shifted, silence coming in, and noise mixed in.

    Noise is any piece of any recording, its level uniform up to a tenth; a fifth of the clips has none, and all where
    there are no recordings.
    """

    def vary(x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        u = torch.stack([torch.rand(5, generator=g, dtype=torch.float64) for g in generators])
        moved = ((2 * u[:, 0] - 1) * round(SHIFT * fs)).round().long().to(x.device)
        n = x.shape[-1]
        places = torch.arange(n, device=x.device) - moved[:, None]
        inside = (places >= 0) & (places < n)
        x = torch.where(inside[:, None], x.gather(-1, places.clamp(0, n - 1)[:, None]), 0.0)
        if not noise:
            return x
        level = torch.where(u[:, 1] < NOISY, LOUDEST * u[:, 2], 0.0).to(x)
        pieces = torch.stack([cut(noise, which, where, n) for which, where in u[:, 3:].tolist()])
        return x + level[:, None, None] * pieces[:, None].to(x)

    return vary


class Summary(nn.Module):
    """Mean and deviation of 40 log-mel bands over a clip: (batch, 1, samples) -> (batch, 80)."""

    def __init__(self, fs: float) -> None:
        super().__init__()
        window = 1 << (round(0.032 * fs) - 1).bit_length()
        self.log_mel = LogMel(fs, n_fft=window, hop_length=window // 2)

    def forward(self, x: Tensor) -> Tensor:
        """The statistics."""
        bands = self.log_mel(x[:, 0])
        return torch.cat([bands.mean(-1), bands.std(-1, correction=0)], 1)


def logistic(job: Job, train: Any, test: Any) -> float:
    """The baseline: multinomial logistic regression on each clip's summary."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = torch.randperm(len(train), generator=torch.Generator().manual_seed(job.seed))[:MOST_BASELINE]
    x, y = predict(Summary(train.fs), Some(train, kept), job=job)
    machine = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x.numpy(), y.numpy())
    x, y = predict(Summary(train.fs), test, job=job)
    return accuracy(torch.from_numpy(machine.predict(x.numpy())), y)


class Some:
    """Some items of a data set."""

    def __init__(self, dataset: Any, indices: Tensor) -> None:
        self.dataset, self.indices, self.classes = dataset, indices, dataset.classes

    def __len__(self) -> int:
        return len(self.indices)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One of them."""
        return self.dataset.item(int(self.indices[index]), generator)


if __name__ == "__main__":
    run(keyword_spotting)
