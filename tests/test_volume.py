"""Volumes made ready: what they show stays where it is in mm, and what is taken apart comes back together."""

import itertools

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nibabel import orientations, processing
from scipy import ndimage
from strategies import examples
from torch import nn

from sigconv.readers import nifti
from sigconv.transforms import volume
from sigconv.transforms.volume._axis import weights
from sigconv.transforms.volume._axis import window as averaged
from sigconv.transforms.volume._grids import Way, turned

A = np.eye(4)
EVERY_ORDER = ["".join(p) for axes in itertools.permutations(["LR", "PA", "IS"]) for p in itertools.product(*axes)]


def some_affine(rng, n=3, oblique=True):
    """Voxels of 0.5 to 4 mm along axes turned anyhow, not at the origin."""
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0] if oblique else np.eye(n)[rng.permutation(n)]
    affine = np.eye(n + 1)
    affine[:n, :n] = turn * rng.uniform(0.5, 4, n)
    affine[:n, n] = rng.uniform(-100, 100, n)
    return affine


def ramp(affine, space, slope):
    """A function linear in mm, at the samples of a grid."""
    indices = np.stack(np.meshgrid(*map(np.arange, space), indexing="ij"), -1)
    return (indices @ affine[:-1, :-1].T + affine[:-1, -1]) @ slope + 7.0


def inner(source, target, shape, there, reach):
    """Which samples of a grid lie so many samples inside another."""
    indices = np.stack(np.meshgrid(*map(np.arange, there), indexing="ij"), -1)
    way = np.linalg.inv(source) @ target
    places = indices @ way[:-1, :-1].T + way[:-1, -1]
    return ((places >= reach) & (places <= np.array(shape) - 1 - reach)).all(-1)


def close_to(one, other, size):
    """Equal but for rounding: places of hundreds of samples, a few dozen sums."""
    np.testing.assert_allclose(one, other, rtol=0, atol=1e3 * np.finfo(np.float64).eps * size)


@given(
    n=st.integers(1, 4),
    seed=st.integers(0, 2**31),
    order=st.sampled_from([1, 3]),
    by=st.sampled_from(["spacing", "shape"]),
)
@examples(60)
def test_what_is_linear_in_mm_stays_so_at_any_spacing_and_shape(n, seed, order, by):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(6, [40, 24, 14, 9][n - 1], n))
    affine, slope = some_affine(rng, n), rng.normal(size=n)
    sizes = np.sqrt(np.square(affine[:n, :n]).sum(0))
    wanted = (
        {"spacing": tuple(sizes * rng.uniform(0.4, 2.5, n))} if by == "spacing" else {"shape": rng.integers(3, 12, n)}
    )
    x = ramp(affine, shape, slope)
    y, place = volume.resample(x, affine, order=order, **wanted)
    ours = np.sqrt(np.square(place[:n, :n]).sum(0))
    reach = order // 2 + 1 + max(averaged(float(ratio)) for ratio in ours / sizes) / 2
    inside = inner(affine, place, shape, y.shape, reach)
    close_to(y[inside], ramp(place, y.shape, slope)[inside], 1e3)
    middle = lambda a, s: a[:n, :n] @ (np.array(s) - 1) / 2 + a[:n, n]
    close_to(middle(place, y.shape), middle(affine, shape), 1e3)  # the middle of the box stays
    if by == "spacing":
        np.testing.assert_allclose(ours, wanted["spacing"], rtol=1e-12)
        assert y.shape == tuple(
            max(1, int(np.floor(k * s / w + 0.5))) for k, s, w in zip(shape, sizes, ours, strict=True)
        )
    else:
        np.testing.assert_allclose(ours * y.shape, sizes * shape, rtol=1e-12)


