"""Files from elsewhere: read right, or refused in one line that names the file."""

import io
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigconv.readers import archive, wav


def wav_bytes(samples=100, channels=1, bits=16, fs=8000, kind=1, *, data=None, riff=None, size=None, extra=b""):
    """A WAV file, honest unless told to lie."""
    frame = channels * bits // 8
    body = data if data is not None else np.arange(samples * channels, dtype="<i2").tobytes()[: samples * frame]
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, channels, fs, fs * frame, frame, bits)
    chunk = struct.pack("<4sI", b"data", len(body) if size is None else size) + body
    inside = b"WAVE" + layout + extra + chunk
    return b"RIFF" + struct.pack("<I", len(inside) if riff is None else riff) + inside


@pytest.mark.parametrize(
    ("subtype", "error"), [("PCM_16", 3.1e-5), ("PCM_24", 2e-7), ("PCM_32", 1e-7), ("FLOAT", 1e-7), ("PCM_U8", 8e-3)]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_those_written(tmp_path, subtype, error, channels):
    import soundfile

    sound = np.random.default_rng(0).uniform(-0.9, 0.9, (50, channels))
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype=subtype)
    x, fs = wav.read(tmp_path / "a.wav")
    assert fs == 16000
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, sound.T, atol=error)


LIES = {
    "empty": (b"", "it is empty"),
    "text": (b"this is not a sound, it is a text", "does not begin with RIFF"),
    "truncated": (wav_bytes()[:-40], "truncated: its header says 244 bytes, it has 204"),
    "chunk too long": (wav_bytes(size=10**9), "chunk b'data' says 1000000000 bytes"),
    "endless": (wav_bytes(size=0xFFFFFFFF, riff=0xFFFFFFFF), "truncated"),
    "no samples": (wav_bytes(data=b""), "it holds no samples"),
    "no data chunk": (wav_bytes()[:36].replace(struct.pack("<I", 236), struct.pack("<I", 28)), "no data chunk"),
    "no channels": (wav_bytes(channels=0, data=b"1234"), "0 channels"),
    "no rate": (wav_bytes(fs=0), "at 0 Hz"),
    "half a frame": (wav_bytes(channels=2, data=b"12345678901"), "no whole number of 4-byte frames"),
    "unknown coding": (wav_bytes(kind=85), "coding 85 is not PCM"),
    "not finite": (wav_bytes(kind=3, bits=32, data=np.array([0, np.nan], "<f4").tobytes()), "NaN or infinite"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_wav_that_lies_is_refused_in_one_line_with_its_name(tmp_path, lie):
    content, message = LIES[lie]
    path = tmp_path / "bad one.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        wav.read(path)
    assert "bad one.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pipe_and_a_missing_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(OSError, match="not a regular file"):
        wav.read(tmp_path / "pipe.wav")
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        wav.read(tmp_path / "none.wav")


@given(st.data())
def test_any_damage_is_read_or_refused_never_worse(data):
    content = bytearray(wav_bytes(samples=30, extra=struct.pack("<4sI", b"LIST", 4) + b"abcd"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        x, fs = wav.decode(bytes(content), "damaged.wav")
    except ValueError as error:
        said = str(error)
    else:
        said = "damaged.wav" if x.size > 0 and fs > 0 else "nothing"
    assert "damaged.wav" in said


def test_archives_are_read_member_by_member(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("in/a.wav", b"sound")
        packed.writestr("in/readme.txt", b"text")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as packed:
        info = tarfile.TarInfo("in/a.wav")
        info.size = 5
        packed.addfile(info, io.BytesIO(b"sound"))
        link = tarfile.TarInfo("in/b.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        packed.addfile(link)
    for name in ("a.zip", "a.tar.gz"):
        assert list(archive.members(tmp_path / name, ".wav")) == [("in/a.wav", b"sound")]
    monkeypatch.setattr(archive, "MOST_MEMBER", 4)
    with pytest.raises(ValueError, match="has more than 4 bytes"):
        list(archive.members(tmp_path / "a.zip"))
    flipped = bytearray((tmp_path / "a.tar.gz").read_bytes())
    flipped[-6] ^= 1  # of the checksum at the very end
    (tmp_path / "flipped.tar.gz").write_bytes(flipped)
    with pytest.raises(ValueError, match=r"flipped\.tar\.gz.* is not a whole zip or tar"):
        list(archive.members(tmp_path / "flipped.tar.gz"))
    (tmp_path / "broken.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"broken\.zip.* is not a whole zip or tar"):
        list(archive.members(tmp_path / "broken.zip"))
