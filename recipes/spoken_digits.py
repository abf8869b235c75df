"""Spoken digits: which of ten words is said, and does the answer hold for a speaker never heard?

Question  zero to nine from recordings of half a second
Data      Free Spoken Digit Dataset: 5 speakers x 10 digits x 50 recordings, 8 kHz; or any recordings in its layout
Model     a front end of six (log-mel by default), its picture levelled clip by clip; then four 3x3 convolutions with
          pooling, one over all that is left of frequency, mean over time. With --sharing: the net of Abdel-Hamid et
          al., one convolution along frequency whose weights all bands share, or sections of them, or none
Training  other throats and tempi (a phase vocoder), rooms, microphones, bands and moments left out; at the test the
          answers to six ways to say a recording are averaged
Baseline  kernel ridge regression on log-mel pictures; with --learned, the same net on the same filters, fixed
Source    Abdel-Hamid et al. 2014, doi:10.1109/TASLP.2014.2339736; Jaitly and Hinton 2013 (vocal tract length
          perturbation); Park et al. 2019, arXiv:1904.08779 (masks); Zeghidour et al. 2021, arXiv:2101.08596 (LEAF)

  sigconv run spoken_digits                           the official split: the test set shares its speakers
  sigconv run spoken_digits --test-speaker lucas      all recordings of one speaker are the test set
  sigconv run spoken_digits --split speaker           each speaker in turn is the test set
  sigconv run spoken_digits --front-end gabor --learned     filters that train, beside the same ones fixed
  sigconv run spoken_digits --resume RUN --listen FILE.wav  what a trained run hears in a recording of any length
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv import models, nd, plot
from sigconv.datasets import spoken_digits as data
from sigconv.recipes import _listening, _speech
from sigconv.train import accuracy, fit, predict, run, seeds
from sigconv.train.assessment import assess
from sigconv.train.job import Job
from sigconv.transforms import augment
from sigconv.transforms.speech import front_end as made

SPLITS = ("official", "speaker")
VIEWS = [(throat, duration) for throat in (0.9, 1.0, 1.1) for duration in (0.9, 1.1)]


def spoken_digits(
    job: Job,
    *,
    split: str = "official",
    test_speaker: str | None = None,
    front_end: str = "log_mel",
    learned: bool = False,
    sharing: str | None = None,
    augmented: bool = True,
    averaged: bool = True,
    members: int = 1,
    activation: str = "relu",
    listen: Path | None = None,
    data_root: Path | None = None,
    epochs: int = 20,
    lr: float = 4e-3,
    batch_size: int = 32,
) -> dict[str, Any] | None:
    """Train on recordings and test on the official split, on a speaker left out, or on each of them in turn.

    Args:
        split: official, or speaker: each speaker in turn is left out and tested on, or the one named by test_speaker
        test_speaker: name of the one speaker whose recordings are the test set
        front_end: log_mel, gabor, leaf, sinc, raw or scattering
        learned: whether the front end's filters train; the same net on fixed ones is trained beside it
        sharing: full, limited or none: Abdel-Hamid's net, its weights shared so along frequency, in the CNN's stead
        augmented: whether each recording is said differently each time
        averaged: whether answers to six ways to say a recording are averaged at the test
        members: networks that are trained from other seeds and answer together
        activation: of all hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        listen: a WAV file of any length to listen to after training, for words with pauses between them
        data_root: folder that holds fsdd/ (recordings.zip or recordings/); else $SIGCONV_DATA, the cache, a download
        epochs: passes over the training set
        lr: highest learning rate of the one-cycle schedule
        batch_size: recordings a step
    """
    nd.one_of(split, SPLITS, "split")
    each = split == "speaker" and test_speaker is None
    asked = {"learned": learned, "sharing": sharing, "activation": activation, "members": nd.count(members, "members")}
    asked |= {"front_end": front_end, "augmented": augmented, "averaged": averaged}
    built(data.FS, asked)  # what cannot be built is said before anything is read
    if listen is not None:
        _listening.check(listen, data.FS)  # what cannot be listened to is said before any training
        if job.resuming and job.folder is not None and (job.folder / "result.json").is_file():
            _listening.report(job, listen, finished(job, asked, each), data.FS, data.CLASSES)
            return None  # the run is as it was
    whole = data.everything(data_root)
    speakers = sorted(set(whole.speakers)) if each else []
    training = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    rounds = []
    for number, speaker in enumerate(speakers or [test_speaker]):
        name = f"without_{number}" if each else "model"
        parts = data.parted(whole, speaker, job.seed)
        who = f"{speaker}, never heard in training" if speaker else f"{len(set(parts.test.speakers))} known speakers"
        train, valid, test = map(len, parts)
        job.note(f"{train} recordings to train with, {valid} to choose by, {test} to test on ({who}).")
        rounds.append(one_round(job, name, parts, asked, training))
    job.tested_on(whole if each else parts.test)
    _report(job, rounds, speakers)
    if listen is not None:
        if each:
            job.note(f"the networks that have not heard {speakers[0]} listen")
        _listening.report(job, listen, _speech.Together(rounds[0].models), data.FS, data.CLASSES)
    return _metrics(rounds, speakers)


class Round(NamedTuple):
    """Networks trained on some speakers, and what came of them on others."""

    models: list[_speech.Classifier]
    scores: Tensor
    test: data.Clips
    metrics: dict[str, float]


def one_round(job: Job, name: str, parts: Any, asked: dict[str, Any], training: dict[str, Any]) -> Round:
    """Train each member on some speakers and average their answers to the others; fixed filters beside learned ones."""
    test, targets = parts.test, parts.test.y
    names = [f"{name}_{member}" if member else name for member in range(asked["members"])]
    nets = [trained(job, called, parts, asked, training, member) for member, called in enumerate(names)]
    plain = [predict(model, test, job=job)[0].softmax(1) for model, _ in nets]
    answers = [said_again(job, model, test) for model, _ in nets] if asked["averaged"] else plain
    scores = torch.stack(answers).mean(0)
    found = {"accuracy": accuracy(scores, targets)}
    if len(nets) > 1:
        found["accuracy_one_member"] = statistics.fmean(accuracy(answer, targets) for answer in answers)
    found["accuracy_one_view"] = statistics.fmean(accuracy(answer, targets) for answer in plain)
    model, before = nets[0]
    if asked["learned"]:
        found |= against_frozen(job, name, parts, asked, training, accuracy(answers[0], targets))
        found |= _speech.learned(job, before, model.front_end.gains(), test.fs)
    found["accuracy_kernel_ridge"] = kernel_ridge(parts)
    found["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Round([net for net, _ in nets], scores, test, found)


def against_frozen(
    job: Job, name: str, parts: Any, asked: dict[str, Any], training: dict[str, Any], learned: float
) -> dict[str, float]:
    """The control: one network on the same filters, fixed, beside one on filters that learned."""
    control, _ = trained(job, f"{name}_frozen", parts, asked | {"learned": False}, training, 0)
    answer = said_again(job, control, parts.test) if asked["averaged"] else predict(control, parts.test, job=job)[0]
    return {"accuracy_learned": learned, "accuracy_frozen": accuracy(answer, parts.test.y)}


def trained(
    job: Job, name: str, parts: Any, asked: dict[str, Any], training: dict[str, Any], member: int
) -> tuple[_speech.Classifier, Tensor]:
    """A network with its front end, trained, and what the filters passed before that."""
    seeds.everything(job.seed + 1000 * member)  # learned and fixed filters start alike
    model = built(parts.train.fs, asked)
    before = model.front_end.gains()
    vary = lambda x, generators: _speech.varied(x, _speech.others(generators, member), parts.train.fs)
    heard = augment.Augmented(parts.train, vary) if asked["augmented"] else parts.train
    options: dict[str, Any] = {"schedule": "one-cycle", "weight_decay": 0.02, "average": 0.98, **training}
    fit(model, heard, parts.valid, job=job, loss=nn.CrossEntropyLoss(label_smoothing=0.1), name=name, **options)
    return model, before


def built(fs: float, asked: dict[str, Any]) -> _speech.Classifier:
    """Waves to digits, before any training."""
    front = made(asked["front_end"], fs, learnable=asked["learned"])
    return _speech.Classifier(front, _speech.network(front, len(data.CLASSES), asked["sharing"], asked["activation"]))


def finished(job: Job, asked: dict[str, Any], each: bool) -> _speech.Together:
    """The networks of a finished run, by their weights alone; where speakers were left out, those of the first."""
    assert job.folder is not None
    first = "without_0" if each else "model"
    nets = [built(data.FS, asked) for _ in range(asked["members"])]
    for member, model in enumerate(nets):
        models.load_weights(model, job.folder / f"{f'{first}_{member}' if member else 'model'}.safetensors")
    return _speech.Together(nets)


def said_again(job: Job, model: nn.Module, test: data.Clips) -> Tensor:
    """Probabilities of every clip (clips, classes), the mean over the ways to say it."""
    total = torch.zeros(())
    for throat, duration in VIEWS:
        view = data.Arrays(_speech.say_again(test.x, throat, duration, test.fs), test.y, data.CLASSES)
        total = total + predict(model, view, job=job)[0].softmax(1)
    return total / len(VIEWS)


def kernel_ridge(parts: Any) -> float:
    """The baseline: kernel ridge regression of the digit on log-mel pictures, four frames at a time."""
    from sklearn.kernel_ridge import KernelRidge

    front = _speech.Classifier(made("log_mel", parts.train.fs), nn.Identity())
    with torch.no_grad():
        pictures = [torch.cat([front.picture(x) for x in part.x.split(256)]) for part in parts]
    x = [sc.avg_pool(picture, (1, 4)).flatten(1).numpy() for picture in pictures]
    train, valid, test = (part.y for part in parts)
    wanted = nn.functional.one_hot(train, 10).numpy()
    best = (-1.0, 0.0)
    for gamma in (0.1, 0.3, 1.0):
        for alpha in (1e-3, 1e-2, 1e-1):
            machine = KernelRidge(alpha=alpha, kernel="rbf", gamma=gamma / x[0].shape[1]).fit(x[0], wanted)
            chosen, tested = (accuracy(machine.predict(x[i]), y) for i, y in ((1, valid), (2, test)))
            best = max(best, (chosen, tested), key=lambda pair: pair[0])  # the validation part chooses
    return best[1]


def _metrics(rounds: list[Round], speakers: list[str]) -> dict[str, Any]:
    """The figures of one round; of several their means, the worst accuracy, and everyone's."""
    found: dict[str, Any] = {key: statistics.fmean(r.metrics[key] for r in rounds) for key in rounds[0].metrics}
    found["parameters"] = rounds[0].metrics["parameters"]
    if speakers:
        found["accuracy_worst"] = min(r.metrics["accuracy"] for r in rounds)
        found |= {f"accuracy_of_{speaker}": r.metrics["accuracy"] for speaker, r in zip(speakers, rounds, strict=True)}
    return found


