"""FLAC: the samples are those written, to the bit; what is cut, damaged or lies is refused in one line."""

import hashlib
import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import _flac, flac


def noise(samples, channels=1):
    return np.random.default_rng(0).uniform(-0.9, 0.9, (samples, channels))


def written(path, x, fs=16000, subtype="PCM_16"):
    soundfile.write(path, x, fs, format="FLAC", subtype=subtype)
    return path.read_bytes()


def claimed(content, *, samples=None, fs=None, bits=None, block=None, md5=None):
    """The file with other numbers in its STREAMINFO, which stands from byte 8 on."""
    packed = int.from_bytes(content[18:26], "big")
    for value, at, width in ((samples, 0, 36), (None if bits is None else bits - 1, 36, 5), (fs, 44, 20)):
        if value is not None:
            packed = packed & ~(((1 << width) - 1) << at) | value << at
    block = content[10:12] if block is None else struct.pack(">H", block)
    return content[:10] + block + content[12:18] + packed.to_bytes(8, "big") + (md5 or content[26:42]) + content[42:]


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize(("subtype", "bits"), [("PCM_S8", 8), ("PCM_16", 16), ("PCM_24", 24)])
def test_samples_are_those_written_to_the_bit(tmp_path, subtype, bits, channels):
    x = noise(9000, channels)
    written(tmp_path / "a.flac", x, 44100, subtype)
    found, fs = flac.read(tmp_path / "a.flac")
    assert (found.dtype, found.shape, fs) == (np.float32, (channels, 9000), 44100)
    expected = np.rint(x.T * 2 ** (bits - 1)) / 2 ** (bits - 1)
    np.testing.assert_allclose(found, expected, atol=1.01 * 2.0 ** (1 - bits))
    by_library, _ = soundfile.read(tmp_path / "a.flac", dtype="float32", always_2d=True)
    np.testing.assert_array_equal(found, by_library.T)
    assert flac.header(tmp_path / "a.flac")[:4] == (channels, 44100, 9000, bits)


@given(samples=st.integers(1, 5000), most=st.integers(1, 6000))
@examples(20)
def test_blocks_together_are_the_whole(tmp_path_factory, samples, most):
    path = tmp_path_factory.getbasetemp() / "blocks.flac"
    written(path, noise(samples, 2))
    parts = list(flac.blocks(path, most))
    assert [part.shape[1] for part in parts[:-1]] == [most] * (len(parts) - 1)
    np.testing.assert_array_equal(np.concatenate(parts, 1), flac.read(path)[0])


def test_the_sum_is_that_of_the_samples_as_stored(tmp_path):
    x = np.array([0, 1, -1, 32767, -32768] * 20, np.int16)
    soundfile.write(tmp_path / "a.flac", x, 8000, subtype="PCM_16")
    assert flac.header(tmp_path / "a.flac").md5 == hashlib.md5(x.tobytes()).digest()
    np.testing.assert_array_equal(flac.read(tmp_path / "a.flac")[0][0] * 32768, x)


def test_a_file_without_a_sum_and_one_with_tags_are_read(tmp_path):
    content = written(tmp_path / "a.flac", noise(5000))
    (tmp_path / "b.flac").write_bytes(claimed(content, md5=bytes(16)))
    (tmp_path / "c.flac").write_bytes(b"ID3\4\0\0\0\0\1\2" + bytes(130) + content)
    for name in "bc":
        np.testing.assert_array_equal(flac.read(tmp_path / f"{name}.flac")[0], flac.read(tmp_path / "a.flac")[0])


