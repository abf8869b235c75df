"""Augmentation of images and label maps in any number of dimensions: what moves, what stays, and by whose numbers."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import interpolate, stats
from strategies import examples

from sigconv.datasets._parts import Arrays
from sigconv.train import Job, fit, seeds
from sigconv.transforms import augment
from sigconv.transforms.augment._fields import field, knots

SPACES = [(9,), (7, 8), (5, 6, 7), (4, 5, 3, 4)]
EVERY = {
    "flip": augment.Flip(),
    "rotation": augment.Rotate(20, fs=0.7),
    "scaling": augment.Scale(0.3, apart=True),
    "shift": augment.Shift(2.0, fs=0.5),
    "elastic": augment.Elastic(1.0, 8.0, fs=1.0),
    "noise": augment.Noise(0.3),
    "rician": augment.Noise(0.3, kind="rician"),
    "gamma": augment.Gamma(0.5),
    "bias": augment.Bias(0.4, 5.0),
    "crop": augment.Crop(3, inside=0.5),
    "cutout": augment.Cutout(3.0, count=2),
    "warp": augment.Warp(augment.Scale(0.2), augment.Shift(1.0), augment.Elastic(0.5, 7.0), padding_mode="zeros"),
    "chain": augment.Chain(augment.Flip(), augment.Scale(0.1), augment.Noise(0.1), augment.Crop(3)),
}
NOTHING = {
    "flip": augment.Flip(share=0.0),
    "rotation": augment.Rotate(0.0, fs=0.3),
    "scaling": augment.Scale(0.0),
    "shift": augment.Shift(0.0, fs=0.3),
    "elastic": augment.Elastic(0.0, 8.0),
    "noise": augment.Noise(0.0),
    "gamma": augment.Gamma(0.0),
    "bias": augment.Bias(0.0, 5.0),
    "cutout": augment.Cutout(0.0),
    "no boxes": augment.Cutout(9.0, count=0),
    "warp": augment.Warp(augment.Scale(0.0), augment.Shift(0.0), augment.Elastic(0.0, 7.0), padding_mode="zeros"),
    "empty chain": augment.Chain(),
    "no share": augment.Chain(augment.Noise(9.0, share=0.0), augment.Scale(0.5, share=0.0)),
}


def batch(space, n=4, channels=2, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, channels, *space, generator=generator).to(dtype)
    return x, torch.randint(0, 3, (n, *space), generator=generator)


def generators(count, epoch=1):
    return [seeds.generator(0, epoch, index) for index in range(count)]


def fits(part, space):
    return not (len(space) == 1 and "rotation" in part)


@pytest.mark.parametrize("space", SPACES, ids=len)
@pytest.mark.parametrize("name", EVERY)
def test_an_item_is_the_same_alone_in_any_batch_and_in_any_order_to_the_bit(name, space):
    if not fits(name, space):
        pytest.skip("one axis has no plane to turn in")
    part, (x, y) = EVERY[name], batch(space)
    before = x.clone(), y.clone()
    images, maps = part(x, generators(4), y)
    assert maps.dtype == y.dtype
    assert images.shape[2:] == maps.shape[1:]
    for index in (2, 0, 3):
        alone = part(x[index : index + 1], [seeds.generator(0, 1, index)], y[index : index + 1])
        assert torch.equal(alone[0][0], images[index])
        assert torch.equal(alone[1][0], maps[index])
    assert not torch.equal(part(x, generators(4, epoch=2), y)[0], images)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


@pytest.mark.parametrize("space", SPACES, ids=len)
@pytest.mark.parametrize("name", sorted(set(EVERY) - {"crop"}))
def test_without_maps_the_images_are_the_same(name, space):
    if fits(name, space):
        x, y = batch(space)
        assert torch.equal(EVERY[name](x, generators(4)), EVERY[name](x, generators(4), y)[0])


@pytest.mark.parametrize("space", SPACES, ids=len)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("name", NOTHING)
def test_parameters_of_nothing_change_nothing_to_the_bit(name, space, dtype):
    if fits(name, space):
        x, y = batch(space, dtype=dtype)
        same = NOTHING[name](x, generators(4), y)
        assert torch.equal(same[0], x)
        assert same[0].dtype == dtype
        assert torch.equal(same[1], y)


@pytest.mark.parametrize("name", ["flip", "rotation", "scaling", "shift", "elastic", "warp", "crop"])
@pytest.mark.parametrize("space", SPACES[1:], ids=len)
def test_images_and_label_maps_move_alike(name, space):
    """An image that is its own map, moved as one of labels would be, and a map of floating numbers, moved as images."""
    part, (x, y) = EVERY[name], batch(space, channels=1)
    images, maps = part(y[:, None].long(), generators(4), y) if name in ("flip", "crop") else (None, None)
    if images is not None:
        assert torch.equal(images[:, 0], maps)
    floating, also = part(x, generators(4), x[:, 0])
    assert torch.equal(floating[:, 0], also)
    whole, labels = part(y[:, None].float(), generators(4), y)
    _, both = part(y[:, None].float(), generators(4), torch.stack([y, y], 1))
    assert torch.equal(both[:, 0], labels)
    assert torch.equal(both[:, 1], labels)
    assert set(labels.unique().tolist()) <= {0, 1, 2}
    if part is EVERY["warp"]:
        return
    certain = (whole[:, 0] - whole[:, 0].round()).abs() < 1e-4  # on a sample, or amid samples of one label
    constant = certain & (whole[:, 0].round() == labels)
    assert constant.sum() >= 0.9 * certain.sum()


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate"])
def test_a_label_lies_where_the_image_says_it_does(padding_mode):
    """A ball drawn with soft edges, thresholded after the move, is the moved label but for samples on the threshold."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(n) - (n - 1) / 2 for n in (24, 20, 22)], indexing="ij"))
    soft = 6.3 - (grid - torch.tensor([2.0, -1.0, 1.0]).view(3, 1, 1, 1)).norm(dim=0)
    label = (soft > 0).long()
    parts = augment.Rotate(40), augment.Scale(0.2), augment.Shift(2.0), augment.Elastic(1.5, 9.0)
    warp = augment.Warp(*parts, padding_mode=padding_mode)
    for seed in range(4):
        x, y = warp((soft + 100)[None, None], [torch.Generator().manual_seed(seed)], label[None])
        inside = x[0, 0] - 100
        assert y.sum() > 200
        assert torch.equal((inside > 0)[inside.abs() > 1.0], (y[0] > 0)[inside.abs() > 1.0])  # half a diagonal, scaled


