"""Scans in, scans out: affine, spacings, orientation right for every stride and axis order, by nibabel and by place."""

import itertools

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import nifti

EPS = float(np.finfo(np.float32).eps)  # NIfTI-1 keeps its affine in float32
ORDERS = [
    np.array([[sign if row == axis else 0 for axis, sign in zip(axes, signs, strict=True)] for row in range(3)], float)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def placed(turn, zooms=(1.5, 2, 3.25), origin=(-40, 21, 7)):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * np.array(zooms), origin
    return affine


def oblique(seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def ramp(shape, affine):
    """A scan whose values are a linear function of the place in mm: any right resampling leaves it that function."""
    mm = nibabel.affines.apply_affine(affine, np.stack(np.indices(shape[:3]), -1))
    return mm @ [0.5, -2.0, 3.0] + 11


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("turn", ORDERS, ids=lambda turn: "".join(nibabel.aff2axcodes(placed(turn))))
def test_every_stride_and_axis_order_goes_in_and_out(tmp_path, turn, stride):
    """The 48 orders of the axes: what is read, strided and written lies where it did, to nibabel and by its values."""
    shape, affine = (9, 8, 7), placed(turn)
    nibabel.save(nibabel.Nifti1Image(ramp(shape, affine), affine), tmp_path / "in.nii")
    scan = nifti.read(tmp_path / "in.nii")
    sampled = torch.from_numpy(scan.data)[::stride, ::stride, ::stride]
    nifti.write(tmp_path / "out.nii.gz", sampled, nifti.strided(scan.affine, stride), like=scan)
    out = nibabel.load(tmp_path / "out.nii.gz")
    assert out.header.get_zooms() == tuple(stride * z for z in (1.5, 2, 3.25))
    assert nibabel.aff2axcodes(out.affine) == nibabel.aff2axcodes(affine) == tuple(nifti.orientation(out.affine))
    np.testing.assert_array_equal(out.affine[:3, 3], affine[:3, 3])
    np.testing.assert_array_equal(
        out.affine, nibabel.load(tmp_path / "in.nii").slicer[::stride, ::stride, ::stride].affine
    )
    # every value here is a small multiple of 1/8, so float32 and float64 hold it
    np.testing.assert_array_equal(np.asarray(out.dataobj), ramp(out.shape, out.affine))


@examples(100)
@given(
    seed=st.integers(0, 2**31),
    zooms=st.tuples(*[st.floats(0.1, 10)] * 3),
    stride=st.one_of(st.integers(1, 4), st.tuples(*[st.integers(1, 4)] * 3), st.tuples(*[st.integers(1, 4)] * 4)),
    codes=st.sampled_from([(1, 0), (0, 1), (1, 1), (4, 1), (2, 3)]),
)
def test_an_oblique_scan_keeps_both_its_forms(tmp_path_factory, seed, zooms, stride, codes):
    """sform and qform may lead to different worlds: sampled, each leads there as before."""
    folder = tmp_path_factory.mktemp("oblique")
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4, 4), np.uint8), np.eye(4))
    image.set_sform(placed(oblique(seed + 1), zooms), codes[0])
    image.set_qform(placed(oblique(seed), zooms), codes[1])
    nibabel.save(image, folder / "in.nii")
    scan, before = nifti.read(folder / "in.nii"), nibabel.load(folder / "in.nii")
    steps = (*np.broadcast_to(stride, 3),) if np.ndim(stride) == 0 else stride
    nifti.write(folder / "out.nii", scan.data, nifti.strided(scan.affine, stride), like=scan)
    after = nibabel.load(folder / "out.nii")
    assert (int(after.header["sform_code"]) or codes[1], int(after.header["qform_code"])) == (
        codes[0] or codes[1],
        codes[1],
    )
    scaled = np.diag([*steps[:3], 1])
    # a rounding to float32 at each writing, or a quaternion that is within 1e-6 of the affine
    size = max(zooms) * max(steps)
    np.testing.assert_allclose(after.affine, before.affine @ scaled, rtol=0, atol=2 * EPS * (size + 40) + 1e-6 * size)
    if codes[1]:
        # float32 leaves of a the root of what it leaves of 1 - b² - c² - d²; 1e-3 is where a qform is given up
        np.testing.assert_allclose(after.get_qform(), before.get_qform() @ scaled, rtol=0, atol=1e-3 * size)


