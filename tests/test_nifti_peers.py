"""Scans of every kind against nibabel: the same values, affine, spacings, whatever its header says."""

import gzip
import logging
import struct
import tracemalloc

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import nifti

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it tells every field that it mends

EPS = float(np.finfo(np.float32).eps)
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "c8", "c16"]
KINDS = {
    "nifti1": (nibabel.Nifti1Header, nibabel.Nifti1Image),
    "nifti1 pair": (nibabel.nifti1.Nifti1PairHeader, nibabel.Nifti1Pair),
    "nifti2": (nibabel.Nifti2Header, nibabel.Nifti2Image),
    "nifti2 pair": (nibabel.nifti2.Nifti2PairHeader, nibabel.Nifti2Pair),
    "analyze": (nibabel.spm2analyze.Spm2AnalyzeHeader, nibabel.Spm2AnalyzeImage),
}


def rotation(seed):
    """A random rotation."""
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return turn * np.linalg.det(turn)


@st.composite
def headers(draw):
    """A header of nibabel's with fields as files have them, and stored values for it."""
    kind = draw(st.sampled_from(list(KINDS)))
    header = KINDS[kind][0](endianness=draw(st.sampled_from("<>")))
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    types = [t for t in TYPES if kind != "analyze" or t in ("u1", "i2", "i4", "f4", "f8")]
    header.set_data_dtype(draw(st.sampled_from(types)))
    header.set_data_shape(shape)
    numbers = st.one_of(st.sampled_from([0.0, 1.0, float("nan"), float("inf")]), st.floats(-100, 100, width=32))
    header["scl_slope"] = draw(numbers)
    header["scl_inter"] = draw(numbers)
    size = st.floats(0.125, 8, width=32)
    header["pixdim"][1:] = [draw(st.one_of(st.just(0.0), size, size.map(lambda z: -z))) for _ in range(7)]
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    if kind == "analyze":
        header["origin"][:3] = draw(st.tuples(*[st.integers(-9, 9)] * 3))
        header["glmax"], header["glmin"] = draw(st.sampled_from([(0, 0), (255, 0), (100, -20)]))
        header["cal_max"], header["cal_min"] = draw(st.sampled_from([(0, 0), (1, 0), (7.5, -1)]))
    else:
        header["sform_code"], header["qform_code"] = (draw(st.sampled_from([0, 0, 1, 2, 4, 5, 77])) for _ in range(2))
        header["pixdim"][0] = draw(st.sampled_from([-1, 0, 1, 2]))
        eps = float(np.finfo(header["quatern_b"].dtype).eps)
        turn = nibabel.quaternions.mat2quat(rotation(rng.integers(2**31)))[1:]
        turn = draw(
            st.sampled_from([turn, (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0.6, 0.8), np.array([0.6, 0.8, 0]) * (1 + eps)])
        )
        header["quatern_b"], header["quatern_c"], header["quatern_d"] = turn
        for name in ("qoffset_x", "qoffset_y", "qoffset_z"):
            header[name] = rng.normal() * 100
        header["srow_x"], header["srow_y"], header["srow_z"] = rng.normal(size=(3, 4)) * 10
        header["xyzt_units"] = draw(st.sampled_from([0, 1, 2, 3, 10, 18, 26, 34]))
        header["descrip"] = draw(st.sampled_from([b"", b"a scan", "Größe".encode("latin-1")]))
    stored = rng.integers(0, 127, shape).astype(header.get_data_dtype())
    return kind, header, stored


def saved(folder, kind, header, stored, packed=False):
    """A file or a pair as the header says; the name to read it by."""
    end, pack = (".gz", lambda content: gzip.compress(content, 1)) if packed else ("", bytes)
    single = kind in ("nifti1", "nifti2")
    if single:
        header["vox_offset"] = header.single_vox_offset
    body, head = stored.tobytes(order="F"), header.binaryblock + (b"" if kind == "analyze" else bytes(4))
    if single:
        (folder / f"a.nii{end}").write_bytes(pack(head + body))
        return folder / f"a.nii{end}"
    (folder / f"a.hdr{end}").write_bytes(pack(head))
    (folder / f"a.img{end}").write_bytes(pack(body))
    return folder / f"a.hdr{end}"


