"""Gaussians, their derivatives and the cells made of them: SciPy and the definitions say what they are."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from sigconv.filters import gaussian, masks

BORDERS = {"zeros": "constant", "replicate": "nearest", "symmetric": "reflect", "reflect": "mirror"}
BORDERS |= {"circular": "grid-wrap"}
SPACE = (19, 12, 9, 7)


def signal(ndim, seed=0):
    return np.random.default_rng(seed).standard_normal(SPACE[:ndim])


def filtered(bank, x, **options):
    return bank(x[None, None], **options)[0]


@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_smoothing_is_scipys(ndim, mode):
    x = signal(ndim)
    ours = filtered(gaussian.bank([0.6, 1.7], ndim), x, padding_mode=mode)
    for sigma, y in zip((0.6, 1.7), ours, strict=True):
        np.testing.assert_allclose(y, ndimage.gaussian_filter(x, sigma, mode=BORDERS[mode]), atol=1e-14)


@pytest.mark.parametrize("order", [(1,), (3,), (1, 2), (0, 2), (2, 0, 1), (1, 1, 1), (0, 1, 0, 2)])
def test_derivatives_are_scipys(order):
    x = signal(len(order))
    ours = filtered(gaussian.derivative(order, 1.3, len(order)), x, padding_mode="symmetric")[0]
    np.testing.assert_allclose(ours, ndimage.gaussian_filter(x, 1.3, order=order), atol=1e-13)


def test_a_total_order_is_all_partial_derivatives_and_each_axis_may_have_its_sigma():
    bank = gaussian.derivative(2, [1.0, 2.0], 3)
    assert len(bank) == 12
    assert bank.names[:3] == ["d200_1", "d110_1", "d101_1"]
    x = signal(2)
    ours = filtered(gaussian.bank([[0.7, 2.0]], 2), x, padding_mode="replicate")[0]
    np.testing.assert_allclose(ours, ndimage.gaussian_filter(x, (0.7, 2.0), mode="nearest"), atol=1e-14)


def test_a_derivative_is_per_unit():
    ramp = np.arange(60.0) / 4  # a slope of 1 per unit, at 4 samples a unit
    slope = filtered(gaussian.derivative(1, 1.0, 1, fs=4), ramp)[0]
    np.testing.assert_allclose(slope[20:40], 1, atol=1e-3)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("sigma", [0.8, 1.5])
def test_the_laplacian_is_ibsis_formula(ndim, sigma):
    half = math.floor(4 * sigma + 0.5)
    kernel = np.zeros((2 * half + 1,) * ndim)
    for place in itertools.product(range(2 * half + 1), repeat=ndim):
        r2 = sum((i - half) ** 2 for i in place)
        peak = -((1 / (sigma * math.sqrt(2 * math.pi))) ** ndim) / sigma**2
        kernel[place] = peak * (ndim - r2 / sigma**2) * math.exp(-r2 / (2 * sigma**2))
    bank = gaussian.log(sigma, ndim)
    np.testing.assert_allclose(bank.kernels[0], kernel, atol=1e-15)
    assert bank.rank == ndim
    assert abs(bank.kernels.sum()) > 1e-6, "not corrected to zero mean unless asked"
    assert abs(gaussian.log(sigma, ndim, zero_mean=True).kernels.sum()) < 1e-15


def test_sigma_in_mm_is_sigma_in_voxels():
    torch.testing.assert_close(gaussian.log(3.0, 3, fs=0.5).kernels, gaussian.log(1.5, 3).kernels)
    torch.testing.assert_close(gaussian.bank(3.0, 3, fs=0.5).kernels, gaussian.bank(1.5, 3).kernels)
    flat = gaussian.bank(4.0, 2, fs=(0.5, 0.25)).kernels[0]  # 2 samples one way, 1 the other
    wide, narrow = (gaussian.bank(s, 1).kernels[0] for s in (2.0, 1.0))
    torch.testing.assert_close(flat, torch.outer(wide, narrow))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("method", ["direct", "separable", "spectral"])
def test_every_way_gives_the_same(ndim, method):
    x = torch.from_numpy(signal(ndim))[None, None]
    for bank in (gaussian.log([1.0, 1.6], ndim), gaussian.derivative(1, 1.0, ndim), gaussian.dog(1.0, ndim)):
        y = bank(x, method=method, padding_mode="symmetric", stride=2)
        whole = bank(x, method="direct", padding_mode="symmetric")[(..., *[slice(None, None, 2)] * ndim)]
        torch.testing.assert_close(y, whole, atol=1e-12, rtol=0)


def test_linear_phase_and_unit_sum():
    for ndim in (1, 2, 3):
        turned = lambda kernels, ndim=ndim: kernels.flip(tuple(range(1, ndim + 1)))
        even = gaussian.bank([0.9, 2.2], ndim).kernels
        torch.testing.assert_close(turned(even), even, atol=0, rtol=0)
        torch.testing.assert_close(even.flatten(1).sum(1), torch.ones(2).double(), atol=1e-15, rtol=0)
        odd = gaussian.derivative(1, 1.5, ndim).kernels
        torch.testing.assert_close(turned(odd), -odd, atol=0, rtol=0)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_rf6_on_and_off_centre_cancel_and_see_no_constant(ndim):
    on, off = gaussian.on_centre([0.8, 1.5], ndim, ratio=3), gaussian.off_centre([0.8, 1.5], ndim, ratio=3)
    assert torch.equal(on.kernels + off.kernels, torch.zeros_like(on.kernels))
    assert on.kernels.flatten(1).sum(1).abs().max() < 1e-15
    x = signal(ndim)
    difference = ndimage.gaussian_filter(x, 0.8) - 0.7 * ndimage.gaussian_filter(x, 2.4)
    ours = filtered(gaussian.dog(0.8, ndim, ratio=3, k=0.7), x, padding_mode="symmetric")[0]
    np.testing.assert_allclose(ours, difference, atol=1e-14)


def test_rf5_the_best_stimulus_is_the_receptive_field_itself():
    bank = gaussian.on_centre(1.5, 2)
    (field,) = bank.kernels.flip((1, 2))
    rng = torch.Generator().manual_seed(0)
    stimuli = torch.randn(200, *field.shape, generator=rng, dtype=torch.float64)
    grid = torch.arange(field.shape[0]) - field.shape[0] // 2
    radius = torch.hypot(*torch.meshgrid(grid.double(), grid.double(), indexing="ij"))
    spots = torch.stack([(radius <= r).double() for r in range(1, 8)])
    stimuli = torch.cat([field[None], stimuli, spots])
    stimuli = stimuli / stimuli.flatten(1).norm(dim=1)[:, None, None]
    middle = field.shape[0] // 2
    seen = bank(stimuli[:, None])[:, 0, middle, middle]
    assert seen.argmax() == 0
    inside = seen[-7:]
    assert inside.argmax() == (torch.stack([(s * field).sum() / s.norm() for s in spots])).argmax()
    assert 0 < inside.argmax() < 6, "light that fills the centre, and no more, is the best spot"


def drawn_bar(angle, n=41, length=14, width=1.5):
    """A bright bar in the middle, its long side at an angle from axis 0 towards axis 1."""
    grid = np.arange(n) - n // 2
    a, b = np.meshgrid(grid, grid, indexing="ij")
    along, across = a * np.cos(angle) + b * np.sin(angle), -a * np.sin(angle) + b * np.cos(angle)
    return np.clip(length / 2 - abs(along) + 0.5, 0, 1) * np.clip(width - abs(across) + 0.5, 0, 1)


@pytest.mark.parametrize("cells", [3, 5])
def test_rf7_a_row_of_on_centre_cells_is_tuned_to_its_own_angle(cells):
    degrees = np.arange(0, 180, 15)
    angles = np.deg2rad(degrees)
    bank = gaussian.bar(np.stack([np.cos(angles), np.sin(angles)], 1), 1.5, 2, cells=cells)
    shown = np.stack([drawn_bar(angle) for angle in angles])[:, None]
    tuning = bank(shown)[:, :, 20, 20]  # bars x detectors
    assert (tuning.argmax(0) == np.arange(12)).all()
    assert (tuning.argmax(1) == np.arange(12)).all()
    across = tuning[(np.arange(12) + 6) % 12, np.arange(12)]
    assert (across < 0.6 * tuning.diagonal()).all()
    steps = np.minimum(abs(degrees[:, None] - degrees), 180 - abs(degrees[:, None] - degrees))
    near = tuning[steps <= 15].reshape(12, 3)
    assert (near.mean(1) > tuning.mean(1)).all()
    assert bank.kernels.flatten(1).sum(1).abs().max() < 1e-15


def test_bars_stand_in_any_dimension():
    line = gaussian.bar([[0.0, 0.0, 2.0]], 1.0, 3, cells=5)
    kernel = line.kernels[0]
    assert kernel.shape[2] > kernel.shape[0]
    profile = kernel[tuple(n // 2 for n in kernel.shape[:2])]
    one = gaussian.on_centre(1.0, 3).kernels[0]
    middle, half = profile.shape[0] // 2, one.shape[2] // 2
    expected = torch.zeros_like(profile)
    for cell in range(-2, 3):
        expected[middle + 2 * cell - half : middle + 2 * cell + half + 1] += one[half, half] / 5
    torch.testing.assert_close(profile, expected, atol=1e-15, rtol=0)


MAKERS = {
    "bank": lambda: gaussian.bank([0.9, 1.4], 2, size=9, learnable=True),
    "log": lambda: gaussian.log(1.1, 2, size=9, zero_mean=True, learnable=True),
    "dog": lambda: gaussian.dog(0.9, 2, size=9, learnable=True),
    "derivative": lambda: gaussian.derivative((2, 1), [[0.9, 1.2]], 2, size=9, learnable=True),
    "bar": lambda: gaussian.bar([[1.0, 1.0]], 0.9, 2, cells=3, size=11, learnable=True),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_sigma_learns(kind):
    bank = MAKERS[kind]()
    assert list(bank.state_dict()) == ["sigma"]
    x = torch.from_numpy(signal(2))[None, None]

    def respond(sigma):
        return torch.func.functional_call(bank, {"sigma": sigma}, (x,), {"padding_mode": "symmetric"})

    assert torch.autograd.gradcheck(respond, (bank.sigma.detach().clone().requires_grad_(),))


def test_a_step_beyond_a_wall_comes_back():
    bank = gaussian.bank(1.0, 1, learnable=True)
    with torch.no_grad():
        bank.sigma.fill_(-3.0)
    assert 0.5 <= bank.value("sigma").item() <= 4
    torch.testing.assert_close(bank.kernels.sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian.bank(0.2, 2), r"sigma 0.2 is too small for the grid, .* expected at least 0.5"),
        (lambda: gaussian.bank(0.2, 2, fs=(1, 0.5)), r"sigma 0.2 .*expected at least 1"),
        (lambda: gaussian.log(-1.0, 2), "sigma -1 is too small"),
        (lambda: gaussian.log(float("nan"), 2), "sigma holds nan"),
        (lambda: gaussian.bank(1.0, 2, size=4), "size 4 has no middle"),
        (lambda: gaussian.bank(1.0, 2, truncate=0), "truncate 0 must be a finite number above 0"),
        (lambda: gaussian.bank([[1.0, 1.0, 1.0]], 2), r"sigma has shape \(1, 3\)"),
        (lambda: gaussian.derivative((1, 0), 1.0, 3), r"order \(1, 0\) has 2 entries for 3"),
        (lambda: gaussian.derivative(0, 1.0, 1, zero_mean=True), "has no derivative: order 0"),
        (lambda: gaussian.dog(1.0, 2, ratio=0.5), "ratio 0.5 must be above 1"),
        (lambda: gaussian.bar([[0.0, 0.0]], 1.0, 2), "vectors other than 0"),
        (lambda: gaussian.bar(4, [1.0, 2.0], 2), "must be one number"),
        (lambda: gaussian.bar(4, 1.0, 2, cells=0), "cells 0 must be at least 1"),
        (lambda: masks.box(4, 2), "has no middle"),
        (lambda: masks.bank([1.0, 2.0]), r"kernels have shape \(2,\)"),
        (lambda: masks.bank([[1.0, float("inf"), 2.0]]), "kernels holds inf"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_fb7_masks_of_any_odd_size(size):
    x = signal(2)
    own = np.random.default_rng(1).standard_normal((2, size, size))
    for kernel, y in zip(own, filtered(masks.bank(own), x, padding_mode="symmetric"), strict=True):
        np.testing.assert_allclose(y, ndimage.convolve(x, kernel), atol=1e-13)
    for ndim in (1, 2, 3):
        y = filtered(masks.box(size, ndim), signal(ndim), padding_mode="symmetric")[0]
        np.testing.assert_allclose(y, ndimage.uniform_filter(signal(ndim), size), atol=1e-13)


def test_cv14_cv24_masks_known_by_name():
    torch.testing.assert_close(16 * masks.binomial(5, 1).kernels[0], torch.tensor([1.0, 4, 6, 4, 1]).double())
    torch.testing.assert_close(masks.binomial((5, 3), 2).kernels.sum(), torch.tensor(1.0).double())
    plain = np.zeros((3, 3))
    plain[1, 1] = 1
    laplacian = ndimage.laplace(plain, mode="constant")
    np.testing.assert_allclose(masks.sharpen(2, 0.5).kernels[0], plain - 0.5 * laplacian, atol=1e-15)
