"""Scattering: counts, contraction, stability to shifts, and the definition written out."""

# ruff: noqa: N803 - J, Q and L are the field's names

import math

import numpy as np
import pytest
import torch

from sigconv.convolution import convolve
from sigconv.filters import scattering
from sigconv.filters.scattering import Scattering


@pytest.mark.parametrize(("J", "L", "count"), [(2, 8, 81), (3, 8, 217), (2, 4, 25)])
def test_c6_the_number_of_paths_in_a_plane(J, L, count):
    net = Scattering(J, ndim=2, L=L)
    y = net(torch.rand(2, 3, 32, 32))
    assert y.shape == (2, 3 * count, 32 // 2**J, 32 // 2**J)
    assert len(net.paths) == len(net.table()) == count == 1 + J * L + L * L * J * (J - 1) // 2


@pytest.mark.parametrize(("ndim", "J", "options"), [(1, 5, {"Q": 4}), (1, 3, {}), (3, 2, {}), (4, 1, {"L": 2})])
def test_c6_one_mechanism_for_every_dimension(ndim, J, options):
    net = Scattering(J, ndim=ndim, **options)
    Q, L = net.Q, net.L
    assert len(net.paths) == 1 + J * Q * L + Q * L * L * J * (J - 1) // 2
    y = net(torch.rand(1, 1, *[2**J + 1] * ndim))
    assert y.shape == (1, len(net.paths), *[2] * ndim)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize(("ndim", "Q"), [(1, 2), (2, 1)])
def test_c6_every_path_is_its_definition(ndim, Q):
    net = Scattering(2, ndim=ndim, Q=Q, L=1 if ndim == 1 else 4, padding_mode="circular")
    x = torch.from_numpy(np.random.default_rng(0).normal(size=[24] * ndim))
    kernels = lambda bank: dict(zip(bank.names, bank.kernels, strict=True))
    one = kernels(net.first[0]) | kernels(net.first[1])
    two = kernels(net.second[0])
    phi = net.low["0"].kernels[0].real
    gain1 = dict(zip(one, net.gain1, strict=True))
    apply = lambda signal, h: convolve(signal, h, "same", padding_mode="circular")
    y = net(x[None, None])[0]
    for path, found in zip(net.paths, y, strict=True):
        u = x
        if path.order > 0:
            name = f"scale{round(path.scale1 * Q)}_d{path.direction1}"
            u = gain1[name] * apply(u.to(torch.complex128), one[name]).abs()
        if path.order > 1:
            gain = net.gain2.reshape(2, -1)[path.scale2, path.direction2]
            u = gain * apply(u.to(torch.complex128), two[f"scale{path.scale2}_d{path.direction2}"]).abs()
        assert path.order < 2 or path.scale2 > math.floor(path.scale1)
        s = apply(u, phi)[(slice(None, None, 4),) * ndim]
        torch.testing.assert_close(found, s, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("ndim", "J", "Q", "n"),
    [(1, 4, 1, 256), (1, 6, 8, 1024), (1, 5, 12, 1000), (2, 3, 1, 40), (2, 2, 1, 33), (3, 1, 1, 12)],
)
def test_c6_gains_sum_to_at_most_one_so_nothing_grows(ndim, J, Q, n):
    net = Scattering(J, ndim=ndim, Q=Q, stride=1, padding_mode="circular")
    axes = tuple(range(1, ndim + 1))
    size = (3001,) if ndim == 1 else tuple(2 * k + 1 for k in net.first[-1].kernel_size)
    power = lambda bank: torch.fft.fftn(bank.kernels_for(size), dim=axes).abs().square()
    total = power(net.low["0"])[0]
    for j, bank in enumerate(net.first):
        gain = net.gain1.reshape(J, -1)[j].square()
        found = torch.einsum("f,f...->...", gain, power(bank))
        total = total + (found + found.flip([a - 1 for a in axes]).roll([1] * ndim, [a - 1 for a in axes])) / 2
    assert total.max() <= 1 + 1e-9
    gen = torch.Generator().manual_seed(0)
    x, z = torch.randn(2, 1, 1, *[n] * ndim, generator=gen, dtype=torch.float64)
    assert (net(x) - net(z)).norm() <= (x - z).norm()
    assert 0.4 * x.norm() < net(x).norm() <= x.norm()
    near = x + 1e-4 * z
    assert (net(x) - net(near)).norm() <= (x - near).norm()


def test_energy_moves_to_the_second_order_where_amplitudes_are_modulated():
    """|x * ψ| of a steady tone is constant; of a trembling one it has the tremor, which order 2 finds at its scale."""
    net = Scattering(6, ndim=1, padding_mode="circular")
    t = torch.arange(1024, dtype=torch.float64)
    carrier = torch.cos(2 * math.pi * 0.34375 * t)
    trembling = carrier * (1 + torch.cos(2 * math.pi * t / 32))
    share = lambda x: net(x[None, None])[0].square().sum(1)
    order2 = torch.tensor([path.order == 2 for path in net.paths])
    assert share(carrier)[order2].sum() < 1e-3 * share(carrier)[~order2].sum()
    found = share(trembling)
    best = net.paths[int(torch.where(order2, found, 0).argmax())]
    assert (best.scale1, best.scale2) == (0, 3)  # 0.35·2^-3 is nearest to 1/32
    assert found[order2].sum() > 0.05 * found[~order2].sum()


@pytest.mark.parametrize(("ndim", "n"), [(1, 512), (2, 64)])
def test_st_shifts_much_smaller_than_the_average_change_little(ndim, n):
    gen = torch.Generator().manual_seed(1)
    x = torch.randn(1, 1, *[n] * ndim, generator=gen)
    net = Scattering(4, ndim=ndim, L=1 if ndim == 1 else 4, padding_mode="circular")
    moved = x.roll([1] * ndim, list(range(2, ndim + 2)))
    change = (net(x) - net(moved)).norm() / net(x).norm()
    assert change < 0.12
    assert (x - moved).norm() > x.norm()
    by_stride = x.roll([16] * ndim, list(range(2, ndim + 2)))
    expected = net(x).roll([1] * ndim, list(range(2, ndim + 2)))
    torch.testing.assert_close(net(by_stride), expected, atol=1e-5, rtol=1e-4)


def test_coarser_moduli_are_nearly_the_exact_ones():
    x = torch.randn(1, 1, 2048, generator=torch.Generator().manual_seed(0))
    exact = Scattering(6, ndim=1, Q=4)(x)
    for oversampling, error in ((2, 1e-3), (1, 5e-3), (0, 3e-2)):
        found = Scattering(6, ndim=1, Q=4, oversampling=oversampling)(x)
        assert found.shape == exact.shape
        assert (found - exact).norm() < error * exact.norm()


def test_differentiable_and_of_any_kind():
    x = torch.rand(1, 1, 20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Scattering(2, ndim=1), x)
    net = Scattering(2, ndim=2, L=2)
    assert not any(p.requires_grad for p in net.parameters())
    level = torch.ones(1, 2, 16, 16, requires_grad=True)
    y = net(level)
    torch.testing.assert_close(y.unflatten(1, (2, -1))[:, :, 0], torch.ones(1, 2, 4, 4))
    assert y.unflatten(1, (2, -1))[:, :, 1:].abs().max() < 1e-5
    y.sum().backward()
    assert torch.isfinite(level.grad).all(), "the modulus of nothing has a gradient of 0, not of NaN"
    array = np.random.default_rng(0).normal(size=(1, 2, 16, 16)).astype(np.float32)
    found = scattering.scatter(array, 2, L=2)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, net(torch.from_numpy(array)), atol=1e-6)
    np.testing.assert_allclose(scattering.scatter(array[:, 1:], 2, L=2), found[:, len(net.paths) :], atol=1e-6)