@given(seed=st.integers(0, 2**31), order=st.sampled_from([1, 3]), oblique=st.booleans())
@examples(40)
def test_what_is_linear_in_mm_stays_so_on_any_other_grid(seed, order, oblique):
    rng = np.random.default_rng(seed)
    shape, there = tuple(rng.integers(8, 14, 3)), tuple(rng.integers(1, 9, 3))
    affine, slope = some_affine(rng), rng.normal(size=3)
    target = affine @ np.vstack([np.hstack([some_affine(rng, 3, oblique)[:3, :3] / 2, [[3], [4], [5]]]), [0, 0, 0, 1]])
    y, place = volume.resample(ramp(affine, shape, slope), affine, like=(there, target), order=order)
    assert np.array_equal(place, target)
    steps = np.sqrt(np.square(np.linalg.solve(affine, target)[:3, :3]).sum(1)).max()
    inside = inner(affine, target, shape, there, order // 2 + 2 + averaged(float(steps)) / 2)
    close_to(y[inside], ramp(target, there, slope)[inside], 1e5)


@given(seed=st.integers(0, 2**31))
@examples(25)
def test_another_grid_is_nibabels_but_for_the_faces(seed):
    rng = np.random.default_rng(seed)
    shape, there = tuple(rng.integers(5, 10, 3)), tuple(rng.integers(2, 9, 3))
    affine, x = some_affine(rng), rng.normal(size=shape)
    target = affine @ some_affine(rng)
    target[:3, 3] = affine[:3, :3] @ rng.uniform(0, 5, 3) + affine[:3, 3]
    ours, _ = volume.resample(x, affine, like=(there, target), antialias=False, value=-3.0)
    theirs = processing.resample_from_to(nibabel.Nifti1Image(x, affine), (there, target), order=1).get_fdata()
    inside = inner(affine, target, shape, there, 0.0)
    close_to(ours[inside], theirs[inside], 1e3)
    assert (ours[~inner(affine, target, shape, there, -0.5 - 1e-4)] == -3).all()


@given(seed=st.integers(0, 2**31), order=st.sampled_from([0, 1, 3]), antialias=st.booleans())
@examples(40)
def test_a_grid_along_the_axes_gives_the_same_point_by_point(seed, order, antialias):
    rng = np.random.default_rng(seed)
    shape, there = tuple(rng.integers(3, 8, 3)), tuple(rng.integers(1, 7, 3))
    affine = some_affine(rng, 3, oblique=False)
    x, turn, start = torch.from_numpy(rng.normal(size=(2, *shape))), rng.uniform(0.3, 1, 3), rng.uniform(0, 2, 3)
    if order == 0:
        x = (2 * x).long()
    way = np.vstack([np.hstack([np.diag(turn), start[:, None]]), [0, 0, 0, 1]])
    y, _ = volume.resample(x, affine, like=(there, affine @ way), order=order, antialias=antialias, value=9)
    point = turned(x, Way(np.diag(turn), start, there, order, antialias, 9))
    assert y.dtype == point.dtype
    close_to(y.double(), point.double(), 1e3)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_its_own_grid_changes_nothing_to_the_bit(order, dtype):
    x = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[0, 1, 2, 3] = torch.nan
    affine = some_affine(np.random.default_rng(1))
    own = np.sqrt(np.square(affine[:3, :3]).sum(0))
    for wanted in ({"like": ((5, 6, 7), affine)}, {"shape": (5, 6, 7)}, {"spacing": tuple(own)}):
        y, place = volume.resample(x, affine, order=order, **wanted)
        assert torch.equal(y.nan_to_num(99), x.nan_to_num(99))
        np.testing.assert_allclose(place, affine, rtol=1e-13)


@given(seed=st.integers(0, 2**31), n=st.integers(1, 4), order=st.sampled_from([0, 1, 3]))
@examples(30)
def test_resampling_a_mirrored_volume_mirrors_the_answer(seed, n, order):
    rng = np.random.default_rng(seed)
    shape, wanted = tuple(rng.integers(2, 9, n)), tuple(rng.integers(1, 12, n))
    x, affine = rng.normal(size=shape), some_affine(rng, n)
    every = tuple(range(n))
    straight, _ = volume.resample(x, affine, shape=wanted, order=order)
    mirrored, _ = volume.resample(np.flip(x, every), affine, shape=wanted, order=order)
    if order == 0:  # of two samples as near the later is taken, whichever way one looks
        assert np.isin(mirrored, x).all()
    else:
        close_to(np.flip(mirrored, every), straight, 100)


def test_a_constant_stays_itself_everywhere_and_averaging_weights_are_centred():
    x = torch.full((1, 9, 10, 11), 3.0, dtype=torch.float64)
    for order, wanted in itertools.product([1, 3], [{"spacing": 0.7}, {"spacing": 2.3}, {"shape": (1, 30, 4)}]):
        y, _ = volume.resample(x, np.eye(4), order=order, **wanted)
        close_to(y, 3.0, 100)
    for order, wide in itertools.product([1, 3], [0.0, 0.5, 2.4, 9.1]):
        places = torch.linspace(-3, 12, 97, dtype=torch.float64)
        index, weight = weights(places, wide, order)
        close_to(weight.sum(1), 1.0, 10)
        close_to((weight * index).sum(1), places, 100)
        assert len(torch.unique(index - index[:, :1], dim=0)) == 1


def test_coarser_samples_average_what_they_cannot_show():
    fine = torch.cos(0.9 * np.pi * torch.arange(200.0))
    plain, averages = (volume.resample(fine, np.eye(2), spacing=5, antialias=a)[0][3:-3].abs().max() for a in (0, 1))
    assert plain > 0.8
    assert averages < 0.1  # a mean over 6.9 samples: 1 / (π · 0.45 · 6.9)


@given(seed=st.integers(0, 2**31), n=st.integers(1, 3), oblique=st.booleans())
@examples(30)
def test_labels_are_only_those_there_were_and_the_majority_wins(seed, n, oblique):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(6, 12, n))
    x, affine = (5 * rng.integers(0, 3, shape)).astype(np.int16), some_affine(rng, n)
    way = np.eye(n + 1)
    way[:n, :n] = some_affine(rng, n, oblique)[:n, :n]
    for wanted in ({"spacing": 5.0}, {"spacing": 0.3}, {"like": ((3,) * n, affine @ way)}):
        y, _ = volume.resample(x, affine, order=0, value=77, **wanted)
        assert y.dtype == np.int16
        assert set(np.unique(y)) <= {0, 5, 10, 77}
    wanted = tuple(int(k) // 3 for k in shape)
    shares = [volume.resample((x == k).astype(np.float64), affine, shape=wanted)[0] for k in (0, 5, 10)]
    voted, _ = volume.resample(x, affine, shape=wanted, order=0)
    close_to(np.choose(voted // 5, shares), np.max(shares, 0), 1e10)  # float32's shares: to its rounding


@pytest.mark.parametrize("codes", EVERY_ORDER)
def test_every_orientation_is_reached_exactly_as_nibabel_does(codes):
    rng = np.random.default_rng(0)
    x, affine = rng.normal(size=(4, 5, 6, 2)).astype(np.float32), some_affine(rng)
    y, place = volume.reorient(x, affine, codes, axes=(0, 1, 2))
    wanted = orientations.axcodes2ornt(tuple(codes))
    image = nibabel.Nifti1Image(x, affine)
    theirs = image.as_reoriented(orientations.ornt_transform(orientations.io_orientation(affine), wanted))
    assert np.array_equal(y, np.asarray(theirs.dataobj))
    np.testing.assert_allclose(place, theirs.affine, atol=1e-12)
    assert "".join(nibabel.aff2axcodes(place)) == codes
    again, home = volume.reorient(y, place, "".join(nibabel.aff2axcodes(affine)), axes=(0, 1, 2))
    assert np.array_equal(again, x)
    np.testing.assert_allclose(home, affine, atol=1e-11)
    onto, _ = volume.resample(x[..., 0], affine, like=(y.shape[:3], place))  # a grid on the same samples
    np.testing.assert_array_equal(onto, y[..., 0])


@given(seed=st.integers(0, 2**31), shear=st.floats(0, 0.9))
@examples(60)
def test_sheared_and_oblique_axes_are_named_as_nibabel_names_them(seed, shear):
    rng = np.random.default_rng(seed)
    affine = some_affine(rng)
    affine[0, :3] += shear * rng.normal(size=3)
    _, place = volume.reorient(np.zeros((2, 2, 2)), affine, "RAS")
    theirs = nibabel.as_closest_canonical(nibabel.Nifti1Image(np.zeros((2, 2, 2)), affine)).affine
    np.testing.assert_allclose(place, theirs, atol=1e-12)


@given(seed=st.integers(0, 2**31), n=st.integers(1, 4))
@examples(40)
def test_filled_up_and_cut_back_is_the_volume_and_what_it_shows_stays_in_its_place(seed, n):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 7, n))
    affine, slope = some_affine(rng, n), rng.normal(size=n)
    x = ramp(affine, shape, slope)
    wide = tuple(k + rng.integers(0, 5) for k in shape)
    y, place = volume.crop_pad(x, affine, shape=wide, value=np.nan)
    shown = np.isfinite(y)
    assert shown.sum() == x.size
    close_to(y[shown], ramp(place, wide, slope)[shown], 1e4)
    again, home = volume.crop_pad(y, place, shape=shape)
    assert np.array_equal(again, x)
    np.testing.assert_allclose(home, affine, atol=1e-11)
    anywhere, place = volume.crop_pad(
        x, affine, shape=rng.integers(1, 9, n), centre=[rng.integers(k) for k in shape], value=np.nan
    )
    shown = np.isfinite(anywhere)
    assert shown.any()
    close_to(anywhere[shown], ramp(place, anywhere.shape, slope)[shown], 1e4)


def test_a_volume_is_cut_to_its_mask_and_a_margin_in_mm():
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[8:10, 5, 18] = 1
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    y, place = volume.crop_to(mask, affine, mask=mask, margin=4.0)
    assert y.shape == (10, 5, 4)  # 4 mm are 4, 2 and 2 samples; the last axis ends before
    assert y.sum() == mask.sum()
    assert place[:3, 3].tolist() == [4.0, 6.0, 48.0]


def test_grey_values_have_mean_zero_and_deviation_one_inside_the_mask():
    rng = np.random.default_rng(0)
    x, mask = rng.normal(900, 50, (2, 3, 8, 9)).astype(np.float32), rng.random((8, 9)) < 0.4
    x[0, 1, 2, 3] = np.nan
    y = volume.zscore(x, mask, ndim=2)
    assert y.dtype == np.float32
    assert np.isnan(y).sum() == 1
    for item in y.reshape(6, 8, 9):
        inside = item[mask & np.isfinite(item)]
        assert inside.mean() == pytest.approx(0, abs=2e-5)  # of values near 900 float32 keeps 6e-5
        assert inside.std() == pytest.approx(1, abs=1e-5)
    whole = volume.zscore(torch.from_numpy(np.nan_to_num(x, nan=900.0)))
    assert float(whole.double().mean()) == pytest.approx(0, abs=1e-5)
    assert not volume.zscore(torch.full((4, 4), 1e7)).any()
    assert volume.zscore(torch.arange(5, dtype=torch.uint8)).dtype == torch.float32


@given(seed=st.integers(0, 2**31), low=st.floats(0, 49), high=st.floats(51, 100))
@examples(50)
def test_percentiles_are_numpys(seed, low, high):
    rng = np.random.default_rng(seed)
    x, mask = rng.normal(size=(2, 6, 7)), rng.random((6, 7)) < 0.5
    mask[0, :2] = True
    y = volume.percentile(x, low, high, mask, ndim=2)
    for item, found in zip(x, y, strict=True):
        bottom, top = np.percentile(item[mask], [low, high])
        np.testing.assert_allclose(found, np.clip((item - bottom) / (top - bottom), 0, 1), atol=1e-9)
    assert not volume.percentile(np.full((3, 3), 4.0)).any()


def test_a_ct_window_is_what_radiologists_mean():
    x = torch.tensor([-2000, -160, 40, 240, 3000])
    assert volume.window(x, 40, 400).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert volume.window(np.array([40.0]), 40, 400).dtype == np.float64


@given(data=st.data(), n=st.integers(1, 4))
@examples(80)
def test_patches_cover_all_and_blended_weights_add_up_to_one(data, n):
    most = [40, 14, 8, 5][n - 1]
    shape = tuple(data.draw(st.integers(1, most)) for _ in range(n))
    size = tuple(data.draw(st.integers(1, most)) for _ in range(n))
    overlap = data.draw(st.floats(0, 0.9))
    window = data.draw(st.sampled_from(["constant", "gaussian", "hann"]))
    x = torch.randn(2, *shape, dtype=torch.float64)
    parts = volume.patches(x, size, overlap)
    plan = volume.tiling(shape, size, overlap)
    assert parts.shape == (plan.count, 2, *size)
    for starts, m, k in zip(plan.starts, size, shape, strict=True):
        assert starts[0] == 0
        assert starts[-1] + m == max(k, m)
        assert all(b - a <= max(1, m * (1 - overlap) + 1e-6) for a, b in itertools.pairwise(starts))
    close_to(volume.blended(parts, shape, overlap, window=window), x, 10)
    close_to(volume.blended(torch.ones_like(parts), shape, overlap, window=window), 1.0, 10)


def test_where_a_single_patch_lies_the_volume_comes_back_to_the_bit():
    x = torch.randn(3, 12, 9)
    assert torch.equal(volume.blended(volume.patches(x, (4, 3)), (12, 9), window="hann"), x)


@given(data=st.data(), n=st.integers(1, 3))
@examples(25)
def test_a_network_slid_over_a_volume_answers_as_patch_by_patch(data, n):
    shape = tuple(data.draw(st.integers(1, 11)) for _ in range(n))
    size = tuple(data.draw(st.integers(2, 6)) for _ in range(n))
    overlap, batch = data.draw(st.sampled_from([0.0, 0.25, 0.6])), data.draw(st.integers(1, 5))
    window = data.draw(st.sampled_from(["constant", "gaussian", "hann"]))
    x = torch.randn(2, 3, *shape, dtype=torch.float64)
    net = lambda part: torch.cat([part.square(), part.flip(2)], 1)
    options = {"overlap": overlap, "batch": batch, "window": window}
    y = volume.sliding(net, x, size, **options)
    for item, said in zip(x, y, strict=True):
        parts = net(volume.patches(item, size, overlap))
        close_to(said, volume.blended(parts, shape, overlap, window=window), 100)
    close_to(volume.sliding(lambda part: part, x, size, **options), x, 100)
    assert volume.sliding(lambda part: part, x.numpy(), size, **options).dtype == np.float64


def test_a_network_that_sees_little_is_wrong_only_at_the_faces_of_the_volume():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1)).double()
    x = torch.randn(1, 1, 31, 26, dtype=torch.float64)
    whole = net(x)
    slid = volume.sliding(net, x, 12, overlap=0.5, window="hann", batch=3)
    assert not slid.requires_grad
    assert float((slid - whole.detach()).abs().max()) > 1e-6  # at a patch's rim it sees zeros
    alone = torch.stack([volume.sliding(net, x[..., k : k + 12, :12], 12)[0, :, 6, 6] for k in range(19)], 1)
    close_to(alone.detach(), whole[0, :, 6:25, 6].detach(), 100)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("padding_mode", ["zeros", "replicate", "reflect", "symmetric", "circular"])