def agree(path, image):
    """That a file read here is what nibabel makes of it."""
    volume, header = nifti.read(path), nifti.header(path)
    with np.errstate(all="ignore"):
        theirs = np.asarray(image.dataobj)
    assert volume.data.dtype == theirs.dtype.newbyteorder("=") == header.dtype
    np.testing.assert_array_equal(volume.data, theirs)
    assert volume.data.flags.c_contiguous
    assert volume.data.flags.writeable
    per = nifti.millimetres(image)
    zooms = np.array(image.header.get_zooms(), np.float64)
    assert volume.meta["spacing"] == (*(zooms[:3] * per), *zooms[3:])
    # nibabel works partly in float32: two roundings of each product and of what is summed to an origin
    scale = np.abs(image.affine).sum() + np.abs(image.affine[:3, :3] @ np.array([*theirs.shape, 1, 1, 1])[:3]).sum()
    np.testing.assert_allclose(volume.affine[:3] / per, image.affine[:3], rtol=0, atol=2 * EPS * scale)
    assert (header.shape, header.meta) == (volume.data.shape, volume.meta)
    np.testing.assert_array_equal(header.affine, volume.affine)
    for count in (1, 2, None):
        blocks = list(nifti.slices(path, count))
        np.testing.assert_array_equal(np.concatenate(blocks, header.axis), volume.data)
        assert count is None or max(block.shape[header.axis] for block in blocks) <= count
    return volume


@examples(300)
@given(drawn=headers(), packed=st.booleans())
def test_a_drawn_header_is_read_as_nibabel_reads_it(tmp_path_factory, drawn, packed):
    kind, header, stored = drawn
    folder = tmp_path_factory.mktemp("drawn")
    path = saved(folder, kind, header, stored, packed)
    try:
        image = KINDS[kind][1].load(path)
        with np.errstate(all="ignore"):
            np.asarray(image.dataobj)
    except nibabel.spatialimages.HeaderDataError:
        with pytest.raises(ValueError, match=path.name.split(".")[0]):
            nifti.read(path)
        return
    if kind == "analyze":
        (folder / "a.mat").unlink(missing_ok=True)
    volume = agree(path, image)
    if kind.startswith("nifti"):
        space, time = image.header.get_xyzt_units()
        assert volume.meta["units"] == ("unknown" if space == "unknown" else "mm", time)
        assert nifti.millimetres(image) == {"meter": 1000, "micron": 0.001}.get(space, 1)
    if "pair" in kind or kind == "analyze":
        other = nifti.read(str(path).replace(".hdr", ".img"))
        np.testing.assert_array_equal(other.data, volume.data)
        assert other.meta == volume.meta


def test_every_scan_at_hand_is_read_as_nibabel_reads_it(data_root):
    paths = [p for folder in ("volumes", "fmri") for p in sorted((data_root / folder).rglob("*.*"))]
    scans = [p for p in paths if p.name.endswith((".nii", ".nii.gz", ".mgz"))]
    assert scans
    for path in scans:
        image = nibabel.load(path)
        volume = nifti.read(path)
        np.testing.assert_array_equal(volume.data, np.asarray(image.dataobj), str(path))
        scale = np.abs(image.affine).sum() + np.abs(image.affine[:3, :3] @ volume.data.shape[:3]).sum()
        np.testing.assert_allclose(volume.affine, image.affine, rtol=0, atol=2 * EPS * scale, err_msg=str(path))
        assert volume.meta["spacing"] == tuple(float(z) for z in image.header.get_zooms()), path
        assert nifti.orientation(volume.affine) == "".join(nibabel.aff2axcodes(image.affine)), path


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "i2", "u2"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 5, 6), (1, 1, 7)])
def test_freesurfers_volumes_are_read(tmp_path, dtype, ending, shape):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation(3) * [1, 2, 0.5], (5, -90, 31)
    image = nibabel.MGHImage(np.arange(np.prod(shape)).reshape(shape).astype(dtype), affine)
    image.header.set_zooms((1, 2, 0.5, 2500)[: len(shape)])
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(image.to_bytes()) if ending == ".mgz" else image.to_bytes())
    volume = agree(path, nibabel.MGHImage.from_bytes(image.to_bytes()))
    assert volume.meta["format"] == "mgh"
    assert volume.meta["units"] == ("mm", "msec" if len(shape) == 4 else "unknown")


