"""Gabor filters keep their physics: gain, bandwidth, DC, rotation, units, directions; and they learn."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.filters import gabor
from sigconv.filters._walls import within

DTYPE = torch.float64
angles = st.floats(0, 2 * math.pi)


def tone(frequency, size, fs=1.0):
    """A wave exp(2πi f·x) over a grid, x in units, the middle at 0."""
    fs = np.broadcast_to(fs, len(size))
    lines = [(torch.arange(n, dtype=DTYPE) - n // 2) / rate for n, rate in zip(size, fs, strict=True)]
    phase = sum(f * x for f, x in zip(frequency, torch.meshgrid(*lines, indexing="ij"), strict=True))
    return torch.polar(torch.ones_like(phase), 2 * math.pi * phase)[None, None]


def gain(bank, frequency):
    """What each filter makes of a wave at a frequency, in cycles per unit: complex (filters,)."""
    turned = tone(frequency, bank.kernel_size, bank.fs)[0, 0].conj()
    return (bank.kernels.detach() * turned).flatten(1).sum(1)


def unit(seed, ndim):
    u = np.random.default_rng(seed).normal(size=ndim)
    return u / np.linalg.norm(u)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("dc_free", [False, True])
def test_fb1_a_gabor_passes_its_own_tone_and_stops_one_an_octave_away(ndim, dc_free):
    sigma = 4.0 if ndim < 4 else 2.0
    frequency = gabor.sigma_of(1.0) / sigma
    u = unit(ndim, ndim)
    bank = gabor.bank([frequency * u], sigma, dc_free=dc_free, truncate=6.0 if ndim < 4 else 4.0)
    own, above, below = (abs(gain(bank, scale * frequency * u)[0].item()) for scale in (1, 2, 0.5))
    assert own == pytest.approx(1.0, abs=1e-12)
    # a Gaussian spectrum is down by exp(-(2π·sigma·distance)²/2)
    away = math.exp(-((2 * math.pi * sigma * frequency) ** 2) / 2)
    assert above == pytest.approx(away, abs=2e-3)
    assert below == pytest.approx(away**0.25, rel=0.02 if not dc_free else 0.2)
    assert above < 0.01


@examples(40)
@given(bandwidth=st.floats(0.4, 2.0), ndim=st.integers(1, 2), seed=st.integers(0, 99))
def test_fb1_the_half_amplitude_bandwidth_is_right_to_a_percent(bandwidth, ndim, seed):
    frequency = 0.1
    u = unit(seed, ndim)
    bank = gabor.bank([frequency * u], gabor.sigma_of(bandwidth, frequency), truncate=5.0)
    edges = []
    for outside in (2 * frequency * 2**bandwidth, 1e-6):
        inside = frequency
        for _ in range(40):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if abs(gain(bank, middle * u)[0].item()) > 0.5 else (inside, middle)
        edges.append(inside)
    assert math.log2(edges[0] / edges[1]) == pytest.approx(bandwidth, rel=0.01)
    assert gabor.bandwidth_of(gabor.sigma_of(bandwidth, frequency), frequency) == pytest.approx(bandwidth)


def test_c1_sigma_and_bandwidth_golden_numbers():
    for octaves, ratio in ((0.5, 1.0922), (1, 0.5622), (1.5, 0.3924), (2, 0.3123)):
        assert gabor.sigma_of(octaves) == pytest.approx(ratio, abs=5e-5)
    assert gabor.bandwidth_of(0.18, 1.0) == math.inf
    for octaves, dc in ((1, 2**-9), (1.5, 0.0479), (2, 0.1458)):  # of the even filter: 2^(-q²)
        bank = gabor.bank([0.05], gabor.sigma_of(octaves, 0.05), truncate=6)
        assert bank.kernels.real.sum().item() == pytest.approx(dc, abs=1e-4)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("sigmas", ["round", "oriented"])
def test_fb1_dc_is_exactly_zero_when_asked(ndim, sigmas):
    sigma = 2.0 if sigmas == "round" else [[2.0] + [3.0] * (ndim - 1)]
    bank = gabor.bank([0.11 * unit(3, ndim)], sigma, dc_free=True, phase=0.4)
    assert abs(bank.kernels.sum().item()) < 1e-15
    odd = gabor.bank([0.11 * unit(3, ndim)], sigma).kernels.imag
    assert abs(odd.sum().item()) < 1e-15, "by symmetry"
    constant = torch.full((1, 1, *[9] * ndim), 7.0, dtype=DTYPE)
    assert bank(constant, padding_mode="replicate").abs().max() < 1e-13


@pytest.mark.parametrize("normalize", ["peak", "l2", "area", "none"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_fb1_normalisations_are_what_they_say(ndim, normalize):
    for sigma in (2.0, [[2.0] + [1.5] * (ndim - 1)]):
        bank = gabor.bank([0.2 * unit(1, ndim)], sigma, normalize=normalize, truncate=6, fs=0.5 if ndim == 2 else 1.0)
        k = bank.kernels[0]
        measured = {
            "peak": abs(gain(bank, bank.value("frequency")[0].tolist())[0].item()),
            "l2": k.abs().square().sum().item(),
            "area": k.abs().sum().item(),
            "none": k.abs().max().item(),
        }[normalize]
        assert measured == pytest.approx(1.0, abs=1e-12 if normalize != "area" else 0.02)


@pytest.mark.parametrize(("ndim", "axes"), [(2, (0, 1)), (3, (0, 1)), (3, (1, 2)), (3, (2, 0))])
def test_fb2_rotating_the_input_and_the_filter_commute(ndim, axes):
    turn = lambda v: np.array([{axes[0]: -v[axes[1]], axes[1]: v[axes[0]]}.get(a, v[a]) for a in range(ndim)])
    u = unit(5, ndim)
    sigma = [[1.5, 2.5, 2.5][:ndim]]
    x = torch.randn(1, 1, *[12] * ndim, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    rotate = lambda x: x.rot90(1, [2 + a for a in axes])
    one = rotate(gabor.bank([0.2 * u], sigma)(x, padding_mode="symmetric"))
    found = [gabor.bank([0.2 * sign * turn(u)], sigma)(rotate(x), padding_mode="symmetric") for sign in (1, -1)]
    assert min((one - y).abs().max().item() for y in found) < 1e-12


def test_fb2_oriented_filters_answer_most_to_their_own_edge():
    bank = gabor.pyramid(2, wavelengths=(6,), directions=8)
    lines = torch.arange(64, dtype=DTYPE) - 32
    rows, columns = torch.meshgrid(lines, lines, indexing="ij")
    for k, u in enumerate(gabor.directions(8, 2).tolist()):
        grating = torch.cos(2 * math.pi * (u[0] * rows + u[1] * columns) / 6)[None, None]
        energy = bank(grating, output="energy")[0, :, 20:44, 20:44].mean((1, 2))
        assert energy.argmax() == k
        assert energy[(k + 4) % 8] < 1e-3 * energy[k], "across its own direction there is nothing"


def test_rf5_the_best_stimulus_is_the_filter_itself():
    bank = gabor.bank([[0.15, 0.1]], [[2.0, 3.0]], normalize="l2")
    best = bank.kernels[0].real.flip(0, 1)  # what convolution turns over
    field = tuple(n // 2 for n in best.shape)
    answer = lambda s: bank((s / s.norm())[None, None], output="real", method="direct")[(0, 0, *field)].item()
    generator = torch.Generator().manual_seed(0)
    others = [torch.randn(best.shape, generator=generator, dtype=DTYPE) for _ in range(50)]
    others += [best.roll(1, 0), best.rot90(), -best, best.abs()]
    assert answer(best) == pytest.approx(best.norm().item())
    assert all(answer(other) < answer(best) for other in others)


def test_anisotropic_voxels_get_a_filter_that_is_round_in_space():
    fine = gabor.bank([[0.06, 0.03, 0.02]], 4.0, fs=1.0, size=33, normalize="none").kernels[0]
    coarse = gabor.bank([[0.06, 0.03, 0.02]], 4.0, fs=(1.0, 0.5, 0.25), size=(33, 17, 9), normalize="none").kernels[0]
    torch.testing.assert_close(coarse, fine[:, ::2, ::4])
    oriented = {"sigma": [[4.0, 6.0, 6.0]], "normalize": "none"}
    fine = gabor.bank([[0.06, 0.03, 0.02]], size=33, **oriented).kernels[0]
    coarse = gabor.bank([[0.06, 0.03, 0.02]], fs=(1.0, 0.5, 0.25), size=(33, 17, 9), **oriented).kernels[0]
    torch.testing.assert_close(coarse, fine[:, ::2, ::4])


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_equal_widths_along_and_across_are_a_round_filter(ndim):
    u = 0.2 * unit(2, ndim)
    options = {"dc_free": True, "phase": 0.3, "size": 9}
    one, other = gabor.bank([u], 1.5, **options), gabor.bank([u], [[1.5] * ndim], **options)
    assert one.separable
    assert not other.separable
    torch.testing.assert_close(one.kernels, other.kernels)


@pytest.mark.parametrize("ndim", [1, 2, 3, 5])
def test_a_frame_is_a_rotation_or_reflection_that_starts_with_its_direction(ndim):
    u = torch.from_numpy(np.stack([unit(s, ndim) for s in range(20)] + [np.eye(ndim)[0], -np.eye(ndim)[0]]))
    r = gabor.frame(u)
    torch.testing.assert_close(r[..., 0], u)
    torch.testing.assert_close(r.mT @ r, torch.eye(ndim, dtype=DTYPE).expand_as(r))


@pytest.mark.parametrize(
    ("n", "nearest"), [(6, 63.4349), (10, 41.8103), (15, 36.0), (3, 90.0), (31, None), (13, None), (40, None)]
)
def test_c3_directions_in_three_dimensions_are_spread_evenly(n, nearest):
    u = gabor.directions(n, 3)
    assert u.shape == (n, 3)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(n, dtype=DTYPE))
    apart = torch.rad2deg(torch.acos((u @ u.T).abs().clamp(max=1).fill_diagonal_(0)))
    if nearest:
        assert apart.min(1).values.tolist() == pytest.approx([nearest] * n, abs=1e-3)
    elif n != 31:
        ideal = math.degrees(math.sqrt(2 * math.pi / n))  # the side of each direction's share of the half-sphere
        assert apart.min() > 0.5 * ideal
        assert apart.min(1).values.max() < 1.6 * ideal
    assert torch.equal(u, gabor.directions(n, 3)), "the same each time"


def test_c3_directions_in_other_dimensions():
    torch.testing.assert_close(gabor.directions(1, 1), torch.ones(1, 1, dtype=DTYPE))
    for k, (c, s) in enumerate(gabor.directions(7, 2).tolist()):
        assert math.atan2(s, c) == pytest.approx(k * math.pi / 7)
    four = gabor.directions(12, 4)  # half the vertices of the 24-cell are 60 degrees apart
    apart = torch.rad2deg(torch.acos((four @ four.T).abs().fill_diagonal_(0)))
    assert apart.min() > 50
    assert torch.equal(four, gabor.directions(12, 4))


OPENCV = list(itertools.product([0.0, 0.3, 2.0, -1.0], [(21, 15), (20, 20), (0, 0)], [1.0, 0.5, 2.0]))


@pytest.mark.parametrize(("theta", "ksize", "gamma"), OPENCV)
def test_c1_opencvs_parameters_give_opencvs_kernel_and_response(theta, ksize, gamma):
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    theirs = cv2.getGaborKernel(ksize, 4.0, theta, 9.0, gamma, 0.7, cv2.CV_64F)
    bank = gabor.from_opencv(ksize, 4.0, theta, 9.0, gamma, 0.7)
    np.testing.assert_allclose(bank.kernels.real[0].flip(0, 1), theirs, atol=1e-14)
    x = np.random.default_rng(0).normal(size=(40, 30))
    filtered = cv2.filter2D(x, cv2.CV_64F, theirs, borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(bank(x[None, None], output="real", padding_mode="symmetric")[0, 0], filtered, atol=1e-10)
    found = gabor.to_opencv(bank)[0]
    again = cv2.getGaborKernel(**found, ktype=cv2.CV_64F)
    np.testing.assert_allclose(again, theirs, atol=1e-12)


@pytest.mark.parametrize("theta", [0.0, 0.3, 2.0, -1.0])
@pytest.mark.parametrize("sigmas", [(None, None), (3.0, 5.0)])
def test_c1_skimages_parameters_give_skimages_kernel_and_response(theta, sigmas):
    skimage = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    options = {"theta": theta, "bandwidth": 1.3, "sigma_x": sigmas[0], "sigma_y": sigmas[1], "offset": 0.4}
    theirs = skimage.gabor_kernel(0.12, **options, dtype=np.complex128)
    bank = gabor.from_skimage(0.12, **options)
    np.testing.assert_allclose(bank.kernels[0], theirs, atol=1e-15)
    x = np.random.default_rng(0).normal(size=(40, 30))
    real, imag = skimage.gabor(x, 0.12, **options, mode="reflect")
    y = bank(x[None, None], padding_mode="symmetric")[0, 0]
    np.testing.assert_allclose(y.real, real, atol=1e-6)
    np.testing.assert_allclose(y.imag, imag, atol=1e-6)
    again = skimage.gabor_kernel(**gabor.to_skimage(bank)[0], dtype=np.complex128)
    np.testing.assert_allclose(again, theirs, atol=1e-15)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_log_gabors_are_symmetric_on_a_logarithmic_axis_and_free_of_dc(ndim):
    n, octaves = 64 if ndim < 3 else 32, 1.5
    u = np.eye(ndim)[0]
    bank = gabor.log_gabor([0.125 * u], octaves)
    response = bank.response((n,) * ndim)[0]
    assert response.flatten()[0] == 0
    at = lambda f: response[(round(f * n), *[0] * (ndim - 1))].item()
    assert at(0.125) == pytest.approx(1.0)
    assert at(0.25) == pytest.approx(at(0.0625))
    half = gabor.log_gabor([0.125 * u], 2.0).response((n,) * ndim)[0]  # half amplitude one octave up and down
    assert half[(n // 4, *[0] * (ndim - 1))].item() == pytest.approx(0.5)
    wave = tone(0.125 * u, (n,) * ndim)
    torch.testing.assert_close(bank(wave, padding_mode="circular"), wave, rtol=0, atol=1e-9)


@pytest.mark.parametrize("build", ["round", "oriented", "dc_free", "log"])
def test_fb6_gradients_of_parameters_are_right(build):
    make = {
        "round": lambda: gabor.bank([[0.2, 0.1]], 1.2, size=7, phase=0.3, learnable=True),
        "oriented": lambda: gabor.bank([[0.2, 0.1]], [[1.2, 1.6]], size=7, learnable=True),
        "dc_free": lambda: gabor.bank([[0.2, 0.1]], 1.2, size=7, dc_free=True, normalize="l2", learnable=True),
        "log": lambda: gabor.log_gabor([[0.2, 0.1]], learnable=True),
    }[build]
    bank = make()
    names = [name for name, _ in bank.named_parameters()]
    x = torch.randn(1, 1, 8, 6, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    options = {"output": "energy", "padding_mode": "symmetric"}
    work = lambda *values: torch.func.functional_call(bank, dict(zip(names, values, strict=True)), (x,), options)
    values = tuple(p.detach().clone().requires_grad_() for p in bank.parameters())
    assert torch.autograd.gradcheck(work, values)
    assert torch.autograd.gradgradcheck(work, values)


@pytest.mark.parametrize("ndim", [1, 2])
def test_fb6_learnable_filters_find_a_known_tone_by_gradient_descent(ndim):
    wanted = 0.17 * unit(7, ndim)
    bank = gabor.bank([0.12 * unit(7, ndim)], 3.0, size=25, learnable=True)
    x = tone(wanted, (64,) * ndim).real.contiguous()
    optimizer = torch.optim.Adam([bank.frequency], lr=2e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -bank(x, output="energy").mean()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(bank.value("frequency").detach()[0], wanted, atol=2e-3)


@pytest.mark.parametrize(("fs", "unit"), [(16000.0, "s"), (0.5, "mm"), (1.0, "")])
def test_fb6_one_learning_rate_serves_every_unit(fs, unit):
    bank = gabor.bank([0.07 * fs], 12 / fs, size=101, fs=fs, unit=unit, learnable=True)
    x = tone([0.09 * fs], (400,), fs).real.contiguous()
    optimizer = torch.optim.Adam(bank.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        (-bank(x, output="energy").mean()).backward()
        optimizer.step()
    assert bank.value("frequency").item() == pytest.approx(0.09 * fs, rel=0.01)


def test_fb6_parameters_stay_within_their_walls_and_are_never_stuck():
    bank = gabor.bank([0.45], 1.5, learnable=True)
    optimizer = torch.optim.SGD(bank.parameters(), lr=0.05)
    for _ in range(200):  # a loss that pushes the frequency up and the width down, for ever
        optimizer.zero_grad()
        (bank.value("sigma").sum() - bank.value("frequency").sum()).backward()
        optimizer.step()
        assert 0 <= bank.value("frequency").item() <= 0.5
        assert bank.value("sigma").item() >= 0.5
        assert torch.isfinite(bank.kernels).all()
        assert all(p.grad.abs().sum() > 0 for p in (bank.frequency, bank.sigma))
    assert bank.freeze() is bank
    assert not any(p.requires_grad for p in bank.parameters())


def test_a_table_speaks_in_units():
    rows = gabor.pyramid(2, wavelengths=(4.0,), directions=2, fs=(2.0, 1.0), unit="mm").table()
    assert rows[0]["frequency"] == pytest.approx(0.25)
    assert rows[0]["wavelength"] == pytest.approx(4.0)
    assert rows[0]["bandwidth"] == pytest.approx(1.0)
    assert rows[1]["direction"] == pytest.approx((0.0, 1.0), abs=1e-12)
    assert str(rows).splitlines()[0].split("  ")[1].strip() == "frequency (1/mm)"
    assert "frequency (Hz)" in str(gabor.bank([100.0], 0.01, fs=8000, unit="s").table())
    assert "<table>" in rows._repr_html_()


def test_a_value_on_a_wall_is_itself_and_one_beyond_comes_back_however_far():
    v = torch.tensor([0.5, -0.5, 0.2, 0.7, 2.6, -7.3], requires_grad=True)
    y = within(v, torch.tensor(-0.5), torch.tensor(0.5))
    y.sum().backward()
    torch.testing.assert_close(y, torch.tensor([0.5, -0.5, 0.2, 0.3, 0.4, 0.3]))
    assert v.grad.abs().tolist() == [1.0] * 6
    one = within(torch.tensor([-2.0, 3.0]), torch.tensor(0.5), torch.tensor(math.inf))
    assert one.tolist() == [3.0, 3.0]


MISTAKES = [
    (lambda: gabor.bank([0.6], 2), r"frequency 0.6 is above half the sampling rate \(fs=1.0\): expected at most 0.5"),
    (
        lambda: gabor.bank([[0.1, 0.3]], 2, fs=(1, 0.5)),
        r"frequency 0.3 is above half the sampling rate \(fs=\(1.0, 0.5\)\): expected at most 0.25",
    ),
    (lambda: gabor.bank([0.1], 0.3), "sigma 0.3 is too small for the grid, which holds 0.5 samples"),
    (lambda: gabor.bank([0.1], -2), "sigma -2 is too small"),
    (lambda: gabor.bank([float("nan")], 2), "frequency holds nan: expected finite numbers"),
    (lambda: gabor.bank([0.1], float("inf")), "sigma holds inf"),
    (lambda: gabor.bank([0.1], 2, phase=float("nan")), "phase holds nan"),
    (lambda: gabor.bank([0.1], [2, 3, 4]), "sigma has 3 entries for 1 filters"),
    (lambda: gabor.bank([[0.1, 0.1]], [[2, 3, 4]]), r"sigma has shape \(1, 3\): expected \(1, 2\)"),
    (lambda: gabor.bank([0.1], 2, size=8), r"size 8 has no middle: expected odd"),
    (lambda: gabor.bank([0.1], 2, normalize="max"), "normalize 'max' is not one of"),
    (lambda: gabor.bank([0.0], 2, dc_free=True), "dc_free takes the whole filter away where its frequency is 0"),
    (lambda: gabor.bank([0.1], 2, fs=0), "fs 0 must be above 0"),
    (lambda: gabor.bank([[0.1, 0.1]], 2, fs=(1, 2, 3)), "has 3 entries for 2 spatial axes"),
    (lambda: gabor.bank("x", 2), "frequency 'x' is not a number"),
    (
        lambda: gabor.bank([[0.0, 3.0]], [[0.06, 0.07]], fs=(1, 10)),
        "sigma 0.06 is too small for the grid.* along axis 0",
    ),
    (lambda: gabor.bank([0.1], 2, dc_free="no"), "dc_free 'no' is neither True nor False"),
    (lambda: gabor.bank([0.1], 2, learnable="no"), "learnable 'no' is neither True nor False"),
    (lambda: gabor.bank([0.1], 2, size=1, dc_free=True), "dc_free leaves nothing of a window of one tap"),
    (lambda: gabor.bank([0.1, 0.2], 2, phase=[1, 2, 3]), "phase has 3 entries for 2 filters"),
    (lambda: gabor.bank([0.1, 0.2], 2, names=["a"]), "names .* are 1 different ones for 2 filters"),
    (lambda: gabor.bank([0.1], 2, truncate=math.inf), "truncate inf must be a finite number"),
    (lambda: gabor.bank([0.1], 1e12), "taps are more than memory holds"),
    (lambda: gabor.log_gabor([0.5]), "frequency 0.5 is half the sampling rate"),
    (lambda: gabor.log_gabor([0.2], [1, 2, 3]), "bandwidth has 3 entries for 1 filters"),
    (lambda: gabor.pyramid(2, wavelengths=(1.5,), directions=4), "frequency 0.666667 is above half"),
    (lambda: gabor.pyramid(2, wavelengths=(-4,), directions=4), "must be above 0 units"),
    (lambda: gabor.pyramid(3, wavelengths=(4,), directions=[[1, 0]]), r"directions have shape \(1, 2\)"),
    (lambda: gabor.directions(2, 1), "one dimension has 1"),
    (lambda: gabor.sigma_of(0), "bandwidth 0 must be above 0 octaves"),
    (lambda: gabor.log_gabor([0.0]), "frequency 0 has no logarithm"),
    (lambda: gabor.log_gabor([0.7]), "frequency 0.7 is above half the sampling rate"),
    (lambda: gabor.to_opencv(gabor.default(3)), "is not a 2-D Gabor bank"),
    (lambda: gabor.from_opencv((9, 9), 2, 0, 0, 1), "lambd 0, gamma 1 must be above 0"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES)
def test_mistakes_end_in_one_line_with_the_number_and_the_limit(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