def test_values_between_samples_are_scipys(n, padding_mode):
    rng = np.random.default_rng(n)
    shape = (9, 5, 4, 3)[:n]
    x, places = rng.normal(size=shape), rng.uniform(-4, 10, (n, 50))
    mode = {"zeros": "grid-constant", "replicate": "nearest", "reflect": "mirror", "symmetric": "reflect"}
    for order in (0, 1):
        there = np.floor(places + 0.5) if order == 0 else places
        theirs = ndimage.map_coordinates(x, there, order=1, mode=mode.get(padding_mode, "grid-wrap"))
        ours = volume.at_points(
            torch.from_numpy(x), list(torch.from_numpy(places)), order=order, padding_mode=padding_mode
        )
        close_to(ours, theirs, 100)


def test_values_between_samples_are_differentiable_and_cubics_follow_parabolas():
    x = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    places = [(3 * torch.rand(6, dtype=torch.float64)).requires_grad_() for _ in range(2)]
    for order in (1, 3):
        found = lambda x, *places, order=order: volume.at_points(x, places, order=order, padding_mode="reflect")
        assert torch.autograd.gradcheck(found, (x, *places))
    parabola, between = torch.arange(9.0, dtype=torch.float64) ** 2, torch.linspace(1, 6.9, 40, dtype=torch.float64)
    close_to(volume.at_points(parabola, [between], order=3), between**2, 100)
    y = x.detach().requires_grad_()
    for order in (1, 3):
        coarser = lambda y, order=order: volume.resample(y, np.eye(3), shape=(2, 7), order=order)[0]
        assert torch.autograd.gradcheck(coarser, (y,))