LIES = {
    "empty": (lambda c: b"", "it is empty"),
    "text": (lambda c: b"this is a text, not a sound", "it begins with b'this' where fLaC should be"),
    "ogg": (lambda c: b"OggS" + c, "it is Ogg"),
    "mark alone": (lambda c: c[:4], "ends before its samples begin"),
    "no samples follow": (lambda c: c[:86], "bytes cannot hold"),
    "header cut": (lambda c: c[:30], "says 34 bytes, 22 are left"),
    "cut": (lambda c: c[: len(c) // 2], "libsndfile finds|truncated"),
    "the last byte": (lambda c: c[:-1], "libsndfile finds|truncated|damaged"),
    "no STREAMINFO": (lambda c: c[:4] + b"\1" + c[5:], "does not begin with its STREAMINFO"),
    "no rate": (lambda c: claimed(c, fs=0), "rate of 0 Hz"),
    "no samples": (lambda c: claimed(c, samples=0), "does not say how many samples"),
    "too many": (lambda c: claimed(c, samples=2**36 - 1), "cannot hold"),
    "some more": (lambda c: claimed(c, samples=6000), "truncated or damaged|libsndfile finds"),
    "some fewer": (lambda c: claimed(c, samples=4000), "MD5"),
    "20 bits": (lambda c: claimed(c, bits=20), "20 bits are not decoded"),
    "frames of nothing": (lambda c: claimed(c, block=8), "frames of 8 samples"),
    "another sum": (lambda c: claimed(c, md5=b"x" * 16), "MD5"),
    "no frame": (lambda c: c[:86] + b"\0" + c[87:], "no frame begins at byte 86"),
    "tags without end": (lambda c: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + c, "its tags say"),
    "blocks without end": (lambda c: c[:42] + b"\1\0\0\0" * 10_001, "do not begin behind the first"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused_in_one_line_with_its_name(tmp_path, lie):
    change, said = LIES[lie]
    content = written(tmp_path / "good.flac", noise(5000))
    (tmp_path / "bad one.flac").write_bytes(change(content))
    with pytest.raises(ValueError, match=f"bad one.flac' is not a usable FLAC file: .*({said})") as caught:
        flac.read(tmp_path / "bad one.flac")
    assert "\n" not in str(caught.value)


def test_every_flipped_byte_is_seen_f7(tmp_path):
    content = bytearray(written(tmp_path / "a.flac", noise(3000)))
    whole = flac.read(tmp_path / "a.flac")[0]
    for at in [*range(10, 42), *range(86, len(content), 97)]:
        damaged = bytes([*content[:at], content[at] ^ 0x10, *content[at + 1 :]])
        (tmp_path / "b.flac").write_bytes(damaged)
        said = refusal(tmp_path / "b.flac")
        if said:
            assert "b.flac" in said
        else:  # the smallest and largest frames, which nothing needs
            np.testing.assert_array_equal(flac.read(tmp_path / "b.flac")[0], whole)


def refusal(path):
    """Why a file is not read, or nothing."""
    try:
        flac.read(path)
    except ValueError as error:
        return str(error)
    return ""


def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_flac, "ALWAYS", 0)
    monkeypatch.setattr(_flac, "MOST_RATIO", 1000)
    content = written(tmp_path / "a.flac", np.zeros((100, 1)))
    (tmp_path / "a.flac").write_bytes(claimed(content, samples=60_000 * 20, block=65535) + bytes(20 * 10))
    with pytest.raises(ValueError, match="its 298 bytes would unpack to 2400000, more than 1000 times as many"):
        flac.read(tmp_path / "a.flac")


def test_silence_is_packed_a_thousand_times_and_read(tmp_path):
    written(tmp_path / "a.flac", np.zeros((1_000_000, 2)))
    assert os.path.getsize(tmp_path / "a.flac") < 4_000_000 / 800
    assert flac.read(tmp_path / "a.flac")[0].shape == (2, 1_000_000)


def test_blocks_take_the_memory_of_one(tmp_path):
    written(tmp_path / "a.flac", noise(1_000_000))
    next(flac.blocks(tmp_path / "a.flac", 1000))
    tracemalloc.start()
    total = sum(part.shape[1] for part in flac.blocks(tmp_path / "a.flac", 4096))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 1_000_000
    assert peak < 1 << 20


def test_what_is_no_file_and_what_cannot_be_asked_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.flac")
    for path in (tmp_path, tmp_path / "pipe.flac", tmp_path / "nowhere.flac"):
        with pytest.raises(OSError, match=path.name):
            flac.read(path)
        with pytest.raises(OSError, match=path.name):
            flac.blocks(path)
    written(tmp_path / "a.flac", noise(100))
    with pytest.raises(ValueError, match="samples 0 must be at least 1"):
        flac.blocks(tmp_path / "a.flac", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flac, "MOST_BYTES", 300)
        with pytest.raises(ValueError, match="take 400 bytes, more than the 300 read at once: take blocks"):
            flac.read(tmp_path / "a.flac")