def _report(job: Job, rounds: list[Round], speakers: list[str]) -> None:
    """What the report tells of all test sets together: mistakes, calibration, and each speaker's figures."""
    scores, targets = torch.cat([r.scores for r in rounds]), torch.cat([r.test.y for r in rounds])
    assess(job, scores, targets, data.CLASSES, probabilities=True)
    if speakers:
        names = [key for key in rounds[0].metrics if key != "parameters"]
        rows = [(who, *(r.metrics[key] for key in names)) for who, r in zip(speakers, rounds, strict=True)]
        job.table("by speaker", rows, ("left out", *(name.replace("_", " ") for name in names)))
    first = rounds[0]
    wrong = (first.scores.argmax(1) != first.test.y).nonzero().flatten()[:12].tolist()
    shown = wrong or list(range(min(8, len(first.test))))
    names = [
        f"{first.test.y[i]} taken for {first.scores[i].argmax()}" if wrong else f"{first.test.y[i]}" for i in shown
    ]
    with torch.no_grad():
        pictures = first.models[0].cpu().picture(first.test.x[shown])[:, 0]
    title = "mistakes" if wrong else "no mistakes; the first of the test set"
    job.picture("test_pictures", plot.images(pictures, names, title=title)[0])


if __name__ == "__main__":
    run(spoken_digits)
