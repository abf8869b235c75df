"""Sound files: every coding against bytes decoded by hand, lies in one line, blocks in constant memory."""

import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import sphere, wav

GUID = bytes.fromhex("000000001000800000aa00389b71")


def made(
    data, kind=1, channels=1, bits=16, fs=8000, *, extensible=False, riff=None, size=None, frame=None, mark=b"RIFF"
):
    """A WAV file by struct alone."""
    frame = channels * -(-bits // 8) if frame is None else frame
    body = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, fs, min(fs * frame, 2**32 - 1), frame, bits)
    if extensible:
        body += struct.pack("<HHIH", 22, bits, 0, kind) + GUID
    chunks = struct.pack("<4sI", b"fmt ", len(body)) + body
    if mark != b"RIFF":
        whole = 4 + 36 + len(chunks) + 8 + len(data)
        chunks = struct.pack("<4sIQQQI", b"ds64", 28, whole, len(data), len(data) // frame, 0) + chunks
        riff = size = 0xFFFFFFFF
    chunks += struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    return struct.pack("<4sI4s", mark, 4 + len(chunks) if riff is None else riff, b"WAVE") + chunks


def ulaw(code):
    """One value of G.711's µ-law, as its table is written down."""
    code = ~code & 0xFF
    size = (((code & 15) * 2 + 33) << (code >> 4 & 7)) - 33
    return (-1 if code & 128 else 1) * size * 4 / 32768


def alaw(code):
    """One value of G.711's A-law."""
    code ^= 0x55
    step, fine = code >> 4 & 7, 2 * (code & 15) + 1
    size = fine if step == 0 else (fine + 32) << (step - 1)
    return (1 if code & 128 else -1) * size * 8 / 32768


def whole_numbers(data, width):
    return [int.from_bytes(data[i : i + width], "little", signed=width > 1) for i in range(0, len(data), width)]


def decoded(data, kind, bits):
    """The samples one by one, in float64."""
    width = -(-bits // 8)
    if kind == 3:
        return np.array(struct.unpack(f"<{len(data) // width}{'f' if width == 4 else 'd'}", data))
    if kind in (6, 7):
        return np.array([(alaw if kind == 6 else ulaw)(code) for code in data])
    return (np.array(whole_numbers(data, width), float) - (128 if width == 1 else 0)) / 2.0 ** (8 * width - 1)


CODINGS = [(1, 8), (1, 12), (1, 16), (1, 20), (1, 24), (1, 32), (3, 32), (3, 64), (6, 8), (7, 8)]


@pytest.mark.parametrize("channels", [1, 2, 7])
@pytest.mark.parametrize(("kind", "bits"), CODINGS)
def test_every_coding_is_read_as_by_hand(tmp_path, kind, bits, channels):
    rng, n = np.random.default_rng(bits), 256 * channels
    width = -(-bits // 8)
    floats = rng.normal(size=n).astype(f"<f{max(width, 4)}").tobytes()
    data = floats if kind == 3 else bytes(range(256)) * (n * width // 256)
    expected = decoded(data, kind, bits).reshape(-1, channels).T
    for extensible in (False, True):
        for fs in (8000, 11025, 96000, 192000):
            (tmp_path / "a.wav").write_bytes(made(data, kind, channels, bits, fs, extensible=extensible))
            x, rate = wav.read(tmp_path / "a.wav")
            assert (x.dtype, x.shape, rate) == (np.float32, expected.shape, fs)
            np.testing.assert_array_equal(x, expected.astype(np.float32))
    parts = list(wav.blocks(tmp_path / "a.wav", 100))
    assert [part.shape[1] for part in parts] == [100, 100, 56]
    np.testing.assert_array_equal(np.concatenate(parts, 1), x)
    assert wav.header(tmp_path / "a.wav")[:3] == (channels, 192000, 256)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
def test_what_libsndfile_writes_is_read_as_it_reads_it(tmp_path, subtype):
    soundfile = pytest.importorskip("soundfile")
    sound = np.random.default_rng(0).uniform(-1, 1, (501, 3))
    for form in ("WAV", "WAVEX", "RF64"):
        if (form, subtype) == ("WAVEX", "ALAW") or soundfile.check_format(form, subtype):
            soundfile.write(tmp_path / "a.wav", sound, 22050, subtype=subtype, format=form)
            theirs, fs = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
            x, rate = wav.read(tmp_path / "a.wav")
            assert rate == fs
            np.testing.assert_array_equal(x, theirs.T)


def test_sizes_past_four_gigabytes_stand_in_a_chunk_of_their_own():
    data = np.arange(100, dtype="<i2").tobytes()
    for mark in (b"RF64", b"BW64"):
        x, _ = wav.decode(made(data, mark=mark), "a")
        np.testing.assert_array_equal(x[0] * 32768, np.arange(100))
    lying = bytearray(made(data, mark=b"RF64"))
    lying[28:36] = struct.pack("<Q", 1 << 60)
    with pytest.raises(ValueError, match=r"truncated: chunk b'data' says 1152921504606846976 bytes"):
        wav.decode(bytes(lying), "a")


SOUND = np.arange(1, 101, dtype="<i2").tobytes()
LIES = {
    "empty": (b"", "it is empty"),
    "text": (b"this is a text, not a sound", "does not begin with RIFF"),
    "big-endian": (b"RIFX" + made(SOUND)[4:], "does not begin with RIFF"),
    "truncated": (made(SOUND)[:-10], "truncated: its header says 244 bytes, it has 234"),
    "size too big": (made(SOUND, size=2**31, riff=236), "truncated: chunk b'data' says 2147483648"),
    "size too small": (made(SOUND, size=100), "its size is too small"),
    "whole too small": (made(SOUND, riff=36), "its header says 44 bytes, and its samples end at 244"),
    "as a pipe leaves it": (made(SOUND, size=0xFFFFFFFF, riff=0xFFFFFFFF), "truncated, or its size was never written"),
    "no samples": (made(b""), "no samples"),
    "no channels": (made(SOUND, channels=0, frame=2), "0 channels"),
    "too many channels": (made(SOUND, channels=65535, frame=2), "65535 channels of 16 bits"),
    "channels by the thousand": (made(SOUND, channels=30000), "no whole number of 60000-byte frames"),
    "no rate": (made(SOUND, fs=0), "at 0 Hz"),
    "no bits": (made(SOUND, bits=0, frame=0), "0 bits"),
    "block align": (made(SOUND, frame=3), "in frames of 3 bytes"),
    "40 bits": (made(SOUND, bits=40), "samples of 40 bits in coding 1"),
    "half floats": (made(SOUND, kind=3), "samples of 16 bits in coding 3"),
    "adpcm": (made(SOUND, kind=17, bits=4, frame=1), "coding 17 is not PCM"),
    "unknown extension": (made(SOUND, extensible=True).replace(GUID, bytes(14)), "names no coding"),
    "no ds64": (b"RF64" + made(SOUND)[4:], "no ds64"),
    "not a number": (made(np.array([0, np.nan], "<f4").tobytes(), 3, bits=32), "NaN or infinite"),
    "too big a number": (made(np.array([1e300], "<f8").tobytes(), 3, bits=64), "NaN or infinite"),
    "no format": (b"RIFF" + struct.pack("<I4s4sI", 16, b"WAVE", b"data", 4) + bytes(4), "before their format"),
    "chunks without end": (
        b"RIFF" + struct.pack("<I4s", 160004, b"WAVE") + b"abcd\0\0\0\0" * 20000,
        "first 10000 chunks",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_in_one_line(tmp_path, lie):
    content, message = LIES[lie]
    path = tmp_path / "bad one.wav"
    path.write_bytes(content)
    for call in (wav.read, lambda path: list(wav.blocks(path))):
        with pytest.raises(ValueError, match=message) as caught:
            call(path)
        assert "bad one.wav" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for call in (wav.read, wav.header, wav.blocks, sphere.read):
        for path in (tmp_path, tmp_path / "pipe.wav"):
            with pytest.raises(OSError, match="is not a regular file"):
                call(path)
    (tmp_path / "a.wav").write_bytes(made(SOUND))
    with pytest.raises(ValueError, match="samples 0 must be at least 1"):
        wav.blocks(tmp_path / "a.wav", 0)


def test_zeros_and_other_chunks_may_follow(tmp_path):
    for more in (bytes(500), struct.pack("<4sI", b"LIST", 4) + b"abcd", b"abc"):
        content = bytearray(made(SOUND) + more)
        content[4:8] = struct.pack("<I", len(content) - 8)
        assert wav.decode(bytes(content), "a")[0].shape == (1, 100)
    odd = made(b"abc", bits=8)
    assert wav.decode(odd, "a")[0].shape == wav.decode(odd + b"\0", "a")[0].shape == (1, 3)


def test_n28_an_hour_is_read_in_a_few_megabytes(tmp_path):
    head = made(b"")
    n = 3600 * 16000 * 2
    with open(tmp_path / "hour.wav", "wb") as file:  # a file with holes: nothing is written but its header
        file.write(head[:4] + struct.pack("<I", n + 36) + head[8:40] + struct.pack("<I", n))
        file.truncate(44 + n)
    tracemalloc.start()
    total = sum(block.shape[1] for block in wav.blocks(tmp_path / "hour.wav"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 3600 * 16000
    assert peak < 4e6


def nist(data=SOUND, *, length=1024, **fields):
    """A SPHERE file as TIMIT has it."""
    said = {
        "channel_count": 1,
        "sample_count": len(data) // 2,
        "sample_rate": 16000,
        "sample_n_bytes": 2,
        "sample_byte_format": "01",
        "sample_max": 5.5,
    } | fields
    kinds = {int: "i", float: "r"}
    lines = [f"{k} -{kinds.get(type(v)) or f's{len(v)}'} {v}" for k, v in said.items() if v is not None]
    head = "\n".join(["NIST_1A", f"{length:7d}", "; made by hand", *lines, "end_head", ""]).encode()
    return head.ljust(1024) + data


def test_timits_own_wav_files_are_read_by_either_reader(tmp_path):
    swapped = np.frombuffer(SOUND, "<i2").astype(">i2").tobytes()
    for content in (nist(), nist(swapped, sample_byte_format="10"), nist(sample_coding="pcm")):
        (tmp_path / "SA1.WAV").write_bytes(content)
        for read in (sphere.read, wav.read):
            x, fs = read(tmp_path / "SA1.WAV")
            assert (fs, x.dtype) == (16000, np.float32)
            np.testing.assert_array_equal(x[0] * 32768, np.arange(1, 101))
        np.testing.assert_array_equal(np.concatenate(list(wav.blocks(tmp_path / "SA1.WAV", 33)), 1), x)
    codes = bytes(range(256))
    law = nist(codes, sample_count=128, channel_count=2, sample_n_bytes=1, sample_coding="ulaw", sample_byte_format="1")
    x, _ = wav.decode(law, "a")
    np.testing.assert_array_equal(x.T.ravel(), np.array([ulaw(code) for code in codes], np.float32))


def test_a_sphere_file_may_have_dos_line_ends_and_two_more_bytes(tmp_path):
    dos = nist()[:1024].rstrip().replace(b"\n", b"\r\n").ljust(1024) + SOUND
    for content in (dos, nist() + b"\0", nist() + b"\0\0", dos + b"\0"):
        (tmp_path / "SA1.WAV").write_bytes(content)
        for read in (sphere.read, wav.read):
            np.testing.assert_array_equal(read(tmp_path / "SA1.WAV")[0][0] * 32768, np.arange(1, 101))
        np.testing.assert_array_equal(
            np.concatenate(list(wav.blocks(tmp_path / "SA1.WAV", 33)), 1)[0], np.arange(1, 101) / 32768
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"NIST_1A\nabcdefg\n", "where NIST_1A"),
        (nist(length=99999), "says to have 99999 bytes"),
        (nist()[:-1], "truncated: its header says 200 bytes of samples, it has 199"),
        (nist() + b"123", "its header says 200 bytes of samples, it has 203"),
        (nist(length=17), "does not end"),
        (nist(sample_count=10**12), "truncated"),
        (nist(sample_count=0), "no samples"),
        (nist(sample_count=-5), "no samples"),
        (nist(sample_rate=0), "at 0 Hz"),
        (nist(channel_count=0), "0 channels"),
        (nist(sample_rate=None), "no whole number sample_rate"),
        (nist(sample_rate="16000"), "no whole number sample_rate"),
        (nist(sample_coding="pcm,embedded-shorten-v2.00"), r"compressed \(embedded-shorten-v2.00\)"),
        (nist(sample_coding="adpcm"), "coding 'adpcm'"),
        (nist(sample_byte_format="21"), "sample_byte_format '21'"),
        (nist(sample_n_bytes=3), "of 3 bytes"),
        (nist().replace(b"end_head", b"end-head"), "not `name -type value`"),
        (nist().replace(b"end_head", b"        "), "no end_head"),
        (nist().replace(b"sample_max", b"sample_rate"), "sample_rate twice"),
    ],
)
def test_a_sphere_file_that_lies_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "SA1.WAV").write_bytes(content)
    for read in (sphere.read, wav.read):
        with pytest.raises(ValueError, match=message) as caught:
            read(tmp_path / "SA1.WAV")
        assert "SA1.WAV" in str(caught.value)
        assert "\n" not in str(caught.value)


VALID = [
    made(SOUND[:40]),
    made(SOUND[:48], bits=24, channels=2, extensible=True),
    nist(SOUND[:40]),
    made(SOUND[:40], mark=b"RF64"),
]


@examples(200)
@given(st.data())
def test_any_damage_is_read_or_refused_never_worse(data):
    content = bytearray(data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(content) - 1, 200)))
        content[place] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        x, fs = wav.decode(content, "damaged.wav")
    except ValueError as error:
        said = str(error)
    else:
        said = "damaged.wav" if x.size > 0 and fs > 0 and np.isfinite(x).all() else "nothing"
    assert "damaged.wav" in said
    assert "\n" not in said
