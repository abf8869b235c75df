"""Banks as others have them: scikit-learn's transformers, nilearn's images, Kymatio's call; one set of numbers."""

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.extraction._nifti_bank import NiftiFilterBank
from sigconv.filters import _pools, gabor, gaussian
from sigconv.readers import nifti

BANK = gabor.pyramid(3, wavelengths=(3,), directions=3)
PLANE = gabor.default(2)
rng = np.random.default_rng(0)


def scan(*shape, dtype="float32", affine=(2.0, 2.0, 3.0)):
    return nifti.Volume(rng.normal(size=shape).astype(dtype), np.diag([*affine, 1.0]), {})


@given(data=st.data())
@examples(50)
def test_pools_are_those_of_numpy(data):
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 40)))
    y = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=shape)
    share = data.draw(st.integers(0, 100))
    found = _pools.named(["mean", "std", "max", "rms", "energy", f"q{share:02d}"])
    expected = [y.mean(-1), y.std(-1), y.max(-1), np.sqrt((y**2).mean(-1)), (y**2).mean(-1)]
    expected.append(np.quantile(y, share / 100, axis=-1))
    for pool, want in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(pool(torch.from_numpy(y)).numpy(), want, rtol=1e-12, atol=1e-12)


def test_quantiles_know_nan_and_infinity_and_pools_know_complex_numbers():
    y = torch.tensor([[1.0, torch.nan, 3], [torch.inf, torch.inf, 1], [-torch.inf, 0, 1]])
    found = _pools.quantile(y, 0.75)
    assert torch.isnan(found[0])
    assert found[1:].tolist() == [torch.inf, 0.5]
    z = torch.tensor([[3 + 4j, 0]])
    assert _pools.named("energy")["energy"](z).tolist() == [12.5]
    for name in ("median", "q101", "q5", "q", "q050"):
        with pytest.raises(ValueError, match=f"pool '{name}' is not one of .*q00 to q100"):
            _pools.named(name)
    with pytest.raises(ValueError, match=r"pool \[\] is not one of"):
        _pools.named([])


def test_a_transformer_clones_is_searched_and_stands_in_a_pipeline():
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    y = np.arange(24) % 2
    x = rng.normal(size=(24, 12, 12)) * (1 + 2 * y[:, None, None])
    features = PLANE.transformer(pool=["energy", "q50"])
    other = clone(features).set_params(pool="q90", stride=2)
    assert (other.pool, other.stride, features.pool) == ("q90", 2, ["energy", "q50"])
    steps = make_pipeline(features, StandardScaler(), LogisticRegression())
    search = GridSearchCV(steps, {"filterbanktransformer__pool": ["mean", ["energy", "q50"], "q10"]}, cv=2)
    assert search.fit(x, y).best_score_ > 0.9
    names = features.fit(x).get_feature_names_out()
    assert names[0] == f"energy_{PLANE.names[0]}"
    assert names[-1] == f"q50_{PLANE.names[-1]}"
    assert features.transform(x).shape == (24, len(names))


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed")
def test_frames_have_columns_by_name():
    features = PLANE.transformer(pool="q50").set_output(transform="pandas")
    frame = features.fit_transform(rng.normal(size=(3, 8, 8)))
    assert list(frame.columns) == list(features.get_feature_names_out())
    volumes = NiftiFilterBank(BANK, pool="mean").set_output(transform="pandas")
    assert list(volumes.fit_transform([scan(8, 8, 8)]).columns) == list(volumes.get_feature_names_out())