def test_a_volume_in_is_a_volume_out_and_nibabel_reads_the_same(tmp_path):
    rng = np.random.default_rng(3)
    affine = some_affine(rng)
    meta = {"spacing": (1.0, 1.0, 1.0, 2.5), "units": ("mm", "sec"), "dtype": "<f4", "version": 1, "description": "run"}
    run = nifti.Volume(rng.normal(size=(6, 7, 8, 3)).astype(np.float32), affine, meta)
    y = volume.reorient(volume.resample(run, spacing=(2, 3, 4)), codes="LPS")
    nifti.write(tmp_path / "y.nii.gz", y.data, y.affine, like=y)
    image = nibabel.load(tmp_path / "y.nii.gz")
    assert y.data.shape[3] == 3
    assert "".join(nibabel.aff2axcodes(image.affine)) == "LPS"
    np.testing.assert_allclose(image.affine, y.affine, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(image.header.get_zooms(), y.meta["spacing"], rtol=1e-5)
    assert image.header.get_zooms()[3] == 2.5
    np.testing.assert_array_equal(np.asarray(image.dataobj), y.data)
    first, _ = volume.resample(run.data[..., 0], affine, spacing=(2, 3, 4))
    np.testing.assert_array_equal(volume.resample(run, spacing=(2, 3, 4)).data[..., 0], first)


def test_anything_with_an_affine_is_a_volume():
    class Meta(torch.Tensor):
        """A tensor that knows where it lies, channels first, as MONAI's does."""

        affine = torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0]))

    y, place = volume.resample(torch.ones(2, 4, 4, 4).as_subclass(Meta), spacing=4)
    assert (type(y), y.shape, place[0, 0]) == (torch.Tensor, (2, 2, 2, 2), 4.0)
    image = nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    assert volume.resample(image, spacing=4).data.shape == (2, 2, 2)
    onto = volume.resample(torch.ones(1, 3, 3, 3), np.eye(4), like=image)
    assert onto[0].shape == (1, 4, 4, 4)


