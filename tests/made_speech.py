"""Small sets of speech in the layout of the real ones: keywords made from spoken digits, and made phones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from made import speak

from sigconv.datasets import spoken_digits

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def recordings(spare: Path) -> list[spoken_digits.Recording]:
    """The real spoken digits where they are at hand, else made ones, in a spare folder."""
    around = os.environ.get("SIGCONV_DATA")
    if around and (Path(around) / "fsdd").exists():
        return list(spoken_digits.recordings(around))
    speak(spare / "fsdd" / "recordings", speakers=("ann", "bob", "eve"), indices=range(8))
    return list(spoken_digits.recordings(spare))


def keywords(
    folder: Path, spoken: Sequence[spoken_digits.Recording], *, takes: int = 8, commands: bool = False
) -> None:
    """A folder as Speech Commands has it: words/speaker_nohash_take.wav, the two lists, and background noise.

    The words are the digits; or, with commands, the ten commands, and as others the first digits, said backwards. One
    speaker is chosen by, one tested on.
    """
    import soundfile

    speakers = sorted({one.speaker for one in spoken})
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for one in spoken:
        if one.take >= takes:
            continue
        said = [(COMMANDS[one.digit] if commands else DIGITS[one.digit], one.sound)]
        if commands and one.digit < 3:
            said.append((DIGITS[one.digit], one.sound[::-1]))
        for word, sound in said:
            name = f"{word}/{one.speaker}_nohash_{one.take}.wav"
            (folder / word).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / name, sound, one.fs, subtype="PCM_16")
            for listed, speaker in zip(lists, speakers, strict=False):
                if one.speaker == speaker:
                    lists[listed].append(name)
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    noise = folder / "_background_noise_"
    noise.mkdir()
    (noise / "README.md").write_text("made\n")
    random, t = np.random.default_rng(0), np.arange(12 * spoken[0].fs) / spoken[0].fs
    for name, sound in {"hiss": 0.1 * random.normal(size=len(t)), "hum": 0.2 * np.sin(2 * np.pi * 100 * t)}.items():
        soundfile.write(noise / f"{name}.wav", sound, spoken[0].fs, subtype="PCM_16")


PHONES = {"iy": (300, 2300), "aa": (750, 1150), "uw": (320, 900), "s": (5500,), "sh": (2800,), "m": (250,)}
FS = 16000


def phones(folder: Path, speakers: dict[str, Sequence[str]], *, utterances: int = 3, sphere: bool = False) -> None:
    """A folder as TIMIT has it, of made phones: {"TRAIN": names of its speakers, "TEST": names}.

    Vowels are pulses through two resonances, fricatives noise in a band, m a hum; each of 50 to 110 ms, between
    pauses h#; every utterance begins with a q. Bigrams are not all alike: after s comes a vowel. sphere: NIST SPHERE
    files, as the originals are, in capitals; else RIFF under small letters.
    """
    random = np.random.default_rng(0)
    for part, names in speakers.items():
        for place, name in enumerate(names):
            here = folder / part / f"DR{place % 8 + 1}" / name
            here = here if sphere else Path(folder, *(p.lower() for p in here.relative_to(folder).parts))
            here.mkdir(parents=True)
            for number in range(utterances):
                spoken = _sentence(random)
                stem = f"SX{number + 1}"
                _write(here, stem, spoken, sphere)
            _write(here, "SA1", _sentence(random), sphere)


def _sentence(random: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    vowels, others = ["iy", "aa", "uw"], ["s", "sh", "m"]
    said = ["h#", "q"]
    for _ in range(8):
        said += [others[random.integers(3)], vowels[random.integers(3)]]
    lengths = random.integers(50 * FS // 1000, 110 * FS // 1000, len(said) + 1)
    return [(phone, _sound(phone, n, random)) for phone, n in zip([*said, "h#"], lengths.tolist(), strict=True)]


def _sound(phone: str, n: int, random: np.random.Generator) -> np.ndarray:
    t = np.arange(n) / FS
    noise = random.normal(size=n)
    if phone in ("h#", "q"):
        return (0.002 if phone == "h#" else 0.02) * noise
    if phone in ("s", "sh"):
        (centre,) = PHONES[phone]
        spectrum = np.fft.rfft(noise) * np.exp(-(((np.fft.rfftfreq(n, 1 / FS) - centre) / 700) ** 2))
        return 0.3 * np.fft.irfft(spectrum, n)
    pitch = random.uniform(100, 220)
    sound = np.zeros(n)
    for harmonic in np.arange(pitch, 4000, pitch):
        level = sum(1 / (1 + ((harmonic - formant) / 100) ** 2) for formant in PHONES[phone])
        sound += level * np.sin(2 * np.pi * harmonic * t)
    return 0.1 * sound + 0.002 * noise


def _write(folder: Path, stem: str, spoken: list[tuple[str, np.ndarray]], sphere: bool) -> None:
    import soundfile

    sound = np.concatenate([sound for _, sound in spoken])
    sound = np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2")
    ends = np.cumsum([len(sound) for _, sound in spoken]).tolist()
    lines = [f"{end - len(sound)} {end} {phone}" for (phone, sound), end in zip(spoken, ends, strict=True)]
    if not sphere:
        stem = stem.lower()
        soundfile.write(folder / f"{stem}.wav", sound, FS, subtype="PCM_16")
    else:
        (folder / f"{stem}.WAV").write_bytes(nist(sound))
    (folder / (f"{stem}.PHN" if sphere else f"{stem}.phn")).write_text("\n".join(lines) + "\n")


def nist(sound: np.ndarray) -> bytes:
    """A NIST SPHERE file of 16-bit samples: 1,024 bytes of header, then these."""
    header = (
        f"NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i {len(sound)}\nsample_rate -i {FS}\n"
        "sample_n_bytes -i 2\nsample_byte_format -s2 01\nsample_sig_bits -i 16\nsample_coding -s3 pcm\nend_head\n"
    )
    return header.encode().ljust(1024) + sound.tobytes()
