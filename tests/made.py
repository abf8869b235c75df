"""Small data sets made for the tests, in the layout of the real ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np


def speak(
    folder: Path, speakers: Iterable[str] = ("ann", "bob"), indices: Iterable[int] = range(10), fs: int = 8000
) -> None:
    """Ten "digits" as pairs of tones, each speaker a little higher than the last: a folder of WAV files."""
    import soundfile

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for place, speaker in enumerate(speakers):
        for digit in range(10):
            for index in indices:
                t = np.arange(int(fs * rng.uniform(0.3, 0.5))) / fs
                pitch = 1 + 0.05 * place + rng.normal() * 0.01
                low, high = 300 + 120 * digit, 1500 + 200 * (digit * 3 % 10)
                sound = np.sin(2 * np.pi * low * pitch * t) + np.sin(2 * np.pi * high * pitch * t)
                sound = 0.3 * sound * np.hanning(len(t)) + 0.005 * rng.normal(size=len(t))
                soundfile.write(folder / f"{digit}_{speaker}_{index}.wav", sound, fs, subtype="PCM_16")