@given(seed=st.integers(0, 2**31), ndim=st.integers(1, 4))
@examples(30)
def test_flips_are_involutions_and_exchange_left_and_right(seed, ndim):
    x, y = batch(SPACES[ndim - 1], seed=seed)
    flip = augment.Flip(pairs=((1, 2),))
    same = lambda: [torch.Generator().manual_seed(seed + k) for k in range(4)]
    once = flip(x, same(), y)
    twice = flip(once[0], same(), once[1])
    assert torch.equal(twice[0], x)
    assert torch.equal(twice[1], y)
    every = augment.Flip(share=1.0, pairs=((1, 2),))(x, same(), y)
    axes = tuple(range(-ndim, 0))
    assert torch.equal(every[0], x.flip(axes))
    swapped = torch.tensor([0, 2, 1])[y] if ndim % 2 else y
    assert torch.equal(every[1], swapped.flip(axes))


def test_flips_take_each_axis_in_half_of_the_items():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    seen = augment.Flip()(x.expand(4000, 1, 2, 2), generators(4000))[:, 0, 0, 0]
    counts = torch.bincount(seen.long(), minlength=4)
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


@pytest.mark.parametrize("plane", list(itertools.permutations(range(3), 2)))
@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_quarter_turn_of_an_isotropic_grid_is_the_permutation(plane, order):
    x = torch.randn(2, 6, 6, 6)
    axes = [axis + 1 for axis in plane]
    for quarters in (-1, 1, 2, 3, 4):
        turned = augment.transformed(x, augment.rotation(90 * quarters, plane, 3), order=order, fs=0.8)
        assert torch.equal(turned, torch.rot90(x, quarters, axes))


