"""Band-pass filters by their edges: SciPy's firwin, SincNet's start, and training that moves them."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from sigconv import units
from sigconv.filters import sinc


@given(st.floats(0.01, 0.4), st.floats(0.01, 0.45), st.integers(8, 60), st.sampled_from([1.0, 16000.0]))
def test_c2_each_filter_is_firwins(low, width, half, fs):
    size = 2 * half + 1
    assume(low + width < 0.499)
    bank = sinc.bank([low * fs], [(low + width) * fs], size=size, fs=fs, least_band=0.0)
    theirs = scipy.signal.firwin(size, [low * fs, (low + width) * fs], window="hamming", pass_zero=False, fs=fs)
    np.testing.assert_allclose(bank.kernels[0], theirs, atol=1e-12)


def test_a_low_pass_begins_at_zero_and_nothing_is_nan():
    bank = sinc.bank([0.0, 0.0], [0.1, 0.5], size=51, learnable=True)
    theirs = scipy.signal.firwin(51, 0.2)
    np.testing.assert_allclose(
        bank.kernels[0].detach(), theirs, atol=2e-3
    )  # firwin sets the gain at 0, we in the middle
    taps = bank.kernels
    (once,) = torch.autograd.grad(taps.square().sum(), bank.get_parameter("low"), create_graph=True)
    (twice,) = torch.autograd.grad(once.sum(), bank.get_parameter("low"))
    for found in (taps, once, twice):
        assert torch.isfinite(found).all()


def test_filters_of_several_axes_are_products():
    bank = sinc.bank([[0.1, 0.0]], [[0.2, 0.3]], size=(21, 31), fs=(1.0, 1.0))
    line = [sinc.bank([a], [b], size=k).kernels[0] for a, b, k in ((0.1, 0.2, 21), (0.0, 0.3, 31))]
    torch.testing.assert_close(bank.kernels[0], torch.outer(*line))
    assert bank.separable


def test_fb1_unit_gain_in_the_band_and_an_octave_away_is_stopped():
    fs, size = 16000.0, 251
    bank = sinc.bank([500.0, 2000.0], [1000.0, 3000.0], fs=fs, size=size)
    t = torch.arange(4000) / fs
    gain = lambda f: bank(torch.cos(2 * math.pi * f * t)[None, None])[0, :, 1000:3000].amax(1)
    for f, passed in (
        (750.0, (1, 0)),
        (650.0, (1, 0)),
        (2500.0, (0, 1)),
        (2250.0, (0, 1)),
        (325.0, (0, 0)),
        (6000.0, (0, 0)),
    ):
        torch.testing.assert_close(gain(f), torch.tensor(passed).float(), atol=0.01, rtol=0)


def test_c2_mel_is_sincnets_start():
    """As its authors' code has it: low = least + |low_hz|, high = low + least + |band_hz|, clamped to half the rate."""
    edges = units.mel_to_hz(np.linspace(*units.hz_to_mel([30.0, 8000.0 - 100.0], htk=True), 81), htk=True)
    low = 50 + edges[:-1]
    high = np.clip(low + 50 + np.diff(edges), 50, 8000)
    table = sinc.mel(80, 16000.0).table()
    np.testing.assert_allclose([row["frequency_low"] for row in table], low)
    np.testing.assert_allclose([row["frequency_high"] for row in table], high)
    assert "frequency_low (Hz)" in str(table)


def test_training_stays_within_the_walls():
    bank = sinc.mel(10, 16000.0, learnable=True)
    for step in (-0.3, 0.2, 0.7, -2.0):
        with torch.no_grad():
            bank.get_parameter("low").add_(step)
            bank.get_parameter("width").add_(-step)
        low, high = (edge.detach() * 16000 for edge in bank.edges())
        assert low.min() >= 50 - 1e-6
        assert high.max() <= 8000 + 1e-6
        assert (high - low).min() >= 50 - 1e-6
        assert torch.isfinite(bank.kernels).all()


def test_fb6_a_network_of_ordinary_learning_rate_finds_the_band_of_a_sound():
    """SincNet's filters hardly move where edges are held in Hz; ours do."""
    fs, rng = 8000.0, np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(size=(4, 1, 1500)))
    target = sinc.bank([1200.0], [2000.0], fs=fs, size=101)(noise)
    bank = sinc.bank([900.0], [1500.0], fs=fs, size=101, learnable=True)
    optimiser = torch.optim.Adam(bank.parameters(), lr=3e-3)
    for _ in range(120):
        optimiser.zero_grad()
        loss = (bank(noise) - target).square().mean()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in bank.parameters())
        optimiser.step()
    row = bank.table()[0]
    assert row["frequency_low"] == pytest.approx(1200, abs=20)
    assert row["frequency_high"] == pytest.approx(2000, abs=20)


def test_gradients_are_those_of_differences():
    bank = sinc.bank([0.1], [0.2], size=21, learnable=True)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 1, 30)))
    names = [name for name, _ in bank.named_parameters()]

    def run(*values):
        return torch.func.functional_call(bank, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, tuple(p.detach().clone().requires_grad_() for p in bank.parameters()))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_default(ndim):
    bank = sinc.default(ndim, fs=3.0)
    assert bank(torch.rand(1, 2, *[7] * ndim)).shape == (1, 2 * 3 * ndim, *[7] * ndim)
    torch.testing.assert_close(sinc.default(ndim).kernels, bank.kernels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sinc.bank([100.0], [9000.0], fs=16000), "high 9000 is above half .*: expected at most 8000"),
        (
            lambda: sinc.bank([300.0], [200.0], fs=16000),
            "low 300 is not between least_low and high: expected at most 200",
        ),
        (lambda: sinc.bank([300.0], [310.0], fs=16000), "width 10 is too narrow .*: expected at least 63.7"),
        (lambda: sinc.bank([20.0], [500.0], fs=16000, least_low=50), "low 20 .*: expected at least 50"),
        (lambda: sinc.bank([20.0, 30.0], [500.0], fs=16000), "low and high have shapes"),
        (lambda: sinc.bank([0.1], [0.2], size=20), "size 20 has no middle"),
        (lambda: sinc.mel(8, 150.0), "fs / 2 - 2·least -25.0 is negative"),
    ],
)
def test_errors_carry_the_number_and_the_limit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
