"""Zarr arrays: every coding as the zarr library writes it, lies and links refused in one line, no size believed."""

import bz2
import gzip
import json
import lzma
import os
import shutil
import tracemalloc
import zlib

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from zarr import codecs

from sigconv.readers import _zarr_chunks, _zarr_codecs
from sigconv.readers import zarr as reader

TYPES = ("bool", "int8", "uint16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128")
PACKERS = {
    "plain": None,
    "gzip": codecs.GzipCodec(level=1),
    "zstd": codecs.ZstdCodec(level=1),
    "zstd with its sum": codecs.ZstdCodec(level=1, checksum=True),
    "blosc": codecs.BloscCodec(cname="lz4", shuffle="shuffle", typesize=4),
    "crc32c": codecs.Crc32cCodec(),
    "two": (codecs.GzipCodec(level=1), codecs.Crc32cCodec()),
    "twice": (codecs.ZstdCodec(level=1), codecs.GzipCodec(level=1)),
}


def values(shape, dtype="float32"):
    rng = np.random.default_rng(0)
    found = rng.integers(0, 100, shape).astype(dtype)
    return found + 1j * found if np.dtype(dtype).kind == "c" else found


def made(path, x, **options):
    """An array of version 3 by the library, x in it."""
    given = {"shards": None, "compressors": None, "chunks": tuple(max(n // 2, 1) for n in x.shape)} | options
    array = zarr.create_array(store=str(path), shape=x.shape, dtype=x.dtype, **given)
    array[...] = x
    return array


def old(path, x, compressor=None, **options):
    """One of version 2."""
    given = {"chunks": tuple(max(n // 2, 1) for n in x.shape), "compressors": compressor} | options
    array = zarr.create_array(store=str(path), shape=x.shape, dtype=x.dtype, zarr_format=2, **given)
    array[...] = x
    return array


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("form", [2, 3])
def test_every_type_reads_as_it_was_written(tmp_path, form, dtype):
    x = values((5, 7), dtype)
    (made if form == 3 else old)(tmp_path / "a.zarr", x)
    array = reader.open(tmp_path / "a.zarr")
    assert (array.shape, array.dtype, array.ndim, array.size, array.nbytes) == (x.shape, x.dtype, 2, 35, x.nbytes)
    np.testing.assert_array_equal(reader.read(tmp_path / "a.zarr"), x, strict=True)
    np.testing.assert_array_equal(np.asarray(array), x, strict=True)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("shards", [None, (6, 8)])
def test_every_codec_reads_as_it_was_written(tmp_path, packer, shards):
    x = values((11, 13))
    made(tmp_path / "a", x, chunks=(3, 4), shards=shards, compressors=PACKERS[packer])
    array = reader.open(tmp_path / "a")
    assert (array.chunks, array.inner) == (shards or (3, 4), (3, 4))
    np.testing.assert_array_equal(array[...], x, strict=True)
    np.testing.assert_array_equal(array[2:9, 5], x[2:9, 5], strict=True)


@pytest.mark.parametrize("name", ["Blosc", "GZip", "Zlib", "Zstd", "LZ4", "BZ2", "LZMA"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_packer_of_version_2_reads_as_it_was_written(tmp_path, name, order):
    x = values((4, 5, 6), ">i4" if name == "Zlib" else "int32")
    old(tmp_path / "a", x, getattr(numcodecs, name)(), order=order, chunk_key_encoding={"name": "v2", "separator": "/"})
    assert reader.read(tmp_path / "a").dtype == np.dtype("int32")
    np.testing.assert_array_equal(reader.read(tmp_path / "a"), x)


def test_axes_in_another_order_bytes_too_and_shards_at_the_start(tmp_path):
    x = values((4, 6, 8))
    turn = codecs.TransposeCodec(order=(2, 0, 1))
    made(tmp_path / "a", x, filters=[turn], serializer=codecs.BytesCodec(endian="big"))
    np.testing.assert_array_equal(reader.read(tmp_path / "a"), x, strict=True)
    shard = codecs.ShardingCodec(chunk_shape=(2, 3, 4), codecs=[turn, codecs.BytesCodec()], index_location="start")
    made(tmp_path / "b", x, chunks=(4, 6, 8), serializer=shard)
    np.testing.assert_array_equal(reader.open(tmp_path / "b")[1:3, 2:, ::3], x[1:3, 2:, ::3], strict=True)
    inner = codecs.ShardingCodec(chunk_shape=(1, 3, 2), codecs=[codecs.BytesCodec(), codecs.Crc32cCodec()])
    made(tmp_path / "c", x, chunks=(4, 6, 8), serializer=codecs.ShardingCodec(chunk_shape=(2, 3, 4), codecs=[inner]))
    np.testing.assert_array_equal(reader.read(tmp_path / "c"), x, strict=True)
    assert reader.open(tmp_path / "c").inner == (1, 3, 2)
    outer = codecs.ShardingCodec(chunk_shape=(4, 2, 2), codecs=[codecs.BytesCodec()])
    packed = codecs.GzipCodec()
    with pytest.warns(UserWarning, match="disables partial reads"):
        made(tmp_path / "d", x, chunks=(4, 6, 8), filters=[turn], serializer=outer, compressors=packed)
    np.testing.assert_array_equal(reader.read(tmp_path / "d"), x, strict=True)
    assert reader.open(tmp_path / "d").inner == (4, 6, 8)


@pytest.mark.parametrize("fill", [0, 7.5, float("nan"), float("-inf"), -0.0])
@pytest.mark.parametrize("form", [2, 3])
def test_what_is_not_there_is_filled(tmp_path, fill, form):
    make = {"store": str(tmp_path / "a"), "shape": (6, 6), "chunks": (2, 3), "dtype": "float32", "fill_value": fill}
    array = zarr.create_array(**make, zarr_format=form)
    array[:2, :3] = 1
    found, expected = reader.read(tmp_path / "a"), zarr.open_array(str(tmp_path / "a"), mode="r")[...]
    np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def test_no_axes_no_numbers_and_attributes(tmp_path):
    for form in (2, 3):
        place = {"store": str(tmp_path / f"point{form}"), "zarr_format": form}
        zarr.create_array(**place, shape=(), dtype="int16", attributes={"fs": 8000})[...] = 5
        array = reader.open(tmp_path / f"point{form}")
        assert (array[()], array[...].shape, array.attrs) == (5, (), {"fs": 8000})
        with pytest.raises(TypeError, match="no axes"):
            len(array)
    made(tmp_path / "none", np.zeros((0, 3)), chunks=(1, 3))
    assert reader.read(tmp_path / "none").shape == (0, 3)
    assert len(reader.open(tmp_path / "none")) == 0
    with pytest.raises(ValueError, match="on disk"):
        np.array(reader.open(tmp_path / "none"), copy=False)


@given(st.data())
@examples(40)
def test_any_part_is_that_of_numpy(tmp_path_factory, data):
    x = values((7, 5, 9))
    path = tmp_path_factory.getbasetemp() / "parts"
    if not path.exists():
        made(path, x, chunks=(2, 5, 3), shards=(4, 5, 6), compressors=PACKERS["zstd"])
    axis = lambda n: st.integers(-n, n - 1) | st.slices(n).filter(lambda s: (s.step or 1) > 0) | st.just(slice(None))
    key = data.draw(
        st.lists(st.integers(0, 2), unique=True).flatmap(lambda k: st.tuples(*[axis(n) for n in (7, 5, 9)][: len(k)]))
    )
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(key)))
        if at == len(key) or (at == 0 and not key):
            key = (*key[:at], ..., *key[at:])
    np.testing.assert_array_equal(reader.open(path)[key], x[key], strict=True)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (7, "7 is not within axis 0"),
        ((0, 0, 0), "more places"),
        ((..., ...), "more places"),
        (slice(None, None, -1), "step -1"),
        ("x", "no whole number"),
        ([1, 2], "no whole number"),
    ],
)
def test_other_keys_are_refused(tmp_path, key, said):
    made(tmp_path / "a", values((7, 5)))
    with pytest.raises(IndexError, match=said):
        reader.open(tmp_path / "a")[key]


def test_a_group_of_one_array_is_it_and_of_several_names_them(tmp_path):
    group = zarr.open_group(str(tmp_path / "g"), mode="w")
    group.create_group("deep").create_array("one", shape=(3,), dtype="int8")[...] = 4
    assert reader.read(tmp_path / "g").tolist() == [4, 4, 4]
    group.create_array("two", shape=(2,), dtype="int8")
    with pytest.raises(ValueError, match=r"holds 2 arrays, 'deep/one', 'two': name one, '.*/g/deep/one'"):
        reader.open(tmp_path / "g")
    assert reader.open(tmp_path / "g" / "two").shape == (2,)
    zarr.open_group(str(tmp_path / "none"), mode="w", zarr_format=2)
    with pytest.raises(ValueError, match="a group without arrays"):
        reader.open(tmp_path / "none")


def changed(path, **what):
    """The array's metadata with other words; None takes one out."""
    place = path / "zarr.json"
    if not place.exists():
        place = path / ".zarray"
    said = {name: word for name, word in (json.loads(place.read_text()) | what).items() if word is not None}
    place.write_text(json.dumps(said))


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
SHARDS = {"chunk_shape": [3, 5], "codecs": [BYTES], "index_codecs": [BYTES]}
LIES = {
    "no shape": ({"shape": None}, "no 'shape'"),
    "huge": ({"shape": [2**50, 4]}, "not up to 16 whole numbers"),
    "huge in all": ({"shape": [2**40, 2**40]}, "larger than any array"),
    "negative": ({"shape": [-1, 4]}, "not up to 16 whole numbers"),
    "words": ({"shape": ["6", 4]}, "not up to 16 whole numbers"),
    "too many axes": ({"shape": [1] * 17}, "not up to 16 whole numbers"),
    "objects": ({"data_type": "string"}, "data_type 'string' is not one of"),
    "any type": ({"data_type": {"name": "numpy.object"}}, "is not one of"),
    "other grid": ({"chunk_grid": {"name": "rectilinear", "configuration": {}}}, "'rectilinear' is not regular"),
    "chunks of nothing": (
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 5]}}},
        "not 2 whole numbers from 1",
    ),
    "a bomb of a chunk": (
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**20, 2**20]}}},
        "are read at once",
    ),
    "pickle": ({"codecs": [BYTES, {"name": "numcodecs.pickle"}]}, "codec 'pickle' is not one"),
    "no bytes": ({"codecs": [{"name": "gzip"}]}, "codec 'gzip' is not one"),
    "vlen": ({"codecs": [{"name": "vlen-utf8"}]}, "codec 'vlen-utf8' is not one"),
    "no codecs": ({"codecs": []}, "no list of 1 to 8"),
    "many codecs": ({"codecs": [BYTES] * 9}, "no list of 1 to 8"),
    "wrong turn": ({"codecs": [{"name": "transpose", "configuration": {"order": [0, 0]}}, BYTES]}, "no order of 2"),
    "shards that do not fit": (
        {"codecs": [{"name": "sharding_indexed", "configuration": {**SHARDS, "chunk_shape": [2, 5]}}]},
        "do not divide",
    ),
    "packed index": (
        {
            "codecs": [
                {"name": "sharding_indexed", "configuration": {**SHARDS, "index_codecs": [BYTES, {"name": "gzip"}]}}
            ]
        },
        "index of its shards is packed",
    ),
    "unknown part": ({"executable": True}, "has 'executable', which is not known"),
    "transformers": ({"storage_transformers": [{"name": "x"}]}, "storage transformers"),
    "fill": ({"fill_value": "os.system"}, "fill_value 'os.system' is no float32"),
    "keys": ({"chunk_key_encoding": {"name": "../.."}}, "is not default or v2"),
    "separator": (
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../"}}},
        "is not '.' or '/'",
    ),
    "version": ({"zarr_format": 4}, "neither that of an array nor of a group"),
    "attributes": ({"attributes": [1]}, "attributes are no object"),
}


