"""Video: files read frame by frame, bad ones in one line."""

import os
import resource
import struct
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import video

av = pytest.importorskip("av")


def noise(frames=9, height=12, width=16, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (channels, frames, height, width), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One video in every format that is written here."""
    place = tmp_path_factory.mktemp("videos")
    for ending in video.USUAL:
        video.write(place / f"noise{ending}", noise(), 12.5)
    return place


def walk(path):
    """FFmpeg's frames by the plainest loop there is."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def attempt(path):
    """The frames, or the error's line."""
    try:
        return video.read(path)[0]
    except ValueError as error:
        return str(error)


@given(
    st.sampled_from([".mkv", ".avi"]),
    st.tuples(st.sampled_from([1, 3]), st.integers(1, 5), st.integers(4, 40), st.integers(4, 40)),
    st.sampled_from([1, 12.5, 25, 30000 / 1001, 240]),
)
@examples(25)
def test_what_is_written_without_loss_is_read_as_it_was(tmp_path_factory, ending, shape, fs):
    path = tmp_path_factory.mktemp("one") / f"made{ending}"
    x = noise(*shape[1:], channels=shape[0])
    video.write(path, x if shape[0] == 3 else torch.from_numpy(x), fs)
    y, rate = video.read(path)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, np.broadcast_to(x, y.shape))
    assert rate == pytest.approx(fs, rel=1e-4)  # containers keep times in milliseconds or microseconds
    found = video.header(path)
    assert (found.height, found.width, found.fs) == (*shape[2:], rate)
    assert found.frames in (None, shape[1])
    assert video.header(path, count=True).frames == shape[1]


def test_a_film_with_loss_is_close_and_one_without_the_same_bytes_each_time(tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8), (3, 6, 48, 64))
    for name, codec in (("a.mp4", None), ("b.mp4", "mpeg4"), ("c.mkv", "h264")):
        video.write(tmp_path / name, ramp, 25, codec=codec)
        y, _ = video.read(tmp_path / name)
        assert y.shape == ramp.shape
        assert np.abs(y.astype(int) - ramp).mean() < 4
    for name in ("a.mkv", "a.avi"):
        written = []
        for _ in range(2):
            video.write(tmp_path / name, ramp, 25)
            written.append((tmp_path / name).read_bytes())
        assert written[0] == written[1]


@given(st.integers(0, 10), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 12))
@examples(30)
def test_parts_and_blocks_are_slices_of_the_whole(folder, start, every, frames, n):
    path = folder / "noise.avi"
    stop = start + 1 + ((frames or 1) - 1) * every
    if stop > 9:
        with pytest.raises(ValueError, match=r"noise\.avi.*it has 9 frames, and number \d+ was asked for"):
            video.read(path, start=start, every=every, frames=frames)
        return
    wanted = noise()[:, start::every][:, :frames]
    y, fs = video.read(path, start=start, every=every, frames=frames)
    np.testing.assert_array_equal(y, wanted)
    assert fs == 12.5 / every
    found = list(video.blocks(path, n, start=start, every=every, frames=frames))
    assert [len(block) for block in found[:-1]] == [n] * (len(found) - 1)
    np.testing.assert_array_equal(np.concatenate(found), wanted.transpose(1, 2, 3, 0))


def test_real_files_equal_a_plain_loop(data_root):
    paths = sorted((data_root / "video").glob("*/*"))
    assert len(paths) > 10
    for path in paths:
        plain = walk(path)
        y, fs = video.read(path)
        assert np.array_equal(y, plain.transpose(3, 0, 1, 2)), path
        found = video.header(path)
        assert found[1:4] == (*plain.shape[1:3], fs)
        assert found.frames is None or 0 <= found.frames - len(plain) <= 1
        assert found.seconds == pytest.approx(len(plain) / fs, abs=1.5 / fs)


@pytest.mark.parametrize("ending", video.USUAL)
def test_a_file_cut_anywhere_is_whole_or_one_line(folder, tmp_path, ending):
    content, whole = (folder / f"noise{ending}").read_bytes(), walk(folder / f"noise{ending}")
    random = np.random.default_rng(0)
    refused = 0
    for length in sorted({0, 1, 100, *random.integers(0, len(content), 40).tolist()}):
        cut = tmp_path / f"cut{ending}"
        cut.write_bytes(content[:length])
        found = attempt(cut)
        if isinstance(found, str):
            refused += 1
            assert f"cut{ending}" in found
            assert "\n" not in found
        else:  # what is lost is an index, or the room behind the last frame
            np.testing.assert_array_equal(found, whole.transpose(3, 0, 1, 2))
    assert refused > 30