def test_a_sheared_affine_is_told_by_the_sform_alone(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), None)
    image.set_qform(np.diag([2.0, 2, 2, 1]), 1)
    nibabel.save(image, tmp_path / "a.nii")
    scan = nifti.read(tmp_path / "a.nii")
    sheared = scan.affine @ [[1, 0.25, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    nifti.write(tmp_path / "b.nii", scan.data, sheared, like=scan)
    after = nibabel.load(tmp_path / "b.nii")
    np.testing.assert_array_equal(after.affine, sheared)
    assert (int(after.header["sform_code"]), int(after.header["qform_code"])) == (1, 0)


@examples(200)
@given(seed=st.integers(0, 2**31), zooms=st.tuples(*[st.floats(0.01, 100)] * 3))
def test_spacing_and_orientation_are_nibabels(seed, zooms):
    affine = placed(oblique(seed) + 0.1 * np.random.default_rng(seed).normal(size=(3, 3)), zooms)
    np.testing.assert_allclose(nifti.spacing(affine), nibabel.affines.voxel_sizes(affine), rtol=8 * 2.3e-16)
    assert nifti.orientation(affine) == "".join(nibabel.aff2axcodes(affine))


def test_strides_are_positive_and_affines_regular():
    affine = placed(ORDERS[5])
    np.testing.assert_array_equal(nifti.strided(affine, 1), affine)
    np.testing.assert_array_equal(nifti.strided(nifti.strided(affine, 2), (1, 3)), nifti.strided(affine, (2, 6, 2)))
    np.testing.assert_array_equal(nifti.strided(torch.from_numpy(affine), (2, 1, 1, 9)), affine @ np.diag([2, 1, 1, 1]))
    for stride in (0, -1, (1, 0, 1), float("nan"), ()):
        with pytest.raises(ValueError, match="is not a positive number, nor one per axis"):
            nifti.strided(affine, stride)
    for wrong, message in [
        (np.eye(3), r"shape \(3, 3\): expected \(4, 4\) finite numbers"),
        (np.diag([1, 1, 0, 1]), "is singular"),
        (np.full((4, 4), np.inf), "NaN or infinite"),
        (np.diag([1, 1, 1, 2]), r"ends in the row \[0.0, 0.0, 0.0, 2.0\]"),
    ]:
        for function in (nifti.spacing, nifti.orientation, lambda a: nifti.strided(a, 1)):
            with pytest.raises(ValueError, match=message):
                function(wrong)


class Image:
    """What carries an affine and an array, as nibabel's images do."""

    def __init__(self, data, affine):
        self.dataobj, self.affine = data, affine


class MetaTensor(torch.Tensor):
    """A tensor with an affine, as MONAI's."""


def test_whatever_has_an_affine_and_an_array_is_a_volume(tmp_path):
    affine, data = placed(ORDERS[7]), np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nifti.write(tmp_path / "a.nii.gz", data, affine)
    scan = nifti.read(tmp_path / "a.nii.gz")
    assert nifti.volume_of(scan) is scan
    for path in (str(tmp_path / "a.nii.gz"), tmp_path / "a.nii.gz"):
        assert nifti.volume_of(path).meta == scan.meta
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert nifti.volume_of(image).meta == scan.meta
    one, many, plain = (torch.from_numpy(x).as_subclass(MetaTensor) for x in (data[None], np.stack([data] * 2), data))
    for tensor in (one, many, plain):
        tensor.affine = torch.from_numpy(affine)
    for thing in (image, Image(data, affine), one, plain):
        volume = nifti.volume_of(thing)
        assert type(volume.data) is np.ndarray
        np.testing.assert_array_equal(volume.data, data)
        np.testing.assert_array_equal(volume.affine, affine)
        nifti.write(tmp_path / "b.nii", volume.data, volume.affine, like=volume)
        np.testing.assert_array_equal(nibabel.load(tmp_path / "b.nii").affine, affine)
    np.testing.assert_array_equal(nifti.volume_of(many).data, np.stack([data] * 2, -1))


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (np.zeros((2, 2, 2)), "ndarray is no volume: expected a Volume, a path, or an image with .affine"),
        (Image(np.zeros((2, 2, 2)), np.zeros((4, 4))), r"affine of Image ends in the row"),
        (Image(np.zeros((2, 2, 2)), np.diag([0, 1, 1, 1])), "affine of Image is singular"),
        (Image(np.array([["a"]]), np.eye(4)), r"Image holds <U1 of shape \(1, 1\)"),
        (Image(np.zeros((2, 0)), np.eye(4)), r"of shape \(2, 0\): expected numbers"),
    ],
)
def test_what_is_no_volume_is_refused(thing, message):
    with pytest.raises(ValueError, match=message):
        nifti.volume_of(thing)