@pytest.mark.parametrize("lie", LIES)
def test_metadata_that_lie_are_refused_in_one_line(tmp_path, lie):
    what, said = LIES[lie]
    made(tmp_path / "bad one", values((6, 10)), chunks=(3, 5))
    changed(tmp_path / "bad one", **what)
    with pytest.raises(ValueError, match=said) as caught:
        reader.open(tmp_path / "bad one")
    assert "bad one' is not a usable zarr array: " in str(caught.value)
    assert "\n" not in str(caught.value)


OLDER = {
    "objects": ({"dtype": "|O"}, "dtype '\\|O' is not plain numbers"),
    "records": ({"dtype": [["a", "<i4"]]}, "is not plain numbers"),
    "long numbers": ({"dtype": "<f16"}, "is not plain numbers"),
    "filters": ({"filters": [{"id": "pickle"}]}, "filters .*pickle.* are not read"),
    "pickle": ({"compressor": {"id": "pickle"}}, "compressor 'pickle' is not one of"),
    "order": ({"order": "K"}, "order 'K'"),
    "separator": ({"dimension_separator": ".."}, "dimension_separator"),
    "version": ({"zarr_format": 1}, "not of version 2"),
}


@pytest.mark.parametrize("lie", OLDER)
def test_older_metadata_that_lie_are_refused_in_one_line(tmp_path, lie):
    what, said = OLDER[lie]
    old(tmp_path / "a", values((6, 10)))
    changed(tmp_path / "a", **what)
    with pytest.raises(ValueError, match=said):
        reader.open(tmp_path / "a")