def test_an_anisotropic_scan_turns_as_the_body_did():
    """A ball in mm, off the middle, is a ball in mm afterwards, at the place the turn took it to."""
    fs = (1.0, 1.0, 0.5)
    grid = torch.meshgrid(
        *[(torch.arange(n) - (n - 1) / 2) / rate for n, rate in zip((40, 40, 20), fs, strict=True)], indexing="ij"
    )
    ball = lambda *middle: torch.exp(-sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True)) / 32)
    for plane in ((0, 2), (2, 1), (0, 1)):
        matrix = augment.rotation(35.0, plane, 3)
        at = np.array([6.0, -3.0, 4.0])
        turned = augment.transformed(ball(*at)[None], matrix, fs=fs, order=3, padding_mode="zeros")[0]
        assert float((turned - ball(*(matrix @ at))).abs().max()) < 0.01  # samples 2 mm apart, a deviation of 4 mm
        wrong = augment.transformed(ball(*at)[None], matrix, order=3, padding_mode="zeros")[0]
        assert plane == (0, 1) or float((wrong - ball(*(matrix @ at))).abs().max()) > 0.2


def test_points_go_where_matrix_and_shift_take_them_in_mm():
    matrix, shift = np.array([[1.2, 0.3], [-0.1, 0.9]]), np.array([1.5, -2.0])
    grid = torch.meshgrid(*[(torch.arange(n) - (n - 1) / 2) / 2 for n in (60, 50)], indexing="ij")
    bell = lambda p: torch.exp(-sum((g - m) ** 2 for g, m in zip(grid, p, strict=True)) / 8)
    moved = augment.transformed(bell((2.0, 3.0))[None], matrix, shift, fs=2.0, order=3)[0]
    at = np.unravel_index(int(moved.argmax()), moved.shape)
    found = [float(g[at]) for g in grid]
    np.testing.assert_allclose(found, matrix @ [2.0, 3.0] + shift, atol=0.36)  # half a sample's diagonal


def test_rotations_are_rotations_and_multiples_of_a_right_angle_exact():
    for degrees, n in itertools.product([0.0, 13.0, 90, -270, 181.5], [2, 3, 4]):
        matrix = augment.rotation(degrees, (n - 1, 0), n)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), atol=1e-15)
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert matrix[0, n - 1] == pytest.approx(np.sin(np.radians(degrees)))
    assert np.array_equal(augment.rotation(450, (0, 1), 2), [[0, -1], [1, 0]])


@given(n=st.integers(1, 30), apart=st.floats(0.3, 50), seed=st.integers(0, 2**31))
@examples(50)
def test_fields_are_cubic_b_splines_within_their_values(n, apart, seed):
    count = knots((n,), (apart,))[0]
    values = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    theirs = interpolate.BSpline(np.arange(-3, count + 1) * apart, values.numpy(), 3)(np.arange(n))
    ours = field(values, (n,), (apart,))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert float(ours.min()) >= float(values.min()) - 1e-12
    assert float(ours.max()) <= float(values.max()) + 1e-12
    plane = field(values[:, None] * values, (n, n), (apart, apart))
    np.testing.assert_allclose(plane, np.outer(theirs, theirs), atol=1e-12)


def test_bending_never_folds_and_never_goes_farther_than_asked():
    space, fs = (30, 20, 12), (1.0, 0.8, 0.5)
    where = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in space]
    places = [w.reshape([-1 if a == axis else 1 for a in range(3)]) for axis, w in enumerate(where)]
    elastic = augment.Elastic(2.0, 9.1, fs=fs)
    for seed in range(5):
        bent = elastic.move(space, torch.Generator().manual_seed(seed))(places)
        for axis in range(3):
            far = (bent[axis] - places[axis]) / fs[axis]
            assert 0.3 < float(far.abs().max()) <= 2.0
            assert bool((bent[axis].diff(dim=axis) > 0).all())
    with pytest.raises(ValueError, match="knots 9 mm apart may fold 2.0 mm: expected more than 9"):
        augment.Elastic(2.0, 9).move(space, torch.Generator())