@given(before=st.lists(st.integers(1, 3), max_size=3), stride=st.integers(1, 3))
@examples(20)
def test_any_axes_may_stand_before_space(before, stride):
    x = rng.normal(size=(*before, 9, 11)).astype("float32")
    y = PLANE.over(x, output="energy", stride=stride)
    assert y.shape == (*before, len(PLANE), -(-9 // stride), -(-11 // stride))
    expected = PLANE(x.reshape(-1, 1, 9, 11), output="energy", stride=stride)
    np.testing.assert_array_equal(y.reshape(expected.shape), expected, strict=True)
    tensor = PLANE.over(torch.from_numpy(x), output="energy", stride=stride)
    np.testing.assert_array_equal(tensor.numpy(), y, strict=True)


def test_too_few_axes_are_refused():
    with pytest.raises(ValueError, match=r"x has shape \(9,\): expected \(..., \*space\) with 2 axes"):
        PLANE.over(np.zeros(9))


def test_all_faces_give_the_same_numbers(tmp_path):
    """Torch, NumPy, scikit-learn, nilearn: one bank."""
    volume = scan(14, 11, 9)
    nifti.write(tmp_path / "a.nii.gz", volume.data, volume.affine)
    options = {"output": "magnitude", "stride": 2, "padding_mode": "symmetric"}
    expected = BANK(torch.from_numpy(volume.data)[None, None], **options)[0]
    here = BANK(volume.data[None, None], **options)[0]
    np.testing.assert_array_equal(here, expected.numpy())
    np.testing.assert_array_equal(BANK.over(volume.data, **options), here)
    maps = NiftiFilterBank(BANK, **options).fit_transform(tmp_path / "a.nii.gz")
    assert maps.data.dtype == np.float32
    np.testing.assert_allclose(np.moveaxis(maps.data, -1, 0), here, rtol=1e-4, atol=1e-5)
    pools = ["mean", "std", "max", "rms", "energy", "q25"]
    rows = NiftiFilterBank(BANK, pool=pools, **options).fit_transform(volume)
    learned = BANK.transformer(pool=pools, **options)
    np.testing.assert_allclose(rows, learned.fit_transform(volume.data[None]), rtol=1e-4, atol=1e-5)
    face = NiftiFilterBank(BANK, pool=pools, **options).fit(volume)
    assert list(face.get_feature_names_out()) == list(learned.get_feature_names_out())


def test_maps_lie_where_their_voxels_did_and_are_written_as_they_are(tmp_path):
    volume = scan(8, 6, 10)
    maps = NiftiFilterBank(BANK, stride=(2, 1, 3)).fit_transform(volume)
    assert maps.data.shape == (4, 6, 4, len(BANK))
    np.testing.assert_array_equal(maps.affine, volume.affine * [2, 1, 3, 1])
    assert maps.meta["spacing"] == (4.0, 2.0, 9.0, 1.0)
    nifti.write(tmp_path / "maps.nii", maps.data, maps.affine, maps)
    again = nifti.read(tmp_path / "maps.nii")
    np.testing.assert_array_equal(again.data, maps.data, strict=True)
    np.testing.assert_array_equal(again.affine, maps.affine)


def test_scans_of_any_make_one_or_many(tmp_path):
    import nibabel

    volume = scan(7, 8, 9)
    nifti.write(tmp_path / "a.nii", volume.data, volume.affine)
    image = nibabel.Nifti1Image(volume.data, volume.affine)
    face = NiftiFilterBank("gaussian.bank:sigma=2", output="real").fit(image)
    one = face.transform(volume)
    several = face.transform([volume, str(tmp_path / "a.nii"), image])
    assert len(several) == 3
    for maps in several:
        np.testing.assert_array_equal(maps.data, one.data)
    pooled = NiftiFilterBank("gaussian.bank:sigma=2", output="real", pool="mean")
    assert pooled.fit_transform(image).shape == (1, 1)
    assert pooled.fit_transform((volume, image)).shape == (2, 1)


def test_the_rates_of_each_scan_make_its_bank():
    """Sigmas are in mm: on a finer grid the same filter has more taps."""
    face = NiftiFilterBank("gaussian.bank:sigma=4", output="real").fit(scan(8, 8, 8))
    assert face.bank_.fs == (0.5, 0.5, 1 / 3)
    x = rng.normal(size=(8, 8, 8)).astype("float32")
    fine = nifti.Volume(x, np.diag([1.0, 1, 1, 1]), {})
    expected = gaussian.bank(sigma=4, ndim=3, fs=1.0)(x[None, None], output="real", padding_mode="symmetric")[0]
    np.testing.assert_allclose(np.moveaxis(face.transform(fine).data, -1, 0), expected, atol=1e-6)


def test_times_and_colours_are_channels():
    volume = scan(6, 7, 8, 2)
    face = NiftiFilterBank(BANK, pool="mean").fit(volume)
    assert face.n_channels_ == 2
    assert face.get_feature_names_out()[len(BANK)] == f"mean_c1_{BANK.names[0]}"
    found = face.transform(volume)
    for channel in range(2):
        alone = NiftiFilterBank(BANK, pool="mean").fit_transform(volume._replace(data=volume.data[..., channel]))
        np.testing.assert_allclose(found[:, channel * len(BANK) :][:, : len(BANK)], alone, rtol=1e-5)
    flat = NiftiFilterBank(BANK).fit_transform(nifti.Volume(volume.data[:, :, 0, 0], volume.affine, {}))
    assert flat.data.shape == (6, 7, 1, len(BANK))


@pytest.mark.parametrize("stride", [1, 2])
def test_inside_a_mask_are_its_own_voxels(tmp_path, stride):
    volume = scan(9, 8, 7)
    inside = rng.random((9, 8, 7)) > 0.6
    nifti.write(tmp_path / "mask.nii.gz", inside.astype("uint8"), volume.affine)
    kept = inside[::stride, ::stride, ::stride]
    maps = NiftiFilterBank(BANK, stride=stride).fit_transform(volume).data
    rows = NiftiFilterBank(BANK, stride=stride, pool=["mean", "q50"], mask=tmp_path / "mask.nii.gz").fit_transform(
        volume
    )
    expected = np.concatenate([maps[kept].mean(0), np.quantile(maps[kept], 0.5, axis=0)])
    np.testing.assert_allclose(rows[0], expected, rtol=1e-5, atol=1e-6)
    masked = NiftiFilterBank(BANK, stride=stride, mask=volume._replace(data=inside)).fit_transform(volume).data
    np.testing.assert_array_equal(masked, np.where(kept[..., None], maps, 0))


def test_a_bank_made_in_frequency_sees_all_of_a_scan():
    bank = gabor.log_gabor(frequency=[[0.1, 0, 0]], fs=(0.5, 0.5, 1 / 3))
    volume = scan(8, 8, 8)
    maps = NiftiFilterBank(bank, padding_mode="circular").fit_transform(volume).data
    expected = bank(volume.data[None, None], output="magnitude", padding_mode="circular")[0]
    np.testing.assert_allclose(np.moveaxis(maps, -1, 0), expected, atol=1e-6)


REFUSED = [
    (lambda: NiftiFilterBank(PLANE).fit(scan(4, 4, 4)), "is no FilterBank of 3 axes"),
    (lambda: NiftiFilterBank("nothing").fit(scan(4, 4, 4)), "nothing"),
    (lambda: NiftiFilterBank(pool="median").fit(scan(4, 4, 4)), "pool 'median' is not one of"),
    (lambda: NiftiFilterBank(stride=0).fit(scan(4, 4, 4)), "stride 0"),
    (lambda: NiftiFilterBank().fit([]), "imgs is empty"),
    (lambda: NiftiFilterBank().fit([np.zeros((4, 4, 4))]), "is no volume"),
    (lambda: NiftiFilterBank(BANK).fit(scan(4, 4, 4)).transform(scan(4, 4, 4, 2)), "has 2 channels, 1 when fitted"),
    (lambda: NiftiFilterBank(BANK, mask=scan(4, 4, 5)).fit_transform(scan(4, 4, 4)), "mask has shape"),
    (lambda: NiftiFilterBank(BANK, mask=scan(4, 4, 4, affine=(1, 1, 1))).fit_transform(scan(4, 4, 4)), "mask lies"),
    (
        lambda: NiftiFilterBank(
            BANK, pool="mean", mask=nifti.Volume(np.zeros((4, 4, 4)), scan(1).affine, {})
        ).fit_transform(scan(4, 4, 4)),
        "mask is empty",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_is_refused_in_one_line(number):
    make, said = REFUSED[number]
    with pytest.raises(ValueError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_it_is_cloned_and_must_be_fitted_first():
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    face = clone(NiftiFilterBank("haar", pool=["mean"], stride=2))
    assert face.get_params() == {
        "bank": "haar", "output": "magnitude", "stride": 2, "padding_mode": "symmetric", "pool": ["mean"],
        "mask": None, "memory": None,
    }  # fmt: skip
    with pytest.raises(NotFittedError):
        face.transform(scan(4, 4, 4))