def mgh(**changes):
    """An MGH file, honest unless told to lie."""
    content = bytearray(nibabel.MGHImage(np.zeros((3, 4, 5), np.int16), np.diag([2.0, 2, 3, 1])).to_bytes())
    for where, layout, *values in changes.values():
        struct.pack_into(layout, content, where, *values)
    return bytes(content)


def test_an_mgh_file_without_directions_lies_as_freesurfer_has_it(tmp_path):
    path = tmp_path / "a.mgh"
    path.write_bytes(mgh(good=(28, ">h", 0), z=(30, ">f", float("nan"))))
    volume = nifti.read(path)
    assert nifti.orientation(volume.affine) == "LIA"  # FreeSurfer's own; nibabel has its transpose
    assert volume.meta["spacing"] == (1, 1, 1)
    np.testing.assert_array_equal(volume.affine @ [1.5, 2, 2.5, 1], [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mgh(d=(4, ">i", 0)), r"its sizes \(0, 4, 5, 1\) are no 4 positive numbers"),
        (mgh(d=(8, ">i", -4)), "are no 4 positive numbers"),
        (mgh(d=(4, ">4i", *[2**31 - 1] * 4)), "no file holds so many"),
        (mgh(d=(4, ">3i", 30000, 300, 1000)), "truncated: its header says 18000000284 bytes"),
        (mgh()[:200], "200 bytes of a header of 284"),
        (mgh()[:-60], "truncated: its header says 404 bytes"),
        (gzip.compress(mgh()[:-60], mtime=0), "truncated: its header says 404 bytes, it has"),
        (gzip.compress(mgh(), mtime=0)[:-9], "cannot be unpacked"),
        (mgh(t=(20, ">i", 2)), "its type 2 is none that is read"),
        (mgh(z=(30, ">f", 0.0)), "its affine is singular"),
        (mgh(z=(30, ">f", float("nan"))), "its affine holds values that are NaN"),
    ],
)
def test_an_mgh_file_that_lies_is_refused(tmp_path, content, message):
    path = tmp_path / "a.mgz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        nifti.read(path)
    assert "a.mgz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("colours", ["RGB", "RGBA"])
def test_colours_are_a_last_axis_and_are_written_as_colours(tmp_path, colours):
    stored = np.random.default_rng(0).integers(0, 256, (4, 3, 2, len(colours)), np.uint8)
    voxels = stored.view(np.dtype([(c, "u1") for c in colours]))[..., 0]
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1])), tmp_path / "a.nii.gz")
    volume = nifti.read(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.data, stored)
    assert volume.meta["channels"] == volume.meta["dtype"] == colours
    assert volume.meta["spacing"] == (2, 2, 3)
    np.testing.assert_array_equal(np.concatenate(list(nifti.slices(tmp_path / "a.nii.gz", 1)), 2), stored)
    nifti.write(tmp_path / "b.nii", volume.data, volume.affine, like=volume)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "b.nii").dataobj), voxels)
    assert nifti.read(tmp_path / "b.nii").meta == volume.meta
    np.testing.assert_array_equal(nifti.volume_of(nibabel.load(tmp_path / "b.nii")).data, stored)