def test_axes_that_are_no_space_stay_apart():
    """Runs (x, y, z, t): a body turns and bends the same at all times."""
    still = torch.randn(1, 1, 6, 7, 5, 1).expand(1, 1, 6, 7, 5, 4)
    axes, generator = (0, 1, 2), lambda: [torch.Generator().manual_seed(3)]
    parts = augment.Rotate(30, axes=axes), augment.Shift(1.0, axes=axes), augment.Elastic(0.6, 6.0, axes=axes)
    for part in (*parts, augment.Bias(0.5, 4.0, axes=axes), augment.Warp(*parts)):
        moved = part(still, generator())
        assert not torch.equal(moved, still)
        assert torch.equal(moved, moved[..., :1].expand_as(moved))


def test_one_warp_is_the_parts_one_after_the_other():
    """Moves by whole samples and quarter turns are exact either way; what they are is drawn in the same order."""

    class Turn(augment.Rotate):
        def move(self, space, generator):
            from sigconv.transforms.augment._moves import linear

            return linear(augment.rotation(90, (0, 1), 2), [2.0, 0.0], (1.0, 1.0))

    x = torch.randn(1, 1, 8, 8)
    push = augment.Shift(0.0)
    one_by_one = augment.Chain(Turn(0), push, Turn(0))(x, generators(1))
    at_once = augment.Warp(Turn(0), push, Turn(0))(x, generators(1))
    inner = (..., slice(2, 6), slice(2, 6))
    assert torch.equal(at_once[inner], one_by_one[inner])
    twice = augment.Warp(augment.Scale(0.5), augment.Rotate(30))
    assert len({float(twice(x, [torch.Generator().manual_seed(k)]).sum()) for k in range(5)}) == 5


def test_noise_has_the_deviation_drawn_for_it_and_is_normal():
    x = torch.full((60, 1, 20, 20, 20), 5.0)
    noise = augment.Noise(0.5)(x, generators(60)) - x
    deviations = noise.flatten(1).std(1)
    assert stats.kstest(deviations.numpy(), stats.uniform(0, 0.5).cdf).pvalue > 0.01
    scaled = (noise / deviations.reshape(-1, 1, 1, 1, 1)).double()
    assert stats.kstest(scaled[:, 0, ::7, ::7, ::7].flatten().numpy(), stats.norm.cdf).pvalue > 0.01
    assert noise.flatten(1).mean(1).abs().max() < 5 * 0.5 / 8000**0.5
    magnitudes = augment.Noise(1.0, kind="rician")(torch.zeros(1, 1, 40, 40, 40), generators(1))
    assert float(magnitudes.min()) >= 0
    ratio = float(magnitudes.mean() / magnitudes.square().mean().sqrt())
    assert ratio == pytest.approx((np.pi / 4) ** 0.5, abs=0.005)  # Rayleigh where there is no signal


def test_gamma_keeps_the_ends_and_the_order_of_each_channel():
    x, _ = batch((6, 6, 6), channels=3)
    x[:, 2] = 4.0
    y = augment.Gamma(1.0)(x, generators(4))
    assert torch.equal(y[:, 2], x[:, 2])
    for item, was in zip(y[:, :2].flatten(0, 1), x[:, :2].flatten(0, 1), strict=True):
        assert torch.equal(item.flatten().argsort(), was.flatten().argsort())
        torch.testing.assert_close(torch.stack([item.min(), item.max()]), torch.stack([was.min(), was.max()]))
        share, bent = ((t - was.min()) / (was.max() - was.min()) for t in (was, item))
        inner = (share > 0.05) & (share < 0.95)
        power = bent[inner].log() / share[inner].log()
        assert float(power.std()) < 1e-3
        assert 0.5 <= float(power.mean()) <= 2.0


def test_bias_fields_are_smooth_factors_within_bounds_the_same_for_all_channels():
    x = torch.rand(8, 2, 24, 24, 12) + 1
    factor = augment.Bias(0.4, 12.0, fs=(1.0, 1.0, 0.5))(x, generators(8)) / x
    assert 0.67 <= float(factor.min()) < 0.9
    assert 1.1 < float(factor.max()) <= 1.4919
    torch.testing.assert_close(factor[:, 0], factor[:, 1])
    for axis, step in ((2, 1), (3, 1), (4, 2)):  # the slope of such a spline is at most 1.5 of its values a knot
        assert float(factor.log().diff(dim=axis).abs().max()) <= 1.5 * 0.4 * step / 12.0 + 1e-5