def test_a_cut_film_with_its_index_in_front_says_what_is_missing(tmp_path):
    video.write(tmp_path / "a.avi", noise(frames=20), 25)
    content = (tmp_path / "a.avi").read_bytes()
    at = content.find(b"00dc", 3 * len(content) // 5)  # where a later frame begins
    (tmp_path / "a.avi").write_bytes(content[:at])
    with pytest.raises(ValueError, match=r"a\.avi.*truncated: its header says 20 frames, and 1\d are left"):
        video.read(tmp_path / "a.avi")
    first, _ = video.read(tmp_path / "a.avi", frames=5)
    np.testing.assert_array_equal(first, noise(frames=20)[:, :5])
    taken = []
    with pytest.raises(ValueError, match="truncated"):
        taken.extend(video.blocks(tmp_path / "a.avi", 4))
    assert len(taken) > 1, "what is whole is given before"
    with pytest.raises(ValueError, match="truncated"):
        video.header(tmp_path / "a.avi", count=True)


def test_damage_is_told_and_not_painted_over(data_root, tmp_path):
    content = bytearray((data_root / "video" / "clips" / "carphone_pristine.mp4").read_bytes())
    content[len(content) // 2] ^= 0x55
    (tmp_path / "flipped.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"flipped\.mp4.*(damaged|FFmpeg finds)"):
        video.read(tmp_path / "flipped.mp4")


def sound(path):
    """A film of sound alone."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def lying(folder, height, width):
    """An AVI file whose frames claim another size."""
    content = bytearray((folder / "noise.avi").read_bytes())
    struct.pack_into("<ii", content, content.find(b"strf") + 12, width, height)
    return bytes(content)


HOSTILE = {
    "empty.mp4": b"",
    "text.mp4": b"no film at all\n" * 100,
    "zeros.avi": bytes(5000),
    "noise.mkv": np.random.default_rng(0).bytes(5000),
    "playlist.m3u8": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
    "other.txt": b"ffconcat version 1.0\nfile 'noise.avi'\n",
    "mark.mkv": b"\x1a\x45\xdf\xa3",
    "picture.ppm": b"P6 2 2 255\n" + bytes(12),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_video_is_one_line_and_no_chatter(tmp_path, name, capfd):
    (tmp_path / name).write_bytes(HOSTILE[name])
    for call in (video.header, video.read, video.blocks):
        with pytest.raises(ValueError, match=name) as caught:
            call(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_file_or_has_no_pictures_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        video.read(tmp_path / "missing.mp4")
    with pytest.raises(OSError, match="not a regular file"):
        video.header(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(OSError, match="not a regular file"):
        video.header(tmp_path / "pipe.mp4")
    sound(tmp_path / "sound.mkv")
    with pytest.raises(ValueError, match=r"sound\.mkv.*no pictures"):
        video.read(tmp_path / "sound.mkv")


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (8192, 4321), (0, 3)])
def test_sizes_that_are_not_true_are_refused_before_there_is_room_for_them(folder, tmp_path, size):
    path = tmp_path / "lying.avi"
    path.write_bytes(lying(folder, *size))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"lying\.avi"):
        video.read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10, "kilobytes"


def test_a_count_of_frames_that_is_not_true_is_told(folder, tmp_path):
    content = bytearray((folder / "noise.avi").read_bytes())
    struct.pack_into("<I", content, content.find(b"strh") + 8 + 32, 2**31 - 1)
    path = tmp_path / "endless.avi"
    path.write_bytes(content)
    assert video.header(path).frames == 2**31 - 1
    with pytest.raises(ValueError, match=r"endless\.avi.*its header says 2147483647 frames, and 9 are left"):
        video.header(path, count=True)
    with pytest.raises(ValueError, match=r"endless\.avi.*(truncated|take more than)"):
        video.read(path)
    assert video.read(path, frames=9)[0].shape[1] == 9


@given(st.sampled_from(list(video.USUAL)), st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.integers(1, 4))
@examples(60)
def test_whatever_is_damaged_frames_or_one_line(folder, ending, place, value, length):
    content = bytearray((folder / f"noise{ending}").read_bytes())
    at = int(place**2 * len(content))  # headers stand in front
    content[at : at + length] = bytes([value]) * length
    path = folder / f"damaged{ending}"
    path.write_bytes(content)
    found = attempt(path)
    if isinstance(found, str):
        assert f"damaged{ending}" in found
        assert "\n" not in found
    else:
        assert found.shape[0] == 3
        assert found.shape[1] > 0


def test_blocks_take_the_memory_of_one(tmp_path):
    path = tmp_path / "long.avi"
    video.write(path, np.broadcast_to(noise(1, 96, 128), (3, 300, 96, 128)), 25)
    tracemalloc.start()
    for block in video.blocks(path, 8):
        assert block.shape[1:] == (96, 128, 3)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 * 8 * 96 * 128 * 3, "of 300 frames no more than a few blocks are held"


def test_more_than_memory_should_hold_is_refused(folder, monkeypatch):
    monkeypatch.setattr(video, "MOST_BYTES", 3 * 9 * 12 * 16 - 1)
    for name in ("noise.avi", "noise.mkv"):  # one says how many frames it has, one does not
        with pytest.raises(ValueError, match=f"{name}.*take blocks, or some frames"):
            video.read(folder / name)
        assert video.read(folder / name, every=2)[0].shape[1] == 5


def test_wrong_words_are_refused_in_one_line(folder, tmp_path, monkeypatch):
    for frames, fs, message in (
        (noise().astype(float), 25, r"frames for .* are float64"),
        (noise()[0], 25, r"shape \(9, 12, 16\): expected uint8"),
        (noise(), 0, "fs 0 must be above 0"),
        (noise(), float("nan"), "fs nan must be above 0"),
        (noise(height=11), 25, "h264 takes even sizes"),
    ):
        with pytest.raises(ValueError, match=message):
            video.write(tmp_path / "a.mp4", frames, fs)
    with pytest.raises(ValueError, match=r"does not end in one of \.mkv"):
        video.write(tmp_path / "a.gif", noise(), 25)
    with pytest.raises(ValueError, match="codec 'vp9' is not one of"):
        video.write(tmp_path / "a.mkv", noise(), 25, codec="vp9")
    with pytest.raises(ValueError, match=r"a\.mkv' cannot be written as ffv1"):
        video.write(tmp_path / "a.mkv", noise(height=2, width=1), 25)
    assert not list(tmp_path.iterdir()), "nothing is left of what failed"
    for options in ({"start": -1}, {"every": 0}, {"frames": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} "):
            video.read(folder / "noise.avi", **options)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ImportError, match=r"video needs PyAV: pip install 'sigconv\[video\]'"):
        video.read(folder / "noise.avi")