def test_vectors_are_a_fifth_axis_and_keep_their_intent(tmp_path):
    data = np.random.default_rng(0).normal(size=(4, 3, 2, 1, 3)).astype("f4")
    image = nibabel.Nifti1Image(data, np.diag([2.0, 2, 3, 1]))
    image.header.set_intent("vector", (), "shift")
    nibabel.save(image, tmp_path / "a.nii.gz")
    volume = agree(tmp_path / "a.nii.gz", nibabel.load(tmp_path / "a.nii.gz"))
    assert (volume.meta["intent"][0], volume.meta["intent_name"]) == (1007, "shift")
    nifti.write(tmp_path / "b.nii.gz", volume.data, volume.affine, like=volume)
    assert nibabel.load(tmp_path / "b.nii.gz").header.get_intent() == ("vector", (), "shift")


@pytest.mark.parametrize("shape", [(163842, 1, 1), (40000, 1, 1, 2)])
def test_long_vectors_of_freesurfer_are_read(tmp_path, shape):
    with pytest.warns(UserWarning, match="large vector") if shape[0] == 40000 else np.errstate():
        nibabel.save(
            nibabel.Nifti1Image(np.arange(np.prod(shape)).reshape(shape).astype("f4"), np.eye(4)), tmp_path / "a.nii"
        )
    np.testing.assert_array_equal(
        nifti.read(tmp_path / "a.nii").data, np.asarray(nibabel.load(tmp_path / "a.nii").dataobj)
    )


def test_a_pair_lacks_nothing(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.arange(24, dtype="i2").reshape(4, 3, 2), np.eye(4)), tmp_path / "a.img")
    assert nifti.read(tmp_path / "a.img").data.shape == (4, 3, 2)
    content = (tmp_path / "a.img").read_bytes()
    for wrong, message in [
        (content[:-1], "truncated"),
        (content + b"more", "more follows its voxels"),
        (b"", "truncated"),
    ]:
        (tmp_path / "a.img").write_bytes(wrong)
        with pytest.raises(ValueError, match=rf"a\.img.*{message}"):
            nifti.read(tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    with pytest.raises(ValueError, match=r"a\.hdr.*its image .* is not beside it"):
        nifti.read(tmp_path / "a.hdr")
    (tmp_path / "a.hdr").rename(tmp_path / "A.HDR")
    (tmp_path / "A.IMG.gz").write_bytes(gzip.compress(content))
    np.testing.assert_array_equal(
        nifti.read(tmp_path / "A.HDR").data.ravel("K"), np.arange(24).reshape(4, 3, 2).ravel()
    )


def test_an_analyze_pair_whose_affine_is_elsewhere_is_refused(tmp_path):
    pytest.importorskip("scipy")
    nibabel.save(nibabel.Spm2AnalyzeImage(np.zeros((4, 3, 2), "i2"), np.diag([2.0, 2, 3, 1])), tmp_path / "a.img")
    with pytest.raises(ValueError, match=r"a\.hdr.*its affine is in 'a\.mat', which is not read: convert"):
        nifti.read(tmp_path / "a.hdr")


def test_slices_take_the_room_of_a_block(tmp_path):
    data = np.zeros((64, 64, 512), np.float32)
    nifti.write(tmp_path / "a.nii.gz", data, np.eye(4))
    tracemalloc.start()
    total = sum(block.shape[2] for block in nifti.slices(tmp_path / "a.nii.gz", 4))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 512
    assert most < 4 * 4 * data[..., 0].nbytes + (1 << 20)  # a block, its room, those before them; gzip's own
    with pytest.raises(ValueError, match="count 0 of slices must be at least 1"):
        nifti.slices(tmp_path / "a.nii.gz", 0)


def test_a_damaged_end_ends_the_slices_with_an_error(tmp_path):
    path = tmp_path / "a.nii.gz"
    nifti.write(path, np.zeros((8, 8, 8), np.float32), np.eye(4))
    path.write_bytes(path.read_bytes()[:-8] + b"12345678")
    assert nifti.header(path).shape == (8, 8, 8)
    blocks = nifti.slices(path, 4)
    assert next(blocks).shape == (8, 8, 4)
    with pytest.raises(ValueError, match=r"a\.nii\.gz.*cannot be unpacked"):
        list(blocks)
