"""Words heard in a recording of any length: pauses part it, a classifier names each part, while the recording runs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import sigconv as sc
from sigconv import console, files
from sigconv.datasets._parts import amid
from sigconv.readers import wav
from sigconv.train import processes
from sigconv.train.job import Job

FRAME = 0.010  # seconds: loudness is looked at so often
ABOVE, BELOW = 12.0, 35.0  # dB: a word stands out from what is around by so much, and ends so far below its peak
QUIETEST = -85.0  # dB of full scale: below it there is silence, whatever is around
ROOM = -45.0  # dB: a recording that begins louder than this begins in a word
RISES, FALLS = 0.02, 0.3  # part of the way by which the level around follows a frame that is louder, or quieter
PAUSE, SHORTEST, LONGEST, MARGIN = 0.15, 0.1, 1.5, 0.03  # seconds
SURE = 0.35  # probability: what the classifier is less sure of is taken for no word
LOUDEST = 1e3  # of a sample: full scale is 1
BLOCK = 1 << 16  # samples of a file at a time


class Heard(NamedTuple):
    """A word, from and to in seconds, and how sure the classifier is."""

    begin: float
    end: float
    word: str
    probability: float


class Listener:
    """Words out of endless sound: listener(block) gives those that have ended, listener.flush() the last one.

    model    a classifier of clips, (batch, 1, samples) -> (batch, classes), in eval mode here
    fs       its sampling rate in Hz, and that of the sound: blocks are one-dimensional, float32, of any length
    seconds  of a clip, the word amid silence

    A word is told PAUSE seconds after it was last loud, the same one whatever the blocks. What is kept is the word that
    goes on, LONGEST seconds at most.
    """

    def __init__(self, model: nn.Module, fs: int, classes: Sequence[str], seconds: float = 1.0) -> None:
        self.model, self.fs, self.classes, self.samples = model.eval(), fs, tuple(classes), round(seconds * fs)
        self.frame = max(round(FRAME * fs), 1)
        self.latency = round(PAUSE / FRAME) * self.frame / fs
        self._start_anew()

    def _start_anew(self) -> None:
        self.held = np.zeros(0, np.float32)  # what may yet be part of a word
        self.first = 0  # the sample at which it begins
        self.looked = 0  # the sample up to which frames were looked at
        self.around: float | None = None  # level of what is no word
        self.began: int | None = None  # where the word that goes on began
        self.loud, self.peak, self.lowest = 0, -math.inf, math.inf  # where it was last loud enough, its levels

    def __call__(self, block: np.ndarray) -> list[Heard]:
        """The words that ended in this block."""
        self.held = np.concatenate([self.held, np.asarray(block, np.float32)])
        whole = (self.first + len(self.held) - self.looked) // self.frame
        start = self.looked - self.first
        frames = self.held[start : start + whole * self.frame].reshape(whole, self.frame)
        levels = 10 * np.log10(frames.var(1, dtype=np.float64) + 1e-12)  # a constant offset is silent
        found = [heard for level in levels.tolist() for heard in self._frame(level)]
        needed = self.looked - round(MARGIN * self.fs) - self.frame if self.began is None else self.began
        drop = max(needed - self.first, 0)
        self.held, self.first = self.held[drop:], self.first + drop
        return found

    def flush(self) -> list[Heard]:
        """The word the sound broke off in, if any; then all starts anew."""
        found = list(self._ended())
        self._start_anew()
        return found

    def _frame(self, level: float) -> Iterator[Heard]:
        """One more frame: a word may begin, go on or end."""
        here, self.looked = self.looked, self.looked + self.frame
        self.around = min(ROOM if self.around is None else self.around, max(level, QUIETEST))
        stands_out = level > max(self.around + ABOVE, QUIETEST + ABOVE)
        if self.began is None:
            if stands_out:
                self.began = max(here - round(MARGIN * self.fs), 0)
                self.loud, self.peak, self.lowest = self.looked, level, level
            else:
                self.around += (RISES if level > self.around else FALLS) * (max(level, QUIETEST) - self.around)
            return
        self.peak, self.lowest = max(self.peak, level), min(self.lowest, level)
        if stands_out and level > self.peak - BELOW:
            self.loud = self.looked
        endless = self.looked - self.began >= LONGEST * self.fs
        if self.looked - self.loud >= PAUSE * self.fs or endless:
            yield from self._ended()
            self.around = max(self.lowest, QUIETEST) if endless else self.around  # what does not end is around

    def _ended(self) -> Iterator[Heard]:
        """The word that went on, named; what was too short for one is passed over."""
        began, self.began = self.began, None
        if began is None or self.loud - began < SHORTEST * self.fs:
            return
        end = min(self.loud + round(MARGIN * self.fs), self.looked)  # whatever else of the block is there already
        sound = self.held[began - self.first : end - self.first]
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            clip = torch.from_numpy(amid(sound - sound.mean(), self.samples))[None, None].to(device)
            shares = self.model(clip).softmax(1)[0].cpu()
        best = int(shares.argmax())
        if shares[best] >= SURE:
            yield Heard(began / self.fs, end / self.fs, self.classes[best], float(shares[best]))


def check(path: str | Path, fs: int) -> None:
    """Raise ValueError or OSError, in a line, for a file that cannot be listened to up to its end.

    UsageError where several processes were started: one listens.
    """
    from sigconv.transforms.speech import Resample

    if processes.started() > 1:
        raise console.UsageError(f"--listen {str(path)!r}: one process listens, and {processes.started()} were started")
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {str(path)!r} to listen to: give a WAV file")
    found = wav.header(path).fs
    try:
        Resample(found, fs)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} cannot be listened to at {found} Hz: {error}") from None
    for block in wav.blocks(path, BLOCK):
        if np.abs(block).max(initial=0) > LOUDEST:
            raise ValueError(f"{str(path)!r} has samples of {np.abs(block).max():.3g}: expected about -1 to 1")


def listen(path: str | Path, model: nn.Module, fs: int, classes: Sequence[str]) -> Iterator[Heard]:
    """The words in a WAV file of any length, sampling rate and number of channels (their mean), in constant memory."""
    from sigconv.transforms.speech import Resample

    header = wav.header(path)
    live = None if header.fs == fs else sc.stream(Resample(header.fs, fs))
    listener = Listener(model, fs, classes)
    for block in wav.blocks(path, BLOCK):
        sound = block.mean(0)
        yield from listener(sound if live is None else np.asarray(live(sound[None, None]))[0, 0])
    if live is not None:
        yield from listener(np.asarray(live.flush())[0, 0])
    yield from listener.flush()


def report(job: Job, path: Any, model: nn.Module, fs: int, classes: Sequence[str]) -> list[Heard]:
    """Tell what is heard in a file as it goes: on the screen, in the run folder's heard-FILE.tsv, in the report."""
    header = wav.header(path)
    seconds, began = header.samples / header.fs, time.monotonic()
    job.say(f"listening to {str(path)!r}: {console.duration(seconds)} at {header.fs} Hz")
    found = []
    for heard in listen(path, model, fs, classes):
        found.append(heard)
        job.say(f"{heard.begin:9.2f} to {heard.end:.2f} s  {heard.word}  {heard.probability:.2f}")
    took = time.monotonic() - began
    latency = Listener(model, fs, classes).latency
    pace = f"{seconds / took:.0f} times as fast as it was said; " if took > 1 else ""
    job.note(
        f"{len(found)} words heard in {str(path)!r}, {console.duration(seconds)} long, in {console.duration(took)}: "
        f"{pace}each is told {latency:.2f} s after it is over."
    )
    rows = [(f"{h.begin:.2f}", f"{h.end:.2f}", h.word, f"{h.probability:.4f}") for h in found]
    header_row = ("begin", "end", "word", "probability")
    job.table("heard", rows, header_row)
    if job.folder is not None:
        lines = ["\t".join(row) for row in (header_row, *rows)]
        files.write_text(job.folder / f"heard-{Path(path).stem}.tsv", "\n".join(lines) + "\n")
    return found