def test_metadata_of_any_length_depth_or_kind_are_refused(tmp_path):
    made(tmp_path / "a", values((6, 10)))
    for text, said in (
        (b"{" * 100_000, "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no object"),
        (b" " * (1 << 20) + b"{}", "more than 1048576 bytes"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b'{"zarr_format": ' + b"9" * 5000 + b"}", "not JSON"),
    ):
        (tmp_path / "a" / "zarr.json").write_bytes(text)
        with pytest.raises(ValueError, match=said) as caught:
            reader.open(tmp_path / "a")
        assert "\n" not in str(caught.value)
    with pytest.raises(NotADirectoryError, match=r"zarr\.json' is no folder"):
        reader.open(tmp_path / "a" / "zarr.json")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        reader.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"it has no zarr\.json"):
        reader.open(tmp_path / "empty")


HOSTILE = {
    "a link out": (lambda chunk: chunk.symlink_to("../../../secret"), "a link that leads out"),
    "a pipe": (os.mkfifo, "not a regular file"),
    "a folder": (lambda chunk: chunk.mkdir(), "not a regular file"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_link_leads_out_and_no_pipe_is_waited_for(tmp_path, kind):
    make, said = HOSTILE[kind]
    made(tmp_path / "a", values((6, 10)), chunks=(3, 5))
    (tmp_path / "secret").write_bytes(bytes(60))
    (tmp_path / "a" / "c" / "0" / "1").unlink()
    make(tmp_path / "a" / "c" / "0" / "1")
    with pytest.raises(ValueError, match=f"'c/0/1' in it is {said}"):
        reader.read(tmp_path / "a")
    if kind != "a folder":
        with pytest.raises(ValueError, match="'c/0/1' in it is neither a regular file nor a folder"):
            reader.digest(tmp_path / "a")


def test_a_linked_folder_leads_nowhere_else_and_may_lead_within(tmp_path):
    path = tmp_path / "a"
    made(path, values((6, 10)), chunks=(3, 5))
    shutil.move(path / "c" / "1", tmp_path / "outside")
    (path / "c" / "1").symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match=r"'c/1/0' in it is a link that leads out"):
        reader.open(path)[4, 0]
    (path / "c" / "1").unlink()
    shutil.move(tmp_path / "outside", path / "c" / "one")
    (path / "c" / "1").symlink_to("one")
    assert reader.open(path)[4, 0] == values((6, 10))[4, 0]


@pytest.mark.parametrize("packer", [name for name in PACKERS if name != "plain"])
@pytest.mark.parametrize("shards", [None, (8, 8)])
def test_a_chunk_that_is_cut_or_too_long_is_refused(tmp_path, packer, shards):
    x = values((8, 8))
    made(tmp_path / "a", x, chunks=(8, 8) if shards is None else (4, 4), shards=shards, compressors=PACKERS[packer])
    place = tmp_path / "a" / "c" / "0" / "0"
    whole = place.read_bytes()
    for bad in (whole[: len(whole) // 2], whole[:3], b""):
        place.write_bytes(bad)
        with pytest.raises(ValueError, match="not a usable zarr array: a (chunk|shard)") as caught:
            reader.read(tmp_path / "a")
        assert "\n" not in str(caught.value)


def test_what_holds_a_sum_is_held_to_it(tmp_path):
    for packer in ("gzip", "crc32c", "zstd with its sum"):
        made(tmp_path / packer, values((8, 8)), compressors=PACKERS[packer], chunks=(8, 8))
        place = tmp_path / packer / "c" / "0" / "0"
        whole = bytearray(place.read_bytes())
        whole[len(whole) // 2] ^= 4
        place.write_bytes(whole)
        with pytest.raises(ValueError, match="cannot be unpacked"):
            reader.read(tmp_path / packer)


ZEROS = bytes(1 << 24)
RUN = ((1 << 20) - 1) << 3 | 1 << 1  # a block of zstd, of a megabyte of one byte
BOMBS = {  # what unpacks to far more than a chunk of 64 numbers
    "gzip": lambda: gzip.compress(ZEROS),
    "gzip, second member": lambda: gzip.compress(b"") + gzip.compress(ZEROS),
    "bz2": lambda: bz2.compress(ZEROS),
    "lzma": lambda: lzma.compress(ZEROS),
    "zstd": lambda: numcodecs.Zstd().encode(ZEROS),
    "zstd, no size": lambda: b"\x28\xb5\x2f\xfd\x00\x58" + (RUN.to_bytes(3, "little") + b"\0") * 4000,
    "zstd, no size, ended": lambda: b"\x28\xb5\x2f\xfd\x00\x58" + ((RUN | 1).to_bytes(3, "little") + b"\0") * 2,
    "lz4": lambda: numcodecs.LZ4().encode(ZEROS),
    "blosc": lambda: numcodecs.Blosc().encode(ZEROS),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_does_not_go_off(tmp_path, bomb):
    packer = bomb.split(",")[0]
    old(tmp_path / "a", values((8, 8)), None, chunks=(8, 8))
    changed(tmp_path / "a", compressor={"id": packer})
    (tmp_path / "a" / "0.0").write_bytes(BOMBS[bomb]())
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"cannot be unpacked by {packer}|takes 256 bytes, one has"):
        reader.read(tmp_path / "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(ZEROS)


@pytest.mark.parametrize("cut", [0, 1])
def test_many_members_are_unpacked_in_pieces_and_not_each_with_all_that_is_left(monkeypatch, cut):
    x, fed, unpacker = np.random.default_rng(0).bytes(100_000), [], zlib.decompressobj

    class Noted:
        def __init__(self, kind):
            self.inner = unpacker(kind)
            self.unused_data, self.eof = b"", False

        def decompress(self, piece, most):
            fed.append(len(piece))
            found = self.inner.decompress(piece, most)
            self.unused_data, self.eof = self.inner.unused_data, self.inner.eof
            return found

    monkeypatch.setattr(_zarr_codecs.zlib, "decompressobj", Noted)
    data = gzip.compress(b"") * 300 + gzip.compress(x[:70_000]) + gzip.compress(b"") * 3 + gzip.compress(x[70_000:])
    if cut:
        with pytest.raises(ValueError, match="cut short"):
            _zarr_codecs.UNPACK["gzip"](data[:-cut], len(x))
    else:
        assert _zarr_codecs.UNPACK["gzip"](data, len(x)) == x
        with pytest.raises(ValueError, match="more than 99999 bytes"):
            _zarr_codecs.UNPACK["gzip"](data, len(x) - 1)
    assert max(fed) <= _zarr_codecs.PIECE


def test_a_frame_that_does_not_say_its_size_is_read(tmp_path):
    """zstd of a stream, as other programs write it: no size in the header, blocks up to the last."""
    x = values((8, 8))
    block = lambda data, last: (len(data) << 3 | last).to_bytes(3, "little") + data
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + block(x.tobytes()[:100], 0) + block(x.tobytes()[100:], 1)
    old(tmp_path / "a", x, None, chunks=(8, 8))
    changed(tmp_path / "a", compressor={"id": "zstd"})
    (tmp_path / "a" / "0.0").write_bytes(frame)
    np.testing.assert_array_equal(reader.read(tmp_path / "a"), x, strict=True)


def test_too_much_at_once_is_refused_before_room_is_taken(tmp_path):
    made(tmp_path / "a", values((4, 4)), chunks=(2, 2))
    changed(tmp_path / "a", shape=[2**30, 2**10])
    array = reader.open(tmp_path / "a")
    assert array[:2, 0].shape == (2,)
    with pytest.raises(ValueError, match="bytes, and .* are read at once"):
        reader.read(tmp_path / "a")
    with pytest.raises(ValueError, match="of its chunks .* are asked for"):
        array[: 2**24, 0]
    changed(
        tmp_path / "a",
        shape=[2**44, 2**10],
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": [2**12, 2**10]}},
    )
    with pytest.raises(ValueError, match="more than there is room for|are asked for"):
        reader.open(tmp_path / "a")[: 2**31]


def test_a_digest_is_that_of_names_and_contents(tmp_path):
    made(tmp_path / "a", values((6, 10)))
    first = reader.digest(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert reader.digest(tmp_path / "b") == first
    assert len(first) == 64
    (tmp_path / "b" / "c" / "0" / "0").write_bytes(b"x")
    assert reader.digest(tmp_path / "b") != first
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    (tmp_path / "c" / "c" / "0").rename(tmp_path / "c" / "c" / "9")
    assert reader.digest(tmp_path / "c") != first


def test_the_codecs_are_called_by_no_other_name():
    assert set(_zarr_codecs.UNPACK) == {"gzip", "zlib", "zstd", "blosc", "lz4", "bz2", "lzma", "crc32c"}
    assert _zarr_codecs.crc32c(b"") == 0
    assert _zarr_chunks.NONE == 0xFFFFFFFFFFFFFFFF
