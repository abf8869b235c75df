"""AVI files held against the length they say: one cut inside its index is no whole film, one with more behind it is."""

import struct

import numpy as np
import pytest

from sigconv.readers import _riff, video

av = pytest.importorskip("av")
FRAMES = 9


def noise():
    return np.random.default_rng(0).integers(0, 256, (3, FRAMES, 12, 15), np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """The bytes of an AVI file, its index last."""
    path = tmp_path_factory.mktemp("film") / "a.avi"
    video.write(path, noise(), 25)
    return path.read_bytes()


def chunk(mark, content):
    return mark + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def inside(content, start):
    """(mark, content) of the chunks from a byte on."""
    while start + 8 <= len(content):
        size = struct.unpack("<I", content[start + 4 : start + 8])[0]
        yield content[start : start + 4], content[start + 8 : start + 8 + size]
        start += 8 + size + size % 2


def long_film(content, first=6):
    """The same film in two RIFF chunks, as OpenDML has those of more than a gigabyte, and where the second begins."""
    chunks = list(inside(content, 12))
    frames = [part for mark, part in inside(next(c for m, c in chunks if c[:4] == b"movi"), 4) if mark == b"00dc"]
    movi = lambda some: chunk(b"LIST", b"movi" + b"".join(chunk(b"00dc", part) for part in some))
    parts = [chunk(m, c) for m, c in chunks if m != b"idx1" and c[:4] != b"movi"]
    index = next(c for m, c in chunks if m == b"idx1")[: 16 * first]
    one = chunk(b"RIFF", b"AVI " + b"".join(parts) + movi(frames[:first]) + chunk(b"idx1", index))
    # an odd length, its byte to fill up the last of the file
    return one + chunk(b"RIFF", b"AVIX" + movi(frames[first:]) + chunk(b"JUNK", bytes(4)) + b"\0"), len(one)


def told(tmp_path, content):
    """What reading says of it, or the frames."""
    (tmp_path / "cut.avi").write_bytes(content)
    try:
        return video.read(tmp_path / "cut.avi")[0]
    except ValueError as error:
        said = str(error)
    assert "cut.avi" in said
    assert "\n" not in said
    return said


def test_a_film_cut_inside_its_index_is_not_whole(tmp_path, film):
    index = film.rfind(b"idx1")
    assert index > 0
    for length in (index, index + 8, (index + len(film)) // 2, len(film) - 16, len(film) - 1):
        assert f"truncated: it says {len(film)} bytes, it has {length}" in told(tmp_path, film[:length])
        with pytest.raises(ValueError, match="truncated"):
            video.header(tmp_path / "cut.avi", count=True)
        first, _ = video.read(tmp_path / "cut.avi", frames=FRAMES)  # those asked for are there
        np.testing.assert_array_equal(first, noise())
    np.testing.assert_array_equal(told(tmp_path, film), noise())


@pytest.mark.parametrize("after", [b"", b"\0", b"RI", b"behind the film", bytes(5000), b"RIFF\xff\xff\xff\x7fWAVE"])
def test_what_follows_a_film_is_no_part_of_it(tmp_path, film, after):
    np.testing.assert_array_equal(told(tmp_path, film + after), noise())


@pytest.mark.parametrize("length", _riff.UNKNOWN)
def test_a_length_that_was_never_written_says_nothing(tmp_path, film, length):
    np.testing.assert_array_equal(told(tmp_path, film[:4] + struct.pack("<I", length) + film[8:]), noise())


def test_a_long_film_of_several_riff_chunks_is_held_to_each(tmp_path, film):
    content, second = long_film(film)
    whole = len(content) - 1  # its last byte only fills up
    for good in (content, content[:whole], content + bytes(700), content + b"JUNK"):
        np.testing.assert_array_equal(told(tmp_path, good), noise())
    for length in (second + 4, second + 11, second + 12, second + 30, whole - 4, whole - 1):
        assert "truncated" in told(tmp_path, content[:length])
    assert "truncated: its header says 9 frames, and 6 are left" in told(tmp_path, content[:second])
    assert f"it says {whole} bytes, it has {whole - 1}" in told(tmp_path, content[: whole - 1])


def test_real_films_cut_within_their_length_are_not_whole(tmp_path, data_root):
    paths = sorted((data_root / "video").rglob("*.avi"))
    assert paths
    for path in paths:
        content = path.read_bytes()
        end, index = 8 + struct.unpack("<I", content[4:8])[0], content.rfind(b"idx1")
        assert 0 < index < end <= len(content)
        assert isinstance(told(tmp_path, content), np.ndarray)
        assert isinstance(told(tmp_path, content[:end]), np.ndarray), "what is behind the RIFF chunk may go"
        for share in (0.3, 0.9, 0.98, 0.99, 0.995, 0.999):
            length = min(int(share * end), end - 1)
            assert "truncated" in told(tmp_path, content[:length])
        assert f"truncated: it says {end} bytes, it has {end - 1}" in told(tmp_path, content[: end - 1])


def test_other_formats_are_left_alone(tmp_path):
    for content in (b"", b"RI", b"RIFF", b"RIFF\xff\xff\0\0WAVE", b"\x1a\x45\xdf\xa3" * 5):
        (tmp_path / "a").write_bytes(content)
        with open(tmp_path / "a", "rb") as file:
            assert (_riff.lacking(file) != "") == (content == b"RIFF"), "none but a mark that may be an AVI file's"
            assert file.tell() == 0
