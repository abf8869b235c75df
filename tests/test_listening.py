"""Words out of endless sound: where they are, the same whatever the blocks, in constant memory."""

import struct

import numpy as np
import pytest
import torch
from torch import nn

from sigconv.recipes import _listening
from sigconv.recipes._listening import Listener, listen

FS = 8000
CLASSES = ("low", "middle", "high")
TONES = {"low": 500, "middle": 1500, "high": 3000}


class ByPitch(nn.Module):
    """Names a clip by where its power lies."""

    def __init__(self):
        super().__init__()
        self.sure = nn.Parameter(torch.tensor(20.0))

    def forward(self, x):
        power = torch.fft.rfft(x[:, 0]).abs().square()
        frequency = torch.linspace(0, FS / 2, power.shape[-1])
        centre = (power * frequency).sum(-1) / power.sum(-1).clamp_min(1e-9)
        return -self.sure * (centre[:, None] / 1000 - torch.tensor(list(TONES.values())) / 1000).abs()


def said(words, noise=1e-4, pause=0.4, fs=FS):
    """Tones of 0.3 s with pauses between, and where each begins and ends."""
    rng, sounds, places, at = np.random.default_rng(0), [], [], 0
    for word in words:
        gap = np.zeros(int(pause * fs))
        t = np.arange(int(0.3 * fs)) / fs
        sounds += [gap, 0.3 * np.sin(2 * np.pi * TONES[word] * t) * np.sin(np.pi * t / 0.3) ** 0.25]
        places.append(((at + len(gap)) / fs, (at + len(gap) + len(t)) / fs))
        at += len(gap) + len(t)
    whole = np.concatenate([*sounds, np.zeros(int(pause * fs))])
    return (whole + noise * rng.normal(size=len(whole))).astype(np.float32), places


WORDS = ["low", "high", "middle", "middle", "low"]


def heard_in(sound, block):
    listener = Listener(ByPitch(), FS, CLASSES)
    found = [heard for part in np.split(sound, range(block, len(sound), block)) for heard in listener(part)]
    return found + listener.flush()


@pytest.mark.parametrize("noise", [0.0, 1e-4, 3e-3])
def test_words_are_heard_where_they_are(noise):
    sound, places = said(WORDS, noise)
    found = heard_in(sound, 1000)
    assert [heard.word for heard in found] == WORDS
    for heard, (begin, end) in zip(found, places, strict=True):
        assert heard.begin == pytest.approx(begin, abs=0.05)
        assert heard.end == pytest.approx(end, abs=0.05)
        assert 0.5 < heard.probability <= 1


@pytest.mark.parametrize("block", [1, 7, 79, 80, 81, 12_345, 10**6])
def test_n28_the_same_words_whatever_the_blocks(block):
    sound, _ = said(WORDS[: 2 if block == 1 else 5], 1e-3)
    assert heard_in(sound, block) == heard_in(sound, 800)


@pytest.mark.parametrize("block", [80, 333, 12_345])
def test_n28_a_word_that_does_not_end_is_cut_alike_whatever_the_blocks(block):
    t = np.arange(3 * FS) / FS
    sound = np.concatenate([np.zeros(4000), 0.3 * np.sin(2 * np.pi * 500 * t), np.zeros(4000)]).astype(np.float32)
    assert heard_in(sound, block) == heard_in(sound, 801)


def test_a_word_is_told_its_latency_after_its_end():
    sound, [(_, end)] = said(["low"])
    listener = Listener(ByPitch(), FS, CLASSES)
    told = next(at for at in range(0, len(sound), 80) if listener(sound[at : at + 80])) + 80
    assert told / FS == pytest.approx(end + listener.latency, abs=0.03)


def test_a_sound_that_begins_or_breaks_off_in_a_word_loses_none():
    sound, places = said(["high", "low"])
    first, last = int(places[0][0] * FS) + 200, int(places[1][1] * FS) - 300
    assert [heard.word for heard in heard_in(sound[first:last], 500)] == ["high", "low"]


def test_n23_silence_noise_and_a_hum_are_no_words():
    assert heard_in(np.zeros(40_000, np.float32), 999) == []
    rng = np.random.default_rng(1)
    assert len(heard_in(rng.normal(size=80_000).astype(np.float32) * 0.01, 999)) <= 1  # taken for a word, once
    hum = 0.1 * np.sin(2 * np.pi * 100 * np.arange(80_000) / FS).astype(np.float32)
    assert len(heard_in(hum, 999)) <= 1


def test_what_is_kept_is_bounded():
    listener = Listener(ByPitch(), FS, CLASSES)
    loud = np.random.default_rng(2).normal(size=800).astype(np.float32)
    for scale in (1.0, 0.0, 3.0) * 100:
        listener(scale * loud)
        assert len(listener.held) < 2 * FS


@pytest.mark.parametrize("fs", [8000, 16_000, 44_100])
def test_a_file_of_any_rate_and_channels_is_heard_alike(tmp_path, fs):
    sound, places = said(WORDS, 1e-3, fs=fs)
    data = (np.stack([sound, sound], 1) * 32_767).astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, fs, 4 * fs, 4, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    (tmp_path / "words.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    found = list(listen(tmp_path / "words.wav", ByPitch(), FS, CLASSES))
    assert [heard.word for heard in found] == WORDS
    for heard, (begin, _) in zip(found, places, strict=True):
        assert heard.begin == pytest.approx(begin, abs=0.06)


def test_the_constants_fit_each_other():
    assert _listening.SHORTEST < _listening.LONGEST
    assert Listener(ByPitch(), FS, CLASSES).latency == pytest.approx(_listening.PAUSE)