def test_crops_lie_anywhere_hold_what_they_must_and_fill_up_what_is_short():
    x = torch.arange(400.0).reshape(1, 1, 20, 20)
    y = torch.zeros(1, 20, 20, dtype=torch.int64)
    y[0, 17, 3] = y[0, 2, 19] = 1
    crop = augment.Crop((5, 8), inside=1.0)
    image, label = crop(x.expand(300, 1, 20, 20), generators(300), y.expand(300, 20, 20))
    assert bool((label.flatten(1).sum(1) >= 1).all())
    assert torch.equal(y.flatten()[image[:, 0].long().flatten()].reshape(label.shape), label)
    first = (image[:, 0, 0, 0] < 200).float().mean()
    assert 0.4 < first < 0.6  # either place is as likely
    anywhere = augment.Crop((5, 8))(x.expand(2000, 1, 20, 20), generators(2000))[:, 0, 0, 0]
    assert stats.chisquare(np.bincount((anywhere // 20).long().numpy(), minlength=16)).pvalue > 0.001
    assert stats.chisquare(np.bincount((anywhere % 20).long().numpy(), minlength=13)).pvalue > 0.001
    wide, labels = augment.Crop(24, padding_mode="reflect")(x, generators(1), y)
    assert wide.shape == (1, 1, 24, 24)
    assert torch.equal(y.flatten()[wide[:, 0].long().flatten()].reshape(labels.shape), labels)
    empty = augment.Crop(3, inside=1.0)(x, generators(1), 0 * y)
    assert empty[0].shape == (1, 1, 3, 3)


def test_cutouts_are_boxes_no_longer_than_asked_in_mm():
    y, fs = torch.zeros(500, 2, 30, 30, dtype=torch.uint8), (1.0, 0.5)
    cut = augment.Cutout((10.0, 20.0), value=7, fs=fs)(y, generators(500))
    assert torch.equal(cut[:, 0], cut[:, 1])
    sides = torch.stack([(cut[:, 0] == 7).any(2).sum(1), (cut[:, 0] == 7).any(1).sum(1)], 1)
    assert torch.equal((cut[:, 0] == 7).flatten(1).sum(1), sides.prod(1))
    assert sides.max(0).values.tolist() == [10, 10]
    met = (cut[:, 0] == 7).any(0)
    assert bool(met.any(0).all() and met.any(1).all())  # up to every face
    slices = augment.Cutout((np.inf, 4.0))(torch.ones(200, 1, 9, 9), generators(200))
    assert set((slices[:, 0] == 0).any(2).sum(1).tolist()) == {0, 9}


@pytest.mark.parametrize("name", ["noise", "gamma", "bias", "rotation", "cutout"])
def test_share_is_the_part_of_the_items_that_change(name):
    part = EVERY[name]
    some = type(part)(**{**part.__dict__, "share": 0.3})
    x = torch.rand(600, 1, 6, 6) + 1
    changed = (some(x, generators(600)) != x).flatten(1).any(1).double().mean()
    assert 0.2 < changed < 0.4


class Scans:
    """Items of many sizes, made one at a time."""

    classes = ("outside", "one", "other")

    def __len__(self):
        return 6

    def item(self, index, generator=None):
        x, y = batch((8 + index, 9, 7), n=1, seed=index)
        return x[0], y[0]


def test_a_data_set_of_scans_and_maps_is_varied_the_same_in_every_process_and_trains():
    vary = augment.Chain(augment.Crop(6, inside=0.7), augment.Flip((0,)), augment.Rotate(10), augment.Noise(0.1))
    data = augment.AugmentedMaps(Scans(), vary)
    x, y = augment.collected(data, torch.arange(6), generators(6))
    assert (x.shape, y.shape, len(data), data.classes) == ((6, 2, 6, 6, 6), (6, 6, 6, 6), 6, Scans.classes)
    for index in (4, 1):
        image, label = data.item(index, seeds.generator(0, 1, index))
        assert torch.equal(image, x[index])
        assert torch.equal(label, y[index])
    model = torch.nn.Conv3d(2, 3, 3, padding=1)
    rows = fit(model, data, data, job=Job(device="cpu"), epochs=1, batch_size=3, lr=0.01)
    assert np.isfinite(rows[-1]["train_loss"])


def test_parts_stand_in_augmented_and_beside_functions():
    x = torch.randn(5, 1, 6, 6)
    plain = Arrays(x, torch.arange(5) % 2, "ab")
    brighter = lambda x, generators: x + augment.uniforms(generators, 1, x)[:, :, None, None]
    data = augment.Augmented(plain, augment.Chain(augment.Flip(), brighter, augment.Noise(0.1)))
    whole, labels = data.batch(torch.arange(5), generators(5))
    for index in range(5):
        image, label = data.item(index, seeds.generator(0, 1, index))
        assert torch.equal(image, whole[index])
        assert label == labels[index]


def test_scans_and_maps_are_varied_and_then_mixed():
    varied = augment.AugmentedMaps(Scans(), augment.Chain(augment.Crop(5, inside=1.0), augment.Gamma(0.3)))
    x, y = augment.Mixup(varied, 0.4).batch(torch.arange(6), generators(6))
    assert (x.shape, y.shape) == ((6, 2, 5, 5, 5), (6, 3, 5, 5, 5))
    torch.testing.assert_close(y.sum(1), torch.ones(6, 5, 5, 5))


def test_gradients_pass_through_moves():
    x = torch.randn(1, 5, 6, dtype=torch.float64, requires_grad=True)
    moved = lambda x: augment.transformed(x, [[1.1, 0.2], [0.0, 0.9]], 0.3)
    assert torch.autograd.gradcheck(moved, (x,))


X, G = torch.zeros(1, 1, 4, 4), [torch.Generator()]
REFUSED = {
    "angle": (lambda: augment.Rotate(-5), "degrees -5 must be a finite number, at least 0 and at most 180"),
    "no plane": (lambda: augment.Rotate(5)(X[0], G), r"no plane to turn in among axes \(0,\) of a space of 1"),
    "axes": (lambda: augment.Rotate(5, axes=(0, 4))(X, G), r"axes \(0, 4\) are not different axes of a space of 2"),
    "same axes": (lambda: augment.Flip((0, -2))(X, G), r"axes \(0, -2\) are not different"),
    "fs": (lambda: augment.Rotate(5, fs=(1, 2, 3))(X, G), r"fs \(1, 2, 3\) is neither one number above 0 nor 2"),
    "zero fs": (lambda: augment.Shift(5, fs=0)(X, G), "fs 0 is neither"),
    "share": (lambda: augment.Noise(1, share=1.5), "share 1.5 is a part of the items"),
    "sigma": (lambda: augment.Noise(float("nan")), "sigma nan must be a finite number"),
    "kind": (lambda: augment.Noise(1, kind="salt"), "kind 'salt' is not one of"),
    "knots": (lambda: augment.Bias(0.1, 0), "knots 0 mm apart are no grid"),
    "fold": (lambda: augment.Elastic(3, 8)(X, G), "knots 8 mm apart may fold 3 mm: expected more than 9"),
    "bent first": (lambda: augment.Warp(augment.Elastic(1, 8), augment.Scale(0.1)), "Elastic must be the last"),
    "no move": (lambda: augment.Warp(augment.Noise(1)), "Noise.* moves no samples: put it into a Chain"),
    "other map": (lambda: augment.Flip()(X, G, torch.zeros(1, 4, 5)), r"the label map \(4, 5\) does not lie over"),
    "no space": (lambda: augment.Flip()(X[0, 0], G * 4), r"an item \(4,\) has no space"),
    "integers": (lambda: augment.Noise(1)(X.long(), G), "x of torch.int64 has no grey values"),
    "no map": (lambda: augment.Crop(2, inside=0.5)(X, G), "inside 0.5 needs a label map"),
    "crop": (lambda: augment.Crop(0)(X, G), "size 0"),
    "cutout": (lambda: augment.Cutout((1, 2, 3))(X, G), r"size \(1, 2, 3\) is neither one number of mm"),
    "boxes": (lambda: augment.Cutout(3, count=-1), "count -1 must be at least 0"),
    "matrix": (lambda: augment.transformed(X[0], np.zeros((2, 2))), "takes no 2 axes of space to others"),
    "generators": (lambda: augment.Flip()(X, G * 2), "2 generators for 1 items: give one for each"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case):
    call, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
