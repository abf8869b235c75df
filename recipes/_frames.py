"""Sentences as frames: what a net sees of each, and which state of which phone it is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv.datasets._phones import PHONES_61
from sigconv.transforms.speech import Deltas, LogMel

BANDS, CONTEXT, STATES = 40, 15, 3
WINDOW, HOP = 0.025, 0.010  # seconds


class Front(nn.Module):
    """Waves (samples,) at fs Hz -> (frames, 3, 40): log-mel bands, Δ, ΔΔ; frame i is centred on sample i·hop."""

    def __init__(self, fs: int) -> None:
        super().__init__()
        self.fs, self.hop = fs, round(HOP * fs)
        window = round(WINDOW * fs)
        n_fft = 1 << (window - 1).bit_length()
        shape: dict[str, Any] = {"n_mels": BANDS, "n_fft": n_fft, "win_length": window, "hop_length": self.hop}
        self.log_mel = LogMel(fs, window="hamming", **shape)
        self.deltas = Deltas(padding_mode="replicate")
        self.mean, self.deviation = torch.zeros(()), torch.ones(())

    def forward(self, x: Tensor) -> Tensor:
        """The features."""
        return self.deltas(self.log_mel(x)).movedim(-1, 0)


class Frames:
    """Frames and their states: x float32 (45, 40), the static, Δ and ΔΔ planes of 15 frames around as channels; y the
    place of the phone among the 61, times 3, plus its third.

    features   of each sentence, (frames, 3, 40), kept once: what is around a frame is gathered when it is asked for
    phones     of each sentence; lengths, its frames; durations (61, 3), mean frames of each state
    """

    ready = True
    classes = tuple(f"{phone} {third + 1}" for phone in PHONES_61 for third in range(STATES))

    def __init__(self, x: Tensor, y: Tensor, lengths: Sequence[int], phones: Any, durations: np.ndarray) -> None:
        self.x, self.y, self.lengths, self.phones, self.durations = x, y, list(lengths), phones, durations
        before = [0, *np.cumsum(lengths)[:-1].tolist()]
        sentence = torch.repeat_interleave(torch.arange(len(self.lengths)), torch.tensor(self.lengths))
        first = torch.tensor(before)[sentence]
        self.first, self.last = (t.to(x.device) for t in (first, first + torch.tensor(self.lengths)[sentence] - 1))
        self.around = torch.arange(CONTEXT, device=x.device) - CONTEXT // 2

    def __len__(self) -> int:
        return len(self.y)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One frame with what is around it, and its state."""
        x, y = self.batch(torch.tensor([index]))
        return x[0], y[0]

    def batch(self, indices: Tensor, generators: Any = None) -> tuple[Tensor, Tensor]:
        """Many at once, by one gather; beyond its ends a sentence goes on as it ends."""
        indices = indices.to(self.x.device)
        rows = (indices[:, None] + self.around).maximum(self.first[indices, None]).minimum(self.last[indices, None])
        return self.x[rows].transpose(1, 2).flatten(1, 2), self.y[indices]

    @property
    def nbytes(self) -> int:
        """What the frames take of a device's memory."""
        return self.x.nbytes + 3 * self.y.nbytes

    def to(self, device: Any) -> Frames:
        """The same frames on a device."""
        return Frames(self.x.to(device), self.y.to(device), self.lengths, self.phones, self.durations)


def framed(sentences: Any, front: Front | None = None) -> tuple[Frames, Front]:
    """Frames of sentences; and the front end that made them. Without one these are the training sentences: their rate
    is everyone's, their mean and deviation, of each band and plane, are everyone's 0 and 1.

    ValueError for a sentence of another sampling rate, and for one of fewer frames than a phone has states.
    """
    begins = front is None
    features, states, phones = [], [], []
    total, count = np.zeros(len(PHONES_61)), np.zeros(len(PHONES_61))
    for index in range(len(sentences)):
        found = sentences.spoken(index)
        front = front or Front(found.fs)
        name = str(sentences.utterances[index].sound)
        if (count_of := 1 + len(found.sound) // front.hop) < STATES:
            raise ValueError(f"{name!r} has {count_of} frames, and a phone has {STATES} states, of one at least each")
        if found.fs != front.fs:
            raise ValueError(f"{name!r} is sampled at {found.fs} Hz, others at {front.fs}: expected one rate for all")
        features.append(front(torch.from_numpy(found.sound)))
        states.append(states_of(found.phones, len(features[-1]), front.hop))
        phones.append([phone for _, _, phone in found.phones])
        for begin, end, phone in found.phones:
            place = PHONES_61.index(phone)
            total[place] += (end - begin) / front.hop
            count[place] += 1
    assert front is not None
    lengths = [len(one) for one in features]
    x = torch.cat(features)
    if begins:
        front.mean, front.deviation = x.mean(0), x.std(0, correction=0).clamp_min(1e-3)  # a band may be silent
    x = x.sub_(front.mean).div_(front.deviation)
    thirds = np.repeat((total / np.maximum(count, 1) / STATES)[:, None], STATES, 1)
    return Frames(x, torch.from_numpy(np.concatenate(states)), lengths, phones, thirds), front


def states_of(phones: Sequence[tuple[int, int, str]], frames: int, hop: int) -> np.ndarray:
    """The state of every frame: the phone that its middle, sample i·hop, lies in, and the third of it; int64 (frames,).

    What lies before the first phone or after one that another does not follow at once is of its nearest state.

    >>> states_of([(0, 30, "aa"), (30, 60, "zh")], 6, 10).tolist()
    [0, 1, 2, 180, 181, 182]
    """
    begins, ends = (np.array([phone[side] for phone in phones]) for side in (0, 1))
    middle = np.arange(frames) * hop
    which = (np.searchsorted(begins, middle, side="right") - 1).clip(0)
    third = STATES * (middle - begins[which]) // (ends[which] - begins[which])
    place = np.array([PHONES_61.index(phone) for _, _, phone in phones])
    return place[which] * STATES + third.clip(0, STATES - 1)