KEPT = {
    "the same spacing": lambda x, **given: volume.resample(x, spacing=(2.0, 2.0, 2.0), **given),
    "the same shape": lambda x, **given: volume.resample(x, shape=(4, 5, 6), order=3, **given),
    "the same grid": lambda x, **given: volume.resample(x, like=((4, 5, 6), 2 * A - np.diag([0, 0, 0, 1])), **given),
    "labels": lambda x, **given: volume.resample(x, spacing=2.0, order=0, **given),
    "the same directions": lambda x, **given: volume.reorient(x, codes="RAS", **given),
    "cut to all": lambda x, **given: volume.crop_pad(x, shape=(4, 5, 6), **given),
    "cut": lambda x, **given: volume.crop_pad(x, shape=(2, 5, 6), **given),
    "cut to a mask": lambda x, **given: volume.crop_to(x, mask=np.ones((4, 5, 6)), **given),
}


@pytest.mark.parametrize("way", KEPT)
def test_what_is_given_back_shares_no_memory_with_what_was_given(way):
    place = np.diag([2.0, 2.0, 2.0, 1.0])
    for kind in (np.asarray, torch.from_numpy, lambda x: nifti.Volume(x, place, {})):
        x = np.arange(120.0).reshape(4, 5, 6)
        given = {} if isinstance(kind(x), nifti.Volume) else {"affine": place}
        y = KEPT[way](kind(x), **given)
        (y.data if isinstance(y, nifti.Volume) else y[0])[...] = -1
        np.testing.assert_array_equal(x, np.arange(120.0).reshape(4, 5, 6))
    x = torch.rand(2, 4, 5, 6, dtype=torch.float64)
    each = torch.stack([KEPT[way](one, affine=place)[0] for one in x])
    assert torch.equal(torch.func.vmap(lambda one: KEPT[way](one, affine=place)[0])(x), each)