def test_state_has_the_parameters_of_its_banks_only_and_loads():
    net = Scattering(2, ndim=1, Q=2)
    again = Scattering(2, ndim=1, Q=2)
    again.load_state_dict(net.state_dict())
    assert all(name.split(".")[-1] in {"frequency", "sigma", "phase"} for name in net.state_dict())


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_default(ndim):
    bank = scattering.default(ndim, fs=4.0)
    assert bank(torch.rand(1, 2, *[8] * ndim)).shape == (1, 2 * len(bank), *[8] * ndim)
    assert bank.kernels.sum(tuple(range(1, ndim + 1))).abs().max() < 1e-9
    torch.testing.assert_close(scattering.default(ndim).kernels, bank.kernels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Scattering(3, ndim=2)(torch.zeros(1, 1, 7, 9)), "J=3 needs 8 samples along every axis"),
        (
            lambda: Scattering(2, ndim=2)(torch.zeros(1, 16, 16)),
            r"x has shape \(1, 16, 16\): expected \(batch, channels",
        ),
        (lambda: Scattering(0, ndim=1), "J 0"),
        (lambda: Scattering(2, ndim=1, order=3), "order 3 is not one of 1, 2"),
        (lambda: Scattering(2, ndim=1, oversampling=-1), "oversampling=-1"),
        (lambda: Scattering(2, ndim=1, L=3), "directions 3: one dimension has 1"),
    ],
)
def test_errors_carry_the_number_and_the_limit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
