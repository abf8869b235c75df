"""IDX files: read as written, and refused in one line where they are not what they say."""

import gzip
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigconv.readers import idx

KINDS = {0x08: np.uint8, 0x09: np.int8, 0x0B: np.int16, 0x0C: np.int32, 0x0D: np.float32, 0x0E: np.float64}


def written(array, kind, packed=False):
    head = bytes([0, 0, kind, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    content = head + array.astype(array.dtype.newbyteorder(">")).tobytes()
    return gzip.compress(content) if packed else content


@given(st.sampled_from(sorted(KINDS)), st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans())
@settings(max_examples=60)
def test_every_type_and_shape_is_read_as_written(tmp_path_factory, kind, shape, packed):
    array = (np.random.default_rng(0).random(shape) * 200 - 60).astype(np.float64)
    array = np.abs(array).astype(KINDS[kind]) if kind == 0x08 else array.astype(KINDS[kind])
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(written(array, kind, packed))
    found = idx.read(path)
    assert found.dtype == KINDS[kind]
    assert found.dtype.isnative
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_the_published_header_byte_by_byte(tmp_path):
    (tmp_path / "labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    assert idx.read(tmp_path / "labels").tolist() == [5, 0, 4]
    (tmp_path / "numbers").write_bytes(bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0xFF, 0xFE, 1, 0]))
    assert idx.read(tmp_path / "numbers").tolist() == [[-2, 256]]


WHOLE = written(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), 0x08)
PACKED = gzip.compress(WHOLE, mtime=0)
HUGE = bytes([0, 0, 8, 4]) + b"\xff" * 16
BAD = {
    "empty": (b"", "it is empty"),
    "three bytes": (WHOLE[:3], "it begins with"),
    "another mark": (b"\x89PNG" + WHOLE[4:], "it begins with b'.x89PNG'"),
    "unknown type": (b"\0\0\x0a\1" + WHOLE[4:], "type 0x0a is not one of 0x08, 0x09"),
    "no axes": (b"\0\0\x08\0" + WHOLE[4:], "it has no axes"),
    "half a header": (WHOLE[:9], "ends within the sizes of its 3 axes"),
    "cut short": (WHOLE[:-1], "says 24 bytes"),
    "cut short and packed": (gzip.compress(WHOLE[:-1]), "and it has 23: cut short"),
    "too long": (WHOLE + b"\0", "more follow"),
    "too long and packed": (gzip.compress(WHOLE + b"\0"), "more follow"),
    "a lie about its size": (HUGE, "and the most it can hold is 20"),
    "a packed lie about its size": (gzip.compress(HUGE), "and the most it can hold is"),
    "too many axes": (bytes([0, 0, 8, 60]) + struct.pack(">60I", *[1] * 60) + b"\0", "60 axes"),
    "gzip cut short": (PACKED[:-9], "cannot be unpacked"),
    "gzip with a wrong checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "cannot be unpacked"),
    "gzip damaged inside": (PACKED[:14] + b"\xff\xff\xff" + PACKED[17:], "cannot be unpacked"),
}


@pytest.mark.parametrize("case", BAD)
def test_n24_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, case):
    content, message = BAD[case]
    (tmp_path / "bad.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        idx.read(tmp_path / "bad.gz")
    assert "bad.gz" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
@settings(max_examples=60)
def test_n24_a_flipped_byte_of_a_packed_file_is_refused_or_changes_nothing(tmp_path_factory, place, change):
    content = bytearray(PACKED)
    content[place] ^= change
    path = tmp_path_factory.mktemp("idx") / "flipped"
    path.write_bytes(content)
    try:
        found = idx.read(path)
    except ValueError as error:
        said = str(error)
    else:
        said = ""
        assert found.tobytes() == bytes(range(24)), "only what gzip does not use may change unnoticed"
    assert "\n" not in said


def test_n24_what_is_no_file_is_no_array(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nowhere"):
        with pytest.raises(OSError, match=path.name):
            idx.read(path)