SCANS = [
    "nibabel/anatomical.nii",
    "hippocampus/images/hippocampus_001.nii.gz",
    "sts/STS_002/MR_T1_image.nii.gz",
    "sts/STS_002/PET_image.nii.gz",
]


def centre_of_mass(data, affine):
    weight = np.clip(data.astype(np.float64), 0, None)
    return affine[:3, :3] @ ndimage.center_of_mass(weight) + affine[:3, 3]


@pytest.mark.parametrize("name", SCANS)
def test_real_scans_stay_where_they_are_in_mm(name, data_root):
    path = data_root / "volumes" / name
    if not path.is_file():
        pytest.skip(f"{name} is not at hand")
    scan = nifti.read(path)
    closest = volume.reorient(scan, codes="RAS")
    theirs = nibabel.as_closest_canonical(nibabel.load(path))
    np.testing.assert_array_equal(closest.data, np.asarray(theirs.dataobj))
    np.testing.assert_allclose(closest.affine, theirs.affine, atol=1e-4)
    where, size = centre_of_mass(scan.data, scan.affine), np.sqrt(np.square(scan.affine[:3, :3]).sum(0)).min()
    for spacing in (size / 1.3, 2 * size, (2.0, 3.0, 4.0)):
        other = volume.resample(closest, spacing=spacing)
        assert np.abs(centre_of_mass(other.data, other.affine) - where).max() < 0.25 * size
        back = volume.resample(other, like=scan)
        assert back.data.shape == scan.data.shape
        assert np.abs(centre_of_mass(back.data, back.affine) - where).max() < 0.5 * size


