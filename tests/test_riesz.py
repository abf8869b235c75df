"""Banks made in frequency: Simoncelli's rings, the Riesz transform, and both of other banks."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import signal as scipy_signal

from sigconv.filters import gabor, gaussian, riesz

SIZES = [(9,), (8,), (9, 7), (8, 6), (7, 6, 5), (4, 6, 5, 4)]


def noise(*size):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, *size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_ring_is_ibsis_formula(size, level):
    h = np.zeros(size)
    for place in itertools.product(*map(range, size)):
        r = math.sqrt(sum(((i - (n - 1) / 2) / ((n - 1) / 2)) ** 2 for i, n in zip(place, size, strict=True)))
        c = 2.0 ** (1 - level)
        h[place] = math.cos(math.pi / 2 * math.log2(2 * r / c)) if c / 4 < r <= c else 0
    x = noise(*size)
    expected = np.fft.ifftn(np.fft.fftn(x[0, 0]) * np.fft.ifftshift(h)).real
    ours = riesz.simoncelli(level, len(size))(x, padding_mode="circular")[0, 0]
    np.testing.assert_allclose(ours, expected, atol=1e-13)


def test_rings_are_an_octave_apart_and_share_all_that_lies_between():
    size = (257,)
    h = riesz.simoncelli((1, 2, 3, 4), 1).response(size)
    total = h.square().sum(0)
    f = torch.fft.fftfreq(257).abs() * 257 / 128  # of Nyquist
    inside = (f > 1 / 8) & (f <= 1 / 2)
    torch.testing.assert_close(total[inside], torch.ones_like(total[inside]))
    assert [f[row[:129].argmax()].item() for row in h] == pytest.approx([1 / 2, 1 / 4, 1 / 8, 1 / 16], abs=0.01)
    assert h[:, 0].abs().max() == 0, "no response to a constant"


@pytest.mark.parametrize("size", SIZES)
def test_kernels_are_real_whatever_the_size(size):
    ndim = len(size)
    for bank in (riesz.transform(1, ndim), riesz.transform(2, of=riesz.simoncelli((1, 2), ndim))):
        h = bank.response(size)
        whole = torch.fft.ifftn(h, dim=tuple(range(1, ndim + 1)))
        assert whole.imag.abs().max() < 1e-15
        x = noise(*size)
        expected = torch.fft.ifftn(torch.fft.fftn(x[0]) * h, dim=tuple(range(1, ndim + 1))).real
        torch.testing.assert_close(bank(x, padding_mode="circular")[0], expected)


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("size", [(9,), (9, 7), (7, 9, 5), (5, 3, 5, 7)])
def test_all_orders_of_a_total_keep_all_energy_but_the_mean(total, size):
    bank = riesz.transform(total, len(size))
    assert len(bank) == math.comb(len(size) + total - 1, total)
    power = bank.response(size).abs().square().sum(0)
    assert power.flatten()[0] == 0
    torch.testing.assert_close(power.flatten()[1:], torch.ones(power.numel() - 1).double())


@pytest.mark.parametrize("n", [15, 16])
def test_in_one_dimension_it_is_the_hilbert_transform(n):
    x = noise(n)
    ours = riesz.transform((1,))(x, padding_mode="circular")[0, 0]
    np.testing.assert_allclose(ours, scipy_signal.hilbert(x[0, 0]).imag, atol=1e-14)


def test_rf8_a_complex_cell_is_two_simple_ones_whose_energy_knows_no_phase():
    simple = gaussian.derivative((2,), 2.0, 1)
    quadrature = riesz.transform((1,), of=simple)
    t = torch.arange(64).double()
    energies = []
    for phase in torch.linspace(0, 2 * math.pi, 9).tolist():
        wave = torch.cos(2 * math.pi * t / 16 + phase)[None, None]
        even, odd = (bank(wave, padding_mode="circular") for bank in (simple, quadrature))
        energies.append(even.square() + odd.square())
    spread = torch.stack(energies)
    torch.testing.assert_close(spread, spread.mean().expand_as(spread))


@pytest.mark.parametrize("of", [lambda: gaussian.log([1.0, 1.3], 2), lambda: gabor.bank([[0.2, 0.1]], 1.0)])
def test_of_another_bank_it_is_one_after_the_other(of):
    bank = riesz.transform([(1, 0), (1, 1)], of=of())
    x = noise(21, 19)
    first = of()(x, padding_mode="circular")
    turn = riesz.transform([(1, 0), (1, 1)])
    if not first.is_complex():
        expected = turn(first, padding_mode="circular")
    else:
        expected = torch.complex(*(turn(part, padding_mode="circular") for part in (first.real, first.imag)))
    torch.testing.assert_close(bank(x, padding_mode="circular"), expected)
    assert bank.names[0] == of().names[0] + "_riesz_10"


def test_a_quarter_turn_takes_one_order_to_another():
    one, other = (riesz.transform(o, of=riesz.simoncelli(1, 2)) for o in ((1, 0), (0, 1)))
    x = noise(15, 15)
    turned = other(x.rot90(1, (2, 3)), padding_mode="circular")
    torch.testing.assert_close(turned.abs(), one(x, padding_mode="circular").rot90(1, (2, 3)).abs())


def test_directions_are_those_of_space_where_voxels_are_not_cubes():
    def wave(sizes, steps):
        places = torch.meshgrid(*(torch.arange(n) * d for n, d in zip(sizes, steps, strict=True)), indexing="ij")
        return torch.cos(2 * math.pi * (places[0] + places[1]) / 16)[None, None]

    fine = riesz.transform((1, 0))(wave((64, 64), (1, 1)), padding_mode="circular")
    coarse = riesz.transform((1, 0), fs=(1, 0.5))(wave((64, 32), (1, 2)), padding_mode="circular")
    torch.testing.assert_close(coarse, fine[..., ::2], atol=1e-5, rtol=0)


def test_borders_are_laid_around_and_short_signals_take_long_kernels():
    bank = riesz.transform((1,), of=gaussian.log(2.0, 1))
    x = noise(32)
    wide = torch.nn.functional.pad(x, (16, 16))
    torch.testing.assert_close(bank(x), bank(wide, padding_mode="circular")[..., 16:48])
    assert bank.of.kernel_size == (17,)
    for n in (1, 2, 5):
        assert torch.isfinite(bank(noise(n), padding_mode="symmetric")).all()
        assert bank(noise(n), padding_mode="circular").shape == (1, 1, n)


def test_the_other_banks_sigma_still_learns():
    bank = riesz.transform(1, of=gaussian.log(1.2, 2, size=7, learnable=True))
    assert list(bank.state_dict()) == ["of.sigma"]
    x = noise(6, 5)

    def respond(sigma):
        return torch.func.functional_call(bank, {"of.sigma": sigma}, (x,), {"padding_mode": "symmetric"})

    assert torch.autograd.gradcheck(respond, (bank.of.sigma.detach().clone().requires_grad_(),))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: riesz.transform((0, 0)), ValueError, r"order \(0, 0\) must have a number above 0"),
        (lambda: riesz.transform(1), ValueError, "give ndim="),
        (lambda: riesz.transform((-1, 2)), ValueError, "order"),
        (lambda: riesz.transform((1, 0), 3), ValueError, "has 2 entries for 3"),
        (lambda: riesz.transform((1,), of=gaussian.log(1.0, 2)), ValueError, "has 1 entries for 2"),
        (lambda: riesz.transform(1, of="log"), TypeError, "of is str: expected a bank"),
        (lambda: riesz.simoncelli(0), ValueError, "level 0 must be at least 1"),
        (lambda: riesz.simoncelli(1.5), TypeError, "level 1.5 is not a whole number"),
        (lambda: riesz.simoncelli(1).kernels, ValueError, r"kernels_for\(size\)"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