def test_scans_of_other_formats_go_out_as_nifti(tmp_path):
    run = nibabel.MGHImage(np.arange(48, dtype=np.int16).reshape(2, 3, 4, 2), placed(oblique(1)))
    run.header.set_zooms((1.5, 2, 3.25, 2000))
    (tmp_path / "run.mgh").write_bytes(run.to_bytes())
    old = nibabel.AnalyzeImage(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.diag([-3.0, 2, 1, 1]))
    nibabel.save(old, tmp_path / "old.img")
    for name in ("run.mgh", "old.hdr"):
        scan = nifti.read(tmp_path / name)
        nifti.write(tmp_path / "out.nii.gz", scan.data, scan.affine, like=scan)
        out = nibabel.load(tmp_path / "out.nii.gz")
        np.testing.assert_array_equal(np.asarray(out.dataobj), scan.data)
        np.testing.assert_allclose(out.affine, scan.affine, rtol=EPS, atol=0)
        # a length of float32 numbers: each of three squares is off by two roundings, the root by half of that and one
        np.testing.assert_allclose(out.header.get_zooms(), scan.meta["spacing"], rtol=2 * EPS)
        assert out.header.get_xyzt_units() == scan.meta["units"]


def test_an_object_whose_header_is_not_of_its_array_is_taken_by_its_array():
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.float32), placed(ORDERS[2]))
    image.header["srow_x"] = 0
    assert nifti.volume_of(image).meta["spacing"] == (1.5, 2, 3.25)
    with pytest.raises(ValueError, match=r"affine of Nifti1Image has shape \(\): expected"):
        nifti.volume_of(nibabel.Nifti1Image(np.zeros((2, 3, 4), np.float32), None))


def test_rates_are_per_mm_and_per_second(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4, 5, 3), np.float32), placed(ORDERS[9], (2, 2, 4)))
    for units, wanted in [
        (("mm", "sec"), (0.5, 0.5, 0.25, 0.4, 1)),
        (("mm", "msec"), (0.5, 0.5, 0.25, 400, 1)),
        (("micron", "unknown"), (500, 500, 250, 1, 1)),
        (("meter", "usec"), (0.0005, 0.0005, 0.00025, 400000, 1)),
    ]:
        image.header.set_xyzt_units(*units)
        image.header.set_zooms((2, 2, 4, 2.5, 1))
        nibabel.save(image, tmp_path / "a.nii")
        np.testing.assert_allclose(nifti.rates(nifti.read(tmp_path / "a.nii")), wanted, rtol=1e-12)
        np.testing.assert_allclose(nifti.rates(nifti.header(tmp_path / "a.nii")), wanted, rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 4, 3, 2), (5, 4, 3, 2, 6), (5, 4), (5, 4, 3)])
def test_channels_come_first_in_memory_and_last_on_disk(tmp_path, shape):
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    image = nibabel.Nifti1Image(np.zeros((4, 3, 2, 6), np.int16), placed(ORDERS[3]))
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((1, 1, 1, 700))
    image.header.set_intent("t test", (9,))
    nibabel.save(image, tmp_path / "like.nii")
    like = nifti.read(tmp_path / "like.nii")
    nifti.write(tmp_path / "a.nii.gz", torch.from_numpy(data), like.affine, like=like, channels=True)
    out = nibabel.load(tmp_path / "a.nii.gz")
    assert out.shape == (*shape[1:], *[1] * (4 - len(shape)), shape[0])
    np.testing.assert_array_equal(np.asarray(out.dataobj).reshape(*shape[1:], shape[0]), np.moveaxis(data, 0, -1))
    assert out.header.get_data_dtype() == np.float32
    assert out.header.get_zooms()[3:] == ((700, 1) if len(shape) == 5 else (1,))
    assert out.header.get_xyzt_units() == ("mm", "msec" if len(shape) == 5 else "unknown")
    assert out.header.get_intent()[0] == "none"


def test_spacings_past_the_third_axis_can_be_told(tmp_path):
    data = np.zeros((3, 3, 3, 4), np.float32)
    nifti.write(tmp_path / "a.nii", data, np.eye(4), spacing=[2.5])
    assert nifti.read(tmp_path / "a.nii").meta["spacing"] == (1, 1, 1, 2.5)
    assert nifti.header(tmp_path / "a.nii").shape == (3, 3, 3, 4)
    for spacing in ([], [1, 2], [float("nan")], [-1]):
        with pytest.raises(ValueError, match=r"a\.nii': expected 1 positive numbers"):
            nifti.write(tmp_path / "a.nii", data, np.eye(4), spacing=spacing)