X = np.zeros((4, 4, 4))
REFUSED = {
    "no grid": (lambda: volume.resample(X, A), "give one of the three"),
    "two grids": (lambda: volume.resample(X, A, spacing=1, shape=2), "give one of the three"),
    "no affine": (lambda: volume.resample(X, spacing=1), r"x \(4, 4, 4\) comes without an affine"),
    "singular": (lambda: volume.resample(X, np.diag([1, 0, 1, 1]), spacing=1), "singular"),
    "NaN affine": (lambda: volume.resample(X, A * np.nan, spacing=1), "affine .*nan"),
    "zero spacing": (lambda: volume.resample(X, A, spacing=0), "spacing 0 is neither one number above 0 nor 3"),
    "two spacings": (lambda: volume.resample(X, A, spacing=(1, 2)), r"spacing \(1, 2\) is neither"),
    "NaN spacing": (lambda: volume.resample(X, A, spacing=np.nan), "spacing nan"),
    "tiny spacing": (lambda: volume.resample(X, A, spacing=1e-9), "give it in mm"),
    "no order": (lambda: volume.resample(X, A, spacing=1, order=2), r"order 2 is not one of \[0, 1, 3\]"),
    "no samples": (lambda: volume.resample(X[:0], A, spacing=1), "no samples"),
    "few axes": (lambda: volume.resample(X[0], A, spacing=1), "fewer axes than the 3 .* give it axes of length 1"),
    "same axes": (lambda: volume.resample(X, A, spacing=1, axes=(0, 1, 1)), r"axes \(0, 1, 1\) are not 3 different"),
    "other affine": (lambda: volume.resample(X, A, like=((2, 2), np.eye(3))), r"like has an affine \(3, 3\)"),
    "codes": (lambda: volume.reorient(X, A, "RAP"), "codes 'RAP' are not three letters"),
    "flat": (lambda: volume.reorient(X, np.eye(3)), r"expected \(4, 4\)"),
    "centre": (lambda: volume.crop_pad(X, A, shape=2, centre=(1, 2)), r"centre \(1, 2\) is not 3 numbers"),
    "outside": (lambda: volume.crop_pad(X, A, shape=2, centre=(1, 2, 99)), "centre leaves none of the 4 samples"),
    "border": (lambda: volume.crop_pad(X, A, shape=4, padding_mode="wrap"), "padding_mode 'wrap' is not one of"),
    "empty mask": (lambda: volume.crop_to(X, A, mask=X), "mask is empty"),
    "other mask": (lambda: volume.crop_to(X, A, mask=X[1:] + 1), r"mask \(3, 4, 4\) has not the shape"),
    "margin": (lambda: volume.crop_to(X, A, mask=X + 1, margin=-1), "margin -1 mm"),
    "hidden": (lambda: volume.zscore(X, np.zeros(4)), "volume 0 has no finite value"),
    "spread": (lambda: volume.zscore(X, np.zeros(3)), r"mask \(3,\) cannot be spread"),
    "order of percentiles": (lambda: volume.percentile(X, 60, 40), "percentiles 60 and 40"),
    "width": (lambda: volume.window(X, 40, 0), "width 0"),
    "ndim": (lambda: volume.zscore(X, ndim=4), "ndim 4"),
    "overlap": (lambda: volume.patches(X, (2, 2), 1.0), "overlap 1.0 is not a part of a patch"),
    "which axes": (lambda: volume.patches(X, 2), "size 2 does not tell space from channels"),
    "patch": (lambda: volume.patches(X, (2, 0, 2)), "size"),
    "too few patches": (lambda: volume.blended(X[:3], (4, 4), 0.5), "are not the 1 patches"),
    "no window": (lambda: volume.blended(X[:1], (4, 4), window="hat"), "window 'hat' is not one of"),
    "labels blended": (lambda: volume.blended(X[:1].astype(int), (4, 4)), "have no means"),
    "answer": (lambda: volume.sliding(lambda p: p[..., 1:], torch.ones(1, 1, 8), 4), "the model answers"),
    "no batch": (lambda: volume.sliding(lambda p: p, torch.ones(1, 8), 4), "has no space"),
    "half batch": (lambda: volume.sliding(lambda p: p, torch.ones(1, 1, 8), 4, batch=0), "batch 0"),
    "between integers": (lambda: volume.at_points(torch.arange(4), [torch.ones(1)]), "order 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case):
    call, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@given(
    dtype=st.sampled_from(
        ["uint8", "int8", "uint16", "int16", ">i2", "uint32", "int32", "int64", ">f4", "float16", "bool"]
    )
)
@examples(20)
def test_any_kind_of_numbers_keeps_its_kind_as_labels_and_floats_as_pictures(dtype):
    x = (np.arange(5 * 6).reshape(5, 6) % 2).astype(dtype)
    before = x.copy()
    kind = x.dtype.newbyteorder("=")
    assert volume.resample(x, np.eye(3), spacing=2, order=0)[0].dtype == kind
    assert volume.crop_pad(x, np.eye(3), shape=8)[0].dtype == kind
    grey = volume.resample(x, np.eye(3), spacing=2)[0].dtype
    assert grey == (kind if kind.kind == "f" else np.float64 if kind.itemsize > 2 else np.float32)
    assert np.array_equal(x, before)
